//! How late a death is told, as a subscriber outside the server sees it, and what a storm of deaths
//! does to the server's other clients. Both check that each death is told exactly once.
//!
//! `cargo build --release && cargo bench --bench detection`, or `scripts/bench detection`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use common::expiry::{Form, Told};
use common::options::Number;
use common::scenarios::{self, storm, trickle, Deaths};
use common::{figures, machine, Cell, Column, Options, Plot, Progress, Table};

const NUMBERS: [Number; 6] = [
    Number {
        name: "live",
        meaning: "devices that stay alive",
        default: 1_000_000,
        quick: 5_000,
    },
    Number {
        name: "dying",
        meaning: "devices that die one after the other",
        default: 20_000,
        quick: 500,
    },
    Number {
        name: "window",
        meaning: "milliseconds within which they die",
        default: 20_000,
        quick: 1_000,
    },
    Number {
        name: "beats",
        meaning: "heartbeats per second of the live ones, in the second run",
        default: 100_000,
        quick: 1_000,
    },
    Number {
        name: "storm",
        meaning: "devices that die at once",
        default: 1_000_000,
        quick: 5_000,
    },
    Number {
        name: "patience",
        meaning: "seconds to wait for what the peers have not told at the end",
        default: 20,
        quick: 1,
    },
];

fn main() {
    let options = Options::read("How late a death is told.", &NUMBERS);
    let mut report = figures::begin("detection", &options);
    let mut progress = Progress::start("detection", 7);
    let get = |name| options.get(name);
    let patience = Duration::from_secs(get("patience") as u64);

    let pinned = || {
        let server = scenarios::server();
        machine::pin(&server);
        server
    };
    let trickle = |beats| {
        let window = get("window") as u64;
        trickle(&pinned(), get("live"), get("dying"), window, beats)
    };
    let quiet = trickle(0);
    progress.round("deaths one after the other");
    let beaten = trickle(get("beats"));
    progress.round("deaths under heartbeats");
    let storm = storm(&pinned(), get("storm"));
    progress.round("storm");
    let peers = [
        ("expired", "`expired` of heartbeat keys", Form::Key),
        ("hexpired", "`hexpired` of a field, Redis 8.0", Form::Field),
    ];
    let peers = peers.map(|(id, name, form)| {
        let told = form.server().map(|server| {
            let (live, dying) = (get("live"), get("dying"));
            let window = Duration::from_millis(get("window") as u64);
            form.die(&server, live, dying, window, patience)
        });
        progress.round(name);
        let at_once = form
            .server()
            .map(|server| form.die(&server, 0, get("storm"), Duration::ZERO, patience));
        progress.round(name);
        (id, name, told, at_once)
    });
    drop(progress);

    let rows = [
        (
            "quiet",
            format!("{} of {} die", get("dying"), get("live") + get("dying")),
            &quiet,
        ),
        (
            "beaten",
            format!("the same, with {} heartbeats/s", get("beats")),
            &beaten,
        ),
        ("storm", format!("{} die at once", get("storm")), &storm),
    ];
    let title = "from last_seen + timeout to the subscriber";
    let mut late = Table::new("lateness", title, "scenario")
        .percentiles("ms", Some(0))
        .column(Column::new("server_max", "the server's own max", "ms").whole())
        .plot(Plot::Percentiles);
    let title = "PING on a second connection meanwhile";
    let mut pings = Table::new("ping", title, "scenario")
        .percentiles("ms", Some(2))
        .column(Column::new("count", "", "pings").whole())
        .plot(Plot::Percentiles);
    for (id, name, deaths) in &rows {
        let lag = Cell::once(deaths.lag_max as f64);
        let cells = Cell::percentiles(std::slice::from_ref(&deaths.lateness));
        late.row(id, name.clone(), cells.into_iter().chain([lag]));
        let count = Cell::once(deaths.pings.len() as f64);
        let cells = Cell::percentiles(std::slice::from_ref(&deaths.pings));
        pings.row(id, name.clone(), cells.into_iter().chain([count]));
    }
    report.table(late);
    report.table(pings);

    let mut rates =
        Table::new("rates", "how fast", "").column(Column::new("rate", "", "devices/s").whole());
    let loaded = quiet.devices as f64 / quiet.load_seconds;
    rates.row(
        "storm",
        "told offline in the storm",
        [Cell::once(transitions_per_second(&storm))],
    );
    rates.row(
        "new",
        "registered by their first heartbeat",
        [Cell::once(loaded)],
    );
    report.table(rates);

    let mut load = Table::new("load", "the heartbeats meanwhile", "scenario")
        .column(Column::new("beats", "came in", "beats/s").whole())
        .column(Column::new("share", "of its core the server was busy", "%").whole());
    for (id, name, deaths) in &rows[..2] {
        let cells = [deaths.beats_per_second, deaths.server_share * 100.0];
        load.row(id, name.clone(), cells.map(Cell::once));
    }
    report.table(load);

    let title = "without the module: events of the server about what expires";
    let mut others = Table::new("peers", title, "event")
        .column(Column::new("told", "told within the time", "%"))
        .percentiles("ms", Some(0))
        .column(Column::new("rate", "", "devices/s").whole())
        .column(Column::new("ping", "PING p99", "ms"));
    for (id, name, died, at_once) in &peers {
        for (case, what, told) in [
            ("quiet", format!("{name}: {}", rows[0].1), died),
            ("storm", format!("{name}: {}", rows[2].1), at_once),
        ] {
            match told {
                Some(told) => others.row(&format!("{id}_{case}"), what, of_peer(told)),
                None => eprintln!("no server for {name}: scripts/servers redis-8.0"),
            }
        }
    }
    report.table(others);
    report.finish();
}

fn of_peer(told: &Told) -> Vec<Option<Cell>> {
    let count = told.lateness.len() as f64;
    let mut cells = vec![Cell::once(count * 100.0 / told.dying as f64)];
    cells.extend(Cell::percentiles(std::slice::from_ref(&told.lateness)));
    cells.push(Cell::once(count * 1_000.0 / told.span_ms.max(1.0)));
    cells.push(Cell::once(told.pings.percentile(0.99)));
    cells
}

fn transitions_per_second(deaths: &Deaths) -> f64 {
    deaths.lateness.len() as f64 * 1_000.0 / deaths.span_ms.max(1) as f64
}
