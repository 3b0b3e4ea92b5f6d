//! The price of a steady heartbeat: `DEVICE.HEARTBEAT` beside what it replaces and beside the
//! writes that are its lower bound, on two servers with the same data.
//!
//! `cargo build --release && cargo bench --bench heartbeat`, or `scripts/bench heartbeat`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::{pinned_server, redis_benchmark};
use common::load::{assert_alike, bring_online, write_plain, Form};
use common::options::Number;
use common::scenarios::info;
use common::{figures, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "devices",
        default: 100_000,
        quick: 1_000,
    },
    Number {
        name: "servers",
        meaning: "pairs of fresh servers: where the data lies in memory matters",
        default: 3,
        quick: 1,
    },
    Number {
        name: "rounds",
        meaning: "interleaved rounds on each pair",
        default: 3,
        quick: 2,
    },
    Number {
        name: "milliseconds",
        meaning: "about how long each command runs in a round",
        default: 2_000,
        quick: 50,
    },
    Number {
        name: "pipeline",
        meaning: "commands per pipeline, as redis-benchmark -P",
        default: 32,
        quick: 32,
    },
];

/// The same step as a script: it reads what `DEVICE.HEARTBEAT` reads, decides by the server's
/// clock whether the device is online and on time, writes `last_seen` and answers the same reply.
const SCRIPT: &str = r#"
local h = redis.call('HMGET', KEYS[1], 'version', 'last_seen', 'status', 'timeout')
if not h[1] or h[3] ~= 'online' then return redis.error_reply('ERR not steady') end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local timeout = tonumber(h[4] or ARGV[1])
if timeout ~= 0 and now - tonumber(h[2]) >= timeout then return redis.error_reply('ERR late') end
redis.call('HSET', KEYS[1], 'last_seen', string.format('%.0f', now))
return {0, 1, tonumber(h[1]), false, 0}
"#;

/// `__rand_int__` is replaced by twelve digits in every command.
const STATE: &str = "device:state:d-__rand_int__";

fn id(number: usize) -> String {
    format!("d-{number:012}")
}

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
}

/// Two servers with the same devices: one with the module, one without.
struct Pair {
    module: Server,
    plain: Server,
    ids: usize,
    pipeline: usize,
}

impl Pair {
    fn start(options: &Options, append_only: bool) -> Pair {
        let ids = options.get("ids");
        // A fleet in order: every device was seen within the shortest of all timeouts.
        let hour = Server::builder().config("devicestate.heartbeat-timeout", "1h");
        let module = pinned_server(hour, append_only);
        bring_online(&module, 0..ids, id, |_| 3_600_000);
        let plain = pinned_server(Server::builder().without_module(), append_only);
        write_plain(&plain, 0..ids, id, Form::LikeOurs);
        assert_alike(&module, &plain, &format!("device:state:{}", id(0)));
        Pair {
            module,
            plain,
            ids,
            pipeline: options.get("pipeline"),
        }
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
}

/// One table: all rounds on all pairs of servers, with or without an append-only file.
fn measure(
    options: &Options,
    (id, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> Table {
    // A time at which the devices are alive: the script looks.
    let now = now_ms().to_string();
    let plain = Server::builder().without_module().start();
    let sha = cmd!(plain.connection(), "SCRIPT LOAD", SCRIPT).text();
    let beat = ["DEVICE.HEARTBEAT", "d-__rand_int__"];
    let lua = ["EVALSHA", &sha, "1", STATE, "60000"];
    let hset = ["HSET", STATE, "last_seen", &now];
    let setex = ["SETEX", "device:heartbeat:d-__rand_int__", "90000", "1"];
    let mut peers = [
        Peer::new("heartbeat", "DEVICE.HEARTBEAT", true, &beat),
        Peer::new("lua", "Lua, the same", false, &lua),
        Peer::new("hset", "HSET", false, &hset),
        Peer::new("setex", "SETEX", false, &setex),
        Peer::new("ping", "PING", false, &["PING"]),
    ];
    for _ in 0..options.get("servers") {
        let pair = Pair::start(options, append_only);
        assert_eq!(
            cmd!(pair.plain.connection(), "SCRIPT LOAD", SCRIPT).text(),
            sha
        );
        // A first run of each warms up and tells how many make a round.
        for peer in &mut peers {
            let (rate, _) = pair.run(peer, options.get("milliseconds") * 50);
            peer.requests = (rate * options.get("milliseconds") as f64 / 1_000.0) as usize + 1;
        }
        for round in 0..options.get("rounds") {
            for at in 0..peers.len() {
                let at = (at + round) % peers.len();
                let (rate, micros) = pair.run(&peers[at], peers[at].requests);
                peers[at].rounds.add(rate, micros);
            }
            progress.round(setting);
        }
        let mut con = pair.module.connection();
        let beats = info(&mut con, "heartbeats") as usize;
        let offline = cmd!(con, "DEVICE.COUNT", "OFFLINE").int();
        assert!(beats > pair.ids && offline == 0, "the fleet was not steady");
    }
    let ours = Ours {
        row: "heartbeat",
        name: "heartbeat",
    };
    let all = peers.map(|peer| peer.rounds);
    let title = format!("a steady heartbeat, {setting}");
    Rounds::table(id, title, &[ours], &all)
}

fn main() {
    let options = Options::read(
        "The price of a steady heartbeat, beside its peers.",
        &NUMBERS,
    );
    let mut report = figures::begin("heartbeat", &options);
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("heartbeat", rounds);
    for setting in figures::BOTH {
        report.table(measure(&options, setting, &mut progress));
    }
    report.finish();
}
