//! The price of reading a device: `DEVICE.GET`, `DEVICE.DELTA` and `DEVICE.SHADOW.GET` beside the bare
//! reads of the same hash on a server without the module, of which the client has still to make what
//! ours answer.
//!
//! `cargo build --release && cargo bench --bench reading`, or `scripts/bench reading`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::redis_benchmark;
use common::documents::{self, id};
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::turns::{self, Turn};
use common::{figures, fleets, machine, scripts, Options, Ours, Progress, Rounds, Table};
use serde_json::Value;
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "devices with documents of about 500 bytes on both sides, out of sync",
        default: 10_000,
        quick: 400,
    },
    SERVERS,
    ROUNDS,
    Number {
        default: 700,
        ..MILLISECONDS
    },
    PIPELINE,
];

const ID: &str = "d-__rand_int__";
const STATE: &str = "device:state:d-__rand_int__";

/// A command of ours, and the bare read that it is compared with.
struct Pair {
    id: &'static str,
    title: &'static str,
    ours: (&'static str, &'static [&'static str]),
    bare: (&'static str, &'static [&'static str]),
}

const PAIRS: [Pair; 4] = [
    Pair {
        id: "get",
        title: "all fields",
        ours: ("DEVICE.GET", &["DEVICE.GET", ID]),
        bare: ("HGETALL", &["HGETALL", STATE]),
    },
    Pair {
        id: "fields",
        title: "two fields",
        ours: (
            "DEVICE.GET, two fields",
            &["DEVICE.GET", ID, "status", "last_seen"],
        ),
        bare: ("HMGET", &["HMGET", STATE, "status", "last_seen"]),
    },
    Pair {
        id: "delta",
        title: "what is out of sync",
        ours: ("DEVICE.DELTA", &["DEVICE.DELTA", ID]),
        bare: (
            "HMGET of both documents",
            &["HMGET", STATE, "desired_state", "reported_state", "version"],
        ),
    },
    Pair {
        id: "shadow",
        title: "the shadow, with a time for each leaf",
        ours: ("DEVICE.SHADOW.GET", &["DEVICE.SHADOW.GET", ID]),
        bare: (
            "HMGET of all its parts",
            &[
                "HMGET",
                STATE,
                "desired_state",
                "reported_state",
                "delta",
                "desired_meta",
                "reported_meta",
                "version",
            ],
        ),
    },
];

/// A server with the module, and one without it that has the same hashes.
fn servers(ids: usize) -> [Server; 2] {
    let ours = fleets::ours(ids, false);
    scripts::document_module(&ours, ids);
    let plain = fleets::copied(&ours, ids, false);
    [ours, plain]
}

/// What ours answer is what the bare reads are about.
fn check(ours: &Server, plain: &Server, number: usize) {
    let (mut ours, mut plain) = (ours.connection(), plain.connection());
    let (id, key) = (id(number), format!("device:state:{}", id(number)));
    let hash = cmd!(plain, "HGETALL", &key).text_fields();
    let device = cmd!(ours, "DEVICE.GET", &id).text_fields();
    let document = |field: &str| -> Value { serde_json::from_str(&hash[field]).expect("JSON") };
    assert_eq!(device["desired_state"], hash["desired_state"]);
    assert_eq!(device["version"], hash["version"]);
    let shadow = cmd!(ours, "DEVICE.SHADOW.GET", &id).json();
    for part in ["desired", "reported"] {
        let stored = document(&format!("{part}_state"));
        assert!(documents::same(&shadow["state"][part], &stored), "{shadow}");
    }
    let delta = cmd!(ours, "DEVICE.DELTA", &id).json();
    assert_eq!(delta["in_sync"], false);
    for (name, sides) in delta["delta"].as_object().expect("a delta") {
        assert!(
            documents::same(&sides["desired"], &document("desired_state")[name]),
            "{delta}"
        );
    }
}

fn measure(options: &Options, progress: &mut Progress) -> Vec<Table> {
    let (ids, pipeline) = (options.get("ids"), options.get("pipeline"));
    let rows = |pair: &Pair| {
        [
            Rounds::new("ours", pair.ours.0),
            Rounds::new("bare", pair.bare.0),
        ]
    };
    let mut all: Vec<Rounds> = PAIRS.iter().flat_map(rows).collect();
    for _ in 0..options.get("servers") {
        let [ours, plain] = servers(ids);
        check(&ours, &plain, 0);
        let commands = PAIRS
            .iter()
            .flat_map(|pair| [(&ours, pair.ours.1), (&plain, pair.bare.1)]);
        let turns = commands.map(|(server, words)| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Turn::new(move |requests| redis_benchmark(server, &words, requests, pipeline, ids))
        });
        let mut turns: Vec<Turn<'_>> = turns.collect();
        let (rounds, milliseconds) = (options.get("rounds"), options.get("milliseconds"));
        turns::take(&mut turns, &mut all, rounds, milliseconds, || {
            progress.round("no append-only file");
        });
        drop(turns);
        check(&ours, &plain, ids - 1);
    }
    let tables = PAIRS.iter().zip(all.chunks(2)).map(|(pair, rows)| {
        let ours = Ours {
            row: "ours",
            name: "ours",
        };
        Rounds::table(pair.id, pair.title, &[ours], rows)
    });
    tables.collect()
}

fn main() {
    let options = Options::read(
        "The price of reading a device, beside bare reads.",
        &NUMBERS,
    );
    let mut report = figures::begin("reading", &options);
    machine::pin_this_client();
    let rounds = options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("reading", rounds);
    let tables = measure(&options, &mut progress);
    drop(progress);
    tables.into_iter().for_each(|table| report.table(table));
    report.finish();
}
