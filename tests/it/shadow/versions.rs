//! The vectors on versions and messages, V1 to V12 and Q2 of `reference/shadow.md`, section (c), and
//! M15. V4, V8 and V9 are not in the list. V11 (apply only what is newer) is SEQ with us.

use serde_json::{json, Value};

use super::*;

/// GG, JsonUtilTest; AWS-doc.
#[test]
fn m15_requests_of_another_shape_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    let token = format!("{{\"state\":{{}},\"clientToken\":\"{}\"}}", "x".repeat(65));
    for (request, text) in [
        ("{}", "400 Missing required node: state"),
        ("{\"version\":1}", "400 Missing required node: state"),
        (
            "{\"state\":{\"reported\":1}}",
            "400 Reported node must be an object",
        ),
        (
            "{\"state\":{\"foo\":{}}}",
            "400 State contains an invalid node: 'foo'",
        ),
        (&token, "400 Invalid clientToken"),
    ] {
        let words = ["DEVICE.SHADOW.UPDATE", "d", request];
        let error = expect_refusal(&mut con, &words, "ERR", text);
        assert_eq!(error, format!("ERR {text}"));
    }
}

/// AWS-doc, optimistic locking; MOTO-V.
#[test]
fn v1_an_older_version_conflicts() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 1..=10 {
        assert_eq!(set(&mut con, "d", json!({"a": turn})).0, turn);
    }
    for version in [9, 0, 11] {
        let request = json!({"state": {"desired": {"a": 0}}, "version": version});
        let words = ["DEVICE.SHADOW.UPDATE", "d", &request.to_string()];
        expect_refusal(&mut con, &words, "VERSIONCONFLICT", "409 Version conflict");
        let words = [
            "DEVICE.SHADOW.SET",
            "d",
            "{}",
            "VERSION",
            &version.to_string(),
        ];
        expect_refusal(&mut con, &words, "VERSIONCONFLICT", "VERSION: ");
    }
    let request = json!({"state": {"desired": {"a": 0}}, "version": 10});
    assert_eq!(update(&mut con, "d", request)["version"], 11);
    assert_eq!(set_with(&mut con, "d", json!({}), "VERSION 11").0, 12);
}

/// AWS-doc.
#[test]
fn v2_without_a_version_every_request_is_accepted() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 1..=5 {
        let request = json!({"state": {"reported": {"a": turn}}});
        assert_eq!(update(&mut con, "d", request)["version"], turn);
    }
}

/// GG.
#[test]
fn v3_a_shadow_that_does_not_exist_has_version_1_to_come() {
    let server = Server::start();
    let mut con = server.connection();
    for version in [0, 2] {
        let request = json!({"state": {"desired": {"a": 1}}, "version": version}).to_string();
        let words = ["DEVICE.SHADOW.UPDATE", "d", &request];
        let error = expect_refusal(&mut con, &words, "ERR", "");
        assert_eq!(error, "ERR 400 Invalid version");
    }
    assert_eq!(cmd!(con, "DBSIZE").int(), 0, "a refused request registered");
    let request = json!({"state": {"desired": {"a": 1}}, "version": 1});
    assert_eq!(update(&mut con, "d", request)["version"], 1);
}

/// The deltas in the stream: version and delta of each.
#[track_caller]
fn told(con: &mut Connection, id: &str) -> Vec<(i64, Value)> {
    let events = events_of(con, id).of_type("delta");
    let one = |event: &Event| {
        let delta = serde_json::from_str(event.get("delta")).expect("a delta");
        (event.int("version"), delta)
    };
    events.iter().map(one).collect()
}

/// AWS-doc.
#[test]
fn v5_a_delta_holds_all_that_is_outstanding() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"b": 2}));
    let both = json!({"a": 1, "b": 2});
    assert_eq!(set(&mut con, "d", json!({"a": 1})), (2, both.clone()));
    assert_eq!(told(&mut con, "d"), [(1, json!({"b": 2})), (2, both)]);
}

/// AWS-doc, message ordering: whoever saw 12 may drop 11.
#[test]
fn v6_the_latest_delta_is_enough() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", json!({"color": "BLUE"}));
    let commands = Subscriber::channels(&server, &["device:d:commands"]);
    set(&mut con, "d", json!({"color": "RED"}));
    set(&mut con, "d", json!({"color": "GREEN"}));
    let heard = commands.wait_for_count(2, SOON);
    let heard: Vec<_> = heard
        .iter()
        .map(|m| {
            (
                m.json()["version"].as_i64().unwrap(),
                m.json()["delta"].clone(),
            )
        })
        .collect();
    let expected = [(2, json!({"color": "RED"})), (3, json!({"color": "GREEN"}))];
    assert_eq!(heard, expected);
    assert_eq!(told(&mut con, "d"), expected);
    assert_eq!(state(&mut con, "d")["delta"], expected[1].1);
}

