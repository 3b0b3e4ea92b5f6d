//! What a restart takes with a large fleet: loading the dump, with the module and without it; how long
//! until every device that is online has its place in the deadline index again, which is when deaths
//! are told on time; and how long other clients wait meanwhile.
//!
//! `cargo build --release && cargo bench --bench restart`, or `scripts/bench restart`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::documents::id;
use common::fleets::TIMEOUT_MS;
use common::load::bring_online;
use common::meanwhile::ping;
use common::options::Number;
use common::scenarios::info;
use common::{figures, machine, Cell, Column, Options, Plot, Progress, Spread, Table};
use redis::Connection;
use support::*;

const NUMBERS: [Number; 2] = [
    Number {
        name: "devices",
        meaning: "devices that are online",
        default: 1_000_000,
        quick: 5_000,
    },
    Number {
        name: "rounds",
        meaning: "restarts of each server, in turn",
        default: 2,
        quick: 2,
    },
];

const PATIENCE: Duration = Duration::from_secs(300);

/// Kills the server, starts it again and waits until it answers; seconds from the start to then, and
/// those that the server says it has read the dump for.
fn restart(server: &mut Server) -> (f64, f64) {
    server.kill_hard();
    let before = server.log().len();
    let start = Instant::now();
    server.begin(&[]);
    machine::pin(server);
    let answers = || {
        let client = redis::Client::open(server.url()).ok()?;
        let mut con: Connection = client.get_connection_with_timeout(PATIENCE).ok()?;
        cmd!(con, "PING").ok()
    };
    while answers().is_none() {
        assert!(start.elapsed() < PATIENCE, "{}", server.log());
        thread::sleep(Duration::from_millis(1));
    }
    let took = start.elapsed().as_secs_f64();
    let log = server.log();
    let said = log[before..].lines().find_map(|line| {
        let (_, after) = line.split_once("DB loaded from disk: ")?;
        after.split(' ').next()?.parse().ok()
    });
    (
        took,
        said.unwrap_or_else(|| panic!("no word of the dump in\n{log}")),
    )
}

/// What came after a restart with the module.
struct Afterwards {
    /// Seconds until every device had a place in the deadline index, and until each was looked at and
    /// had its true one.
    known: f64,
    looked_at: f64,
    /// The server's processor time until then, in microseconds for each device.
    micros: f64,
    /// PING until then, in milliseconds.
    pings: Spread,
}

fn look_after(server: &Server, devices: usize) -> Afterwards {
    let (start, used) = (Instant::now(), machine::processor_seconds(server));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let pings = scope.spawn(|| ping(server, &enough));
        let mut con = server.connection();
        let mut wait = |is_done: &dyn Fn(&mut Connection) -> bool| {
            while !is_done(&mut con) {
                assert!(start.elapsed() < PATIENCE, "{}", server.log());
                thread::sleep(Duration::from_millis(2));
            }
            start.elapsed().as_secs_f64()
        };
        let known = wait(&|con| info(con, "deadline_index_devices") as usize == devices);
        let looked_at = wait(&|con| info(con, "looks") as usize >= devices);
        let used = machine::processor_seconds(server) - used;
        enough.store(true, Ordering::Relaxed);
        let pings = pings.join().expect("the thread that sends PING");
        let millis = pings.iter().map(|(_, took)| took.as_secs_f64() * 1_000.0);
        Afterwards {
            known,
            looked_at,
            micros: used * 1e6 / devices as f64,
            pings: Spread::new(millis.collect()),
        }
    })
}

/// A fleet, and the same dump on a server without the module.
fn servers(devices: usize) -> (Server, Server) {
    let builder = Server::builder().config("devicestate.heartbeat-timeout", TIMEOUT_MS);
    let ours = builder.start();
    bring_online(&ours, 0..devices, id, |_| TIMEOUT_MS);
    let saved = redis::cmd("SAVE").query::<()>(&mut patient(&ours));
    saved.expect("write the dump");
    let mut plain = Server::builder().without_module().start();
    plain.kill_hard();
    fs::copy(ours.dir().join("dump.rdb"), plain.dir().join("dump.rdb")).expect("copy the dump");
    (ours, plain)
}

/// A connection that waits for as long as it takes.
fn patient(server: &Server) -> Connection {
    let con = server.connection();
    con.set_read_timeout(None).expect("set the read timeout");
    con
}

fn main() {
    let options = Options::read("What a restart takes with a large fleet.", &NUMBERS);
    let mut report = figures::begin("restart", &options);
    let (devices, rounds) = (options.get("devices"), options.get("rounds"));
    let mut progress = Progress::start("restart", rounds + 1);
    let (mut ours, mut plain) = servers(devices);
    let bytes = fs::metadata(ours.dir().join("dump.rdb"))
        .expect("the dump")
        .len();
    report.setting("dump_bytes", bytes);
    progress.round("a fleet of its own");

    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut after = Vec::new();
    for _ in 0..rounds {
        without.push(restart(&mut plain));
        let size = cmd!(plain.connection(), "SCARD devices:online").int();
        assert_eq!(size, devices as i64);
        plain.kill_hard();
        with.push(restart(&mut ours));
        after.push(look_after(&ours, devices));
        let online = cmd!(ours.connection(), "DEVICE.COUNT ONLINE").int();
        assert_eq!(online, devices as i64, "nobody went offline");
        progress.round("restart");
    }
    drop(progress);

    let mut loading = Table::new("loading", "from the start to the first answer", "server")
        .column(Column::new("seconds", "until it answers", "s"))
        .column(Column::new("dump", "reading the dump, by its log", "s"))
        .bars("seconds");
    for (id, name, runs) in [
        ("ours", "with the module", &with),
        ("plain", "without it", &without),
    ] {
        let seconds = Spread::new(runs.iter().map(|run| run.0).collect());
        let dump = Spread::new(runs.iter().map(|run| run.1).collect());
        loading.row(id, name, [Cell::of(&seconds), Cell::of(&dump)]);
    }
    report.table(loading);
    let mut whole = Table::new("whole", "after the first answer", "until")
        .column(Column::new("seconds", "", "s"))
        .column(Column::new("server_us", "server time for each device", "us").median_only());
    let each =
        |figure: fn(&Afterwards) -> f64| Cell::of(&Spread::new(after.iter().map(figure).collect()));
    let name = "the deadline index knows every device";
    whole.row("known", name, [each(|after| after.known), None]);
    let name = "each was looked at and has its true deadline";
    let cells = [each(|after| after.looked_at), each(|after| after.micros)];
    whole.row("whole", name, cells);
    report.table(whole);
    let mut pings = Table::new("ping", "PING until then", "")
        .percentiles("ms", Some(2))
        .plot(Plot::Percentiles);
    let rounds: Vec<Spread> = after.into_iter().map(|after| after.pings).collect();
    pings.row("ping", "PING", Cell::percentiles(&rounds));
    report.table(pings);
    report.finish();
}
