//! The price of a steady heartbeat: `DEVICE.HEARTBEAT` beside what it replaces and beside the
//! writes that are its lower bound, on servers with the same data.
//!
//! `cargo build --release && cargo build --release --example naive_heartbeat &&
//! cargo bench --bench heartbeat`, or `scripts/bench heartbeat`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::redis_benchmark;
use common::driver::{Driver, Work};
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::recipe::PlainHeartbeat;
use common::scenarios::info;
use common::turns::{self, Turn};
use common::{figures, fleets, machine, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "devices",
        default: 100_000,
        quick: 1_000,
    },
    SERVERS,
    ROUNDS,
    MILLISECONDS,
    PIPELINE,
];

/// As many as redis-benchmark keeps.
const CONNECTIONS: usize = 50;

/// The same step as a script.
const SCRIPT: &str = include_str!("lua/heartbeat.lua");

/// `__rand_int__` is replaced by twelve digits in every command.
const STATE: &str = "device:state:d-__rand_int__";
const HEARTBEAT: &str = "device:heartbeat:d-__rand_int__";

/// Which server of a set a command goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Ours,
    /// The module; each device has two documents of 500 bytes.
    OursWithDocuments,
    /// The module on a node of a cluster.
    Node,
    /// The keys and fields of `Ours` without the module.
    Plain,
    /// The same on a node of a cluster.
    PlainNode,
    /// The hashes of `OursWithDocuments` without the module.
    PlainWithDocuments,
    Naive,
    Recipe,
}

/// Fresh servers with the same devices in different forms.
struct Set {
    ours: Server,
    ours_with_documents: Server,
    node: Server,
    plain: Server,
    plain_node: Server,
    plain_with_documents: Server,
    naive: Server,
    recipe: Server,
}

impl Set {
    fn start(ids: usize, append_only: bool) -> Set {
        let ours = fleets::ours(ids, append_only);
        let ours_with_documents = fleets::ours_with_documents(ids, append_only);
        let plain = fleets::plain(&ours, ids, append_only);
        cmd!(plain.connection(), "SCRIPT LOAD", SCRIPT).text();
        Set {
            plain_with_documents: fleets::copied(&ours_with_documents, ids, append_only),
            naive: fleets::naive(ids, append_only),
            recipe: fleets::recipe(ids, append_only),
            node: fleets::node(ids, append_only),
            plain_node: fleets::plain_node(ids, append_only),
            ours,
            ours_with_documents,
            plain,
        }
    }

    fn server(&self, on: On) -> &Server {
        match on {
            On::Ours => &self.ours,
            On::OursWithDocuments => &self.ours_with_documents,
            On::Node => &self.node,
            On::Plain => &self.plain,
            On::PlainNode => &self.plain_node,
            On::PlainWithDocuments => &self.plain_with_documents,
            On::Naive => &self.naive,
            On::Recipe => &self.recipe,
        }
    }

    /// All devices are online still; those that every beat must write were all seen.
    fn check(&self, ids: usize, start_ms: i64) {
        for server in [&self.ours, &self.ours_with_documents, &self.node] {
            let mut con = server.connection();
            let beats = info(&mut con, "heartbeats") as usize;
            let offline = cmd!(con, "DEVICE.COUNT", "OFFLINE").int();
            assert!(beats > ids && offline == 0, "the fleet was not steady");
        }
        for server in [
            &self.ours,
            &self.ours_with_documents,
            &self.naive,
            &self.recipe,
        ] {
            fleets::assert_seen_since(server, ids, start_ms);
        }
    }
}

/// A row of a table: what redis-benchmark sends, to which server; `None`: the client of the plain
/// recipe.
type Row = (Rounds, On, Option<Vec<String>>);

