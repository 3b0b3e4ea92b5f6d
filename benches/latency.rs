//! How long a request takes: at half of what a server can do, and at full load, without pipelines.
//! Heartbeats, changes of a shadow and a message's way through a queue, each beside its peers.
//!
//! `cargo build --release && cargo bench --bench latency`, or `scripts/bench latency`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use common::benchmark::pinned_server;
use common::clients::{Clients, Dialogue, Served};
use common::dialogues::{Message, Requests};
use common::documents::{self, desired, desired_patch, id};
use common::load::{bring_online, write_plain, Form};
use common::options::{Number, MILLISECONDS, ROUNDS, SERVERS};
use common::scenarios::info;
use common::scripts::{self, append, Scripts};
use common::{figures, fleets, machine, Cell, Column, Options, Plot, Progress, Spread, Table};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "ids",
        meaning: "devices of each server",
        default: 10_000,
        quick: 400,
    },
    Number {
        default: 1,
        ..SERVERS
    },
    ROUNDS,
    MILLISECONDS,
    Number {
        name: "connections",
        meaning: "connections to each server",
        default: 32,
        quick: 8,
    },
];

const SCRIPT: &str = include_str!("lua/heartbeat.lua");

/// Its id, and its name.
type Row = (&'static str, &'static str);

type Check = dyn Fn(&Server, usize);

/// One peer: a server of its own and its clients.
struct Peer {
    row: Row,
    server: Server,
    clients: Clients<Box<dyn Dialogue>>,
    /// Looks at the server afterwards: how many operations were done.
    check: Box<Check>,
}

/// Makes the peers, each with its server.
struct Maker<'a> {
    options: &'a Options,
    append_only: bool,
}

impl Maker<'_> {
    fn peer(
        &self,
        row: Row,
        server: Server,
        dialogue: &dyn Fn(usize) -> Box<dyn Dialogue>,
        check: impl Fn(&Server, usize) + 'static,
    ) -> Peer {
        let lines = 0..self.options.get("connections");
        let clients = Clients::connect(&server, lines.map(dialogue));
        let check = Box::new(check);
        Peer {
            row,
            server,
            clients,
            check,
        }
    }

    /// Each connection has devices of its own.
    fn requests(
        &self,
        row: Row,
        server: Server,
        args: &dyn Fn(usize, usize) -> Vec<String>,
        check: impl Fn(&Server, usize) + 'static,
    ) -> Peer {
        let (ids, connections) = (self.options.get("ids"), self.options.get("connections"));
        let dialogue = |line: usize| -> Box<dyn Dialogue> {
            let devices: Vec<usize> = (line..ids).step_by(connections).collect();
            let write = |number, turn, out: &mut Vec<u8>| append(out, &args(number, turn));
            Box::new(Requests::new(&devices, write))
        };
        self.peer(row, server, &dialogue, check)
    }

    fn heartbeats(&self) -> [Peer; 3] {
        let (ids, append_only) = (self.options.get("ids"), self.append_only);
        let ours = fleets::ours(ids, append_only);
        let plain = || fleets::plain(&ours, ids, append_only);
        let (scripted, bare) = (plain(), plain());
        let sha = cmd!(scripted.connection(), "SCRIPT LOAD", SCRIPT).text();
        let state = |number| format!("device:state:{}", id(number));
        let now = now_ms().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let seen = |server: &Server, done| {
            let seen = info(&mut server.connection(), "heartbeats") as usize;
            assert!(seen > done, "{seen} heartbeats, not {done}");
        };
        [
            self.requests(
                ("heartbeat", "DEVICE.HEARTBEAT"),
                ours,
                &|number, _| words(&["DEVICE.HEARTBEAT", &id(number)]),
                seen,
            ),
            self.requests(
                ("heartbeat_lua", "heartbeat in Lua"),
                scripted,
                &|number, _| words(&["EVALSHA", &sha, "1", &state(number), "60000"]),
                |_, _| {},
            ),
            self.requests(
                ("hset", "HSET"),
                bare,
                &|number, _| words(&["HSET", &state(number), "last_seen", &now]),
                |_, _| {},
            ),
        ]
    }

    fn shadows(&self) -> [Peer; 2] {
        let ids = self.options.get("ids");
        let ours = pinned_server(Server::builder(), self.append_only);
        bring_online(&ours, 0..ids, id, |_| fleets::TIMEOUT_MS);
        scripts::document_module(&ours, ids);
        let plain = pinned_server(Server::builder().without_module(), self.append_only);
        write_plain(&plain, 0..ids, id, Form::LikeOurs);
        let lua = Scripts::load(&plain);
        scripts::document_scripts(&plain, &lua, ids);
        // Versions count every change.
        let check = move |server: &Server, done: usize| {
            let mut con = server.connection();
            let version = |number| {
                let key = format!("device:state:{}", id(number));
                cmd!(con, "HGET", key, "version").int() as usize - 2
            };
            let counts: Vec<usize> = (0..ids).map(version).collect();
            assert_eq!(counts.iter().sum::<usize>(), done);
            documents::check_documents(server, &counts, "desired_state", desired, desired_patch);
        };
        [
            self.requests(
                ("set", "DEVICE.SHADOW.SET"),
                ours,
                &|number, turn| scripts::module_set(&id(number), &desired_patch(number, turn)),
                check,
            ),
            self.requests(
                ("set_lua", "the same in Lua"),
                plain,
                &|number, turn| lua.set(&id(number), &desired_patch(number, turn)),
                check,
            ),
        ]
    }

    fn queues(&self) -> [Peer; 2] {
        let ours = pinned_server(Server::builder(), self.append_only);
        let plain = pinned_server(Server::builder().without_module(), self.append_only);
        cmd!(plain.connection(), "XGROUP CREATE q work 0 MKSTREAM").text();
        let message = |is_ours| {
            move |line: usize| -> Box<dyn Dialogue> {
                Box::new(Message::new(is_ours, format!("w{line}")))
            }
        };
        // All that was added is gone.
        let check = |server: &Server, done: usize| {
            let mut con = server.connection();
            assert_eq!(cmd!(con, "XLEN q").int(), 0);
            let added = cmd!(con, "XINFO STREAM q").fields()["entries-added"].int();
            assert_eq!(added as usize, done);
        };
        [
            self.peer(
                ("queue", "QUEUE.ADD, GET, ACK"),
                ours,
                &message(true),
                check,
            ),
            self.peer(
                ("stream", "XADD, XREADGROUP, XACK+XDEL"),
                plain,
                &message(false),
                check,
            ),
        ]
    }

    fn all(&self) -> Vec<Peer> {
        let mut all: Vec<Peer> = self.heartbeats().into();
        all.extend(self.shadows());
        all.extend(self.queues());
        all
    }
}

