//! Who is told of a report: the channel and the stream of the fleet's reports.

use serde_json::{json, Value};

use super::telling::all_heard;
use super::*;

#[test]
fn a_report_that_changes_nothing_tells_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"b": {"c": 2}}));
    let heard = Subscriber::patterns(&server, &["*"]);
    let before = (events(&mut con), stream(&mut con, "device:history:d"));
    for same in [
        json!({"b": {"c": 2}}),
        json!({}),
        json!({"x": null}),
        json!({"b": {}}),
    ] {
        report(&mut con, "d", same.clone());
        cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", "{}", "SESSION", 1).items();
        update(&mut con, "d", json!({"state": {"reported": same}}));
    }
    let came_online = |event: &Event| event.kind() != "online";
    let after = (
        events(&mut con).only(came_online),
        stream(&mut con, "device:history:d"),
    );
    assert_eq!(before, after);
    let all = all_heard(&mut con, &heard);
    let about_shadow: Vec<_> = all
        .iter()
        .filter(|m| m.channel != "devices:presence" && !m.channel.ends_with("device.online"))
        .collect();
    assert!(about_shadow.is_empty(), "{about_shadow:?}");
}

#[test]
fn an_applied_report_is_told_with_its_patch() {
    let server = Server::start();
    let status = Subscriber::channels(&server, &["devices:status"]);
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": {"b": 1}, "c": 2}));
    report(&mut con, "d", json!({"a": {"b": null}}));
    update(&mut con, "d", json!({"state": {"reported": {"c": 3}}}));
    let messages = status.wait_for_count(3, SOON);
    let patches: Vec<Value> = messages
        .iter()
        .map(|m| m.json()["reported"].clone())
        .collect();
    let expected = [
        json!({"a": {"b": 1}, "c": 2}),
        json!({"a": {"b": null}}),
        json!({"c": 3}),
    ];
    assert_eq!(patches, expected);
    let second = messages[1].json();
    let time = second["timestamp"].as_i64().expect("a time");
    let whole = json!({
        "type": "status", "device_id": "d", "version": 2, "reported": {"a": {"b": null}},
        "timestamp": time,
    });
    assert_eq!(second, whole);
}

#[test]
fn an_empty_status_channel_is_silent() {
    let server = Server::builder()
        .config("devicestate.status-channel", "")
        .config("notify-keyspace-events", "")
        .start();
    server.settle();
    let heard = Subscriber::patterns(&server, &["*"]);
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1}));
    set(&mut con, "d", json!({"a": 2}));
    let channels: Vec<String> = all_heard(&mut con, &heard)
        .into_iter()
        .map(|m| m.channel)
        .collect();
    assert_eq!(channels, ["device:d:commands"]);
}

#[test]
fn every_applied_report_is_in_the_stream_of_reports() {
    let server = Server::builder()
        .config("devicestate.reports-maxlen", 1_000)
        .start();
    server.settle();
    let mut con = server.connection();
    report_with(&mut con, "d", json!({"a": {"b": 1}}), "SESSION 2 SEQ 1");
    report(&mut con, "d", json!({"a": {"b": 1}}));
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":null}").items();
    update(&mut con, "d", json!({"state": {"reported": {"c": 1}}}));
    // None of these is a report that was applied.
    try_report(&mut con, "d", json!({"x": 1}), "SESSION 1");
    try_report(&mut con, "d", json!({"x": 1}), "SESSION 2 SEQ 1");
    beat(&mut con, "d");
    set(&mut con, "d", json!({"c": 1}));
    let words = ["DEVICE.SHADOW.REPORT", "d", "{\"x\":1}", "VERSION", "1"];
    expect_error(&mut con, &words, "VERSIONCONFLICT", "");

    let reports = stream(&mut con, "devices:reports");
    let found: Vec<(i64, &str)> = reports
        .iter()
        .map(|event| (event.int("version"), event.get("reported")))
        .collect();
    let expected = [
        (1, "{\"a\":{\"b\":1}}"),
        (2, "{\"a\":{\"b\":1}}"),
        (3, "{\"a\":null}"),
        (4, "{\"c\":1}"),
    ];
    assert_eq!(found, expected);
    for event in reports.iter() {
        assert_eq!((event.kind(), event.device()), ("status", "d"));
        assert!(event.int("timestamp") <= now_ms());
        assert_eq!(event.fields.len(), 5, "{event:?}");
    }
}

#[test]
fn the_stream_of_reports_is_off_by_default_and_capped() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1}));
    assert_eq!(cmd!(con, "EXISTS devices:reports").int(), 0);
    cmd!(con, "CONFIG SET devicestate.reports-maxlen 10").text();
    for turn in 0..500 {
        report(&mut con, "d", json!({"a": turn % 2}));
    }
    // `MAXLEN ~` leaves whole nodes; these are of 512 bytes, or of 100 entries.
    let length = cmd!(con, "XLEN devices:reports").int();
    assert!((10..200).contains(&length), "{length}");
}
