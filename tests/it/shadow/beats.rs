//! Heartbeats and the shadow: what a beat answers, what proves life and what does not, unknown
//! devices, stale sessions.

use redis::Connection;
use serde_json::{json, Value};

use super::*;

/// `DEVICE.HEARTBEAT d <options>`: `[came_online, applied, version]` and the delta.
#[track_caller]
fn beat_for_delta(con: &mut Connection, options: &str) -> ([i64; 3], Value) {
    let reply = cmd!(con, &format!("DEVICE.HEARTBEAT d{options}"));
    assert_eq!(reply.items().len(), 5, "{reply:?}");
    assert_eq!(reply.at(4).int(), 0, "commands wait: {reply:?}");
    let numbers = [0, 1, 2].map(|index| reply.at(index).int());
    (numbers, delta_in(&reply.at(3)))
}

#[test]
fn a_bare_beat_answers_the_delta() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": {"b": 1}, "c": 2}));
    let delta = json!({"a": {"b": 1}, "c": 2});
    assert_eq!(beat_for_delta(&mut con, ""), ([1, 1, 1], delta.clone()));
    assert_eq!(
        beat_for_delta(&mut con, " SESSION 3"),
        ([0, 1, 1], delta.clone())
    );
    // An ignored one too.
    assert_eq!(beat_for_delta(&mut con, " SESSION 2"), ([0, 0, 1], delta));
    set(&mut con, "d", json!({"a": null, "c": null}));
    assert_eq!(beat_for_delta(&mut con, ""), ([0, 1, 2], Value::Null));
}

#[test]
fn a_beat_with_a_report_answers_what_is_left() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": {"b": 1}, "c": 2}));
    let left = beat_for_delta(&mut con, " REPORTED {\"c\":2}");
    assert_eq!(left, ([1, 1, 2], json!({"a": {"b": 1}})));
    let left = beat_for_delta(&mut con, " REPORTED {\"a\":{\"b\":1.0}}");
    assert_eq!(left, ([0, 1, 3], Value::Null));
    assert!(!is_out_of_sync(&mut con, "d"));
    let left = beat_for_delta(&mut con, " REPORTED {\"z\":0} REPLACE");
    assert_eq!(left, ([0, 1, 4], json!({"a": {"b": 1}, "c": 2})));
    assert!(is_out_of_sync(&mut con, "d"));
    // A report that comes too late leaves it as it was.
    beat_for_delta(&mut con, " SESSION 1 SEQ 5 REPORTED {\"c\":2}");
    let late = beat_for_delta(&mut con, " SESSION 1 SEQ 5 REPORTED {\"a\":{\"b\":1}}");
    assert_eq!(late, ([0, 0, 5], json!({"a": {"b": 1}})));
}

#[test]
fn a_steady_beat_of_a_device_out_of_sync_changes_last_seen_and_nothing_else() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    set(&mut con, "d", json!({"a": 1}));
    for _ in 0..3 {
        let before = snapshot_with_expiry(&mut con);
        wait_for_the_clock();
        assert_eq!(beat_for_delta(&mut con, ""), ([0, 1, 1], json!({"a": 1})));
        let changed = difference(&before, &snapshot_with_expiry(&mut con));
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed[0].starts_with("device:state:d - last_seen: "));
    }
}

#[test]
fn beats_and_reports_write_the_same_document() {
    let server = Server::start();
    let mut con = server.connection();
    beat_for_delta(&mut con, " REPORTED {\"a\":1}");
    assert_eq!(report(&mut con, "d", json!({"b": 2})), (2, Value::Null));
    assert_eq!(state(&mut con, "d"), json!({"reported": {"a": 1, "b": 2}}));
}

#[test]
fn unknown_devices_are_registered_and_are_not_alive() {
    let server = Server::start();
    let mut con = server.connection();
    for (id, line) in [
        ("set", "DEVICE.SHADOW.SET set {\"a\":1}"),
        ("report", "DEVICE.SHADOW.REPORT report {\"a\":1} SESSION 4"),
        ("update", "DEVICE.SHADOW.UPDATE update {\"state\":{}}"),
        ("named", "DEVICE.SHADOW.SET named {\"a\":1} NAME n"),
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
        assert_eq!(field(&mut con, id, "device_type").unwrap(), "unknown");
        assert_eq!(field(&mut con, id, "status").unwrap(), "offline");
        assert_eq!(number(&mut con, id, "last_seen"), 0);
        assert_eq!(events_of(&mut con, id)[0].kind(), "registered");
        assert_eq!(events_of(&mut con, id).of_type("online").len(), 0);
    }
    assert_eq!(cmd!(con, "DEVICE.COUNT OFFLINE").int(), 4);
    crate::consistency::assert_consistent(&mut con);
}

