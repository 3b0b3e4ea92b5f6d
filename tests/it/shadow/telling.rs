//! Who is told what: the channel of the device, the channel of the fleet, the streams, keyspace
//! notifications. Everything comes out of the same step as the change.

use redis::Connection;
use serde_json::{json, Value};

use super::*;

/// The delta entries of a device: version, delta, desired; what is left out is null.
#[track_caller]
fn told(con: &mut Connection, id: &str) -> Vec<(i64, Value, Value)> {
    let part = |event: &Event, name: &str| match event.fields.get(name) {
        Some(text) => serde_json::from_str(text).expect("JSON"),
        None => Value::Null,
    };
    let one = |event: &Event| {
        let version = event.int("version");
        (version, part(event, "delta"), part(event, "desired_state"))
    };
    let events = events_of(con, id).of_type("delta");
    events.iter().map(one).collect()
}

/// A message of our own, so that nothing else can still be on its way; then all before it.
#[track_caller]
pub fn all_heard(con: &mut Connection, heard: &Subscriber) -> Vec<Message> {
    cmd!(con, "PUBLISH last x").int();
    heard.wait_for_message("the last one", SOON, |m| m.channel == "last");
    let mut all = heard.take();
    all.retain(|m| m.channel != "last");
    all
}

#[test]
fn the_device_is_told_what_is_outstanding_on_its_own_channel() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands"]);
    let mut con = server.connection();
    let before = now_ms();
    report(&mut con, "d", json!({"a": {"b": 1, "c": 2}}));
    set(&mut con, "d", json!({"a": {"b": 1, "c": 3}}));
    let messages = heard.wait_for_count(1, SOON);
    let message = messages[0].json();
    let time = message["timestamp"].as_i64().expect("a time");
    assert!((before..=now_ms()).contains(&time));
    let expected = json!({
        "type": "state_update",
        "device_id": "d",
        "desired_state": {"a": {"b": 1, "c": 3}},
        "delta": {"a": {"c": 3}},
        "version": 2,
        "timestamp": time,
    });
    assert_eq!(message, expected);
    let begins = "{\"type\":\"state_update\",\"device_id\":\"d\",\"desired_state\":";
    assert!(messages[0].payload.starts_with(begins), "{messages:?}");
}

#[test]
fn a_named_shadow_is_told_with_its_name() {
    let server = Server::builder()
        .config("devicestate.reports-maxlen", 100)
        .start();
    server.settle();
    let heard = Subscriber::channels(&server, &["device:d:commands", "devices:status"]);
    let mut con = server.connection();
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    report_with(&mut con, "d", json!({"a": 1}), "NAME n");
    let messages = heard.wait_for_count(2, SOON);
    let update = messages[0].json();
    assert_eq!(
        (&update["name"], &update["type"]),
        (&json!("n"), &json!("state_update"))
    );
    assert_eq!(update["delta"], json!({"a": 1}));
    let status = &messages[1].payload;
    let begins = "{\"type\":\"status\",\"device_id\":\"d\",\"name\":\"n\",\"version\":2,";
    assert!(status.starts_with(begins), "{status}");

    let deltas = events_of(&mut con, "d").of_type("delta");
    assert_eq!(deltas.field("name"), ["n", "n"]);
    assert_eq!(deltas.field("delta"), ["{\"a\":1}", "{}"]);
    let reports = stream(&mut con, "devices:reports");
    assert_eq!(reports.field("name"), ["n"]);
    let history = stream(&mut con, "device:history:d");
    assert_eq!(history.field("name"), ["n", "n"]);
}

#[test]
fn every_change_of_the_delta_is_an_event() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands", "last"]);
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": 2}));
    report(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"b": 2}));
    report(&mut con, "d", json!({"b": 3}));
    set(&mut con, "d", json!({"b": null}));
    let desired = json!({"a": 1, "b": 2});
    let expected = [
        (1, desired.clone(), desired.clone()),
        (2, json!({"b": 2}), desired.clone()),
        (3, json!({}), desired.clone()),
        (4, json!({"b": 2}), desired),
        (5, json!({}), json!({"a": 1})),
    ];
    assert_eq!(told(&mut con, "d"), expected);
    // The device hears of it while there is something to do.
    let versions: Vec<i64> = all_heard(&mut con, &heard)
        .iter()
        .filter_map(|m| m.json()["version"].as_i64())
        .collect();
    assert_eq!(versions, [1, 2, 4]);
    let event = &events_of(&mut con, "d").of_type("delta")[0];
    assert!(event
        .get("timestamp")
        .parse::<i64>()
        .is_ok_and(|t| t <= now_ms()));
    assert_eq!(event.fields.len(), 6, "{event:?}");
}

#[test]
fn a_beat_that_changes_the_delta_tells_it_too() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands", "last"]);
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": 2}));
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":1}").items();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"x\":1}").items();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"b\":2}").items();
    let versions: Vec<i64> = told(&mut con, "d").iter().map(|told| told.0).collect();
    assert_eq!(versions, [1, 2, 4]);
    assert_eq!(all_heard(&mut con, &heard).len(), 2);
}

