//! How long one question about a large fleet takes: pages of `DEVICE.LIST` and `DEVICE.COUNT`, beside
//! the commands of the server that read the same indexes, which are plain sets, on the same server.
//!
//! What those leave out: they tell nothing of a device whose hash is gone, and where there is no index
//! by type and status, as in the plain recipe, two sets have to be intersected.
//!
//! `cargo build --release && cargo bench --bench listing`, or `scripts/bench listing`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::time::Instant;

use common::options::Number;
use common::questions::{counts, fleet, is_offline, pages, slow, Question, TYPES};
use common::{figures, machine, Cell, Column, Options, Plot, Progress, Spread, Table};
use redis::{Connection, Value};
use support::*;

const NUMBERS: [Number; 3] = [
    Number {
        name: "devices",
        meaning: "devices, of ten types; one in ten is offline, one in a hundred out of sync",
        default: 1_000_000,
        quick: 5_000,
    },
    Number {
        name: "questions",
        meaning: "how often each question is asked",
        default: 500,
        quick: 20,
    },
    Number {
        name: "walks",
        meaning: "how often all pages are read, and questions asked that look at many devices",
        default: 3,
        quick: 2,
    },
];

/// The entries of a reply: those of a page, or the number answered.
fn size(reply: &Value) -> usize {
    match reply {
        Value::Array(parts) => match parts.as_slice() {
            // A cursor and a page.
            [cursor, Value::Array(page)] if !matches!(cursor, Value::Array(_)) => page.len(),
            entries => entries.len(),
        },
        number => number.int() as usize,
    }
}

/// Asks each question so often, one after the other in turn; server time and round trips.
fn ask(con: &mut Connection, title: (&str, &str), questions: &[Question], times: usize) -> Table {
    let mut trips = vec![Vec::with_capacity(times); questions.len()];
    let mut server = vec![0.0; questions.len()];
    for _ in 0..times {
        for (at, question) in questions.iter().enumerate() {
            let before = busy_micros(con, &question.words);
            let start = Instant::now();
            let reply = con.run(&support::command(&question.words));
            trips[at].push(start.elapsed().as_secs_f64() * 1e6);
            server[at] += busy_micros(con, &question.words) - before;
            let found = size(reply.as_ref().expect("an answer"));
            let fits = question.expected.contains(&found);
            assert!(fits, "{} found {found}", question.words);
        }
    }
    let mut table = Table::new(title.0, title.1, "command")
        .column(Column::new("server_us", "server time", "us"))
        .percentiles("us", Some(0))
        .plot(Plot::Percentiles);
    for ((question, trips), server) in questions.iter().zip(trips).zip(server) {
        let cells = Cell::percentiles(&[Spread::new(trips)]);
        let server = Cell::once(server / times as f64);
        let name = question.words.clone();
        table.row(question.id, name, [server].into_iter().chain(cells));
    }
    table
}

/// What the server has spent in a command so far, by its own account.
fn busy_micros(con: &mut Connection, words: &str) -> f64 {
    let name = words.split(' ').next().unwrap_or_default().to_lowercase();
    let info = cmd!(con, "INFO", "commandstats").text();
    let line = info.lines().find_map(|line| {
        let (found, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        (found == name).then(|| figures.to_owned())
    });
    let micros = line.as_deref().and_then(|figures| {
        let value = figures
            .split(',')
            .find_map(|part| part.strip_prefix("usec="));
        value?.parse().ok()
    });
    micros.unwrap_or(0.0)
}

/// How pages are asked for.
type Ask = fn(&str) -> String;

/// Reads all pages of a list; how long each took, in microseconds. Every device must come.
fn walk(con: &mut Connection, ask: Ask, expected: usize) -> Vec<f64> {
    let (mut cursor, mut pages) = ("0".to_owned(), Vec::new());
    let mut found = HashSet::with_capacity(expected);
    loop {
        let start = Instant::now();
        let reply = con.run(&support::command(&ask(&cursor)));
        pages.push(start.elapsed().as_secs_f64() * 1e6);
        found.extend(reply.at(1).texts());
        cursor = reply.at(0).text();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), expected, "{}", ask("0"));
    pages
}

fn main() {
    let options = Options::read("How long one question about a large fleet takes.", &NUMBERS);
    let mut report = figures::begin("listing", &options);
    machine::pin_this_client();
    let (devices, walks) = (options.get("devices"), options.get("walks"));
    let mut progress = Progress::start("listing", 5);
    let server = fleet(devices);
    progress.round("a fleet of its own");
    let mut con = server.connection();
    let times = options.get("questions");
    report.table(ask(
        &mut con,
        ("count", "how many"),
        &counts(devices),
        times,
    ));
    progress.round("how many");
    report.table(ask(&mut con, ("page", "the first page"), &pages(), times));
    progress.round("the first page");
    let title = ("slow", "what looks at many devices");
    report.table(ask(&mut con, title, &slow(devices), walks));
    progress.round("what looks at many devices");

    let online = (0..devices).filter(|number| !is_offline(*number)).count();
    let offline = devices - online;
    let rows: [(&str, &str, usize, Ask); 4] = [
        (
            "online",
            "DEVICE.LIST ONLINE COUNT 1000",
            online,
            |cursor| format!("DEVICE.LIST ONLINE COUNT 1000 CURSOR {cursor}"),
        ),
        (
            "online_by_hand",
            "SSCAN devices:online COUNT 1000",
            online,
            |cursor| format!("SSCAN devices:online {cursor} COUNT 1000"),
        ),
        (
            "offline",
            "DEVICE.LIST OFFLINE COUNT 1000",
            offline,
            |cursor| format!("DEVICE.LIST OFFLINE COUNT 1000 CURSOR {cursor}"),
        ),
        (
            "of_type_online",
            "DEVICE.LIST TYPE t3 ONLINE COUNT 1000",
            online / TYPES,
            |cursor| format!("DEVICE.LIST TYPE t3 ONLINE COUNT 1000 CURSOR {cursor}"),
        ),
    ];
    let mut table = Table::new("walk", "all pages, one after the other", "command")
        .column(Column::new("seconds", "all pages", "s"))
        .percentiles("us", Some(0));
    let mut all = vec![Vec::new(); rows.len()];
    for _ in 0..walks {
        for ((.., expected, ask), pages) in rows.iter().zip(&mut all) {
            pages.push(walk(&mut con, *ask, *expected));
        }
    }
    progress.round("all pages");
    drop(progress);
    for ((id, name, ..), walks) in rows.iter().zip(all) {
        let seconds = walks.iter().map(|pages| pages.iter().sum::<f64>() / 1e6);
        let seconds = Cell::of(&Spread::new(seconds.collect()));
        let pages: Vec<Spread> = walks.into_iter().map(Spread::new).collect();
        let cells = [seconds].into_iter().chain(Cell::percentiles(&pages));
        table.row(id, *name, cells);
    }
    report.table(table);
    report.finish();
}
