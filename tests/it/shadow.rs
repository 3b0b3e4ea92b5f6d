//! `DEVICE.SHADOW.*`, `DEVICE.DELTA` and `DEVICE.HISTORY`: what devices report, what is desired of
//! them, and what is outstanding between the two. Here: the replies and the version.

mod aws_documents;
mod aws_errors;
mod bad_input;
mod beats;
mod by_hand;
mod calls;
mod churn;
mod concurrency;
mod hard_times;
mod history;
mod history_caps;
mod keeping;
mod limits;
mod mending;
mod merge_vectors;
mod metadata;
mod model;
mod mutants;
mod named;
mod out_of_sync;
mod replication;
mod reports;
mod telling;
mod vectors;
mod versions;
mod wrong_type;

use redis::{Cmd, Connection};
use serde_json::{json, Value};

use self::calls::*;
use crate::devices::*;
use crate::support::*;

#[test]
fn set_and_report_answer_the_version_and_what_is_outstanding() {
    let server = Server::start();
    let mut con = server.connection();
    let whole = json!({"led": "on", "fan": {"rpm": 300}});
    assert_eq!(set(&mut con, "d", whole.clone()), (1, whole));
    let led = report(&mut con, "d", json!({"led": "on"}));
    assert_eq!(led, (2, json!({"fan": {"rpm": 300}})));
    let fan = report(&mut con, "d", json!({"fan": {"rpm": 300}}));
    assert_eq!(fan, (3, Value::Null));
    let again = set(&mut con, "d", json!({"fan": {"rpm": 0}}));
    assert_eq!(again, (4, json!({"fan": {"rpm": 0}})));
    let withdrawn = set(&mut con, "d", json!({"fan": null}));
    assert_eq!(withdrawn, (5, Value::Null));
}

#[test]
fn the_replies_are_these_bytes_in_both_protocols() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    for (protocol, null) in [("2", "$-1\r\n"), ("3", "_\r\n")] {
        raw.call(&["HELLO", protocol]);
        raw.call(&["DEVICE.REMOVE", "d"]);
        for (words, reply) in [
            (&["DEVICE.SHADOW.GET", "d"][..], null.to_owned()),
            (
                &["DEVICE.SHADOW.SET", "d", "{ \"a\" : 1 }"],
                "*2\r\n:1\r\n$7\r\n{\"a\":1}\r\n".to_owned(),
            ),
            (
                &["DEVICE.SHADOW.REPORT", "d", "{\"a\":1}"],
                format!("*3\r\n:1\r\n:2\r\n{null}"),
            ),
            (
                &["DEVICE.SHADOW.SET", "d", "{\"a\":1}"],
                format!("*2\r\n:3\r\n{null}"),
            ),
            (&["DEVICE.SHADOW.NAMES", "d"], "*0\r\n".to_owned()),
            (&["DEVICE.SHADOW.GET", "d", "NAME", "x"], null.to_owned()),
            (&["DEVICE.SHADOW.GET", "nobody"], null.to_owned()),
        ] {
            let got = raw.call(words);
            assert_eq!(String::from_utf8_lossy(&got), reply, "{words:?}");
        }
        let history = raw.call(&["DEVICE.HISTORY", "d"]);
        let map = if protocol == "2" { "\r\n*" } else { "\r\n%" };
        let history = String::from_utf8_lossy(&history);
        assert!(history.starts_with("*2\r\n*2\r\n$"), "{history}");
        assert!(history.contains(map), "{history}");
    }
}

