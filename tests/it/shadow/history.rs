//! `DEVICE.HISTORY`: what changed, from what, to what, and how to undo it.

use redis::Connection;
use serde_json::{json, Value};

use super::*;

/// `DEVICE.HISTORY d <options>`: ids and maps.
#[track_caller]
pub fn history(con: &mut Connection, options: &str) -> Vec<Event> {
    let entries = cmd!(con, &format!("DEVICE.HISTORY d{options}")).items();
    let one = |entry: &redis::Value| Event {
        id: entry.at(0).text(),
        fields: entry.at(1).text_fields(),
    };
    entries.iter().map(one).collect()
}

/// Type, version, old and new of each change.
#[track_caller]
fn changes(con: &mut Connection, options: &str) -> Vec<(String, i64, Value, Value)> {
    let json = |event: &Event, name: &str| -> Value {
        serde_json::from_str(event.get(name)).expect("JSON")
    };
    let entries = history(con, options);
    let one = |event: &Event| {
        let version = event.int("version");
        (
            event.kind().to_owned(),
            version,
            json(event, "old"),
            json(event, "new"),
        )
    };
    entries.iter().map(one).collect()
}

#[test]
fn a_change_has_what_was_and_what_is() {
    let server = Server::start();
    let mut con = server.connection();
    let before = now_ms();
    report(
        &mut con,
        "d",
        json!({"a": {"b": 1, "c": 2}, "d": "x", "same": 0}),
    );
    let patch = json!({"a": {"b": 5, "c": null}, "e": {"f": [1]}, "same": 0, "nope": null});
    report(&mut con, "d", patch);
    set(&mut con, "d", json!({"w": true}));
    set(&mut con, "d", json!({"w": false}));
    let expected = [
        (
            "reported".to_owned(),
            1,
            json!({"a": null, "d": null, "same": null}),
            json!({"a": {"b": 1, "c": 2}, "d": "x", "same": 0}),
        ),
        (
            "reported".to_owned(),
            2,
            json!({"a": {"b": 1, "c": 2}, "e": null}),
            json!({"a": {"b": 5, "c": null}, "e": {"f": [1]}}),
        ),
        (
            "desired".to_owned(),
            3,
            json!({"w": null}),
            json!({"w": true}),
        ),
        (
            "desired".to_owned(),
            4,
            json!({"w": true}),
            json!({"w": false}),
        ),
    ];
    assert_eq!(changes(&mut con, ""), expected);
    for entry in history(&mut con, "") {
        assert!((before..=now_ms()).contains(&entry.int("timestamp")));
        assert_eq!(entry.fields.len(), 5, "{entry:?}");
    }
}

/// What a patch makes of a document, in the simplest way.
fn apply(document: &Value, patch: &Value) -> Value {
    let Some(members) = patch.as_object() else {
        return patch.clone();
    };
    let mut object = document.as_object().cloned().unwrap_or_default();
    for (key, new) in members {
        match new {
            Value::Null => object.remove(key),
            _ => {
                let old = object.get(key).cloned().unwrap_or(Value::Null);
                object.insert(key.clone(), apply(&old, new))
            }
        };
    }
    Value::Object(object)
}

#[test]
fn every_change_can_be_undone_and_done_again() {
    let server = Server::builder()
        .config("devicestate.history-maxlen", 1_000)
        .start();
    server.settle();
    let mut con = server.connection();
    let patches = [
        json!({"a": 1}),
        json!({"a": {"b": 1, "c": {"d": 2}}}),
        json!({"a": {"c": {"d": null, "e": {}}}, "list": [1, {"x": {}}]}),
        json!({"a": {"c": 3}, "list": [1, 2], "n": 1}),
        json!({"a": null, "n": 1.5, "": {"": 0}}),
        json!({"n": {}, "list": "x"}),
        json!({"n": 7, "": null}),
        json!({"deep": {"er": {"still": true, "and": [[]]}}}),
        json!({"deep": {"er": "flat"}}),
    ];
    let mut states = vec![json!({})];
    for (turn, patch) in patches.iter().enumerate() {
        report_with(
            &mut con,
            "d",
            patch.clone(),
            if turn == 6 { "REPLACE" } else { "" },
        );
        states.push(state(&mut con, "d")["reported"].clone());
    }
    let changes = changes(&mut con, "");
    assert_eq!(changes.len(), patches.len());
    for (turn, (_, _, old, new)) in changes.iter().enumerate() {
        let (before, after) = (&states[turn], &states[turn + 1]);
        assert_eq!(apply(before, new), *after, "forward, {turn}: {new}");
        assert_eq!(apply(after, old), *before, "back, {turn}: {old}");
    }
}