#[test]
fn set_tells_again_while_something_is_outstanding() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands", "last"]);
    let mut con = server.connection();
    for _ in 0..3 {
        set(&mut con, "d", json!({"a": 1}));
    }
    set(&mut con, "d", json!({}));
    let versions: Vec<i64> = told(&mut con, "d").iter().map(|told| told.0).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(all_heard(&mut con, &heard).len(), 4);
    // What changed nothing is told, and is no change.
    assert_eq!(stream(&mut con, "device:history:d").len(), 1);

    report(&mut con, "d", json!({"a": 1}));
    set(&mut con, "d", json!({"a": 1}));
    set(&mut con, "d", json!({"a": 1}));
    assert_eq!(told(&mut con, "d").len(), 5);
    assert_eq!(all_heard(&mut con, &heard).len(), 0);
}

#[test]
fn a_report_that_leaves_the_delta_as_it_was_tells_no_delta() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands", "devices:status", "last"]);
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"own": 1}));
    report(&mut con, "d", json!({"a": 2}));
    report(&mut con, "d", json!({"a": 3}));
    assert_eq!(told(&mut con, "d").len(), 1);
    let channels: Vec<String> = all_heard(&mut con, &heard)
        .into_iter()
        .map(|m| m.channel)
        .collect();
    let status = "devices:status";
    assert_eq!(channels, ["device:d:commands", status, status, status]);
}

#[test]
fn changes_notify_on_the_key_of_the_device() {
    let server = Server::start();
    let heard = Subscriber::patterns(&server, &["__keyevent@0__:device.*", "last"]);
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"a": 2}));
    report(&mut con, "d", json!({"a": 2}));
    let both = json!({"state": {"desired": {"a": 3}, "reported": {"a": 3}}});
    update(&mut con, "d", both);
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    report_with(&mut con, "d", json!({"a": 1}), "NAME n");
    let heard = all_heard(&mut con, &heard);
    assert!(
        heard.iter().all(|m| m.payload == "device:state:d"),
        "{heard:?}"
    );
    let mut names: Vec<&str> = heard
        .iter()
        .filter_map(|m| m.channel.strip_prefix("__keyevent@0__:device."))
        .collect();
    names[3..5].sort_unstable();
    let expected = [
        "registered",
        "desired",
        "reported",
        "desired",
        "reported",
        "desired",
        "reported",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_over_a_kibibyte_is_left_out_of_the_stream_and_told_on_the_channel() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:d:commands"]);
    let mut con = server.connection();
    // Exactly a kibibyte is in; `{"a":"..."}` around it are 8 bytes.
    let large = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
    assert_eq!(large(1_024).to_string().len(), 1_024);
    set_with(&mut con, "d", large(1_024), "REPLACE");
    set_with(&mut con, "d", large(1_025), "REPLACE");
    // A small delta of a large document.
    report(&mut con, "d", large(1_025));
    set(&mut con, "d", json!({"b": 1}));
    assert_eq!(
        told(&mut con, "d"),
        [
            (1, large(1_024), large(1_024)),
            (2, Value::Null, Value::Null),
            (3, json!({}), Value::Null),
            (4, json!({"b": 1}), Value::Null),
        ]
    );
    let messages = heard.wait_for_count(3, SOON);
    let second = messages[1].json();
    assert_eq!(
        (&second["delta"], &second["desired_state"]),
        (&large(1_025), &large(1_025))
    );
}

#[test]
fn odd_documents_are_told_as_they_are() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["device:%n%s:commands"]);
    let mut con = server.connection();
    let document = json!({"a\u{0}\n": "\u{0}\u{1f}\r\n %n %s", "📟": "\u{2028}", "": {"": []}});
    set(&mut con, "%n%s", document.clone());
    assert_eq!(heard.wait_for_count(1, SOON)[0].json()["delta"], document);
    let expected = [(1, document.clone(), document.clone())];
    assert_eq!(told(&mut con, "%n%s"), expected);
    assert_eq!(state(&mut con, "%n%s")["desired"], document);
}

/// Who merges all that is told has what the device has.
#[test]
fn what_replaces_is_told_as_the_patch_it_amounts_to() {
    let server = Server::start();
    let heard = Subscriber::channels(&server, &["devices:status", "last"]);
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1, "b": {"c": 2, "d": 3}}));
    let document = r#"{"b":{"c":2,"e":4}}"#;
    cmd!(con, "DEVICE.SHADOW.REPORT", "d", document, "REPLACE").items();
    let cleared = r#"{"state":{"reported":null}}"#;
    cmd!(con, "DEVICE.SHADOW.UPDATE", "d", cleared).text();
    let told: Vec<Value> = all_heard(&mut con, &heard)
        .iter()
        .map(|message| message.json()["reported"].clone())
        .collect();
    assert_eq!(
        told,
        [
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
            json!({"a": null, "b": {"d": null, "e": 4}}),
            json!({"b": null}),
        ]
    );
}