#[test]
fn get_answers_the_whole_shadow() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(get(&mut con, "d"), Value::Null);
    beat(&mut con, "d");
    assert_eq!(get(&mut con, "d"), Value::Null);

    let before = now_ms();
    set(&mut con, "d", json!({"a": 1, "b": {"c": 2}}));
    report(&mut con, "d", json!({"a": 1, "x": true}));
    let whole = get(&mut con, "d");
    assert_eq!(
        whole["state"],
        json!({
            "desired": {"a": 1, "b": {"c": 2}},
            "reported": {"a": 1, "x": true},
            "delta": {"b": {"c": 2}},
        })
    );
    assert_eq!(whole["version"], 2);
    let timestamp = whole["timestamp"].as_i64().expect("a time");
    assert!((before..=now_ms()).contains(&timestamp), "{timestamp}");
    let names: Vec<_> = whole
        .as_object()
        .map(|o| o.keys().cloned().collect())
        .unwrap();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn empty_sections_are_left_out() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    assert_eq!(
        state(&mut con, "d"),
        json!({"desired": {"a": 1}, "delta": {"a": 1}})
    );
    report(&mut con, "d", json!({"a": 1}));
    let both = json!({"desired": {"a": 1}, "reported": {"a": 1}});
    assert_eq!(state(&mut con, "d"), both);
    set(&mut con, "d", json!({"a": null}));
    assert_eq!(state(&mut con, "d"), json!({"reported": {"a": 1}}));
    assert_eq!(field(&mut con, "d", "desired_state"), None);
    report(&mut con, "d", json!({"a": null}));
    assert_eq!(state(&mut con, "d"), json!({}));
    // It exists all the same.
    assert_eq!(field(&mut con, "d", "reported_state").unwrap(), "{}");
    assert_eq!(get(&mut con, "d")["version"], 4);
}

#[test]
fn replace_takes_the_place_of_the_whole_section() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", json!({"r": 1}));
    set(&mut con, "d", json!({"a": 1, "b": {"c": 2}}));
    let replaced = set_with(&mut con, "d", json!({"b": {"x": null, "y": 7}}), "REPLACE");
    assert_eq!(replaced, (3, json!({"b": {"y": 7}})));
    let replaced = report_with(&mut con, "d", json!({"b": {"y": 7}}), "replace");
    assert_eq!(replaced, (4, Value::Null));
    let both = json!({"desired": {"b": {"y": 7}}, "reported": {"b": {"y": 7}}});
    assert_eq!(state(&mut con, "d"), both);
    assert_eq!(
        set_with(&mut con, "d", json!({}), "REPLACE"),
        (5, Value::Null)
    );
    assert_eq!(state(&mut con, "d"), json!({"reported": {"b": {"y": 7}}}));
}

#[test]
fn a_version_must_be_the_current_one() {
    let server = Server::start();
    let mut con = server.connection();
    let too_early = ["DEVICE.SHADOW.SET", "d", "{\"a\":1}", "VERSION", "1"];
    let error = expect_refusal(&mut con, &too_early, "VERSIONCONFLICT", "");
    let text = "VERSIONCONFLICT VERSION: 1 is not the current version, which is 0";
    assert_eq!(error, text);
    assert_eq!(cmd!(con, "DBSIZE").int(), 0, "a refused command registered");

    assert_eq!(set_with(&mut con, "d", json!({"a": 1}), "VERSION 0").0, 1);
    let report_first = report_with(&mut con, "d", json!({"b": 1}), "version 1");
    assert_eq!(report_first.0, 2);
    assert_eq!(set_with(&mut con, "d", json!({}), "VERSION 2 REPLACE").0, 3);
    for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
        for version in ["0", "2", "4", "18446744073709551615"] {
            let words = [command, "d", "{\"a\":9}", "VERSION", version];
            let error = expect_refusal(&mut con, &words, "VERSIONCONFLICT", "");
            let text = format!(
                "VERSIONCONFLICT VERSION: {version} is not the current version, which is 3"
            );
            assert_eq!(error, text);
        }
    }
}

#[test]
fn what_changes_nothing_counts_in_the_version() {
    let server = Server::start();
    let mut con = server.connection();
    for (turn, document) in [
        json!({"a": 1}),
        json!({"a": 1}),
        json!({}),
        json!({"b": null}),
    ]
    .into_iter()
    .enumerate()
    {
        let version = 2 * turn as i64;
        assert_eq!(set(&mut con, "d", document.clone()).0, version + 1);
        assert_eq!(report(&mut con, "d", document), (version + 2, Value::Null));
    }
    assert_eq!(number(&mut con, "d", "version"), 8);
}