#[test]
fn what_changes_nothing_is_not_recorded() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    assert_eq!(history(&mut con, ""), []);
    set(&mut con, "d", json!({"a": 1}));
    for document in [json!({"a": 1}), json!({}), json!({"x": null})] {
        set(&mut con, "d", document);
    }
    report(&mut con, "d", json!({}));
    update(&mut con, "d", json!({"state": {}}));
    assert_eq!(changes(&mut con, "").len(), 1);
}

#[test]
fn one_request_for_both_sections_is_recorded_for_both() {
    let server = Server::start();
    let mut con = server.connection();
    let request = json!({"state": {"desired": {"a": 1}, "reported": {"b": 2}}});
    update(&mut con, "d", request);
    let mut both = changes(&mut con, "");
    both.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("desired".to_owned(), 1, json!({"a": null}), json!({"a": 1})),
        (
            "reported".to_owned(),
            1,
            json!({"b": null}),
            json!({"b": 2}),
        ),
    ];
    assert_eq!(both, expected);
    update(&mut con, "d", json!({"state": {"desired": null}}));
    let last = changes(&mut con, " REV COUNT 1");
    let cleared = ("desired".to_owned(), 2, json!({"a": 1}), json!({"a": null}));
    assert_eq!(last, [cleared]);
}

#[test]
fn beats_are_recorded_as_reports_are() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":1}").items();
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"b\":1} REPLACE").items();
    let expected = [
        (
            "reported".to_owned(),
            1,
            json!({"a": null}),
            json!({"a": 1}),
        ),
        (
            "reported".to_owned(),
            2,
            json!({"a": 1, "b": null}),
            json!({"a": null, "b": 1}),
        ),
    ];
    assert_eq!(changes(&mut con, ""), expected);
    // Presence is not in it unless it is asked for.
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(history(&mut con, "").len(), 2);
}

#[test]
fn the_history_is_a_stream_in_its_order() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..10 {
        set(&mut con, "d", json!({"a": turn}));
    }
    let all = history(&mut con, "");
    assert_eq!(all, stream(&mut con, "device:history:d").0);
    let versions = |events: &[Event]| -> Vec<i64> {
        events.iter().map(|event| event.int("version")).collect()
    };
    assert_eq!(versions(&all), (1..=10).collect::<Vec<_>>());
    assert_eq!(
        versions(&history(&mut con, " REV")),
        (1..=10).rev().collect::<Vec<_>>()
    );
    assert_eq!(versions(&history(&mut con, " COUNT 3")), [1, 2, 3]);
    assert_eq!(versions(&history(&mut con, " rev count 3")), [10, 9, 8]);
    assert_eq!(history(&mut con, " COUNT 10000").len(), 10);
}

#[test]
fn from_and_to_are_inclusive() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..5 {
        wait_for_the_clock();
        set(&mut con, "d", json!({"a": turn}));
    }
    let times: Vec<i64> = history(&mut con, "")
        .iter()
        .map(|event| event.int("timestamp"))
        .collect();
    let mut count = |options: &str| history(&mut con, options).len();
    assert_eq!(count(&format!(" FROM {}", times[1])), 4);
    assert_eq!(count(&format!(" FROM {}", times[1] + 1)), 3);
    assert_eq!(count(&format!(" TO {}", times[1])), 2);
    assert_eq!(count(&format!(" TO {}", times[1] - 1)), 1);
    assert_eq!(count(&format!(" FROM {} TO {}", times[1], times[3])), 3);
    assert_eq!(
        count(&format!(" TO {} FROM {} REV COUNT 2", times[3], times[1])),
        2
    );
    assert_eq!(count(&format!(" FROM {} TO {}", times[2], times[2])), 1);
    assert_eq!(count(&format!(" FROM {} TO {}", times[3], times[1])), 0);
    assert_eq!(count(&format!(" FROM {}", times[4] + 1)), 0);
    assert_eq!(count(" FROM 0 TO 9223372036854775807"), 5);
    let last = format!(" FROM {} TO {} REV COUNT 1", times[1], times[3]);
    assert_eq!(changes(&mut con, &last)[0].1, 4);
}
