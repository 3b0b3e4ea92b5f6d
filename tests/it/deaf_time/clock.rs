//! The wall clock is set, or the machine was suspended: what was heard before is not silence.

use redis::Connection;

use super::beaters::{all, ids};
use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

const HOUR: i64 = 3_600;

/// A settled server without the grace that follows a start, and its clock.
#[track_caller]
fn start() -> (Server, WallClock, Connection) {
    let clock = WallClock::new();
    let builder = Server::builder().config("devicestate.restart-grace", 0);
    let server = clock.of(builder).start();
    server.settle();
    let con = server.connection();
    (server, clock, con)
}

/// Who was told offline.
#[track_caller]
fn dead(con: &mut Connection) -> Vec<String> {
    let told = events(con).of_type("offline");
    told.iter().map(|event| event.device().to_owned()).collect()
}

/// The heartbeats come before the server's timer has seen that the clock jumped.
#[test]
fn heartbeats_right_after_a_jump_ahead_are_no_outage() {
    let (_server, clock, mut con) = start();
    let names = ids("d", 100);
    let beats = || {
        names
            .iter()
            .map(|id| format!("DEVICE.HEARTBEAT {id} TIMEOUT 60s"))
    };
    all(&mut con, beats());
    for hours in 1..=10 {
        clock.set(hours * HOUR);
        all(&mut con, beats());
        assert_eq!(dead(&mut con), [""; 0]);
    }
    assert_told_once(&mut con);
}

#[test]
fn whoever_falls_silent_dies_whichever_way_the_clock_was_set() {
    let (_server, clock, mut con) = start();
    for (round, seconds) in [HOUR, 0, -HOUR, HOUR].into_iter().enumerate() {
        let id = format!("d-{round}");
        cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", 500).items();
        cmd!(con, "DEVICE.HEARTBEAT lives TIMEOUT 1h").items();
        clock.set(seconds);
        wait_until_offline(&mut con, &id);
    }
    assert_eq!(dead(&mut con), ["d-0", "d-1", "d-2", "d-3"]);
    assert_told_once(&mut con);
    assert_consistent(&mut con);
}

/// Nobody can be told while it is set back: the deadlines of the old clock must not stay.
#[test]
fn a_clock_that_is_set_back_in_a_pause() {
    let (server, clock, mut con) = start();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1s").items();
    cmd!(con, "CLIENT PAUSE 60000 WRITE").text();
    wait_for("the server is deaf", SOON, || {
        info(&mut con)["hearing"] == "no (paused)"
    });
    clock.set(-HOUR);
    wait_for("the jump is noticed", SOON, || {
        server.log().contains("the wall clock jumped")
    });
    cmd!(con, "CLIENT UNPAUSE").text();
    wait_until_offline(&mut con, "d");
    assert_eq!(dead(&mut con), ["d"]);
}

/// The server's timers go by the wall clock: one that was armed before it was set back would not fire.
#[test]
fn clients_that_wait_for_events_are_answered_after_the_clock_was_set_back() {
    let (server, clock, mut con) = start();
    let mut clients = ["1500", "0"].map(|ms| {
        let mut client = Raw::connect(&server);
        client.send_args(&["DEVICE.EVENTS", "AFTER", "$", "BLOCK", ms]);
        client
    });
    wait_for("both wait", SOON, || {
        server_info(&mut con, "clients", "blocked_clients") == 2
    });
    clock.set(-HOUR);
    for client in &mut clients {
        client.read();
        cmd!(con, "DEVICE.REGISTER d sensor").int();
    }
}
