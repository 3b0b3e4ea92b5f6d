//! What hands and accidents do to the index of the devices out of sync: it ends up as the
//! documents say.

use redis::Connection;
use serde_json::{json, Value};

use super::*;
use crate::check::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::all;

/// `in-0` ... are in sync, `out-0` ... are not.
#[track_caller]
pub fn small_fleet(con: &mut Connection) {
    let lines = (0..4).flat_map(|i| {
        [
            format!("DEVICE.SHADOW.SET in-{i} {{\"a\":1}}"),
            format!("DEVICE.HEARTBEAT in-{i} TIMEOUT 1h REPORTED {{\"a\":1}}"),
            format!("DEVICE.SHADOW.SET out-{i} {{\"a\":1}}"),
            format!("DEVICE.SHADOW.REPORT out-{i} {{\"a\":2}}"),
        ]
    });
    all(con, lines);
    assert_consistent(con);
}

/// Found by the fuzzer: it was taken for no delta, though its device counted as out of sync.
#[test]
fn a_stored_delta_that_is_no_text_is_mended() {
    let server = quick();
    let mut con = server.connection();
    small_fleet(&mut con);
    for junk in [&b""[..], b"\xff", b"{\"a\":\xff}", b"{}", b"null"] {
        for (id, outstanding) in [("in-0", ""), ("out-0", r#"{"a":1}"#)] {
            cmd!(con, "HSET", format!("device:state:{id}"), "delta", junk).int();
            check(&mut con, "REPAIR");
            clean(&check(&mut con, "").0);
            assert_consistent(&mut con);
            let delta = field(&mut con, id, "delta").unwrap_or_default();
            assert_eq!(delta, outstanding, "{id}");
        }
    }
}

#[test]
fn damage_of_the_index_is_found_then_mended() {
    let server = quick();
    let mut con = server.connection();
    for fault in [
        "SREM devices:outofsync out-0",
        "DEL devices:outofsync",
        "SADD devices:outofsync in-0",
        "SADD devices:outofsync ghost",
        "SADD devices:outofsync {no-id}",
        "SADD devices:outofsync a\tb",
        "DEL device:state:out-1",
    ] {
        cmd!(con, "FLUSHALL").text();
        small_fleet(&mut con);
        assert_eq!(clean(&check(&mut con, "").0), 8, "{fault}");
        let told = events(&mut con);
        assert!(cmd!(con, fault).is_ok(), "{fault}");
        assert!(
            !inconsistencies(&mut con).is_empty(),
            "{fault} broke nothing"
        );

        let before = snapshot_with_expiry(&mut con);
        let (found, _) = check(&mut con, "");
        let sum: i64 = found.values().sum();
        assert!(sum > found["checked"], "{fault} was not found: {found:?}");
        assert_eq!(found["mended"], 0, "{fault}");
        let after = snapshot_with_expiry(&mut con);
        assert_eq!(difference(&before, &after), Vec::<String>::new(), "{fault}");

        assert!(check(&mut con, "REPAIR").0["mended"] > 0, "{fault}");
        clean(&check(&mut con, "").0);
        assert_eq!(inconsistencies(&mut con), Vec::<String>::new(), "{fault}");
        assert_eq!(events(&mut con), told, "{fault} told something");
    }
}

#[test]
fn a_member_that_is_no_text_is_mended_too() {
    let server = quick();
    let mut con = server.connection();
    small_fleet(&mut con);
    cmd!(con, "SADD", "devices:outofsync", &b"\xff\0%n"[..]).int();
    assert_eq!(check(&mut con, "REPAIR").0["mended"], 1);
    assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 4);
    assert_consistent(&mut con);
}

#[test]
fn a_desired_state_written_by_other_hands_is_seen() {
    let server = quick();
    let mut con = server.connection();
    for id in ["beats", "silent", "met"] {
        cmd!(
            con,
            "DEVICE.HEARTBEAT",
            id,
            "TIMEOUT",
            "1h",
            "REPORTED",
            "{\"a\":1}"
        )
        .items();
    }
    set(&mut con, "met", json!({"a": 2}));
    for (id, desired) in [("beats", 2), ("silent", 2), ("met", 1)] {
        let document = json!({"a": desired}).to_string();
        cmd!(
            con,
            "HSET",
            format!("device:state:{id}"),
            "desired_state",
            document
        )
        .int();
    }
    wait_for("the index says what the documents say", SOON, || {
        cmd!(con, "SMEMBERS devices:outofsync").sorted() == ["beats", "silent"]
    });
    assert_eq!(state(&mut con, "silent")["delta"], json!({"a": 2}));
    assert_eq!(state(&mut con, "met")["delta"], Value::Null);
    let reply = cmd!(con, "DEVICE.HEARTBEAT beats");
    assert_eq!(delta_in(&reply.at(3)), json!({"a": 2}));
    assert_consistent(&mut con);
    clean(&check(&mut con, "").0);
}

