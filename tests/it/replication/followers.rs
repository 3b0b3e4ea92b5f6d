//! Without append-only file, replica and backlog, nothing is prepared for them. Whoever begins to
//! follow while devices beat must miss nothing all the same.

use std::time::Duration;

use super::{assert_same, replica_of};
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::support::*;

/// A number of `INFO persistence`.
#[track_caller]
fn persistence(con: &mut redis::Connection, name: &str) -> i64 {
    let info = cmd!(con, "INFO persistence").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
fn a_replica_that_comes_while_devices_beat_misses_nothing() {
    let master = quick();
    let names = ids("live", 200);
    let beaters = Beaters::start(&master, &names, Duration::from_millis(20), 60_000);
    let replica = replica_of(&master);
    beaters.stop();
    assert_same(&master, &replica);
}

#[test]
fn an_append_only_file_that_is_switched_on_while_devices_beat_misses_nothing() {
    let mut server = quick();
    let mut con = server.connection();
    let names = ids("live", 200);
    let beaters = Beaters::start(&server, &names, Duration::from_millis(20), 60_000);
    cmd!(con, "CONFIG SET appendonly yes").text();
    wait_for("the file is there", SOON, || {
        persistence(&mut con, "aof_rewrite_in_progress") == 0
            && persistence(&mut con, "aof_base_size") >= 0
    });
    beaters.stop();
    let before = snapshot(&mut con);
    cmd!(con, "DEBUG LOADAOF").text();
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
    server.terminate();
}

#[test]
fn heartbeats_count_towards_the_next_snapshot() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    let before = persistence(&mut con, "rdb_changes_since_last_save");
    for _ in 0..50 {
        cmd!(con, "DEVICE.HEARTBEAT d").items();
    }
    let after = persistence(&mut con, "rdb_changes_since_last_save");
    assert_eq!(after - before, 50);
}
