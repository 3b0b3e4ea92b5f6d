//! The acceptance vectors of `reference/shadow.md`, section (c), through the server: here those on
//! the delta, S1 to S19. Each test has the name of its vector and its source. AWS-doc: the AWS IoT developer guide; MOTO-V: getmoto/moto,
//! tests/test_iotdata, verified against AWS; GG: aws-greengrass-shadow-manager.
//!
//! M1 to M12 are in `merge_vectors`, M13 and M14 in `limits`, M15, V1 to V12 and Q2 in `versions`, PR1
//! to PR12 belong to presence. What cannot be said with our commands:
//! - S10, S12, S14, S15 and S17 are not in the list.
//! - Q1 asks for a range of times; `STALE` is the half of it that we have, and is tested in `listing`.
//! - Q3 and Q4 ask for devices by an attribute, and our LIST has no filter on documents.

use redis::Connection;
use serde_json::{json, Value};

use super::*;

/// The delta between these two, however the shadow got there: desired first, reported first, and
/// by UPDATE with both at once. It must be the same in every reply that tells it.
#[track_caller]
fn delta_of(desired: Value, reported: Value) -> Value {
    let server = Server::start();
    let mut con = server.connection();
    let mut found = Vec::new();
    let write = |con: &mut Connection, id: &str, section: &str, document: &Value| {
        if document.is_null() {
            return;
        }
        match section {
            "desired" => set(con, id, document.clone()),
            _ => report(con, id, document.clone()),
        };
    };
    write(&mut con, "desired-first", "desired", &desired);
    write(&mut con, "desired-first", "reported", &reported);
    write(&mut con, "reported-first", "reported", &reported);
    write(&mut con, "reported-first", "desired", &desired);
    let both = json!({"state": {"desired": desired, "reported": reported}});
    update(&mut con, "both", both);
    for id in ["desired-first", "reported-first", "both"] {
        let delta = state(&mut con, id)["delta"].clone();
        assert_eq!(is_out_of_sync(&mut con, id), !delta.is_null(), "{id}");
        let both_sides = both_sides(&mut con, id);
        assert_eq!(both_sides["in_sync"], delta.is_null(), "{id}");
        // Both forms agree on the top-level keys.
        let keys = |value: &Value| -> Vec<String> {
            let object = value.as_object();
            object.map_or(Vec::new(), |object| object.keys().cloned().collect())
        };
        assert_eq!(keys(&both_sides["delta"]), keys(&delta), "{id}");
        assert_eq!(
            delta_in(&cmd!(con, "DEVICE.HEARTBEAT", id).at(3)),
            delta,
            "{id}"
        );
        found.push(delta);
    }
    assert!(found.iter().all(|delta| *delta == found[0]), "{found:?}");
    found.swap_remove(0)
}

/// AWS-doc, delta state.
#[test]
fn s1_what_is_reported_only_is_not_in_the_delta() {
    let desired = json!({"color": "RED", "state": "STOP"});
    let reported = json!({"color": "GREEN", "engine": "ON"});
    assert_eq!(delta_of(desired.clone(), reported), desired);
}

/// AWS-doc.
#[test]
fn s2_the_delta_keeps_the_path_to_what_differs() {
    let desired = json!({"lights": {"color": {"r": 255, "g": 255, "b": 255}}});
    let reported = json!({"lights": {"color": {"r": 255, "g": 0, "b": 255}}});
    let delta = json!({"lights": {"color": {"g": 255}}});
    assert_eq!(delta_of(desired, reported), delta);
}

/// MOTO-V, test_basic.
#[test]
fn s3_without_a_report_all_is_outstanding() {
    assert_eq!(
        delta_of(json!({"led": "on"}), Value::Null),
        json!({"led": "on"})
    );
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"led": "on"}));
    assert_eq!(get(&mut con, "d")["version"], 1);
}

/// MOTO-V, test_update.
#[test]
fn s4_in_sync_there_is_no_delta_at_all() {
    assert_eq!(
        delta_of(json!({"led": "on"}), json!({"led": "on"})),
        Value::Null
    );
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"led": "on"}));
    report(&mut con, "d", json!({"led": "on"}));
    assert!(state(&mut con, "d").get("delta").is_none());
    assert_eq!(field(&mut con, "d", "delta"), None);
}

