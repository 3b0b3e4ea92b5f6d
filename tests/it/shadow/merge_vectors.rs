//! The acceptance vectors on merging and null, M1 to M12 of `reference/shadow.md`, section (c), through
//! the server; the sources are those of `vectors`. M2, M5 and M11 are not in the list.

use serde_json::{json, Value};

use super::*;

/// The document after a patch, in both sections.
#[track_caller]
fn merged(document: Value, patch: Value) -> Value {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", document.clone());
    set(&mut con, "d", patch.clone());
    report(&mut con, "d", document);
    report(&mut con, "d", patch);
    let state = state(&mut con, "d");
    assert_eq!(state["desired"], state["reported"]);
    assert_eq!(state["delta"], Value::Null);
    state["reported"].clone()
}

/// GG, JsonMergerTest.
#[test]
fn m1_a_new_subtree_of_nulls_is_not_created() {
    let document = json!({"id": 100, "K": "V", "O": {"foo": "bar"}});
    let patch = json!({
        "NewKey": true,
        "NewNullParent": {"n1": null, "n2": {"n3": null}},
        "L1": {"L2": {"L3": "v"}},
    });
    let whole = json!({
        "id": 100, "K": "V", "O": {"foo": "bar"}, "NewKey": true, "L1": {"L2": {"L3": "v"}},
    });
    assert_eq!(merged(document, patch), whole);
}

/// AWS-doc.
#[test]
fn m3_arrays_are_replaced() {
    let colors = json!({"colors": ["R"]});
    assert_eq!(
        merged(json!({"colors": ["R", "G", "B"]}), colors.clone()),
        colors
    );
}

/// AWS-doc; azure-iot-sdk-csharp #1741.
#[test]
fn m4_nulls_in_arrays_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    for document in ["{\"colors\":[null,\"R\",\"G\"]}", "{\"a\":[{\"b\":null}]}"] {
        for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
            expect_refusal(&mut con, &[command, "d", document], "BADJSON", "null");
        }
        let request = format!("{{\"state\":{{\"desired\":{document}}}}}");
        let words = ["DEVICE.SHADOW.UPDATE", "d", &request];
        expect_refusal(&mut con, &words, "BADJSON", "400 ");
    }
}

/// AWS-doc.
#[test]
fn m6_a_null_section_is_cleared() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"color": "blue", "x": 1}));
    report(&mut con, "d", json!({"color": "green", "y": 2}));
    let request = json!({"state": {"reported": {"color": "red"}, "desired": null}});
    let accepted = update(&mut con, "d", request);
    assert_eq!(accepted["version"], 3);
    assert_eq!(
        accepted["state"],
        json!({"reported": {"color": "red"}, "desired": null})
    );
    assert_eq!(
        state(&mut con, "d"),
        json!({"reported": {"color": "red", "y": 2}})
    );
    assert!(!is_out_of_sync(&mut con, "d"));
}

/// MOTO-V, test_update_empty_state.
#[test]
fn m7_a_null_state_clears_both_sections() {
    let server = Server::start();
    let mut con = server.connection();
    for (turn, before) in [
        Value::Null,
        json!({"desired": {"a": 1}, "reported": {"b": 1}}),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("d-{turn}");
        if turn > 0 {
            update(&mut con, &id, json!({"state": before}));
        }
        let accepted = update(&mut con, &id, json!({"state": null}));
        assert_eq!(accepted["state"], Value::Null);
        assert!(accepted["metadata"]["timestamp"].is_i64(), "{accepted}");
        assert_eq!(accepted["version"], turn + 1);
        let whole = get(&mut con, &id);
        assert_eq!(
            (&whole["state"], &whole["metadata"]),
            (&json!({}), &json!({}))
        );
        assert_eq!(whole["version"], turn + 1);
        assert!(!is_out_of_sync(&mut con, &id));
    }
    set(&mut con, "d-0", json!({"a": 1}));
    update(&mut con, "d-0", json!({"state": null}));
    assert_eq!(get(&mut con, "d-0")["version"], 3);
}

/// GG; MOTO-V, "No data".
#[test]
fn m8_an_empty_state_is_accepted_and_changes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    let accepted = update(&mut con, "d", json!({"state": {}}));
    assert_eq!(
        (&accepted["state"], &accepted["version"]),
        (&json!({}), &json!(1))
    );
    assert_eq!(state(&mut con, "d"), json!({}));
    set(&mut con, "d", json!({"a": 1}));
    update(&mut con, "d", json!({"state": {}}));
    let whole = json!({"desired": {"a": 1}, "delta": {"a": 1}});
    assert_eq!(state(&mut con, "d"), whole);
    assert_eq!(get(&mut con, "d")["version"], 3);
}

/// MOTO-V.
#[test]
fn m9_a_null_in_an_empty_shadow_leaves_it_empty() {
    let server = Server::start();
    let mut con = server.connection();
    update(
        &mut con,
        "d",
        json!({"state": {"reported": {"online": null}}}),
    );
    assert_eq!(state(&mut con, "d"), json!({}));
    report(&mut con, "e", json!({"online": null}));
    assert_eq!(state(&mut con, "e"), json!({}));
}

/// GG.
#[test]
fn m10_a_field_named_state() {
    let document = json!({"state": {"key": "v", "state": "abc"}});
    let whole = json!({"state": {"key": "v"}});
    assert_eq!(
        merged(document.clone(), json!({"state": {"state": null}})),
        whole
    );
    let server = Server::start();
    let mut con = server.connection();
    update(&mut con, "d", json!({"state": {"reported": document}}));
    let patch = json!({"state": {"reported": {"state": {"state": null}}}});
    update(&mut con, "d", patch);
    assert_eq!(state(&mut con, "d"), json!({"reported": whole}));
}

/// RFC 7396, section 3.
#[test]
fn m12_the_example_of_the_rfc() {
    let document = json!({
        "title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"], "content": "x",
    });
    let patch = json!({
        "title": "Hello!", "phoneNumber": "p", "author": {"familyName": null},
        "tags": ["example"],
    });
    let whole = json!({
        "title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
        "content": "x", "phoneNumber": "p",
    });
    assert_eq!(merged(document, patch), whole);
}
