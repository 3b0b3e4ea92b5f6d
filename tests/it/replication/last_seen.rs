//! What a heartbeat costs replicas, and `devicestate.last-seen-interval`, which makes it cost less.

use super::*;

fn offset(con: &mut Connection) -> i64 {
    let info = cmd!(con, "INFO replication").text();
    let line = info
        .lines()
        .find_map(|l| l.strip_prefix("master_repl_offset:"));
    line.and_then(|n| n.parse().ok()).expect("an offset")
}

/// A master whose stream to its replicas carries nothing but what the test says, and a replica.
fn pair(interval: &str) -> (Server, Server) {
    let master = builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.last-seen-interval", interval)
        .config("repl-ping-replica-period", 3600)
        .start();
    master.settle();
    let replica = replica_of(&master);
    (master, replica)
}

#[test]
fn a_steady_heartbeat_takes_at_most_120_bytes_of_the_stream_to_replicas() {
    let (master, _replica) = pair("0");
    let mut con = master.connection();
    let id = "d-0000000000";
    beat(&mut con, id);
    let before = offset(&mut con);
    for _ in 0..100 {
        beat(&mut con, id);
    }
    let bytes = (offset(&mut con) - before) / 100;
    assert!((1..=120).contains(&bytes), "{bytes} bytes");
}

#[test]
fn within_the_interval_replicas_are_told_of_changes_only() {
    let (master, replica) = pair("1h");
    let (mut m, mut r) = (master.connection(), replica.connection());
    cmd!(m, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    wait_for_sync(&master, &replica);
    let first = number(&mut r, "d", "last_seen");
    let before = offset(&mut m);
    let mut seen = first;
    // In an unlucky run an hour of this device's begins in between: then it is told once.
    let mut told = 0;
    for _ in 0..50 {
        wait_for_the_clock();
        let offset_before = offset(&mut m);
        beat(&mut m, "d");
        told += i32::from(offset(&mut m) != offset_before);
        let now = number(&mut m, "d", "last_seen");
        assert!(now > seen, "the master knows every sign of life");
        seen = now;
    }
    assert!(told <= 1, "told {told} times");
    if told == 0 {
        assert_eq!(offset(&mut m), before);
        assert_eq!(number(&mut r, "d", "last_seen"), first);
    }

    // A report is a change, and brings what the replica missed.
    cmd!(m, r#"DEVICE.HEARTBEAT d REPORTED {"a":1}"#).items();
    assert_same(&master, &replica);
    // So is the end, at the exact time.
    wait_for_the_clock();
    beat(&mut m, "d");
    cmd!(m, "DEVICE.OFFLINE d").int();
    assert_same(&master, &replica);
    assert_consistent(&mut m);
    assert_consistent(&mut r);
}

/// The index of offline devices is sorted by it, on replicas too.
#[test]
fn whose_time_is_up_is_told_with_its_last_sign_of_life() {
    let (master, replica) = pair("1h");
    let mut con = master.connection();
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    wait_for_the_clock();
    beat(&mut con, "d");
    wait_for_the_clock();
    let shorter = "CONFIG SET devicestate.heartbeat-timeout 100";
    cmd!(con, shorter).text();
    wait_for("it is offline", SOON, || {
        cmd!(con, "DEVICE.COUNT OFFLINE").int() == 1
    });
    assert_same(&master, &replica);
    assert_consistent(&mut replica.connection());
}

#[test]
fn after_a_promotion_a_device_that_goes_on_beating_stays_online() {
    let (mut master, replica) = pair("1h");
    let often = Duration::from_millis(50);
    let live = Beaters::start(&master, &ids("live", 20), often, 1_000);
    live.wait_for_rounds(30);
    master.kill_hard();
    drop(live);
    let mut con = replica.connection();
    cmd!(con, "REPLICAOF NO ONE").text();
    // What it knows of the devices is older than their timeout.
    let live = Beaters::start(&replica, &ids("live", 20), often, 1_000);
    live.wait_for_rounds(30);
    assert_eq!(events(&mut con).of_type("offline").len(), 0);
    live.stop();
    assert_told_once(&mut con);
}
