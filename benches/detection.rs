//! How late a death is told, as a subscriber outside the server sees it, and what a storm of deaths
//! does to the server's other clients. Both check that each death is told exactly once.
//!
//! `cargo build --release && cargo bench --bench detection`, or `scripts/bench detection`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use common::options::Number;
use common::scenarios::{self, storm, trickle, Deaths};
use common::{figures, machine, Options, Table};
use serde_json::{json, Value};
use support::*;

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
    let load = machine::load_average();
    let machine = machine::describe(&Server::builder().without_module().start(), load);
    machine::print(&machine);
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
    let idle = trickle(0);
    let busy = trickle(get("beats"));
    let storm = storm(&pinned(), get("storm"));

    println!("\nmilliseconds from last_seen + timeout to the subscriber");
    let mut table = Table::new(["scenario", "p50", "p99", "p99.9", "max", "server's max"]);
    let died = format!(
        "{} of {} die within {} ms",
        get("dying"),
        get("live") + get("dying"),
        get("window")
    );
    let beaten = format!("the same, {} heartbeats/s", get("beats"));
    let at_once = format!("{} die at once", get("storm"));
    for (name, deaths) in [(&died, &idle), (&beaten, &busy), (&at_once, &storm)] {
        let late = &deaths.lateness;
        table.row([
            name.clone(),
            format!("{:.0}", late.percentile(0.5)),
            format!("{:.0}", late.percentile(0.99)),
            format!("{:.0}", late.percentile(0.999)),
            format!("{:.0}", late.max()),
            deaths.lag_max.to_string(),
        ]);
    }
    table.print();

    println!("\nPING on a second connection meanwhile, milliseconds");
    let mut table = Table::new(["scenario", "p50", "p99", "max", "pings"]);
    for (name, deaths) in [(&died, &idle), (&beaten, &busy), (&at_once, &storm)] {
        let pings = &deaths.pings;
        table.row([
            name.clone(),
            format!("{:.2}", pings.percentile(0.5)),
            format!("{:.2}", pings.percentile(0.99)),
            format!("{:.2}", pings.max()),
            pings.len().to_string(),
        ]);
    }
    table.print();
    println!(
        "\nstorm: {} transitions in {} ms, {:.0} per second\nloading: {:.0} new devices per second",
        get("storm"),
        storm.span_ms,
        transitions_per_second(&storm),
        idle.devices as f64 / idle.load_seconds,
    );

    let figures = json!({
        "machine": machine,
        "quick": options.quick,
        "live": get("live"),
        "dying": get("dying"),
        "window_ms": get("window"),
        "beats_per_second": get("beats"),
        "one_after_the_other": in_file(&idle),
        "one_after_the_other_with_beats": in_file(&busy),
        "storm": in_file(&storm),
        "new_devices_per_second": idle.devices as f64 / idle.load_seconds,
        "load_average_after": machine::load_average(),
    });
    figures::write("detection", &figures);
}

fn transitions_per_second(deaths: &Deaths) -> f64 {
    deaths.lateness.len() as f64 * 1_000.0 / deaths.span_ms.max(1) as f64
}

fn in_file(deaths: &Deaths) -> Value {
    json!({
        "lateness_ms": deaths.lateness.percentiles(),
        "detection_lag_max_ms": deaths.lag_max,
        "ping_ms": deaths.pings.percentiles(),
        "span_ms": deaths.span_ms,
        "transitions_per_second": transitions_per_second(deaths),
    })
}
