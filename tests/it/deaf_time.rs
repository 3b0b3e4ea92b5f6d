//! While the server cannot hear, heartbeats wait in sockets and in devices: nobody who is alive may
//! be told offline because of it, and whoever really stopped must be told all the same.

pub mod beaters;
mod clock;
mod refused_writes;

use std::time::Duration;

use beaters::{all, ids, Beaters};
use redis::Connection;

use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

/// How long each deaf time is, in milliseconds: twice the timeout.
const DEAF: i64 = 2_000;
const TIMEOUT: i64 = 1_000;
/// How late the death of a device that stopped may be told on a busy machine, in milliseconds.
const LATE: i64 = 1_000;

/// 1 000 healthy devices and one that falls silent just before live through a deaf time. `deafen`
/// begins it, and returns when it is over, or else with the milliseconds that it will still last.
#[track_caller]
fn live_through(server: &mut Server, deafen: impl FnOnce(&mut Server, &mut Connection) -> i64) {
    let mut con = server.connection();
    server.settle();
    let names = ids("live", 1_000);
    let beaters = Beaters::start(
        server,
        &names,
        Duration::from_millis(500),
        TIMEOUT.unsigned_abs(),
    );
    cmd!(con, "DEVICE.HEARTBEAT stopped TIMEOUT", TIMEOUT).items();
    // It dies in the deaf time: 0.5 s of its silence are heard.
    let seen = number(&mut con, "stopped", "last_seen");
    wait_for("half a timeout", SOON, || now_ms() > seen + TIMEOUT / 2);

    let start = now_ms();
    let left = deafen(server, &mut con);
    let end = now_ms() + left;
    assert!(server.is_alive());
    wait_until_offline(&mut con, "stopped");
    // The bounded look at what must not happen: the healthy ones go on beyond their timeout.
    beaters.wait_for_rounds(2);
    let beaters_late = beaters.late_ms();
    beaters.stop();

    let told = events(&mut con).of_type("offline");
    assert!(
        told.field("device_id") == ["stopped"],
        "told offline between {start} and {end} + {TIMEOUT}; the beaters were up to {beaters_late} \
         ms late themselves: {:?}",
        &told[..told.len().min(5)]
    );
    assert_eq!(told.field("reason"), ["timeout"]);
    let at = told[0].int("timestamp");
    // It heard again a moment before its answer got here.
    let earliest = (start + DEAF).min(end - 50) + TIMEOUT;
    assert!(
        (earliest..=end + TIMEOUT + LATE).contains(&at),
        "deaf from {start} to {end}, told at {at}"
    );
    // What of the living is left dies now, each once.
    wait_for("all are silent", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 0
    });
    assert_eq!(events(&mut con).of_type("offline").len(), 1_001);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn a_sleep_of_the_server() {
    live_through(&mut quick(), |_, con| {
        cmd!(con, "DEBUG SLEEP", DEAF / 1_000).text();
        0
    });
}

/// Keeps the server busy with a script for about [`DEAF`]: no clock goes on within a script on every
/// server, so it counts as far as a first try of it takes to tell.
#[track_caller]
fn busy_script(con: &mut Connection) {
    const COUNT: &str = "for i = 1, ARGV[1] do end";
    let (mut turns, mut took) = (1_000_000, 0);
    while took < 50 {
        turns *= 2;
        let start = now_ms();
        assert!(cmd!(con, "EVAL", COUNT, 0, turns).is_nil());
        took = now_ms() - start;
    }
    assert!(cmd!(con, "EVAL", COUNT, 0, turns * DEAF / took).is_nil());
}

#[test]
fn a_slow_script() {
    live_through(&mut quick(), |_, con| {
        busy_script(con);
        0
    });
}

/// The server answers BUSY meanwhile: heartbeats are refused, not only late.
#[test]
fn a_script_so_slow_that_clients_are_refused() {
    let builder = Server::builder().config("busy-reply-threshold", 100);
    let mut server = builder.config("devicestate.restart-grace", 0).start();
    live_through(&mut server, |_, con| {
        busy_script(con);
        0
    });
}

#[test]
fn a_pause_of_all_clients() {
    live_through(&mut quick(), |_, con| {
        cmd!(con, "CLIENT PAUSE", DEAF, "ALL").text();
        DEAF
    });
}

#[test]
fn a_pause_of_writes() {
    live_through(&mut quick(), |_, con| {
        cmd!(con, "CLIENT PAUSE", DEAF, "WRITE").text();
        DEAF
    });
}

#[test]
fn a_frozen_process() {
    live_through(&mut quick(), |server, con| {
        server.stop();
        let start = now_ms();
        wait_for("the frozen time passes", SOON, || now_ms() > start + DEAF);
        server.cont();
        cmd!(con, "PING").text();
        0
    });
}

/// The whole data set goes and comes again, and with it a restart's grace (here: none).
#[test]
fn a_reload_of_the_data_set() {
    live_through(&mut quick(), |_, con| {
        cmd!(con, "DEBUG RELOAD").text();
        0
    });
}

/// A stall that is shorter than the timeout but comes on top of a silence: two heartbeats of a
/// device are late at once.
#[test]
fn stalls_that_come_again_and_again() {
    let mut server = quick();
    live_through(&mut server, |_, con| {
        for _ in 0..3 {
            cmd!(con, "DEBUG SLEEP 0.7").text();
            // A moment for whatever waits.
            cmd!(con, "PING").text();
        }
        0
    });
}

/// A stall within a run of the sweeper must not go unnoticed either: in a storm it is there that the
/// server spends its time.
#[test]
fn a_process_that_is_frozen_in_the_middle_of_a_sweep() {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.sweep-budget-us", 100_000)
        .start();
    let mut con = server.connection();
    server.settle();
    let storm = ids("storm", 60_000);
    all(
        &mut con,
        storm.iter().map(|id| format!("DEVICE.HEARTBEAT {id}")),
    );
    let live = ids("live", 200);
    let beaters = Beaters::start(&server, &live, Duration::from_millis(250), 1_000);
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);

    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
    wait_for("the storm has begun", SOON, || {
        info_number(&mut con, "timed_out") > 0
    });
    server.stop();
    let start = now_ms();
    wait_for("the frozen time passes", SOON, || now_ms() > start + DEAF);
    server.cont();
    let left = storm.len() as i64 - info_number(&mut con, "timed_out");
    assert!(left > 0, "it was frozen after the storm");
    wait_for("the storm is over", SOON, || {
        info_number(&mut con, "timed_out") >= storm.len() as i64
    });
    beaters.wait_for_rounds(2);
    let told = events(&mut con).of_type("offline");
    let beaters_late = beaters.late_ms();
    beaters.stop();
    let of_live = told.only(|event| event.device().starts_with("live"));
    assert!(
        of_live.is_empty(),
        "{} living ones were told offline; the beaters were up to {beaters_late} ms late \
         themselves: {:?}",
        of_live.len(),
        &of_live[0]
    );
    assert_eq!(told.len(), storm.len());
    wait_for("all are silent", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 0
    });
    assert_told_once(&mut con);
}
