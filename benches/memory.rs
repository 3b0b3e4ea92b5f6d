//! What a device costs in memory: a bare one part by part, beside the plain recipe; then one with
//! documents and with a history. The bare one has the default timeout, as in the plain recipe; one of
//! its own would be another field of its hash.
//!
//! `cargo build --release && cargo bench --bench memory`, or `scripts/bench memory`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::load::{bring_online_by_default, command, pipeline, write_plain, Form};
use common::options::Number;
use common::scenarios::info;
use common::{documents, figures, Cell, Column, Options, Progress, Table};
use serde_json::json;
use support::*;

const NUMBERS: [Number; 2] = [
    Number {
        name: "devices",
        meaning: "devices, with ids of 12 bytes",
        default: 1_000_000,
        quick: 10_000,
    },
    Number {
        name: "reporting",
        meaning: "devices with documents",
        default: 100_000,
        quick: 1_000,
    },
];

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

const HASH: &str = "hash, with its key";

/// One form of the fleet: bytes per device, all in all and by part.
struct Bytes {
    all: f64,
    /// The log of events, per entry: it has a bound of its own, whatever the size of the fleet, and
    /// is not counted in `all`.
    event: f64,
    parts: Vec<(&'static str, &'static str, f64)>,
}

impl Bytes {
    /// What no part accounts for: the tables of the keyspace, mostly.
    fn add_rest(&mut self) {
        let known: f64 = self.parts.iter().map(|(.., bytes)| bytes).sum();
        self.parts
            .push(("rest", "the rest: tables of the keyspace", self.all - known));
    }
}

fn with_module(devices: usize, heartbeat_keys: bool) -> Bytes {
    let keys = if heartbeat_keys { "yes" } else { "no" };
    let server = Server::builder()
        .config("devicestate.heartbeat-keys", keys)
        .config("devicestate.heartbeat-timeout", TIMEOUT_MS)
        .start();
    let before = used(&server);
    bring_online_by_default(&server, 0..devices, id);
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
            ("hash", HASH, hash),
            ("indexes", "four indexes", indexes / n),
            ("deadlines", "deadline index", deadline_index / n),
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
            ("hash", HASH, per_key(&server, devices, "device:state:")),
            ("indexes", "three sets", sets / n),
            (
                "heartbeat_key",
                "heartbeat key",
                per_key(&server, devices, "device:heartbeat:"),
            ),
        ],
    }
}

/// How many changes are reported after the first report: more than the history keeps.
const CHANGES: usize = 32;

/// Bytes per device that reports.
struct Reporting {
    /// Reported about 500 bytes, no history.
    reported: f64,
    /// And as much desired, in sync with it.
    both: f64,
    /// With the history as it is set by default: after the first report, after `CHANGES` more.
    first_entry: f64,
    full_history: f64,
    history_entries: f64,
}

impl Reporting {
    fn measure(devices: usize) -> Reporting {
        let (server, before) = reporters(devices, "0");
        let reported = at_rest(&server, before, devices);
        set_what_is_reported(&server, devices);
        let both = at_rest(&server, before, devices);

        let (server, before) = reporters(devices, "16");
        let first_entry = at_rest(&server, before, devices);
        for turn in 0..CHANGES {
            change(&server, devices, turn);
        }
        let full_history = at_rest(&server, before, devices);
        let history = format!("device:history:{}", documents::id(devices / 2));
        let history_entries = cmd!(server.connection(), "XLEN", history).int() as f64;
        Reporting {
            reported,
            both,
            first_entry,
            full_history,
            history_entries,
        }
    }
}

/// A server with devices that have reported a document once, and what it had allocated before.
fn reporters(devices: usize, history: &str) -> (Server, f64) {
    let server = Server::builder()
        .config("devicestate.history-maxlen", history)
        .start();
    let before = used(&server);
    let timeout = TIMEOUT_MS.to_string();
    let reply = b"*5\r\n:1\r\n:1\r\n:1\r\n$-1\r\n:0\r\n";
    pipeline(&server, 0..devices, reply, |number, out| {
        let id = documents::id(number);
        let document = json!(documents::reported(number)).to_string();
        let words = [
            "DEVICE.HEARTBEAT",
            &id,
            "TIMEOUT",
            &timeout,
            "REPORTED",
            &document,
        ];
        command(out, &words.map(str::as_bytes));
    });
    (server, before)
}

