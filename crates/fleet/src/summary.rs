//! The summary at the end of a run, for people and for programs.

use std::fmt::Write;

use serde_json::{json, Value};

use crate::stats::{Ended, Totals};

/// What the numbers are about.
pub struct Run<'a> {
    /// `mqtt` or `redis`.
    pub mode: &'a str,
    pub devices: u32,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub seed: u64,
}

/// One JSON object. Latencies are null when nothing was acknowledged.
pub fn json(run: &Run, totals: &Totals) -> Value {
    let list = |devices: &[Ended]| -> Vec<Value> {
        let one = |d: &Ended| {
            json!({
                "id": d.id,
                "last_beat_ms": d.last_beat_ms,
                "last_ack_ms": d.last_ack_ms,
                "at_ms": d.at_ms,
            })
        };
        devices.iter().map(one).collect()
    };
    let texts: Vec<Value> = totals
        .error_texts
        .iter()
        .map(|(text, n)| json!({"text": text, "count": n}))
        .collect();
    json!({
        "mode": run.mode,
        "devices": run.devices,
        "interval_ms": run.interval_ms,
        "timeout_ms": run.timeout_ms,
        "seed": run.seed,
        "connected": totals.connected,
        "beats_sent": totals.sent,
        "acknowledged": totals.acknowledged,
        "reports": totals.reports,
        "errors": totals.errors,
        "error_texts": texts,
        "reconnects": totals.reconnects,
        "goodbyes": totals.goodbye.len(),
        "silent_devices": totals.silent.len(),
        "cut_devices": totals.cut.len(),
        "ack_latency_ms": {"p50": totals.p50_ms, "p99": totals.p99_ms, "max": totals.max_ms},
        "seconds": totals.seconds,
        "rate_per_s": totals.rate,
        "silent": list(&totals.silent),
        "goodbye": list(&totals.goodbye),
        "cut": list(&totals.cut),
    })
}

/// Some lines of text.
pub fn text(run: &Run, totals: &Totals) -> String {
    let mut out = String::new();
    let ms = |value: Option<f64>| value.map_or("-".to_string(), |v| format!("{v:.1} ms"));
    let mut line = |label: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{label:<14}{value}");
    };
    line(
        "devices",
        format!(
            "{} over {}, {} connected",
            run.devices, run.mode, totals.connected
        ),
    );
    line(
        "beats",
        format!(
            "{} sent, {} acknowledged in {:.1} s ({:.0}/s), {} of them reports",
            totals.sent, totals.acknowledged, totals.seconds, totals.rate, totals.reports
        ),
    );
    line(
        "ack latency",
        format!(
            "p50 {}, p99 {}, max {}",
            ms(totals.p50_ms),
            ms(totals.p99_ms),
            ms(totals.max_ms)
        ),
    );
    line(
        "ended early",
        format!(
            "{} fell silent, {} said goodbye, {} were cut",
            totals.silent.len(),
            totals.goodbye.len(),
            totals.cut.len()
        ),
    );
    line("reconnects", totals.reconnects.to_string());
    line("errors", totals.errors.to_string());
    for (text, count) in &totals.error_texts {
        line("", format!("{count} x {text}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run<'static> {
        Run {
            mode: "mqtt",
            devices: 2,
            interval_ms: 5_000,
            timeout_ms: 15_000,
            seed: 1,
        }
    }

    #[test]
    fn nothing_happened() {
        let value = json(&run(), &Totals::default());
        assert_eq!(value["acknowledged"], 0);
        assert!(value["ack_latency_ms"]["p50"].is_null());
        assert!(text(&run(), &Totals::default()).contains("p50 -, p99 -, max -"));
    }

    #[test]
    fn silent_devices_are_listed_with_their_last_beat() {
        let device = Ended {
            id: "sim-000007".into(),
            last_beat_ms: 5,
            last_ack_ms: 6,
            at_ms: 9,
        };
        let totals = Totals {
            silent: vec![device],
            ..Totals::default()
        };
        let value = json(&run(), &totals);
        assert_eq!(value["silent_devices"], 1);
        assert_eq!(value["silent"][0]["id"], "sim-000007");
        assert_eq!(value["silent"][0]["last_beat_ms"], 5);
    }

    #[test]
    fn errors_are_shown_with_their_text() {
        let totals = Totals {
            errors: 3,
            error_texts: vec![("connection refused".into(), 3)],
            ..Totals::default()
        };
        let text = text(&run(), &totals);
        assert!(text.contains("errors        3\n"), "{text}");
        assert!(text.contains("3 x connection refused"), "{text}");
    }
}
