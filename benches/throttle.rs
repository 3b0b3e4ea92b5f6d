//! The price of a hit: `THROTTLE.HIT` in both forms beside the counter it replaces, as a script, and
//! beside the bare write.
//!
//! `cargo build --release && cargo bench --bench throttle`, or `scripts/bench throttle`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::{pinned_server, redis_benchmark};
use common::driver::each;
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::scenarios::info;
use common::{figures, load, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "callers, each with a counter of its own",
        default: 100_000,
        quick: 1_000,
    },
    SERVERS,
    ROUNDS,
    MILLISECONDS,
    PIPELINE,
];

/// Every hit is let through: the limit is more than a caller hits in a run. The period is so long
/// that nothing comes back or expires meanwhile, also by GCRA: one hit lasts 43 minutes.
const LIMIT: &str = "1000";
const PERIOD_MS: &str = "2592000000";

/// The usual script: counts, starts the window with the first hit, and answers as `THROTTLE.HIT`
/// does. Unlike it, a denied hit counts too, and a counter without a time to live keeps none.
const SCRIPT: &str = r#"
local limit, cost = tonumber(ARGV[1]), tonumber(ARGV[3])
local count = redis.call('INCRBY', KEYS[1], cost)
if count == cost then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
local left = redis.call('PTTL', KEYS[1])
if count > limit then return {1, limit, 0, left, left} end
return {0, limit, limit - count, -1, left}
"#;

/// `__rand_int__` is replaced by twelve digits in every command.
const RANDOM: &str = "__rand_int__";

/// One command that is measured.
struct Peer {
    on_module: bool,
    args: Vec<String>,
    /// How many are sent in a round.
    requests: usize,
    rounds: Rounds,
}

impl Peer {
    fn new(id: &str, name: &str, on_module: bool, args: &[&str]) -> Peer {
        Peer {
            on_module,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            requests: 0,
            rounds: Rounds::new(id, name),
        }
    }

    /// Its command for one caller.
    fn write(&self, number: usize, out: &mut Vec<u8>) {
        let number = format!("{number:012}");
        let words = self.args.iter().map(|arg| arg.replace(RANDOM, &number));
        let words: Vec<String> = words.collect();
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        load::command(out, &words);
    }
}

fn peers(sha: &str) -> [Peer; 5] {
    let window = ["THROTTLE.HIT", "w:__rand_int__", LIMIT, PERIOD_MS];
    let gcra = ["THROTTLE.HIT", "g:__rand_int__", LIMIT, PERIOD_MS, "GCRA"];
    let incrby = ["INCRBY", "i:__rand_int__", "1"];
    let lua = ["EVALSHA", sha, "1", "l:__rand_int__", LIMIT, PERIOD_MS, "1"];
    [
        Peer::new("window", "THROTTLE.HIT", true, &window),
        Peer::new("gcra", "THROTTLE.HIT GCRA", true, &gcra),
        Peer::new("lua", "INCRBY + PEXPIRE, Lua", false, &lua),
        Peer::new("incrby", "INCRBY", false, &incrby),
        Peer::new("ping", "PING", false, &["PING"]),
    ]
}

/// Two servers with the same counters: one with the module, one without.
struct Pair {
    module: Server,
    plain: Server,
    ids: usize,
    pipeline: usize,
}

impl Pair {
    /// Every caller has been there once.
    fn start(options: &Options, append_only: bool, peers: &[Peer]) -> Pair {
        let pair = Pair {
            module: pinned_server(Server::builder(), append_only),
            plain: pinned_server(Server::builder().without_module(), append_only),
            ids: options.get("ids"),
            pipeline: options.get("pipeline"),
        };
        cmd!(pair.plain.connection(), "SCRIPT LOAD", SCRIPT).text();
        // The bare counter has a time to live as the others have.
        each(&pair.plain, 0..pair.ids, |number, out| {
            let key = format!("i:{number:012}");
            load::command(
                out,
                &[b"SET", key.as_bytes(), b"0", b"PX", PERIOD_MS.as_bytes()],
            );
        });
        for peer in peers {
            each(pair.server(peer), 0..pair.ids, |number, out| {
                peer.write(number, out)
            });
        }
        pair
    }

    fn server(&self, peer: &Peer) -> &Server {
        match peer.on_module {
            true => &self.module,
            false => &self.plain,
        }
    }

    /// Commands per second, and the server's processor time per command in microseconds.
    fn run(&self, peer: &Peer, requests: usize) -> (f64, f64) {
        let server = self.server(peer);
        redis_benchmark(server, &peer.args, requests, self.pipeline, self.ids)
    }

    /// Every hit was one, every one passed, and every counter is there still.
    fn check(&self, hits: usize) {
        let mut con = self.module.connection();
        // redis-benchmark sends whole pipelines.
        let counted = info(&mut con, "throttle_hits") as usize;
        assert!(counted >= hits, "{counted} hits, not {hits}");
        assert_eq!(
            info(&mut con, "throttle_limited"),
            0,
            "more callers are needed: --ids"
        );
        assert_eq!(cmd!(con, "DBSIZE").int(), 2 * self.ids as i64);
        let mut con = self.plain.connection();
        assert_eq!(cmd!(con, "DBSIZE").int(), 2 * self.ids as i64);
    }
}

/// One table: all rounds on all pairs of servers, with or without an append-only file.
fn measure(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    let plain = Server::builder().without_module().start();
    let sha = cmd!(plain.connection(), "SCRIPT LOAD", SCRIPT).text();
    let mut peers = peers(&sha);
    for _ in 0..options.get("servers") {
        let pair = Pair::start(options, append_only, &peers);
        let mut hits = 2 * pair.ids;
        let mut run = |peer: &Peer, requests| {
            hits += if peer.on_module { requests } else { 0 };
            pair.run(peer, requests)
        };
        // A first run of each warms up and tells how many make a round.
        for peer in &mut peers {
            let (rate, _) = run(peer, options.get("milliseconds") * 50);
            peer.requests = (rate * options.get("milliseconds") as f64 / 1_000.0) as usize + 1;
        }
        for round in 0..options.get("rounds") {
            for at in 0..peers.len() {
                let at = (at + round) % peers.len();
                let (rate, micros) = run(&peers[at], peers[at].requests);
                peers[at].rounds.add(rate, micros);
            }
            progress.round(setting);
        }
        pair.check(hits);
    }
    let ours = [("window", "window"), ("gcra", "GCRA")];
    let ours = ours.map(|(row, name)| Ours { row, name });
    let title = format!("a hit on a throttle, {setting}");
    Rounds::table(id, title, &ours, &peers.map(|peer| peer.rounds))
}

fn main() {
    let options = Options::read("The price of a hit, beside its peers.", &NUMBERS);
    let mut report = figures::begin("throttle", &options);
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("throttle", rounds);
    for setting in figures::BOTH {
        report.table(measure(&options, setting, &mut progress));
    }
    report.finish();
}