fn set_what_is_reported(server: &Server, devices: usize) {
    let reply = b"*2\r\n:2\r\n$-1\r\n";
    pipeline(server, 0..devices, reply, |number, out| {
        let id = documents::id(number);
        let document = json!(documents::reported(number)).to_string();
        command(
            out,
            &["DEVICE.SHADOW.SET", &id, &document].map(str::as_bytes),
        );
    });
}

/// One report of each device, which changes something.
fn change(server: &Server, devices: usize, turn: usize) {
    let reply = format!("*5\r\n:0\r\n:1\r\n:{}\r\n$-1\r\n:0\r\n", turn + 2);
    pipeline(server, 0..devices, reply.as_bytes(), |number, out| {
        let id = documents::id(number);
        let patch = json!(documents::reported_patch(number, turn)).to_string();
        command(
            out,
            &["DEVICE.HEARTBEAT", &id, "REPORTED", &patch].map(str::as_bytes),
        );
    });
}

/// Bytes per device, without the log of events.
fn at_rest(server: &Server, before: f64, devices: usize) -> f64 {
    assert!(cmd!(server.connection(), "XTRIM", "devices:events", "MAXLEN", 0).is_ok());
    (used(server) - before) / devices as f64
}

fn main() {
    let options = Options::read("What a device costs in memory.", &NUMBERS);
    let mut report = figures::begin("memory", &options);
    let mut progress = Progress::start("memory", 4);
    report.setting("id_bytes", id(0).len());
    let devices = options.get("devices");
    let mut ours = with_module(devices, true);
    progress.round("bare devices");
    let without_keys = with_module(devices, false);
    progress.round("without heartbeat keys");
    let key = ours.all - without_keys.all;
    ours.parts
        .insert(2, ("heartbeat_key", "heartbeat key, by difference", key));
    ours.add_rest();
    let mut plain = plain(devices);
    plain.add_rest();
    progress.round("the plain recipe");

    let bytes = || Column::new("bytes", "bytes", "").whole();
    let parts = |id, title, form: &Bytes| {
        let mut table = Table::new(id, title, "bytes per device").column(bytes());
        table.row("all", "all", [Cell::once(form.all)]);
        for (id, name, bytes) in &form.parts {
            table.row(id, *name, [Cell::once(*bytes)]);
        }
        table
    };
    let mut bare = parts("bare", "a device at rest: devicestate", &ours);
    for (id, name, bytes) in [
        (
            "without_keys",
            "all, with heartbeat-keys no",
            without_keys.all,
        ),
        (
            "event",
            "not counted: an entry of the log of events",
            ours.event,
        ),
    ] {
        bare.row(id, name, [Cell::once(bytes)]);
    }
    report.table(bare);
    report.table(parts("plain", "a device at rest: the plain recipe", &plain));

    let reporting = options.get("reporting");
    let document = json!(documents::reported(0)).to_string().len();
    report.setting("document_bytes", document);
    let with_documents = Reporting::measure(reporting);
    progress.round("documents and history");
    drop(progress);
    report.setting("history_entries", with_documents.history_entries);
    report.setting("changes", CHANGES);
    let title = "a device that has reported a document";
    let mut table = Table::new("documents", title, "bytes per device").column(bytes());
    for (id, name, bytes) in [
        ("reported", "reported, no history", with_documents.reported),
        (
            "both",
            "reported and desired, in sync, no history",
            with_documents.both,
        ),
        (
            "first_entry",
            "reported, with the history entry of the first report",
            with_documents.first_entry,
        ),
        (
            "full_history",
            "reported, with a full history",
            with_documents.full_history,
        ),
    ] {
        table.row(id, name, [Cell::once(bytes)]);
    }
    report.table(table);
    report.finish();
}
