//! The price of changing a device's shadow: `DEVICE.SHADOW.SET` and `DEVICE.HEARTBEAT` with
//! `REPORTED`, beside the same in Lua, beside what clients do without either, and beside the bare
//! write.
//!
//! `cargo build --release && cargo bench --bench shadow`, or `scripts/bench shadow`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::benchmark::pinned_server;
use common::client_merge::ClientMerge;
use common::documents::{self, desired, desired_patch, id, reported, reported_patch, Object};
use common::driver::{Driver, Prepared, Work};
use common::load::{bring_online, write_plain, Form};
use common::options::{Number, MILLISECONDS, PIPELINE, ROUNDS, SERVERS};
use common::scripts::{self, append, Scripts};
use common::{alike, figures, machine, Options, Ours, Progress, Rounds};
use serde_json::Value;
use support::*;

const NUMBERS: [Number; 6] = [
    Number {
        name: "ids",
        meaning: "devices",
        default: 10_000,
        quick: 400,
    },
    SERVERS,
    ROUNDS,
    MILLISECONDS,
    Number {
        name: "connections",
        meaning: "connections to each server",
        default: 50,
        quick: 10,
    },
    PIPELINE,
];

const HOUR_MS: u64 = 3_600_000;

/// One row of a table: a server of its own, and what is done to its devices.
struct Peer {
    rounds: Rounds,
    server: Server,
    driver: Driver,
    /// How many operations make a round.
    operations: usize,
    /// Looks at the server afterwards: how often each device was served.
    check: fn(&Server, &[usize]),
}

impl Peer {
    /// Operations per second, and the server's processor time for each in microseconds.
    fn run(&mut self, operations: usize) -> (f64, f64) {
        let before = machine::processor_seconds(&self.server);
        let (operations, took) = self.driver.run(operations);
        let used = machine::processor_seconds(&self.server) - before;
        let rate = operations as f64 / took.as_secs_f64();
        (rate, used * 1e6 / operations as f64)
    }
}

/// Makes the peers of a table, each with its server.
struct Maker<'a> {
    options: &'a Options,
    append_only: bool,
}

impl Maker<'_> {
    fn ids(&self) -> usize {
        self.options.get("ids")
    }

    fn server(&self, builder: Builder) -> Server {
        pinned_server(builder, self.append_only)
    }

    /// A server with the module, its devices online and with documents.
    fn module(&self) -> Server {
        let server = self.server(Server::builder());
        bring_online(&server, 0..self.ids(), id, |_| HOUR_MS);
        scripts::document_module(&server, self.ids());
        server
    }

    fn plain(&self) -> Server {
        let server = self.server(Server::builder().without_module());
        write_plain(&server, 0..self.ids(), id, Form::LikeOurs);
        server
    }

    fn scripted(&self) -> (Server, Scripts) {
        let server = self.plain();
        let scripts = Scripts::load(&server);
        scripts::document_scripts(&server, &scripts, self.ids());
        (server, scripts)
    }

    fn documented(&self) -> Server {
        let server = self.plain();
        scripts::document_plain(&server, self.ids());
        server
    }

    fn peer(
        &self,
        (id, name): (&str, &str),
        server: Server,
        work: &dyn Fn(&[usize]) -> Box<dyn Work>,
        check: fn(&Server, &[usize]),
    ) -> Peer {
        let (connections, pipeline) = (
            self.options.get("connections"),
            self.options.get("pipeline"),
        );
        let driver = Driver::connect(&server, connections, pipeline, self.ids(), work);
        Peer {
            rounds: Rounds::new(id, name),
            server,
            driver,
            operations: 0,
            check,
        }
    }

    /// Peers of which one operation is one command: `args` gives it for a device and a turn.
    fn simple(
        &self,
        row: (&str, &str),
        server: Server,
        args: &dyn Fn(usize, usize) -> Vec<String>,
        check: fn(&Server, &[usize]),
    ) -> Peer {
        let work = |devices: &[usize]| -> Box<dyn Work> {
            Box::new(Prepared::new(devices, |number, turn, out| {
                append(out, &args(number, turn));
            }))
        };
        self.peer(row, server, &work, check)
    }

    fn setters(&self) -> Vec<Peer> {
        let set = |n, turn| scripts::module_set(&id(n), &desired_patch(n, turn));
        let module = self.simple(
            ("set", "DEVICE.SHADOW.SET"),
            self.module(),
            &set,
            |server, counts| {
                documents::check_shadows(server, counts, "desired_state", desired, desired_patch);
            },
        );
        let (server, scripts) = self.scripted();
        let set = |n, turn| scripts.set(&id(n), &desired_patch(n, turn));
        let lua = self.simple(("lua", "Lua, the same"), server, &set, |server, counts| {
            documents::check_shadows(server, counts, "desired_state", desired, desired_patch);
        });
        let merge = |devices: &[usize]| -> Box<dyn Work> { Box::new(ClientMerge::new(devices)) };
        let client = self.peer(
            ("client", "HGET, merge, HSET"),
            self.documented(),
            &merge,
            |server, counts| {
                documents::check_documents(server, counts, "desired_state", desired, desired_patch);
            },
        );
        let hset = |n, turn| {
            let document = documents::after(desired(n), turn + 1, |turn| desired_patch(n, turn));
            let (key, text) = (format!("device:state:{}", id(n)), Value::Object(document));
            ["HSET", &key, "desired_state", &text.to_string()]
                .map(str::to_owned)
                .into()
        };
        let bare = self.simple(("hset", "HSET"), self.documented(), &hset, |_, _| {});
        vec![module, lua, client, bare]
    }

    fn reporters(&self) -> Vec<Peer> {
        let report = |n, turn| scripts::module_reported(&id(n), &reported_patch(n, turn));
        let row = ("heartbeat", "HEARTBEAT REPORTED");
        let module = self.simple(row, self.module(), &report, |server, counts| {
            documents::check_shadows(server, counts, "reported_state", reported, reported_patch);
        });
        let (server, scripts) = self.scripted();
        let report = |n, turn| scripts.reported(&id(n), &reported_patch(n, turn));
        let lua = self.simple(
            ("lua", "Lua, the same"),
            server,
            &report,
            |server, counts| {
                documents::check_shadows(
                    server,
                    counts,
                    "reported_state",
                    reported,
                    reported_patch,
                );
            },
        );
        vec![module, lua]
    }
}

