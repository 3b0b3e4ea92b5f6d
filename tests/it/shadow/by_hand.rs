//! Fields of the shadow that other hands filled with nonsense: every command answers, none crashes,
//! and the next good write puts things right.

use redis::Connection;
use serde_json::json;

use super::*;

const NONSENSE: &[&[u8]] = &[
    b"",
    b" ",
    b"x",
    b"\xff\0",
    b"%n%s%d",
    b"-1",
    b"1.5",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1*99999999999999999999",
    b"1*4294967295 +1*4294967295",
    b"-9223372036854775808*2",
    b"18446744073709551615 +1",
    b"{",
    b"{}",
    b"[]",
    b"[null]",
    b"null",
    b"{\"a\":null}",
    b"{\"a\":1,\"a\":2}",
    b"{\"a\":[null]}",
    b"{\"a\":1e999}",
    b"{\"a\":\"\\ud800\"}",
];

const READS: &[&str] = &[
    "DEVICE.SHADOW.GET d",
    "DEVICE.SHADOW.GET d NAME n",
    "DEVICE.SHADOW.NAMES d",
    "DEVICE.DELTA d",
    "DEVICE.DELTA d NAME n",
    "DEVICE.HISTORY d",
    "DEVICE.GET d",
    "DEVICE.WHY d",
    "DEVICE.LIST OUTOFSYNC",
    "DEVICE.CHECK 0",
];

const WRITES: &[&str] = &[
    "DEVICE.HEARTBEAT d",
    "DEVICE.HEARTBEAT d REPORTED {\"a\":{\"b\":1}}",
    "DEVICE.SHADOW.SET d {\"a\":{\"b\":2}}",
    "DEVICE.SHADOW.REPORT d {\"a\":3}",
    "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"a\":1}}}",
    "DEVICE.SHADOW.SET d {\"a\":{\"b\":2}} NAME n",
    "DEVICE.SHADOW.REPORT d {\"a\":3} NAME n",
    "DEVICE.SHADOW.DEL d NAME n",
    "DEVICE.SHADOW.DEL d",
    "DEVICE.CHECK 0 REPAIR",
];

/// Both shadows, out of sync.
#[track_caller]
fn populate(con: &mut Connection) {
    for options in ["", "NAME n"] {
        set_with(con, "d", json!({"a": 1, "b": 2}), options);
        report_with(con, "d", json!({"a": 2}), options);
    }
}

/// An answer or an error of one of the codes of the contract; the server goes on.
#[track_caller]
fn answers(con: &mut Connection, line: &str, key: &str, part: &str, nonsense: &[u8]) {
    let Err(error) = cmd!(con, line) else { return };
    let known = [
        "ERR",
        "BADJSON",
        "WRONGTYPE",
        "NOSHADOW",
        "VERSIONCONFLICT",
        "TOOLARGE",
    ];
    let of_contract = error.code().is_some_and(|code| known.contains(&code));
    let shown = nonsense.escape_ascii();
    assert!(of_contract, "{key} {part} {shown}: {line}: {error}");
    assert!(!error.to_string().contains("panic"), "{line}: {error}");
}

#[test]
fn nonsense_in_any_field_stops_no_command() {
    let mut server = quick();
    let mut con = server.connection();
    let classic = [
        "version",
        "reported_state",
        "desired_state",
        "reported_meta",
        "desired_meta",
        "delta",
    ];
    let named = [
        "version:n",
        "reported:n",
        "desired:n",
        "reported_meta:n",
        "desired_meta:n",
        "delta:n",
        "deleted:n",
        "nonsense",
        ":",
        "",
        "version:",
        "deleted:{x}",
    ];
    let parts = classic.map(|part| ("device:state:d", part)).into_iter();
    let parts = parts.chain(named.map(|part| ("device:shadows:d", part)));
    for (key, part) in parts {
        for nonsense in NONSENSE {
            for write in WRITES {
                cmd!(con, "FLUSHALL").text();
                populate(&mut con);
                cmd!(con, "HSET", key, part, *nonsense).int();
                for line in READS.iter().chain([write]) {
                    answers(&mut con, line, key, part, nonsense);
                }
            }
        }
    }
    assert!(server.is_alive());
    assert!(!server.log().contains("panic"), "{}", server.log());
}

/// Taking such a text apart used up the stack: whoever may write the hash could end the server.
#[test]
fn a_document_that_nests_without_end_ends_no_server() {
    let mut server = quick();
    let mut con = server.connection();
    let deep = format!("{}1{}", "{\"a\":".repeat(300_000), "}".repeat(300_000));
    for part in ["reported_state", "desired_state", "delta"] {
        for write in WRITES {
            cmd!(con, "FLUSHALL").text();
            populate(&mut con);
            cmd!(con, "HSET", "device:state:d", part, &deep).int();
            for line in READS.iter().chain([write]) {
                answers(&mut con, line, "device:state:d", part, b"a deep text");
            }
        }
    }
    assert!(server.is_alive());
}

#[test]
fn replace_puts_a_broken_document_right() {
    let server = quick();
    let mut con = server.connection();
    for broken in NONSENSE {
        cmd!(con, "FLUSHALL").text();
        populate(&mut con);
        for part in ["reported_state", "desired_state"] {
            cmd!(con, "HSET", "device:state:d", part, *broken).int();
        }
        let shown = broken.escape_ascii();
        for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
            let reply = cmd!(con, command, "d", "{\"a\":1}", "REPLACE");
            assert!(reply.is_ok(), "{shown}: {reply:?}");
        }
        let both = json!({"desired": {"a": 1}, "reported": {"a": 1}});
        assert_eq!(state(&mut con, "d"), both, "{shown}");
        assert!(!is_out_of_sync(&mut con, "d"), "{shown}");
        crate::consistency::assert_consistent(&mut con);
    }
}

#[test]
fn a_version_at_the_end_of_the_numbers_never_goes_back() {
    let server = quick();
    let mut con = server.connection();
    for version in [i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        cmd!(con, "FLUSHALL").text();
        set(&mut con, "d", json!({"a": 1}));
        cmd!(con, "HSET", "device:state:d", "version", version).int();
        for turn in 0..3 {
            // Refused or counted on, but never less than it was.
            let _ = cmd!(con, "DEVICE.SHADOW.SET", "d", format!("{{\"a\":{turn}}}"));
            let stored = field(&mut con, "d", "version").unwrap();
            let stored: u64 = stored.parse().expect("a number");
            assert!(stored >= version, "{stored} after {version}");
        }
    }
}

#[test]
fn a_report_of_other_members_takes_in_what_other_hands_desired() {
    let server = quick();
    let mut con = server.connection();
    let report = |con: &mut Connection, x: u64| {
        let reported = format!("{{\"x\":{x}}}");
        let reply = cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", reported);
        delta_in(&reply.at(3))
    };
    assert_eq!(report(&mut con, 1), Value::Null);
    set(&mut con, "d", json!({"a": 1}));
    assert_eq!(report(&mut con, 2), json!({"a": 1}));
    cmd!(con, "HSET", "device:state:d", "desired_state", "{\"b\":2}").int();
    assert_eq!(report(&mut con, 3), json!({"b": 2}));
    cmd!(con, "HDEL", "device:state:d", "desired_state").int();
    assert_eq!(report(&mut con, 4), Value::Null);
    assert!(!is_out_of_sync(&mut con, "d"));
    crate::consistency::assert_consistent(&mut con);
}
