//! Commands that are measured in turn: rates, processor time, and the first one's ratio to each.

use serde_json::{json, Map, Value};

use super::figures::{Spread, Table};

/// One command (or what takes its place), round by round.
pub struct Rounds {
    name: &'static str,
    /// Per second.
    rates: Vec<f64>,
    /// The server's processor time for one, in microseconds.
    micros: Vec<f64>,
}

impl Rounds {
    pub fn new(name: &'static str) -> Rounds {
        Rounds {
            name,
            rates: Vec::new(),
            micros: Vec::new(),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn add(&mut self, rate: f64, micros: f64) {
        self.rates.push(rate);
        self.micros.push(micros);
    }
}

/// Round by round.
fn ratios(a: &[f64], b: &[f64]) -> Spread {
    Spread::new(a.iter().zip(b).map(|(a, b)| a / b).collect())
}

/// A table of all, the first one against each; `what` is its short name. Returns what goes into
/// the file.
pub fn show(title: &str, what: &str, all: &[Rounds]) -> Value {
    println!("\n{title}");
    let ratio_name = format!("{what}/x");
    let mut table = Table::new([
        "command",
        "k/s median",
        "min",
        "max",
        "server us each",
        &ratio_name,
        "min",
        "max",
        "by server time",
    ]);
    let ours = &all[0];
    let mut file = Map::new();
    for peer in all {
        let rates = Spread::new(peer.rates.clone());
        let micros = Spread::new(peer.micros.clone());
        let ratio = ratios(&ours.rates, &peer.rates);
        let by_time = ratios(&peer.micros, &ours.micros);
        // Three digits or so, for thousands and for millions per second.
        let digits = usize::from(rates.median() < 100_000.0);
        let thousands = |rate: f64| format!("{:.digits$}", rate / 1_000.0);
        table.row([
            peer.name.to_owned(),
            thousands(rates.median()),
            thousands(rates.min()),
            thousands(rates.max()),
            format!("{:.2}", micros.median()),
            format!("{:.2}", ratio.median()),
            format!("{:.2}", ratio.min()),
            format!("{:.2}", ratio.max()),
            format!("{:.2}", by_time.median()),
        ]);
        file.insert(
            peer.name.to_owned(),
            json!({
                "per_second": rates.rounds(),
                "server_microseconds": micros.rounds(),
                format!("{what}_to_this"): ratio.rounds(),
                format!("{what}_to_this_by_server_time"): by_time.rounds(),
            }),
        );
    }
    table.print();
    Value::Object(file)
}