#[test]
fn without_auto_register_unknown_devices_are_refused() {
    let server = Server::builder()
        .config("devicestate.auto-register", "no")
        .start();
    let mut con = server.connection();
    for (line, contains) in [
        ("DEVICE.SHADOW.SET d {\"a\":1}", "'d'"),
        ("DEVICE.SHADOW.SET d {\"a\":1} NAME n", "'d'"),
        ("DEVICE.SHADOW.REPORT d {\"a\":1}", "'d'"),
        ("DEVICE.SHADOW.UPDATE d {\"state\":{}}", "404 "),
        ("DEVICE.SHADOW.DEL d", "'d'"),
        ("DEVICE.SHADOW.DEL d NAME n", "'d'"),
        ("DEVICE.SHADOW.NAMES d", "'d'"),
        ("DEVICE.DELTA d", "'d'"),
        ("DEVICE.DELTA d NAME n", "'d'"),
        ("DEVICE.HISTORY d", "'d'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "NODEVICE", contains);
    }
    assert_eq!(get(&mut con, "d"), Value::Null);
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
}

#[test]
fn the_registry_is_bounded_for_shadows_too() {
    let server = Server::builder()
        .config("devicestate.max-devices", 1)
        .start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    for line in [
        "DEVICE.SHADOW.SET e {\"a\":1}",
        "DEVICE.SHADOW.REPORT e {\"a\":1}",
        "DEVICE.SHADOW.UPDATE e {\"state\":{}}",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "LIMIT", "max-devices");
    }
    assert_eq!(set(&mut con, "d", json!({"a": 2})).0, 2);
}

#[test]
fn a_report_proves_no_life() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 300 SESSION 1").items();
    let seen = number(&mut con, "d", "last_seen");
    wait_for("the device times out among its reports", SOON, || {
        report_with(&mut con, "d", json!({"a": 1}), "SESSION 1");
        assert_eq!(number(&mut con, "d", "last_seen"), seen);
        !is_online(&mut con, "d")
    });
    report(&mut con, "d", json!({"a": 2}));
    set(&mut con, "d", json!({"a": 3}));
    assert!(!is_online(&mut con, "d"));
    assert_eq!(events_of(&mut con, "d").of_type("online").len(), 1);
}

#[test]
fn stale_reports_are_ignored_and_counted() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 7}));
    report_with(&mut con, "d", json!({"a": 1}), "SESSION 5 SEQ 10");
    let before = snapshot(&mut con);
    for stale in [
        "SESSION 4",
        "SESSION 4 SEQ 11",
        "SESSION 5 SEQ 10",
        "SESSION 5 SEQ 9 REPLACE",
    ] {
        let ignored = try_report(&mut con, "d", json!({"a": 7}), stale);
        assert_eq!(ignored, (0, 2, json!({"a": 7})), "{stale}");
    }
    let changed = difference(&before, &snapshot(&mut con));
    let counter = |line: &String| line.starts_with("device:state:d + ignored");
    assert!(changed.iter().all(counter), "{changed:?}");
    assert_eq!(number(&mut con, "d", "ignored"), 4);

    let next = report_with(&mut con, "d", json!({"a": 2}), "SESSION 5 SEQ 11");
    assert_eq!(next, (3, json!({"a": 7})));
    // A higher session starts SEQ afresh; the beats know it too.
    let higher = report_with(&mut con, "d", json!({"a": 3}), "SEQ 1 SESSION 6");
    assert_eq!(higher, (4, json!({"a": 7})));
    assert_eq!(beat_for_delta(&mut con, " SESSION 5").0, [0, 0, 4]);
    assert_eq!(report(&mut con, "d", json!({"a": 7})), (5, Value::Null));
}

#[test]
fn a_stale_report_with_a_wrong_version_is_no_conflict_or_changes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    report_with(&mut con, "d", json!({"a": 1}), "SESSION 5");
    let document = get(&mut con, "d")["state"].clone();
    let late = with_document(
        "DEVICE.SHADOW.REPORT",
        "d",
        &json!({"a": 2}),
        "SESSION 4 VERSION 9",
    );
    match con.run(&late) {
        Ok(reply) => assert_eq!(reply.at(0).int(), 0),
        Err(error) => assert_eq!(error.code(), Some("VERSIONCONFLICT")),
    }
    assert_eq!(state(&mut con, "d"), document);
    assert_eq!(number(&mut con, "d", "version"), 1);
}