/// In the order in which they take turns: what is compared closely is measured soon after another.
fn rows(sha: &str) -> Vec<Row> {
    // A time at which the devices are alive: the script looks.
    let now = now_ms().to_string();
    let row = |id, name, on, words: &[&str]| -> Row {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        (Rounds::new(id, name), on, Some(words))
    };
    let beat = ["DEVICE.HEARTBEAT", "d-__rand_int__"];
    let lua = ["EVALSHA", sha, "1", STATE, "60000"];
    let naive = ["NAIVE.HEARTBEAT", "d-__rand_int__", "90000"];
    let hset = ["HSET", STATE, "last_seen", &now];
    let setex = ["SETEX", HEARTBEAT, "90000", "1"];
    let log = ["XADD", "log", "MAXLEN", "~", "100000", "*"];
    let log = [&log[..], &["device_id", "d-__rand_int__", "seen", &now]].concat();
    let with_documents = "the same, with documents";
    let recipe = Rounds::new("recipe", "plain recipe, two round trips");
    vec![
        row("heartbeat", "DEVICE.HEARTBEAT", On::Ours, &beat),
        row("heartbeat_on_node", "DEVICE.HEARTBEAT", On::Node, &beat),
        row("documents", with_documents, On::OursWithDocuments, &beat),
        (recipe, On::Recipe, None),
        row("lua", "Lua, the same", On::Plain, &lua),
        row("naive", "naive module, RM_Call", On::Naive, &naive),
        row("hset", "HSET", On::Plain, &hset),
        row("hset_on_node", "HSET", On::PlainNode, &hset),
        row(
            "hset_documents",
            "HSET, with documents",
            On::PlainWithDocuments,
            &hset,
        ),
        row("setex", "SETEX", On::Plain, &setex),
        row("setex_on_node", "SETEX", On::PlainNode, &setex),
        row("xadd", "XADD", On::Plain, &log),
        row("ping", "PING", On::Plain, &["PING"]),
    ]
}

/// What is sent to a single server and to a node of a cluster.
const ON_BOTH: [[&str; 2]; 3] = [
    ["heartbeat", "heartbeat_on_node"],
    ["hset", "hset_on_node"],
    ["setex", "setex_on_node"],
];

/// All rounds on all sets of servers, with or without an append-only file: what single servers do, and
/// what a node of a cluster does beside them.
fn measure(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> [Table; 2] {
    let (ids, pipeline) = (options.get("ids"), options.get("pipeline"));
    let mut all: Vec<Rounds> = rows("").into_iter().map(|(rounds, ..)| rounds).collect();
    for _ in 0..options.get("servers") {
        let start_ms = now_ms();
        let set = Set::start(ids, append_only);
        let sha = cmd!(set.plain.connection(), "SCRIPT LOAD", SCRIPT).text();
        let turns = rows(&sha).into_iter().map(|(_, on, words)| {
            let server = set.server(on);
            match words {
                Some(words) => Turn::new(move |requests| {
                    redis_benchmark(server, &words, requests, pipeline, ids)
                }),
                None => {
                    let client = |devices: &[usize]| -> Box<dyn Work> {
                        Box::new(PlainHeartbeat::new(devices))
                    };
                    let connections = CONNECTIONS.min(ids / pipeline).max(1);
                    let mut driver = Driver::connect(server, connections, pipeline, ids, &client);
                    Turn::new(move |beats| turns::drive(server, &mut driver, beats))
                }
            }
        });
        let mut turns: Vec<Turn<'_>> = turns.collect();
        let milliseconds = options.get("milliseconds");
        turns::take(
            &mut turns,
            &mut all,
            options.get("rounds"),
            milliseconds,
            || {
                progress.round(setting);
            },
        );
        drop(turns);
        set.check(ids, start_ms);
    }
    let ours = Ours {
        row: "heartbeat",
        name: "heartbeat",
    };
    let of = |id: &str| {
        let found = all.iter().find(|rounds| rounds.id() == id);
        found.unwrap_or_else(|| panic!("no row {id}"))
    };
    let both = ON_BOTH.map(|pair| pair.map(of));
    let on_node = Rounds::pairs(
        &format!("node_{id}"),
        format!("on a node of a cluster, {setting}"),
        ["single server", "node"],
        &both,
    );
    let title = format!("a steady heartbeat, {setting}");
    let single: Vec<Rounds> = all
        .iter()
        .filter(|rounds| !rounds.id().ends_with("_on_node"))
        .cloned()
        .collect();
    [Rounds::table(id, title, &[ours], &single), on_node]
}

fn main() {
    let options = Options::read(
        "The price of a steady heartbeat, beside its peers.",
        &NUMBERS,
    );
    let mut report = figures::begin("heartbeat", &options);
    machine::pin_this_client();
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("heartbeat", rounds);
    for setting in figures::BOTH {
        for table in measure(&options, setting, &mut progress) {
            report.table(table);
        }
    }
    report.finish();
}