/// AWS-doc; GG PR #97.
#[test]
fn v7_a_shadow_that_is_created_again_goes_on_counting() {
    let server = Server::start();
    let mut con = server.connection();
    for name in ["", " NAME n"] {
        set_with(&mut con, "d", json!({"a": 1}), name);
        report_with(&mut con, "d", json!({"a": 2}), name);
        let deleted = cmd!(con, &format!("DEVICE.SHADOW.DEL d{name}")).json();
        assert_eq!(deleted["version"], 3);
        assert!(deleted["timestamp"].is_i64());
        assert_eq!(get_with(&mut con, "d", name), Value::Null);
        let again = update_with(&mut con, "d", json!({"state": {"desired": {"b": 1}}}), name);
        assert_eq!(again["version"], 4);
        let state = get_with(&mut con, "d", name)["state"].clone();
        assert_eq!(state, json!({"desired": {"b": 1}, "delta": {"b": 1}}));
    }
}

/// Azure, reconnection flow: subscribe, then GET version n; what is told with a version up to n is
/// old, and what is told above it can be applied to what was read.
#[test]
fn v10_a_device_that_comes_back_knows_what_is_new() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    let commands = Subscriber::channels(&server, &["device:d:commands"]);
    // Told before the device looks, though after it subscribed.
    set(&mut con, "d", json!({"a": 2}));
    let look = get(&mut con, "d");
    set(&mut con, "d", json!({"b": 3}));
    let heard = commands.wait_for_count(2, SOON);
    let is_new = |m: &Message| m.json()["version"].as_i64() > look["version"].as_i64();
    let new: Vec<bool> = heard.iter().map(is_new).collect();
    assert_eq!(new, [false, true]);
    let last = heard[1].json();
    assert_eq!(last["desired_state"], state(&mut con, "d")["desired"]);
    assert_eq!(last["delta"], state(&mut con, "d")["delta"]);
}

/// Ditto, conditional requests. What is older does not overwrite, and tells nobody.
#[test]
fn v11_an_older_report_is_not_applied_and_not_told() {
    let server = Server::builder()
        .config("devicestate.reports-maxlen", 100)
        .start();
    server.settle();
    let mut con = server.connection();
    report_with(&mut con, "d", json!({"t": 2}), "SESSION 1 SEQ 20");
    let before = (events(&mut con), stream(&mut con, "devices:reports"));
    let status = Subscriber::channels(&server, &["devices:status", "last"]);
    let late = try_report(&mut con, "d", json!({"t": 1}), "SESSION 1 SEQ 10");
    assert_eq!(late, (0, 1, Value::Null));
    assert_eq!(state(&mut con, "d"), json!({"reported": {"t": 2}}));
    assert_eq!(
        before,
        (events(&mut con), stream(&mut con, "devices:reports"))
    );
    assert_eq!(cmd!(con, "DEVICE.HISTORY d").items().len(), 1);
    cmd!(con, "PUBLISH last x").int();
    assert_eq!(status.wait_for_count(1, SOON)[0].channel, "last");
}

/// Ditto, if-equal. With us, as with AWS, it is a step of the version, and no event.
#[test]
fn v12_the_identical_value_tells_nobody() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"a": 1, "b": 1}));
    let heard = Subscriber::patterns(&server, &["*"]);
    let before = (events(&mut con), stream(&mut con, "device:history:d"));
    assert_eq!(report(&mut con, "d", json!({"a": 1, "b": 1})).0, 3);
    assert_eq!(set(&mut con, "d", json!({"a": 1})), (4, Value::Null));
    update(&mut con, "d", json!({"state": {"desired": {"a": 1}}}));
    assert_eq!(get(&mut con, "d")["version"], 5);
    let after = (events(&mut con), stream(&mut con, "device:history:d"));
    assert_eq!(before, after);
    cmd!(con, "PUBLISH last x").int();
    assert_eq!(heard.wait_for_count(1, SOON)[0].channel, "last");
}

/// AWS-doc, `hasDelta:true`; our bar: in the very moment.
#[test]
fn q2_the_devices_out_of_sync_are_known_at_once() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..50 {
        let id = format!("d-{turn}");
        set(&mut con, &id, json!({"a": 1}));
        assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 1);
        assert_eq!(
            cmd!(con, "DEVICE.LIST OUTOFSYNC").at(1).texts(),
            [id.as_str()]
        );
        report(&mut con, &id, json!({"a": 1}));
        assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 0);
    }
}