/// MOTO-V.
#[test]
fn s5_without_desired_there_is_no_delta() {
    assert_eq!(delta_of(Value::Null, json!({"online": false})), Value::Null);
}

/// MOTO-V, boolean flip.
#[test]
fn s6_a_flipped_boolean() {
    let delta = delta_of(json!({"online": true}), json!({"online": false}));
    assert_eq!(delta, json!({"online": true}));
}

/// MOTO-V.
#[test]
fn s7_more_reported_than_desired() {
    let reported = json!({"online": false, "enabled": true});
    assert_eq!(delta_of(json!({"enabled": true}), reported), Value::Null);
}

/// MOTO-V, changed key.
#[test]
fn s8_another_key() {
    let delta = delta_of(json!({"enabled": true}), json!({"online": true}));
    assert_eq!(delta, json!({"enabled": true}));
}

/// MOTO-V.
#[test]
fn s9_an_array_is_outstanding_as_a_whole() {
    let desired = json!({"list": ["v1"]});
    assert_eq!(
        delta_of(desired.clone(), json!({"list": ["v1", "v2"]})),
        desired
    );
    let same = json!({"list": ["v1", {"a": [1.0]}]});
    assert_eq!(
        delta_of(same, json!({"list": ["v1", {"a": [1]}]})),
        Value::Null
    );
}

/// MOTO-V, nested lists.
#[test]
fn s11_arrays_in_arrays() {
    let desired = json!({"list": [["v1"]]});
    assert_eq!(
        delta_of(desired.clone(), json!({"list": [["v1"], ["v2"]]})),
        desired
    );
}

/// MOTO-V.
#[test]
fn s13_nested_more_reported_than_desired() {
    let desired = json!({"a": {"b": {"c": "d2"}}});
    let reported = json!({"a": {"b": {"c": "d", "e": "f"}}});
    assert_eq!(delta_of(desired.clone(), reported), desired);
}

/// GG, JsonUtil.calculateDelta.
#[test]
fn s16_numbers_are_compared_by_value() {
    assert_eq!(delta_of(json!({"t": 10}), json!({"t": 10.0})), Value::Null);
    assert_eq!(delta_of(json!({"t": 10.0}), json!({"t": 10})), Value::Null);
    assert_eq!(delta_of(json!({"t": -0.0}), json!({"t": 0})), Value::Null);
    // Two integers that are one double.
    let large = json!({"t": 9_007_199_254_740_993_i64});
    let near = json!({"t": 9_007_199_254_740_992_i64});
    assert_eq!(delta_of(large.clone(), near), large);
    assert_eq!(
        delta_of(json!({"t": 10}), json!({"t": "10"})),
        json!({"t": 10})
    );
    assert_eq!(
        delta_of(json!({"t": 1}), json!({"t": true})),
        json!({"t": 1})
    );
}

/// MOTO-V, test_update_desired.
#[test]
fn s18_empty_objects_are_kept() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": {"c": 3}, "d": {}}));
    let wanted = json!({"a": 1, "b": {"c": {}}, "d": {}});
    assert_eq!(set(&mut con, "d", wanted.clone()), (2, wanted.clone()));
    assert_eq!(
        state(&mut con, "d"),
        json!({"desired": wanted, "delta": wanted})
    );
}

/// The decision a4.2 of the same file, and MOTO-V for `{}` against nothing.
#[test]
fn s18_an_empty_object_is_met_by_any_object() {
    assert_eq!(
        delta_of(json!({"a": {}}), json!({"a": {"b": 1}})),
        Value::Null
    );
    assert_eq!(delta_of(json!({"a": {}}), json!({"a": {}})), Value::Null);
    for reported in [json!({}), json!({"a": 1}), json!({"a": []})] {
        assert_eq!(delta_of(json!({"a": {}}), reported), json!({"a": {}}));
    }
}

/// AWS-doc, update-delta-rules.
#[test]
fn s19_what_is_deleted_from_reported_is_outstanding_again() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": {"c": 2}}));
    assert_eq!(
        report(&mut con, "d", json!({"a": 1, "b": {"c": 2}})).1,
        Value::Null
    );
    let gone = report(&mut con, "d", json!({"a": null, "b": {"c": null}}));
    assert_eq!(gone, (3, json!({"a": 1, "b": {"c": 2}})));
}