#[test]
fn delete_answers_the_version_and_the_shadow_is_gone() {
    let server = Server::start();
    let mut con = server.connection();
    let unknown = ["DEVICE.SHADOW.DEL", "d"];
    expect_refusal(&mut con, &unknown, "NODEVICE", "'d'");
    beat(&mut con, "d");
    expect_refusal(
        &mut con,
        &unknown,
        "NOSHADOW",
        "No shadow exists with name: 'd'",
    );

    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"b": 1}));
    assert!(is_out_of_sync(&mut con, "d"));
    let before = now_ms();
    let deleted = cmd!(con, "DEVICE.SHADOW.DEL d").json();
    let timestamp = deleted["timestamp"].as_i64().expect("a time");
    assert!((before..=now_ms()).contains(&timestamp));
    assert_eq!(deleted, json!({"version": 3, "timestamp": timestamp}));

    assert_eq!(get(&mut con, "d"), Value::Null);
    for part in [
        "reported_state",
        "desired_state",
        "reported_meta",
        "desired_meta",
        "delta",
    ] {
        assert_eq!(field(&mut con, "d", part), None, "{part}");
    }
    assert!(!is_out_of_sync(&mut con, "d"));
    assert_eq!(both_sides(&mut con, "d")["in_sync"], true);
    expect_refusal(
        &mut con,
        &unknown,
        "NOSHADOW",
        "No shadow exists with name: 'd'",
    );
    // The device itself stays, and its next shadow goes on from there.
    assert!(is_online(&mut con, "d"));
    assert_eq!(report(&mut con, "d", json!({"c": 1})).0, 4);
    assert_eq!(state(&mut con, "d"), json!({"reported": {"c": 1}}));
}

#[test]
fn both_sides_are_shown_per_top_level_key() {
    let server = Server::start();
    let mut con = server.connection();
    expect_refusal(&mut con, &["DEVICE.DELTA", "d"], "NODEVICE", "'d'");
    beat(&mut con, "d");
    let nothing = json!({"device_id": "d", "in_sync": true, "version": 0, "delta": {}});
    assert_eq!(both_sides(&mut con, "d"), nothing);
    let desired = json!({"same": 1, "a": {"b": 1, "c": 2}, "new": [1, 2], "type": {"x": 1}});
    set(&mut con, "d", desired);
    let reported = json!({"same": 1.0, "a": {"b": 1, "c": 3, "e": 4}, "own": 1, "type": "t"});
    report(&mut con, "d", reported);
    let expected = json!({
        "device_id": "d",
        "in_sync": false,
        "version": 2,
        "delta": {
            "a": {"desired": {"b": 1, "c": 2}, "reported": {"b": 1, "c": 3, "e": 4}},
            "new": {"desired": [1, 2], "reported": null},
            "type": {"desired": {"x": 1}, "reported": "t"},
        },
    });
    assert_eq!(both_sides(&mut con, "d"), expected);
    // The order of an operator's answer is part of it.
    let text = cmd!(con, "DEVICE.DELTA d").text();
    let start = "{\"device_id\":\"d\",\"in_sync\":false,\"version\":2,\"delta\":{";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn the_shadow_works_in_database_0_only() {
    let server = Server::start();
    let mut elsewhere = server.connection_to_db(1);
    for line in [
        "DEVICE.SHADOW.SET d {\"a\":1}",
        "DEVICE.SHADOW.REPORT d {\"a\":1}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
        "DEVICE.SHADOW.GET d",
        "DEVICE.SHADOW.DEL d",
        "DEVICE.SHADOW.NAMES d",
        "DEVICE.DELTA d",
        "DEVICE.HISTORY d",
        "DEVICE.LIST OUTOFSYNC",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut elsewhere, &words, "ERR", "database 0");
    }
    assert_eq!(
        cmd!(elsewhere, "INFO", "keyspace").text().lines().count(),
        1
    );
}
