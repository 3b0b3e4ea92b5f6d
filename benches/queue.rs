//! The price of a message's way through a queue: `QUEUE.ADD`, `GET` and `ACK` beside the raw stream
//! commands that do as much, `XADD`, `XREADGROUP`, `XACK` and `XDEL`, but lease nothing.
//!
//! `cargo build --release && cargo bench --bench queue`, or `scripts/bench queue`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Instant;

use common::benchmark::pinned_server;
use common::dialogues::BODY;
use common::options::{Number, ROUNDS, SERVERS};
use common::scenarios::info;
use common::ways::{Client, Way};
use common::{figures, machine, Options, Ours, Progress, Rounds, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    SERVERS,
    ROUNDS,
    Number {
        name: "messages",
        meaning: "messages that go their way in a round",
        default: 40_000,
        quick: 2_000,
    },
    Number {
        name: "batch",
        meaning: "messages per pipeline: so many are added, taken, and done",
        default: 32,
        quick: 32,
    },
    Number {
        name: "leased",
        meaning: "messages that others have leased meanwhile",
        default: 100_000,
        quick: 1_000,
    },
];

/// A server with the module and one without; on each a queue of which others have leased a part.
struct Pair {
    module: Server,
    plain: Server,
}

impl Pair {
    fn start(options: &Options, append_only: bool) -> Pair {
        let pair = Pair {
            module: pinned_server(Server::builder(), append_only),
            plain: pinned_server(Server::builder().without_module(), append_only),
        };
        cmd!(pair.plain.connection(), "XGROUP CREATE q work 0 MKSTREAM").text();
        for (server, way) in [(&pair.module, Way::Ours), (&pair.plain, Way::Raw)] {
            let mut con = server.connection();
            let mut left = options.get("leased");
            while left > 0 {
                let some = left.min(10_000);
                let mut pipe = redis::pipe();
                for _ in 0..some {
                    match way.is_ours() {
                        true => pipe.cmd("QUEUE.ADD").arg("q").arg(BODY).ignore(),
                        false => pipe
                            .cmd("XADD")
                            .arg("q")
                            .arg("*")
                            .arg("b")
                            .arg(BODY)
                            .ignore(),
                    };
                }
                pipe.query::<()>(&mut con).expect("messages");
                match way.is_ours() {
                    true => cmd!(con, "QUEUE.GET q other LEASE 1d COUNT", some),
                    false => cmd!(
                        con,
                        "XREADGROUP GROUP work other COUNT",
                        some,
                        "STREAMS",
                        "q",
                        ">"
                    ),
                }
                .items();
                left -= some;
            }
        }
        pair
    }

    fn server(&self, way: Way) -> &Server {
        match way.is_ours() {
            true => &self.module,
            false => &self.plain,
        }
    }

    /// Messages per second, and the server's processor time for one in microseconds.
    fn run(&self, way: Way, messages: usize, batch: usize) -> (f64, f64) {
        let server = self.server(way);
        let batches = messages.div_ceil(batch);
        let mut client = Client::new(server);
        client.batch(way, batch);
        let before = machine::processor_seconds(server);
        let start = Instant::now();
        for _ in 0..batches {
            client.batch(way, batch);
        }
        let messages = (batches * batch) as f64;
        let rate = messages / start.elapsed().as_secs_f64();
        let used = machine::processor_seconds(server) - before;
        (rate, used * 1e6 / messages)
    }

    /// All that went its way is gone, and nothing else.
    fn check(&self, options: &Options) {
        for server in [&self.module, &self.plain] {
            let mut con = server.connection();
            assert_eq!(cmd!(con, "XLEN q").int(), options.get("leased") as i64);
        }
        assert_eq!(info(&mut self.module.connection(), "queue_redelivered"), 0);
    }
}

/// The tables of one kind of servers: in pipelines, in batches, and one message after the other.
fn measure(
    options: &Options,
    (file, setting, append_only): (&str, &str, bool),
    progress: &mut Progress,
) -> [Table; 3] {
    let mut tables = [Way::ALL.map(Way::rounds), Way::ALL.map(Way::rounds)];
    let (messages, batch) = (options.get("messages"), options.get("batch"));
    for _ in 0..options.get("servers") {
        let pair = Pair::start(options, append_only);
        for round in 0..options.get("rounds") {
            for at in 0..Way::ALL.len() {
                let at = (at + round) % Way::ALL.len();
                for (table, messages, batch) in
                    [(0, messages, batch), (1, messages.div_ceil(10), 1)]
                {
                    let (rate, micros) = pair.run(Way::ALL[at], messages, batch);
                    tables[table][at].add(rate, micros);
                }
            }
            progress.round(setting);
        }
        pair.check(options);
    }
    let [pipelined, alone] = &tables;
    let table = |id: &str, title: &str, all: &[Rounds]| {
        let ours = Ours {
            row: "ours",
            name: "ours",
        };
        let (id, title) = (format!("{id}_{file}"), format!("{title}, {setting}"));
        Rounds::table(&id, title, &[ours], all)
    };
    [
        table(
            "pipelines",
            "message by message in pipelines",
            &pipelined[..4],
        ),
        table("batches", "a batch in one command", &pipelined[4..]),
        table("alone", "each step waits for its reply", &alone[..4]),
    ]
}

fn main() {
    let options = Options::read("The price of a message's way through a queue.", &NUMBERS);
    let mut report = figures::begin("queue", &options);
    machine::pin_this_client();
    report.setting("body_bytes", BODY.len());
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("queue", rounds);
    for setting in figures::BOTH {
        for table in measure(&options, setting, &mut progress) {
            report.table(table);
        }
    }
    report.finish();
}
