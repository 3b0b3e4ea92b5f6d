//! What a bare device costs in memory, part by part, beside the plain recipe.
//!
//! `cargo build --release && cargo bench --bench memory`, or `scripts/bench memory`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::load::{bring_online, write_plain, Form};
use common::options::Number;
use common::scenarios::info;
use common::{figures, machine, Options, Table};
use serde_json::json;
use support::*;

const NUMBERS: [Number; 1] = [Number {
    name: "devices",
    meaning: "devices, with ids of 12 bytes",
    default: 1_000_000,
    quick: 10_000,
}];

/// The goal: bytes per bare device.
const GOAL: f64 = 750.0;
/// Long enough that nothing falls due meanwhile.
const TIMEOUT_MS: u64 = 3_600_000;

fn id(number: usize) -> String {
    format!("d-{number:010}")
}

/// What the server has allocated, its connections' buffers left out.
fn used(server: &Server) -> f64 {
    let info = cmd!(server.connection(), "INFO", "memory").text();
    let field = |wanted: &str| {
        let value = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == wanted).then(|| value.trim().parse::<f64>().ok())?
        });
        value.unwrap_or_else(|| panic!("no {wanted} in\n{info}"))
    };
    field("used_memory") - field("mem_clients_normal")
}

/// The server's own figure for one key, all elements of it counted.
fn memory_usage(server: &Server, key: &str) -> f64 {
    cmd!(server.connection(), "MEMORY USAGE", key, "SAMPLES", 0).int() as f64
}

/// The mean of the key of a thousand devices.
fn per_key(server: &Server, devices: usize, prefix: &str) -> f64 {
    let step = (devices / 1_000).max(1);
    let keys: Vec<String> = (0..devices)
        .step_by(step)
        .map(|number| format!("{prefix}{}", id(number)))
        .collect();
    let sum: f64 = keys.iter().map(|key| memory_usage(server, key)).sum();
    sum / keys.len() as f64
}

/// One form of the fleet: bytes per device, all in all and by part.
struct Bytes {
    all: f64,
    /// The log of events, per entry: it has a bound of its own, whatever the size of the fleet, and
    /// is not counted in `all`.
    event: f64,
    parts: Vec<(&'static str, f64)>,
}

impl Bytes {
    /// What no part accounts for: the tables of the keyspace, mostly.
    fn add_rest(&mut self) {
        let known: f64 = self.parts.iter().map(|(_, bytes)| bytes).sum();
        self.parts.push(("the rest", self.all - known));
    }
}

fn with_module(devices: usize, heartbeat_keys: bool) -> Bytes {
    let keys = if heartbeat_keys { "yes" } else { "no" };
    let server = Server::builder()
        .config("devicestate.heartbeat-keys", keys)
        .start();
    let before = used(&server);
    bring_online(&server, 0..devices, id, |_| TIMEOUT_MS);
    let mut con = server.connection();
    let n = devices as f64;
    let indexes: f64 = [
        "devices:registered",
        "devices:online",
        "devices:type:unknown",
        "devices:online:type:unknown",
    ]
    .iter()
    .map(|key| memory_usage(&server, key))
    .sum();
    let with_events = used(&server);
    let events = cmd!(con, "XLEN", "devices:events").int() as f64;
    assert!(cmd!(con, "XTRIM", "devices:events", "MAXLEN", 0).is_ok());
    let all = used(&server) - before;
    let deadline_index = info(&mut con, "deadline_index_bytes") as f64;
    let hash = per_key(&server, devices, "device:state:");
    Bytes {
        all: all / n,
        event: (with_events - before - all) / events,
        parts: vec![
            ("hash, with its key", hash),
            ("four indexes", indexes / n),
            ("deadline index", deadline_index / n),
        ],
    }
}

fn plain(devices: usize) -> Bytes {
    let server = Server::builder().without_module().start();
    let before = used(&server);
    write_plain(&server, 0..devices, id, Form::PlainRecipe);
    let n = devices as f64;
    let sets: f64 = [
        "devices:registered",
        "devices:online",
        "devices:type:unknown",
    ]
    .iter()
    .map(|key| memory_usage(&server, key))
    .sum();
    Bytes {
        all: (used(&server) - before) / n,
        event: 0.0,
        parts: vec![
            (
                "hash, with its key",
                per_key(&server, devices, "device:state:"),
            ),
            ("three sets", sets / n),
            (
                "heartbeat key",
                per_key(&server, devices, "device:heartbeat:"),
            ),
        ],
    }
}

fn main() {
    let options = Options::read("What a bare device costs in memory.", &NUMBERS);
    let load = machine::load_average();
    let machine = machine::describe(&Server::builder().without_module().start(), load);
    machine::print(&machine);
    let devices = options.get("devices");
    let mut ours = with_module(devices, true);
    let without_keys = with_module(devices, false);
    let key = ours.all - without_keys.all;
    ours.parts.insert(2, ("heartbeat key (by difference)", key));
    ours.add_rest();
    let mut plain = plain(devices);
    plain.add_rest();

    println!(
        "\n{devices} devices with ids of {} bytes: bytes per device",
        id(0).len()
    );
    let mut table = Table::new(["devicestate", "bytes"]);
    table.row(["all".to_owned(), format!("{:.0}", ours.all)]);
    for (name, bytes) in &ours.parts {
        table.row([format!("  {name}"), format!("{bytes:.0}")]);
    }
    table.row([
        "all, with heartbeat-keys no".to_owned(),
        format!("{:.0}", without_keys.all),
    ]);
    table.row([
        "log of events, not counted: bytes per entry".to_owned(),
        format!("{:.0}", ours.event),
    ]);
    table.row(["goal".to_owned(), format!("{GOAL:.0}")]);
    table.row(["plain recipe".to_owned(), format!("{:.0}", plain.all)]);
    for (name, bytes) in &plain.parts {
        table.row([format!("  {name}"), format!("{bytes:.0}")]);
    }
    table.print();

    let parts = |form: &Bytes| -> serde_json::Map<_, _> {
        let parts = form.parts.iter();
        parts
            .map(|(name, bytes)| ((*name).to_owned(), json!(bytes)))
            .collect()
    };
    let figures = json!({
        "machine": machine,
        "quick": options.quick,
        "devices": devices,
        "id_bytes": id(0).len(),
        "bytes_per_device": ours.all,
        "parts": parts(&ours),
        "bytes_per_device_without_heartbeat_keys": without_keys.all,
        "bytes_per_event": ours.event,
        "plain_recipe": plain.all,
        "plain_recipe_parts": parts(&plain),
        "goal": GOAL,
    });
    figures::write("memory", &figures);
}
