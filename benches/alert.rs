//! The price of an alert: a raise that is suppressed beside a script that does the same and beside the
//! bare counter; what rules cost a report; and whether fetching a batch depends on how many users have
//! something pending.
//!
//! `cargo build --release && cargo bench --bench alert`, or `scripts/bench alert`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::{pinned_server, redis_benchmark};
use common::driver::each;
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::scenarios::info;
use common::{figures, load, Options, Ours, Progress, Report, Rounds};
use support::*;

const NUMBERS: [Number; 6] = [
    Number {
        name: "ids",
        meaning: "devices, each with an alert of its own",
        default: 100_000,
        quick: 1_000,
    },
    Number {
        name: "users",
        meaning: "users with something pending, for the larger half of the batches",
        default: 100_000,
        quick: 2_000,
    },
    SERVERS,
    ROUNDS,
    MILLISECONDS,
    PIPELINE,
];

/// What the module does for a raise, as a script.
const SCRIPT: &str = include_str!("lua/alert_raise.lua");
/// A day: nothing is told a second time meanwhile.
const EVERY_MS: &str = "86400000";
/// How many users the smaller half of the batches has.
const FEW_USERS: usize = 1_000;
/// `__rand_int__` is replaced by twelve digits in every command.
const RANDOM: &str = "__rand_int__";
const RULE: &str = r#"{"path":"t","bands":[{"severity":1,"high":70}],"every":"1d"}"#;

/// Which of a set's servers a command goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Module,
    Plain,
    /// With the module, and few users pending.
    FewUsers,
    ManyUsers,
}

/// One command that is measured.
struct Peer {
    on: On,
    args: Vec<String>,
    ids: usize,
    /// How many are sent in a round.
    requests: usize,
    rounds: Rounds,
}

impl Peer {
    fn new(id: &str, name: &str, on: On, ids: usize, args: &[&str]) -> Peer {
        Peer {
            on,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ids,
            requests: 0,
            rounds: Rounds::new(id, name),
        }
    }
}

/// A table: its id, what is measured, which row is compared with the others, and the rows.
struct Rows {
    id: &'static str,
    title: &'static str,
    ours: Ours<'static>,
    peers: Vec<Peer>,
}

fn tables(options: &Options, sha: &str) -> [Rows; 3] {
    let (ids, users) = (options.get("ids"), options.get("users"));
    let device = format!("d:{RANDOM}");
    let raise = ["ALERT.RAISE", &device, "hot", "SEVERITY", "2"];
    let raise = [&raise[..], &["EVERY", EVERY_MS, "NOTIFY", "1", "ops"]].concat();
    // As many words as INCRBY has.
    let bare_device = format!("bare:{RANDOM}");
    let bare = ["ALERT.RAISE", &bare_device, "hot"];
    let lua = ["EVALSHA", sha, "1", &device, "hot", "2", EVERY_MS, "ops"];
    let inside = r#"{"t":20}"#;
    let outside = r#"{"t":90}"#;
    let report = |kind: &str| format!("{kind}:{RANDOM}");
    let beat = |id, name, kind: &str, value| {
        let args = ["DEVICE.HEARTBEAT", &report(kind), "REPORTED", value];
        Peer::new(id, name, On::Module, ids, &args)
    };
    let user = format!("u:{RANDOM}");
    let fetch = ["ALERT.BATCH", &user, "NOW", "LEASE", "1"];
    let batch = |id, name, on, users| Peer::new(id, name, on, users, &fetch);
    let incrby = ["INCRBY", &report("i"), "1"];
    [
        Rows {
            id: "raise",
            title: "a raise that is suppressed",
            ours: ours("raise"),
            peers: vec![
                Peer::new("raise", "ALERT.RAISE, suppressed", On::Module, ids, &raise),
                Peer::new("bare", "the same without options", On::Module, ids, &bare),
                Peer::new("lua", "the same in Lua", On::Plain, ids, &lua),
                Peer::new("incrby", "INCRBY", On::Plain, ids, &incrby),
                Peer::new("ping", "PING", On::Plain, ids, &["PING"]),
            ],
        },
        Rows {
            id: "rule",
            title: "a report of a type with a rule",
            ours: ours("outside"),
            peers: vec![
                beat("outside", "a value outside, suppressed", "ruled", outside),
                beat("inside", "a value inside", "calm", inside),
                beat("free", "a type without rules", "free", inside),
            ],
        },
        Rows {
            id: "batch",
            title: "fetching a batch",
            ours: ours("many"),
            peers: vec![
                batch("many", "with many users pending", On::ManyUsers, users),
                batch("few", "with few users pending", On::FewUsers, FEW_USERS),
            ],
        },
    ]
}

