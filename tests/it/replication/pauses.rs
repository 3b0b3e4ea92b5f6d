//! Pauses and failovers in the middle of sweeps: a write of a timer then would end the server.

use std::time::Duration;

use redis::Connection;

use super::{assert_same, replica_of, wait_for_sync, LATE};
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids, Beaters};
use crate::devices::*;
use crate::support::*;

#[test]
fn pauses_in_the_middle_of_sweeps() {
    const MANY: usize = 20_000;
    let mut master = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.sweep-budget-us", 500)
        .start();
    let replica = replica_of(&master);
    let mut con = master.connection();
    master.settle();
    let names = ids("d", MANY);
    all(
        &mut con,
        names.iter().map(|id| format!("DEVICE.HEARTBEAT {id}")),
    );
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
    let mut in_the_middle = 0;
    for mode in ["WRITE", "ALL", "WRITE", "WRITE"] {
        let told = info_number(&mut con, "timed_out");
        wait_for("the sweep goes on", SOON, || {
            let now = info_number(&mut con, "timed_out");
            now > told || now == MANY as i64
        });
        cmd!(con, "CLIENT PAUSE 150", mode).text();
        // Answered only when the pause is over, if all are paused.
        let told = info_number(&mut con, "timed_out");
        in_the_middle += usize::from(told > 0 && told < MANY as i64);
        cmd!(con, "DEVICE.HEARTBEAT", "comes", "TIMEOUT", "1h").items();
    }
    assert!(in_the_middle > 0, "no pause was in the middle of a sweep");
    wait_for("all are told", SOON, || {
        info_number(&mut con, "timed_out") == MANY as i64
    });
    assert!(master.is_alive());
    assert_eq!(cmd!(con, "DEVICE.COUNT ONLINE").int(), 1);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
    assert_same(&master, &replica);
}

/// What a replica has been sent so far.
#[track_caller]
fn offset(replica: &mut Connection) -> i64 {
    let info = cmd!(replica, "INFO replication").text();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("slave_repl_offset:"));
    line.and_then(|offset| offset.parse().ok())
        .expect("an offset")
}

/// Deaf time: everybody gets a whole timeout after it, and whoever stays silent is told once.
#[test]
fn hundreds_that_fall_due_in_a_pause_are_told_once_after_it() {
    const MANY: usize = 500;
    // Long enough for a busy machine to bring the heartbeats to the replica before the pause.
    const TIMEOUT: i64 = 3_000;
    const PAUSE: i64 = 3_500;
    for mode in ["WRITE", "ALL"] {
        let master = Server::builder()
            .config("devicestate.restart-grace", 0)
            // Pings count in the offset too.
            .config("repl-ping-replica-period", 3_600)
            .start();
        master.settle();
        let replica = replica_of(&master);
        let (mut con, mut copy) = (master.connection(), replica.connection());
        let names = ids("d", MANY);
        all(
            &mut con,
            names
                .iter()
                .map(|id| format!("DEVICE.HEARTBEAT {id} TIMEOUT {TIMEOUT}")),
        );
        wait_for_sync(&master, &replica);
        let (before, earliest) = (offset(&mut copy), now_ms());
        cmd!(con, "CLIENT PAUSE", PAUSE, mode).text();
        let latest = now_ms();
        // The bounded look at what must not happen: nearly all of the pause.
        wait_for("the pause is nearly over", SOON, || {
            assert_eq!(
                offset(&mut copy),
                before,
                "written during a pause of {mode}"
            );
            now_ms() > earliest + PAUSE - 50
        });
        wait_for("all are told", SOON, || {
            info_number(&mut con, "timed_out") == MANY as i64
        });
        let told = events(&mut con).of_type("offline");
        assert_eq!(told.len(), MANY);
        let due = earliest + PAUSE + TIMEOUT..=latest + PAUSE + TIMEOUT + LATE;
        for event in told.iter() {
            let at = event.int("timestamp");
            assert!(due.contains(&at), "{mode}: {due:?}: {event:?}");
        }
        assert_consistent(&mut con);
        assert_told_once(&mut con);
        assert_same(&master, &replica);
    }
}

/// The failover that operators and managed services do: writes are paused, the replica is
/// promoted, the master becomes its replica.
#[test]
fn a_coordinated_failover_under_traffic() {
    let (mut old, often) = (quick(), Duration::from_millis(100));
    let mut new = replica_of(&old);
    let live = ids("live", 100);
    // As a client library does, devices go on at whichever takes writes.
    let at_old = Beaters::start(&old, &live, often, 500);
    let silent = Beaters::start(&old, &ids("silent", 20), often, 500);
    let (mut o, mut n) = (old.connection(), new.connection());
    // Something is swept all the time.
    for _ in 0..20 {
        all(
            &mut o,
            (0..50).map(|i| format!("DEVICE.HEARTBEAT churn-{i} TIMEOUT 100")),
        );
    }
    silent.stop();
    cmd!(o, "FAILOVER").text();
    wait_for("the roles have changed", SOON, || {
        cmd!(n, "ROLE").at(0).text() == "master" && cmd!(o, "ROLE").at(0).text() == "slave"
    });
    let at_new = Beaters::start(&new, &live, often, 500);
    drop(at_old);
    assert!(old.is_alive() && new.is_alive());
    wait_for("the silent ones are told", SOON, || {
        let told = events(&mut n).of_type("offline");
        told.only(|event| event.device().starts_with("silent"))
            .len()
            >= 20
    });
    at_new.wait_for_rounds(6);
    let told = events(&mut n).of_type("offline");
    let of_live = told.only(|event| event.device().starts_with("live"));
    let late = at_new.late_ms();
    assert_eq!(of_live.0, [], "the beaters were up to {late} ms late");
    at_new.stop();
    wait_for("all are silent", SOON, || {
        cmd!(n, "DEVICE.COUNT ONLINE").int() == 0
    });
    wait_for_sync(&new, &old);
    assert_consistent(&mut n);
    assert_told_once(&mut n);
    assert_same(&new, &old);
}
