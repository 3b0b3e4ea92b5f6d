//! How late a death is told, as a subscriber outside the server sees it, and what a storm of deaths
//! does to the server's other clients. Both check that each death is told exactly once.
//!
//! `cargo build --release && cargo bench --bench detection`, or `scripts/bench detection`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::options::Number;
use common::scenarios::{self, storm, trickle, Deaths};
use common::{figures, machine, Cell, Column, Options, Plot, Progress, Table};

const NUMBERS: [Number; 5] = [
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
        default: 50_000,
        quick: 1_000,
    },
    Number {
        name: "storm",
        meaning: "devices that die at once",
        default: 200_000,
        quick: 5_000,
    },
];

fn main() {
    let options = Options::read("How late a death is told.", &NUMBERS);
    let mut report = figures::begin("detection", &options);
    let mut progress = Progress::start("detection", 3);
    let get = |name| options.get(name);

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
    report.finish();
}

fn transitions_per_second(deaths: &Deaths) -> f64 {
    deaths.lateness.len() as f64 * 1_000.0 / deaths.span_ms.max(1) as f64
}