/// All rounds on all sets of servers.
fn measure<'a>(
    maker: &Maker<'a>,
    make: fn(&Maker<'a>) -> Vec<Peer>,
    mut round_is_over: impl FnMut(),
) -> Vec<Rounds> {
    let options = maker.options;
    let mut all: Vec<Rounds> = Vec::new();
    for _ in 0..options.get("servers") {
        let mut peers = make(maker);
        if all.is_empty() {
            all.extend(peers.iter().map(|peer| peer.rounds.empty()));
        }
        // A first run of each warms up and tells how many make a round.
        for peer in &mut peers {
            let (rate, _) = peer.run(options.get("milliseconds") * 10);
            peer.operations = (rate * options.get("milliseconds") as f64 / 1_000.0) as usize + 1;
        }
        for round in 0..options.get("rounds") {
            for at in 0..peers.len() {
                let at = (at + round) % peers.len();
                let operations = peers[at].operations;
                let (rate, micros) = peers[at].run(operations);
                all[at].add(rate, micros);
            }
            round_is_over();
        }
        for peer in &peers {
            (peer.check)(&peer.server, &peer.driver.counts(maker.ids()));
        }
    }
    all
}

/// The mean size of what `documents` makes, in bytes of JSON.
fn size(document: impl Fn(usize) -> Object) -> usize {
    let bytes = (0..100).map(|n| Value::Object(document(n)).to_string().len());
    bytes.sum::<usize>() / 100
}

fn main() {
    let options = Options::read(
        "The price of changing a device's shadow, beside its peers.",
        &NUMBERS,
    );
    let mut report = figures::begin("shadow", &options);
    machine::pin_this_client();
    alike::assert_same_work(
        &Server::start(),
        &Server::builder().without_module().start(),
    );
    println!("Lua and the module answer, keep and tell the same");
    report.setting("desired_bytes", size(desired));
    report.setting("desired_patch_bytes", size(|n| desired_patch(n, n)));
    report.setting("reported_bytes", size(reported));
    report.setting("reported_patch_bytes", size(|n| reported_patch(n, n)));

    let rounds = 2 * figures::BOTH.len() * options.get("servers") * options.get("rounds");
    let mut progress = Progress::start("shadow", rounds);
    for (file, setting, append_only) in figures::BOTH {
        let maker = Maker {
            options: &options,
            append_only,
        };
        let mut table = |row: &str, name: &str, command: &str, make| {
            let title = format!("{command}, {setting}");
            let all = measure(&maker, make, || progress.round(&title));
            let ours = Ours { row, name };
            report.table(Rounds::table(
                &format!("{row}_{file}"),
                &title,
                &[ours],
                &all,
            ));
        };
        table("set", "set", "DEVICE.SHADOW.SET", Maker::setters);
        table(
            "heartbeat",
            "heartbeat",
            "DEVICE.HEARTBEAT REPORTED",
            Maker::reporters,
        );
    }
    report.finish();
}
