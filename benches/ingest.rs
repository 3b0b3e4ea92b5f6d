//! The price of a report in protobuf: `DEVICE.INGEST` beside `DEVICE.HEARTBEAT` with the same report
//! in JSON, and beside a heartbeat without a report.
//!
//! `cargo build --release && cargo bench --bench ingest`, or `scripts/bench ingest`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::pinned_server;
use common::documents::TURNS;
use common::driver::{Driver, Prepared, Work};
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::{figures, load, machine, Options, Ours, Progress, Rounds, Table};
use devicestate_proto::v1::{DeviceMessage, Vitals};
use prost::Message as _;
use serde_json::{json, Value};
use support::*;

const NUMBERS: [Number; 6] = [
    Number {
        name: "ids",
        meaning: "devices",
        default: 100_000,
        quick: 2_000,
    },
    SERVERS,
    ROUNDS,
    MILLISECONDS,
    Number {
        name: "connections",
        meaning: "connections at a time",
        default: 50,
        quick: 50,
    },
    PIPELINE,
];

const HOUR_MS: u64 = 3_600_000;
const SESSION: u64 = 1_700_000_000_123;

fn id(number: usize) -> String {
    format!("dev-{number:07}")
}

/// What a battery device says of itself; each turn says something new. Without a sequence number, or
/// the second round of turns would be ignored.
fn message(number: usize, turn: usize) -> DeviceMessage {
    DeviceMessage {
        session: Some(SESSION),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            rssi_dbm: Some(-71),
            temperature_centi_c: Some(2_140 + 10 * turn as i32),
            uptime_s: Some((1_000_000 + number + turn) as u64),
            free_memory_bytes: Some(131_072),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    }
}

/// The same in JSON.
fn report_of(number: usize, turn: usize) -> Value {
    json!({"vitals": {
        "battery_percent": 97,
        "rssi_dbm": -71,
        "temperature_c": (2_140 + 10 * turn) as f64 / 100.0,
        "uptime_s": 1_000_000 + number + turn,
        "free_memory_bytes": 131_072,
    }})
}

fn ingest(number: usize, turn: usize, out: &mut Vec<u8>) {
    let (id, payload) = (id(number), message(number, turn).encode_to_vec());
    load::command(out, &[b"DEVICE.INGEST", id.as_bytes(), &payload]);
}

fn heartbeat_reported(number: usize, turn: usize, out: &mut Vec<u8>) {
    let (id, json) = (id(number), report_of(number, turn).to_string());
    let session = SESSION.to_string();
    let words = [
        "DEVICE.HEARTBEAT",
        &id,
        "SESSION",
        &session,
        "REPORTED",
        &json,
    ];
    load::command(out, &words.map(str::as_bytes));
}

fn heartbeat(number: usize, _: usize, out: &mut Vec<u8>) {
    load::command(out, &[b"DEVICE.HEARTBEAT", id(number).as_bytes()]);
}

/// Writes the command for a device and a turn.
type Writer = fn(usize, usize, &mut Vec<u8>);

/// The rows: what is sent, and whether it reports.
const COMMANDS: [(&str, &str, Writer, bool); 3] = [
    ("ingest", "DEVICE.INGEST", ingest, true),
    ("json", "HEARTBEAT REPORTED", heartbeat_reported, true),
    ("heartbeat", "HEARTBEAT", heartbeat, false),
];

/// One row of a table: a server of its own.
struct Peer {
    server: Server,
    driver: Driver,
    /// How many commands make a round.
    operations: usize,
}

impl Peer {
    fn start(options: &Options, append_only: bool, write: Writer) -> Peer {
        let ids = options.get("ids");
        let server = pinned_server(Server::builder(), append_only);
        load::bring_online(&server, 0..ids, id, |_| HOUR_MS);
        let work = |devices: &[usize]| -> Box<dyn Work> { Box::new(Prepared::new(devices, write)) };
        let (connections, pipeline) = (options.get("connections"), options.get("pipeline"));
        let driver = Driver::connect(&server, connections, pipeline, ids, &work);
        Peer {
            server,
            driver,
            operations: 0,
        }
    }

    /// Commands per second, and the server's processor time for each in microseconds.
    fn run(&mut self, operations: usize) -> (f64, f64) {
        let before = machine::processor_seconds(&self.server);
        let (operations, took) = self.driver.run(operations);
        let used = machine::processor_seconds(&self.server) - before;
        (
            operations as f64 / took.as_secs_f64(),
            used * 1e6 / operations as f64,
        )
    }

    /// Every device holds what it said last.
    fn check(&self, ids: usize) {
        let mut con = self.server.connection();
        for (number, count) in self.driver.counts(ids).into_iter().enumerate().step_by(97) {
            let key = format!("device:state:{}", id(number));
            let held = cmd!(con, "HGET", key, "reported_state");
            match count {
                0 => assert!(held.is_nil(), "{number}"),
                _ => assert_eq!(
                    held.json(),
                    report_of(number, (count - 1) % TURNS),
                    "{number}"
                ),
            }
        }
    }
}

/// One table: all rounds on all sets of servers, with or without an append-only file.
fn measure(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    let mut all = COMMANDS.map(|(id, name, ..)| Rounds::new(id, name));
    for _ in 0..options.get("servers") {
        let start = |(.., write, _): (_, _, Writer, _)| Peer::start(options, append_only, write);
        let mut peers = COMMANDS.map(start);
        // A first run of each warms up and tells how many make a round.
        for peer in &mut peers {
            let (rate, _) = peer.run(options.get("milliseconds") * 10);
            peer.operations = (rate * options.get("milliseconds") as f64 / 1_000.0) as usize + 1;
        }
        for round in 0..options.get("rounds") {
            for at in 0..peers.len() {
                let at = (at + round) % peers.len();
                let operations = peers[at].operations;
                let (rate, micros) = peers[at].run(operations);
                all[at].add(rate, micros);
            }
            progress.round(setting);
        }
        for (peer, (.., reports)) in peers.iter().zip(COMMANDS) {
            if reports {
                peer.check(options.get("ids"));
            }
        }
    }
    let ours = Ours {
        row: "ingest",
        name: "ingest",
    };
    let title = format!("a report in protobuf, {setting}");
    Rounds::table(id, title, &[ours], &all)
}

fn main() {
    let options = Options::read("The price of a report in protobuf, beside JSON.", &NUMBERS);
    let mut report = figures::begin("ingest", &options);
    machine::pin_this_client();
    report.setting("message_bytes", message(0, 0).encoded_len());
    report.setting("json_bytes", report_of(0, 0).to_string().len());
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("ingest", rounds);
    for setting in figures::BOTH {
        report.table(measure(&options, setting, &mut progress));
    }
    report.finish();
}
