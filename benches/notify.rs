//! The price of telling users: an alert that is new, and fetching what a hundred thousand users have
//! to be told; each beside what clients do by hand, on a server of its own.
//!
//! `cargo build --release && cargo bench --bench notify`, or `scripts/bench notify`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Instant;

use common::driver::{each, Driver, Work};
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::raises::{words, Peer, Raise};
use common::scenarios::info;
use common::turns::{self, Turn};
use common::{figures, machine, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 6] = [
    Number {
        name: "ids",
        meaning: "devices that raise alerts",
        default: 20_000,
        quick: 1_000,
    },
    Number {
        name: "users",
        meaning: "users who have something pending",
        default: 100_000,
        quick: 2_000,
    },
    Number {
        default: 1,
        ..SERVERS
    },
    ROUNDS,
    MILLISECONDS,
    PIPELINE,
];

/// What the module does for a raise, as a script.
const SCRIPT: &str = include_str!("lua/alert_raise.lua");
const CONNECTIONS: usize = 16;

fn raises(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    const PEERS: [Peer; 3] = [Peer::Ours, Peer::Lua, Peer::ByHand];
    let ids = options.get("ids");
    let mut all = [
        Rounds::new("raise", "ALERT.RAISE, new"),
        Rounds::new("lua", "the same in Lua"),
        Rounds::new("by_hand", "SET NX, then XADD, HSET, ZADD, PUBLISH"),
    ];
    for _ in 0..options.get("servers") {
        let servers = PEERS.map(|peer| peer.server(append_only));
        each(&servers[0], 0..ids, |number, out| {
            words(out, &["DEVICE.REGISTER", &format!("d:{number:012}"), "d"]);
        });
        each(&servers[1], 0..ids, |number, out| {
            let key = format!("device:state:d:{number:012}");
            words(out, &["HSET", &key, "status", "offline"]);
        });
        let sha = cmd!(servers[1].connection(), "SCRIPT LOAD", SCRIPT).text();
        let turns = PEERS.into_iter().zip(&servers).map(|(peer, server)| {
            let work =
                |devices: &[usize]| -> Box<dyn Work> { Box::new(Raise::new(peer, &sha, devices)) };
            let pipeline = options.get("pipeline");
            let mut driver = Driver::connect(server, CONNECTIONS, pipeline, ids, &work);
            Turn::new(move |operations| turns::drive(server, &mut driver, operations))
        });
        let mut turns: Vec<Turn<'_>> = turns.collect();
        let (rounds, milliseconds) = (options.get("rounds"), options.get("milliseconds"));
        turns::take(&mut turns, &mut all, rounds, milliseconds, || {
            progress.round(setting)
        });
        drop(turns);
        // Every one was told, and there is somebody to be told.
        let events = |server: &Server| {
            let stream = cmd!(server.connection(), "XINFO STREAM devices:events").fields();
            stream["entries-added"].int() as u64
        };
        let mut con = servers[0].connection();
        assert_eq!(info(&mut con, "alerts_suppressed"), 0);
        assert_eq!(
            info(&mut con, "alerts_new"),
            events(&servers[0]) - ids as u64
        );
        for server in &servers {
            let users = cmd!(server.connection(), "ZCARD alerts:due").int() as usize;
            assert!(users > 0 && users <= ids, "{users} users are to be told");
            assert!(events(server) >= users as u64);
        }
    }
    let ours = Ours {
        row: "raise",
        name: "raise",
    };
    let title = format!("an alert that is new, {setting}");
    Rounds::table(&format!("raise_{id}"), title, &[ours], &all)
}

