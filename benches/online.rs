//! The price of coming online: the first heartbeat of a device that was offline, beside the same in
//! Lua and the plain recipe, each on a server of its own.
//!
//! `cargo build --release && cargo bench --bench online`, or `scripts/bench online`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::documents::id;
use common::driver::{each, Driver, Prepared, Work};
use common::fleets::{self, TIMEOUT_MS};
use common::load::command;
use common::options::{Number, PIPELINE, ROUNDS, SERVERS};
use common::recipe::PlainHeartbeat;
use common::turns::{self, Turn};
use common::{figures, machine, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "devices, all of which come online in a round",
        default: 100_000,
        quick: 1_000,
    },
    SERVERS,
    Number {
        default: 2,
        ..ROUNDS
    },
    Number {
        name: "connections",
        meaning: "connections to each server",
        default: 50,
        quick: 10,
    },
    PIPELINE,
];

/// What `DEVICE.HEARTBEAT` does for a device that was offline, as a script.
const SCRIPT: &str = include_str!("lua/come_online.lua");

/// Who brings the devices online.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Ours,
    Lua,
    Recipe,
}

impl Peer {
    const ALL: [Peer; 3] = [Peer::Ours, Peer::Lua, Peer::Recipe];

    fn rounds(self) -> Rounds {
        match self {
            Peer::Ours => Rounds::new("heartbeat", "DEVICE.HEARTBEAT"),
            Peer::Lua => Rounds::new("lua", "Lua, the same"),
            Peer::Recipe => Rounds::new("recipe", "plain recipe, two round trips"),
        }
    }

    /// A server with devices that are online; all forms of them are the same, but for the recipe.
    fn server(self, ids: usize, append_only: bool) -> Server {
        match self {
            Peer::Ours => fleets::ours(ids, append_only),
            Peer::Lua => fleets::plain(&fleets::ours(1, false), ids, append_only),
            Peer::Recipe => fleets::recipe(ids, append_only),
        }
    }

    fn work(self, server: &Server, devices: &[usize]) -> Box<dyn Work> {
        if self == Peer::Recipe {
            return Box::new(PlainHeartbeat::new(devices));
        }
        let sha = cmd!(server.connection(), "SCRIPT LOAD", SCRIPT).text();
        let timeout = TIMEOUT_MS.to_string();
        Box::new(Prepared::new(devices, |number, _, out| {
            let id = id(number);
            let (state, heartbeat) = (
                format!("device:state:{id}"),
                format!("device:heartbeat:{id}"),
            );
            let lua = ["EVALSHA", &sha, "2", &state, &heartbeat, &id, &timeout];
            let words = match self {
                Peer::Ours => &["DEVICE.HEARTBEAT", &id][..],
                _ => &lua[..],
            };
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            command(out, &words);
        }))
    }

    /// All devices go offline, outside of what is measured.
    fn take_offline(self, server: &Server, ids: usize) {
        let now = now_ms().to_string();
        each(server, 0..ids, |number, out| {
            let id = id(number);
            let (state, heartbeat) = (
                format!("device:state:{id}"),
                format!("device:heartbeat:{id}"),
            );
            let lines: &[&[&str]] = match self {
                Peer::Ours => &[&["DEVICE.OFFLINE", &id]],
                Peer::Lua => &[&["EVAL", OFFLINE_SCRIPT, "2", &state, &heartbeat, &id, &now]],
                Peer::Recipe => &[&["EVAL", RECIPE_OFFLINE, "2", &state, &heartbeat, &id]],
            };
            for words in lines {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                command(out, &words);
            }
        });
    }

    /// Everybody is online, and everybody was told of it each time.
    fn check(self, server: &Server, ids: usize, start_ms: i64, rounds: usize) {
        fleets::assert_seen_since(server, ids, start_ms);
        let mut con = server.connection();
        let last = format!("device:heartbeat:{}", id(ids - 1));
        assert_eq!(cmd!(con, "EXISTS", last).int(), 1);
        if self != Peer::Recipe {
            let of_type = cmd!(con, "SCARD devices:online:type:unknown").int();
            assert_eq!(of_type, ids as i64);
            assert_eq!(cmd!(con, "ZCARD devices:offline").int(), 0);
            let added = cmd!(con, "XINFO STREAM devices:events").fields()["entries-added"].int();
            // The module has told of the registration too, and of going online and offline before.
            let least = rounds * ids;
            assert!(added >= least as i64, "{added} events, not {least}");
        }
    }
}

const OFFLINE_SCRIPT: &str = "
redis.call('HSET', KEYS[1], 'status', 'offline', 'status_since', ARGV[2], 'status_reason', 'offline')
redis.call('SREM', 'devices:online', ARGV[1])
redis.call('SREM', 'devices:online:type:unknown', ARGV[1])
redis.call('ZADD', 'devices:offline', ARGV[2], ARGV[1])
redis.call('DEL', KEYS[2])
return 1";

const RECIPE_OFFLINE: &str = "
redis.call('HSET', KEYS[1], 'status', 'offline')
redis.call('SREM', 'devices:online', ARGV[1])
redis.call('DEL', KEYS[2])
return 1";

/// One table, with or without an append-only file.
fn measure(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    let (connections, pipeline) = (options.get("connections"), options.get("pipeline"));
    // Every connection sends whole pipelines, and nobody comes online twice.
    let ids = options.get("ids").div_ceil(connections * pipeline) * connections * pipeline;
    let mut all = Peer::ALL.map(Peer::rounds);
    for _ in 0..options.get("servers") {
        let start_ms = now_ms();
        let servers = Peer::ALL.map(|peer| peer.server(ids, append_only));
        let pairs = Peer::ALL.into_iter().zip(&servers);
        let turns = pairs.clone().map(|(peer, server)| {
            let work = |devices: &[usize]| peer.work(server, devices);
            let mut driver = Driver::connect(server, connections, pipeline, ids, &work);
            let turn = Turn::new(move |operations| {
                peer.take_offline(server, ids);
                turns::drive(server, &mut driver, operations)
            });
            turn.of(ids)
        });
        let mut turns: Vec<Turn<'_>> = turns.collect();
        turns::take(&mut turns, &mut all, options.get("rounds"), 0, || {
            progress.round(setting);
        });
        drop(turns);
        for (peer, server) in pairs {
            peer.check(server, ids, start_ms, options.get("rounds"));
        }
    }
    let ours = Ours {
        row: "heartbeat",
        name: "heartbeat",
    };
    let title = format!("coming online, {setting}");
    Rounds::table(id, title, &[ours], &all)
}

fn main() {
    let options = Options::read("The price of coming online, beside its peers.", &NUMBERS);
    let mut report = figures::begin("online", &options);
    machine::pin_this_client();
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("online", rounds);
    for setting in figures::BOTH {
        report.table(measure(&options, setting, &mut progress));
    }
    report.finish();
}
