//! What a heartbeat adds to the append-only file and to the stream of replication, in bytes, beside
//! its peers; each on a server of its own that has a replica.
//!
//! `cargo build --release && cargo build --release --example naive_heartbeat &&
//! cargo bench --bench volume`, or `scripts/bench volume`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use common::documents::{id, reported_patch, TURNS};
use common::driver::{each, Wire, Work};
use common::fleets;
use common::load::{beat, command};
use common::options::Number;
use common::recipe::PlainHeartbeat;
use common::scripts::{append, module_reported};
use common::{figures, Cell, Column, Options, Table};
use support::*;

const NUMBERS: [Number; 3] = [
    Number {
        name: "ids",
        meaning: "devices",
        default: 10_000,
        quick: 500,
    },
    Number {
        name: "beats",
        meaning: "heartbeats of each device",
        default: 20,
        quick: 10,
    },
    Number {
        name: "period",
        meaning: "milliseconds between them where only some are told on",
        default: 200,
        quick: 100,
    },
];

/// The steady heartbeat, as a script.
const SCRIPT: &str = include_str!("lua/heartbeat.lua");
const PATIENCE: Duration = Duration::from_secs(60);
/// How many heartbeats come in an interval, where only the first of them is told on.
const BEATS_PER_INTERVAL: usize = 6;

/// How much was written, in bytes.
#[derive(Clone, Copy)]
struct Written {
    file: f64,
    stream: f64,
}

/// A server that writes an append-only file, and its replica.
struct Pair {
    server: Server,
    replica: Server,
}

impl Pair {
    fn new(server: Server, builder: Builder) -> Pair {
        let replica = builder
            .config("replicaof", format!("127.0.0.1 {}", server.port()))
            .start();
        wait_for("the replica is in step", PATIENCE, || {
            number(&server, "connected_slaves") == 1.0
                && text(&replica, "master_link_status") == "up"
        });
        Pair { server, replica }
    }

    fn with_module(server: Server) -> Pair {
        Pair::new(server, Server::builder())
    }

    fn without_module(server: Server) -> Pair {
        Pair::new(server, Server::builder().without_module())
    }

    fn written(&self) -> Written {
        Written {
            file: number(&self.server, "aof_current_size"),
            stream: number(&self.server, "master_repl_offset"),
        }
    }

    /// What each of `count` operations wrote, once the replica has all of it.
    fn measure(&self, count: usize, operations: impl FnOnce(&Server)) -> Written {
        let before = self.written();
        operations(&self.server);
        let after = self.written();
        wait_for("the replica has it", PATIENCE, || {
            number(&self.replica, "slave_repl_offset") >= after.stream
        });
        Written {
            file: (after.file - before.file) / count as f64,
            stream: (after.stream - before.stream) / count as f64,
        }
    }

    /// How much older than the server's a device's `last_seen` may be on the replica, in milliseconds.
    fn oldest(&self, ids: usize) -> i64 {
        let seen = |server: &Server| -> Vec<i64> {
            let mut all = redis::pipe();
            for number in 0..ids {
                let key = format!("device:state:{}", id(number));
                all.cmd("HGET").arg(key).arg("last_seen");
            }
            all.query(&mut server.connection()).expect("the times")
        };
        let (server, replica) = (seen(&self.server), seen(&self.replica));
        let behind = server.iter().zip(&replica).map(|(a, b)| a - b);
        behind.max().unwrap_or(0)
    }
}

fn text(server: &Server, name: &str) -> String {
    let info = cmd!(server.connection(), "INFO", "everything").text();
    let found = info.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}