/// Every user has one thing to be told, now.
fn fill(peer: Peer, server: &Server, users: usize) {
    let now = now_ms().to_string();
    each(server, 0..users, |number, out| {
        let user = format!("u:{number:012}");
        match peer {
            Peer::Ours => words(
                out,
                &[
                    "ALERT.NOTIFY",
                    &user,
                    "quota",
                    r#"{"used":97}"#,
                    "WAIT",
                    "0",
                ],
            ),
            _ => {
                let script = "redis.call('HSET', KEYS[1], 'quota', ARGV[1]) \
                              redis.call('ZADD', 'alerts:due', ARGV[2], ARGV[3]) return 1";
                let key = format!("alerts:user:{user}");
                words(
                    out,
                    &["EVAL", script, "1", &key, r#"{"used":97}"#, &now, &user],
                );
            }
        }
    });
}

/// Tells all users what there is for them, a few users at a time: who is due, their batches with a
/// lease, and what was told is done. How many users were told.
///
/// By hand nothing keeps two who do this from telling the same user at once, and a batch that grew
/// meanwhile is lost with what was told.
fn tell_all(peer: Peer, server: &Server, at_a_time: usize) -> usize {
    let mut con = server.connection();
    let mut told = 0;
    loop {
        let now = now_ms();
        let users = match peer {
            Peer::Ours => cmd!(con, "ALERT.DUE COUNT", at_a_time).texts(),
            _ => {
                let range = "ZRANGE alerts:due -inf";
                cmd!(con, range, now, "BYSCORE", "LIMIT", 0, at_a_time).texts()
            }
        };
        if users.is_empty() {
            return told;
        }
        told += users.len();
        let (mut fetch, mut done) = (redis::pipe(), redis::pipe());
        let key = |user: &str| format!("alerts:user:{user}");
        for user in &users {
            match peer {
                Peer::Ours => fetch.cmd("ALERT.BATCH").arg(user),
                _ => {
                    let lease = fetch.cmd("ZADD").arg("alerts:due").arg("XX");
                    lease.arg(now + 60_000).arg(user).ignore();
                    fetch.cmd("HGETALL").arg(key(user))
                }
            };
        }
        let batches: Vec<redis::Value> = fetch.query(&mut con).expect("the batches");
        for (user, batch) in users.iter().zip(&batches) {
            match peer {
                Peer::Ours => {
                    assert_eq!(batch.at(1).items().len(), 1, "{user} has one thing to hear");
                    done.cmd("ALERT.DONE").arg(user).arg(batch.at(0).text());
                }
                _ => {
                    assert_eq!(batch.text_fields().len(), 1, "{user} has one thing to hear");
                    done.cmd("DEL").arg(key(user));
                    done.cmd("ZREM").arg("alerts:due").arg(user).ignore();
                }
            }
        }
        let done: Vec<i64> = done.query(&mut con).expect("all are done");
        assert!(done.iter().all(|count| *count == 1));
    }
}

fn batches(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    const PEERS: [Peer; 2] = [Peer::Ours, Peer::ByHand];
    let (users, at_a_time) = (options.get("users"), options.get("pipeline"));
    let mut all = [
        Rounds::new("batch", "ALERT.DUE, BATCH, DONE"),
        Rounds::new("by_hand", "ZRANGE, ZADD, HGETALL, DEL, ZREM"),
    ];
    for _ in 0..options.get("servers") {
        let servers = PEERS.map(|peer| peer.server(append_only));
        let turns = PEERS.into_iter().zip(&servers).map(|(peer, server)| {
            let turn = Turn::new(move |users| {
                fill(peer, server, users);
                let (start, used) = (Instant::now(), machine::processor_seconds(server));
                assert_eq!(tell_all(peer, server, at_a_time), users);
                let rate = users as f64 / start.elapsed().as_secs_f64();
                let used = machine::processor_seconds(server) - used;
                (rate, used * 1e6 / users as f64)
            });
            turn.of(users)
        });
        let mut turns: Vec<Turn<'_>> = turns.collect();
        turns::take(&mut turns, &mut all, options.get("rounds"), 0, || {
            progress.round(setting)
        });
    }
    let ours = Ours {
        row: "batch",
        name: "batch",
    };
    let title = format!("telling {users} users, {setting}");
    Rounds::table(&format!("batch_{id}"), title, &[ours], &all)
}

fn main() {
    let options = Options::read("The price of telling users, beside its peers.", &NUMBERS);
    let mut report = figures::begin("notify", &options);
    machine::pin_this_client();
    let rounds = 2 * figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("notify", rounds);
    for setting in figures::BOTH {
        report.table(raises(&options, setting, &mut progress));
        report.table(batches(&options, setting, &mut progress));
    }
    report.finish();
}