/// What came of one peer, round by round.
#[derive(Default)]
struct Results {
    full: Vec<Served>,
    half: Vec<Served>,
}

fn measure(
    options: &Options,
    (setting, append_only): (&str, bool),
    progress: &mut Progress,
) -> Vec<(Row, Results)> {
    let maker = Maker {
        options,
        append_only,
    };
    let time = Duration::from_millis(options.get("milliseconds") as u64);
    let mut all: Vec<(Row, Results)> = Vec::new();
    for _ in 0..options.get("servers") {
        let mut peers = maker.all();
        if all.is_empty() {
            all.extend(peers.iter().map(|peer| (peer.row, Results::default())));
        }
        // A first run warms up and tells what the server can do.
        let warm = |peer: &mut Peer| peer.clients.run(None, time / 2).rate;
        let most: Vec<f64> = peers.iter_mut().map(warm).collect();
        for round in 0..options.get("rounds") {
            for at in 0..peers.len() {
                let at = (at + round) % peers.len();
                let (clients, (_, results)) = (&mut peers[at].clients, &mut all[at]);
                results.half.push(clients.run(Some(most[at] / 2.0), time));
                results.full.push(clients.run(None, time));
            }
            progress.round(setting);
        }
        for peer in &peers {
            (peer.check)(&peer.server, peer.clients.done);
        }
    }
    all
}

/// Rates and percentiles of each peer under one kind of load.
fn table(id: &str, title: String, all: &[(Row, Vec<Served>)]) -> Table {
    let mut table = Table::new(id, title, "command")
        .column(Column::new("rate", "", "k/s").median_only())
        .percentiles("us", Some(0))
        .plot(Plot::Percentiles);
    for ((id, name), rounds) in all {
        let rates = rounds.iter().map(|round| round.rate / 1e3).collect();
        let rate = Cell::of(&Spread::new(rates));
        let micros: Vec<Spread> = rounds.iter().map(|round| round.micros.clone()).collect();
        let cells = [rate].into_iter().chain(Cell::percentiles(&micros));
        table.row(id, *name, cells);
    }
    table
}

fn main() {
    let options = Options::read(
        "How long a request takes, at half and at full load.",
        &NUMBERS,
    );
    let mut report = figures::begin("latency", &options);
    machine::pin_this_client();
    let rounds = figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("latency", rounds);
    for (id, setting, append_only) in figures::BOTH {
        let results = measure(&options, (setting, append_only), &mut progress);
        let (half, full): (Vec<_>, Vec<_>) = results
            .into_iter()
            .map(|(row, results)| ((row, results.half), (row, results.full)))
            .unzip();
        for (load, results) in [("half", half), ("full", full)] {
            let title = format!("{load} load, {setting}");
            report.table(table(&format!("{load}_{id}"), title, &results));
        }
    }
    report.finish();
}