#[test]
fn a_write_after_other_hands_computes_the_delta_from_the_documents() {
    let server = quick();
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1, "b": 1}));
    let by_hand = "redis.call('HSET', KEYS[1], 'desired_state', '{\"a\":2,\"b\":2}') \
                   return redis.call('DEVICE.SHADOW.REPORT', 'd', '{\"a\":2}')";
    let reply = cmd!(con, "EVAL", by_hand, 2, "device:state:d", "d");
    assert_eq!(delta_in(&reply.at(2)), json!({"b": 2}));
    assert!(is_out_of_sync(&mut con, "d"));
    assert_consistent(&mut con);
}

#[test]
fn check_recomputes_a_delta_that_was_tampered_with() {
    let server = quick();
    let mut con = server.connection();
    small_fleet(&mut con);
    for line in [
        "HDEL device:state:out-0 delta",
        "HSET device:state:out-1 delta {\"x\":9}",
        "HSET device:state:in-0 delta {\"x\":9}",
        "HDEL device:state:out-2 reported_state",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    check(&mut con, "REPAIR");
    for (id, delta) in [
        ("out-0", json!({"a": 1})),
        ("out-1", json!({"a": 1})),
        ("in-0", Value::Null),
        ("out-2", json!({"a": 1})),
    ] {
        assert_eq!(state(&mut con, id)["delta"], delta, "{id}");
        assert_eq!(is_out_of_sync(&mut con, id), !delta.is_null(), "{id}");
    }
    clean(&check(&mut con, "").0);
    assert_consistent(&mut con);
}

#[test]
fn broken_documents_by_other_hands_stop_nobody() {
    let mut server = quick();
    let mut con = server.connection();
    for (id, document) in [
        ("bad", "{"),
        ("array", "[1]"),
        ("null", "null"),
        ("empty", ""),
    ] {
        report(&mut con, id, json!({"a": 1}));
        cmd!(
            con,
            "HSET",
            format!("device:state:{id}"),
            "desired_state",
            document
        )
        .int();
    }
    set(&mut con, "good", json!({"a": 1}));
    cmd!(con, "SREM devices:outofsync good").int();
    check(&mut con, "REPAIR");
    assert!(is_out_of_sync(&mut con, "good"));
    for id in ["bad", "array", "null", "empty"] {
        // Whatever they answer: an answer, and the device goes on.
        for line in [
            "DEVICE.SHADOW.GET",
            "DEVICE.DELTA",
            "DEVICE.HEARTBEAT",
            "DEVICE.GET",
        ] {
            let _ = cmd!(con, line, id);
        }
        assert!(
            cmd!(con, "DEVICE.SHADOW.SET", id, "{\"a\":1}", "REPLACE").is_ok(),
            "{id}"
        );
        assert_eq!(state(&mut con, id)["desired"], json!({"a": 1}), "{id}");
        assert!(!is_out_of_sync(&mut con, id), "{id}");
    }
    assert!(server.is_alive());
    assert_consistent(&mut con);
}

#[test]
fn a_restored_hash_is_in_the_index_again() {
    let server = quick();
    let mut con = server.connection();
    small_fleet(&mut con);
    let dump = cmd!(con, "DUMP device:state:out-0").bytes();
    let named = {
        set_with(&mut con, "out-0", json!({"n": 1}), "NAME n");
        cmd!(con, "DUMP device:shadows:out-0").bytes()
    };
    cmd!(con, "DEVICE.REMOVE out-0").int();
    assert!(!is_out_of_sync(&mut con, "out-0"));
    cmd!(con, "RESTORE", "device:state:out-0", 0, dump).text();
    cmd!(con, "RESTORE", "device:shadows:out-0", 0, named).text();
    wait_for("it is found", SOON, || is_out_of_sync(&mut con, "out-0"));
    wait_for("in every index", SOON, || {
        inconsistencies(&mut con).is_empty()
    });
    assert_eq!(state(&mut con, "out-0")["delta"], json!({"a": 1}));
    assert_eq!(cmd!(con, "DEVICE.SHADOW.NAMES out-0").texts(), ["n"]);
    clean(&check(&mut con, "").0);
}