fn ours(row: &'static str) -> Ours<'static> {
    Ours { row, name: row }
}

/// Servers with the same devices; those of the users have nothing else.
struct Set {
    module: Server,
    plain: Server,
    few: Server,
    many: Server,
    pipeline: usize,
}

impl Set {
    fn start(options: &Options, append_only: bool) -> Set {
        let ids = options.get("ids");
        let set = Set {
            module: pinned_server(Server::builder(), append_only),
            plain: pinned_server(Server::builder().without_module(), append_only),
            few: pinned_server(Server::builder(), append_only),
            many: pinned_server(Server::builder(), append_only),
            pipeline: options.get("pipeline"),
        };
        cmd!(set.plain.connection(), "SCRIPT LOAD", SCRIPT).text();
        let mut con = set.module.connection();
        cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 1d").text();
        for kind in ["ruled", "calm"] {
            cmd!(con, "ALERT.RULE.SET", kind, "hot", RULE).int();
        }
        for kind in ["d", "bare", "ruled", "calm", "free"] {
            each(&set.module, 0..ids, |number, out| {
                let id = format!("{kind}:{number:012}");
                load::command(out, &[b"DEVICE.REGISTER", id.as_bytes(), kind.as_bytes()]);
            });
        }
        each(&set.plain, 0..ids, |number, out| {
            let key = format!("device:state:d:{number:012}");
            load::command(out, &[b"HSET", key.as_bytes(), b"status", b"offline"]);
        });
        for (server, users) in [(&set.few, FEW_USERS), (&set.many, options.get("users"))] {
            each(server, 0..users, |number, out| {
                let user = format!("u:{number:012}");
                load::command(
                    out,
                    &[
                        b"ALERT.NOTIFY",
                        user.as_bytes(),
                        b"quota",
                        b"{}",
                        b"WAIT",
                        b"1d",
                    ],
                );
            });
        }
        set
    }

    fn server(&self, on: On) -> &Server {
        match on {
            On::Module => &self.module,
            On::Plain => &self.plain,
            On::FewUsers => &self.few,
            On::ManyUsers => &self.many,
        }
    }

    /// Every command once for each of its ids, so that all alerts are raised and told.
    fn warm_up(&self, peer: &Peer) {
        each(self.server(peer.on), 0..peer.ids, |number, out| {
            let number = format!("{number:012}");
            let words = peer.args.iter().map(|arg| arg.replace(RANDOM, &number));
            let words: Vec<String> = words.collect();
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            load::command(out, &words);
        });
    }

    /// Commands per second, and the server's processor time per command in microseconds.
    fn run(&self, peer: &Peer, requests: usize) -> (f64, f64) {
        let server = self.server(peer.on);
        redis_benchmark(server, &peer.args, requests, self.pipeline, peer.ids)
    }

    /// Every alert was told once, by the module and by the script alike.
    fn check(&self, ids: usize) {
        // An item for each, and when they are due, after how long a wait.
        let fields = ids as i64 + 2;
        let mut con = self.module.connection();
        assert_eq!(info(&mut con, "alerts_new"), 3 * ids as u64);
        assert_eq!(info(&mut con, "alerts_repeated"), 0);
        assert_eq!(cmd!(con, "HLEN alerts:user:ops").int(), fields);
        let mut con = self.plain.connection();
        assert_eq!(cmd!(con, "XLEN devices:events").int(), ids as i64);
        assert_eq!(cmd!(con, "HLEN alerts:user:ops").int(), fields);
    }
}

/// All tables: all rounds on all sets of servers, with or without an append-only file.
fn measure(
    options: &Options,
    (file, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
    report: &mut Report,
) {
    let plain = Server::builder().without_module().start();
    let sha = cmd!(plain.connection(), "SCRIPT LOAD", SCRIPT).text();
    let mut tables = tables(options, &sha);
    for _ in 0..options.get("servers") {
        let set = Set::start(options, append_only);
        for peer in tables.iter_mut().flat_map(|table| &mut table.peers) {
            set.warm_up(peer);
            // A first run tells how many make a round.
            let (rate, _) = set.run(peer, options.get("milliseconds") * 50);
            peer.requests = (rate * options.get("milliseconds") as f64 / 1_000.0) as usize + 1;
        }
        for round in 0..options.get("rounds") {
            for Rows { peers, .. } in &mut tables {
                for at in 0..peers.len() {
                    let peer = (at + round) % peers.len();
                    let (rate, micros) = set.run(&peers[peer], peers[peer].requests);
                    peers[peer].rounds.add(rate, micros);
                }
            }
            progress.round(setting);
        }
        set.check(options.get("ids"));
    }
    for rows in tables {
        let id = format!("{}_{file}", rows.id);
        let title = format!("{}, {setting}", rows.title);
        let all: Vec<Rounds> = rows.peers.into_iter().map(|peer| peer.rounds).collect();
        report.table(Rounds::table(&id, title, &[rows.ours], &all));
    }
}

fn main() {
    let options = Options::read("The price of an alert, beside its peers.", &NUMBERS);
    let mut report = figures::begin("alert", &options);
    report.setting("few_users", FEW_USERS);
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("alert", rounds);
    for setting in figures::BOTH {
        measure(&options, setting, &mut progress, &mut report);
    }
    report.finish();
}