fn number(server: &Server, name: &str) -> f64 {
    let text = text(server, name);
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

/// Sends one command for each device, `times` times.
fn send(server: &Server, ids: usize, times: usize, words: impl Fn(&str) -> Vec<String>) {
    for _ in 0..times {
        each(server, 0..ids, |number, out| {
            append(out, &words(&id(number)))
        });
    }
}

fn main() {
    let options = Options::read("What a heartbeat writes, in bytes.", &NUMBERS);
    let mut report = figures::begin("volume", &options);
    let (ids, beats) = (options.get("ids"), options.get("beats"));
    let count = ids * beats;
    let own = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).into()).collect() };
    let mut rows: Vec<(&str, String, Written)> = Vec::new();

    let ours = Pair::with_module(fleets::ours(ids, true));
    let bytes = ours.measure(count, |server| {
        (0..beats).for_each(|_| beat(server, 0..ids, id, None));
    });
    assert_eq!(ours.oldest(ids), 0, "the replica has every heartbeat");
    rows.push(("heartbeat", "DEVICE.HEARTBEAT".into(), bytes));

    let (bytes, oldest) = told_on_at_times(&options);
    let interval = format!("the same, last-seen-interval {BEATS_PER_INTERVAL} times as long");
    rows.push(("interval", interval, bytes));

    let bare = Pair::without_module(fleets::plain(&ours.server, ids, true));
    let now = now_ms().to_string();
    let bytes = bare.measure(count, |server| {
        let state = |id: &str| format!("device:state:{id}");
        send(server, ids, beats, |id| {
            own(&["HSET", &state(id), "last_seen", &now])
        });
    });
    rows.push(("hset", "HSET".into(), bytes));
    let bytes = bare.measure(count, |server| {
        let key = |id: &str| format!("device:heartbeat:{id}");
        send(server, ids, beats, |id| {
            own(&["SETEX", &key(id), "90000", "1"])
        });
    });
    rows.push(("setex", "SETEX".into(), bytes));
    let sha = cmd!(bare.server.connection(), "SCRIPT LOAD", SCRIPT).text();
    let bytes = bare.measure(count, |server| {
        let state = |id: &str| format!("device:state:{id}");
        send(server, ids, beats, |id| {
            own(&["EVALSHA", &sha, "1", &state(id), "3600000"])
        });
    });
    rows.push(("lua", "Lua".into(), bytes));

    let recipe = Pair::without_module(fleets::recipe(ids, true));
    let bytes = recipe.measure(count, |server| {
        let mut client = PlainHeartbeat::new(&(0..ids).collect::<Vec<_>>());
        let mut wire = Wire::connect(server);
        let devices: Vec<(usize, usize)> = (0..ids).map(|place| (place, 0)).collect();
        for _ in 0..beats {
            for some in devices.chunks(100) {
                client.perform(&mut wire, some);
            }
        }
    });
    rows.push(("recipe", "plain recipe".into(), bytes));

    let naive = Pair::without_module(fleets::naive(ids, true));
    let bytes = naive.measure(count, |server| {
        send(server, ids, beats, |id| {
            own(&["NAIVE.HEARTBEAT", id, "90000"])
        });
    });
    rows.push(("naive", "naive module".into(), bytes));

    let bytes = ours.measure(count, |server| {
        for turn in 0..beats {
            each(server, 0..ids, |number, out| {
                append(
                    out,
                    &module_reported(&id(number), &reported_patch(number, turn % TURNS)),
                );
            });
        }
    });
    rows.push(("reported", "HEARTBEAT REPORTED".into(), bytes));
    let bytes = ours.measure(ids, |server| {
        send(server, ids, 1, |id| own(&["DEVICE.OFFLINE", id]))
    });
    rows.push(("offline", "going offline".into(), bytes));
    let bytes = ours.measure(ids, |server| {
        each(server, 0..ids, |number, out| {
            command(out, &[b"DEVICE.HEARTBEAT", id(number).as_bytes()]);
        });
    });
    rows.push(("online", "coming online".into(), bytes));

    let title = "bytes that one adds";
    let mut table = Table::new("bytes", title, "operation")
        .column(one_decimal("file", "append-only file"))
        .column(one_decimal("stream", "replication"))
        .bars("stream");
    for (id, name, bytes) in rows {
        let cells = [bytes.file, bytes.stream].map(Cell::once);
        table.row(id, name, cells);
    }
    report.table(table);
    let interval = options.get("period") * BEATS_PER_INTERVAL;
    let title = format!("last_seen with last-seen-interval {interval}");
    let behind = Column::new("behind", "up to so much older on a replica", "ms").whole();
    let mut table = Table::new("exactness", title, "").column(behind);
    table.row("replica", "last_seen", [Cell::once(oldest as f64)]);
    report.table(table);
    report.setting("interval_ms", interval);
    report.setting("id_bytes", id(0).len());
    report.finish();
}

fn one_decimal(id: &str, title: &str) -> Column {
    let decimals = Some(1);
    let column = Column::new(id, title, "bytes");
    Column { decimals, ..column }
}

/// Devices that beat once in a period, of which replicas are told once in several; also how much older
/// `last_seen` was on the replica at the end, in milliseconds.
fn told_on_at_times(options: &Options) -> (Written, i64) {
    let (ids, beats) = (options.get("ids"), options.get("beats"));
    let period = Duration::from_millis(options.get("period") as u64);
    let interval = period * BEATS_PER_INTERVAL as u32;
    let builder = Server::builder().config("devicestate.last-seen-interval", interval.as_millis());
    let pair = Pair::with_module(fleets::ours_on(builder, ids, true));
    // As many whole intervals as there are beats for.
    let beats = (beats / BEATS_PER_INTERVAL).max(1) * BEATS_PER_INTERVAL;
    let start = Instant::now();
    let bytes = pair.measure(ids * beats, |server| {
        for turn in 0..beats {
            beat(server, 0..ids, id, None);
            let next = start + period * (turn as u32 + 1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    let oldest = pair.oldest(ids);
    assert!(
        oldest > 0 && oldest < interval.as_millis() as i64,
        "a replica is {oldest} ms behind"
    );
    (bytes, oldest)
}
