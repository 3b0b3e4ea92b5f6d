//! Rules on values: what reports, however they come, make of them.

use redis::Connection;

use super::calls::*;
use crate::devices::*;
use crate::support::*;

/// A server with the rule `hot` on `temperature` of type `t`, and the device `d`.
#[track_caller]
fn hot(more: &str) -> (Server, Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    above_70(&mut con, "hot", "temperature", more);
    (server, con)
}

#[test]
fn every_way_to_report_counts() {
    let (_server, mut con) = hot("");
    for (count, line) in (1..).zip([
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":71}"#,
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":71} REPLACE SESSION 1 SEQ 1"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":71}"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":71} REPLACE SESSION 1 SEQ 2"#,
        r#"DEVICE.SHADOW.UPDATE d {"state":{"reported":{"temperature":71}}}"#,
    ]) {
        assert!(cmd!(con, line).is_ok(), "{line}");
        assert_eq!(
            state(&mut con, "d", "hot"),
            format!("firing 1 {count}"),
            "{line}"
        );
    }
    for clears in [
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":70}"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":70}"#,
        r#"DEVICE.SHADOW.UPDATE d {"state":{"reported":{"temperature":70}}}"#,
    ] {
        assert!(cmd!(con, clears).is_ok(), "{clears}");
        assert_eq!(state(&mut con, "d", "hot"), "none", "{clears}");
        cmd!(con, "DEL device:alerts:d").int();
        report(&mut con, "d", r#"{"temperature":71}"#);
    }
}

#[test]
fn what_is_not_reported_of_the_classic_shadow_does_not() {
    let (_server, mut con) = hot("");
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 5 SEQ 5 REPORTED {}").items();
    for line in [
        // Desired, named, stale, about something else, not a word about it.
        r#"DEVICE.SHADOW.SET d {"temperature":99}"#,
        r#"DEVICE.SHADOW.UPDATE d {"state":{"desired":{"temperature":99}}}"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":99} NAME n"#,
        r#"DEVICE.SHADOW.UPDATE d {"state":{"reported":{"temperature":99}}} NAME n"#,
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":99} SESSION 4"#,
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":99} SESSION 5 SEQ 5"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":99} SESSION 5 SEQ 4"#,
        r#"DEVICE.SHADOW.REPORT d {"temperature":99} SESSION 4"#,
        r#"DEVICE.HEARTBEAT d REPORTED {"x":{"temperature":99}}"#,
        r#"DEVICE.HEARTBEAT d REPORTED {"temperature":null}"#,
        r#"DEVICE.HEARTBEAT other REPORTED {"temperature":99}"#,
        "DEVICE.HEARTBEAT d REPORTED {}",
        "DEVICE.HEARTBEAT d",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for (line, code) in [
        (
            r#"DEVICE.SHADOW.REPORT d {"temperature":99} VERSION 99"#,
            "VERSIONCONFLICT",
        ),
        (
            r#"DEVICE.SHADOW.UPDATE d {"state":{"reported":{"temperature":99}},"version":99}"#,
            "VERSIONCONFLICT",
        ),
        (
            r#"DEVICE.HEARTBEAT d REPORTED {"temperature":99,}"#,
            "BADJSON",
        ),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, code, "");
    }
    assert_eq!(
        cmd!(con, "KEYS device:alerts:*").texts(),
        Vec::<String>::new()
    );
    assert_eq!(events(&mut con).of_type("alert").len(), 0);

    // And it keeps what fires as it is.
    report(&mut con, "d", r#"{"temperature":71}"#);
    report(&mut con, "d", r#"{"temperature":null}"#);
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {} REPLACE").items();
    assert_eq!(state(&mut con, "d", "hot"), "firing 1 1");
}

#[test]
fn a_device_that_registers_by_its_report_has_the_rules_of_its_type() {
    let server = quick();
    let mut con = server.connection();
    let rule = r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#;
    set_rule(&mut con, "unknown", "high", rule);
    for (id, command) in [
        ("a", "DEVICE.HEARTBEAT a REPORTED"),
        ("b", "DEVICE.SHADOW.REPORT b"),
    ] {
        assert!(cmd!(con, command, r#"{"v":6}"#).is_ok());
        assert_eq!(state(&mut con, id, "high"), "firing 1 1");
        assert_eq!(announced(&mut con, id), ["high firing 1 1"]);
        let kinds = events_of(&mut con, id);
        assert_eq!(kinds.field("type")[0], "registered");
    }
}

#[test]
fn both_notations_of_a_path_reach_into_the_report() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    for (name, path) in [
        ("dotted", "motor.speed"),
        ("pointer", "/motor/temps/1"),
        ("escaped", "/a.b~1c~0d"),
        ("top", "motor"),
    ] {
        above_70(&mut con, name, path, "");
    }
    let document = r#"{"motor":{"speed":71,"temps":[1,90]},"a.b/c~d":71}"#;
    report(&mut con, "d", document);
    let found: Vec<String> = list(&mut con, "d").keys().cloned().collect();
    assert_eq!(found, ["dotted", "escaped", "pointer"]);
    let alerts = list(&mut con, "d");
    assert_eq!(alerts["pointer"]["severity"].int(), 3);
    assert_eq!(
        alerts["pointer"]["data"].text(),
        r#"{"path":"/motor/temps/1","value":90}"#
    );
    // A report that does not carry them changes nothing.
    report(&mut con, "d", r#"{"motor":{"other":1}}"#);
    assert_eq!(list(&mut con, "d").len(), 3);
    report(&mut con, "d", r#"{"motor":{"speed":1,"temps":[]}}"#);
    let found: Vec<String> = list(&mut con, "d").keys().cloned().collect();
    assert_eq!(found, ["escaped", "pointer"]);
}

#[test]
fn what_is_no_number_is_applied_and_counted_and_raises_nothing() {
    let (server, mut con) = hot("");
    let reports = info_number(&mut con, "reports");
    let bad = [r#""99""#, "[99]", r#"{"a":99}"#, "true"];
    for (n, value) in (1..).zip(bad) {
        report(&mut con, "d", &format!("{{\"temperature\":{value}}}"));
        assert_eq!(info_number(&mut con, "alert_values_unusable"), n);
        let shadow = cmd!(con, "DEVICE.SHADOW.GET d").json();
        let stored = &shadow["state"]["reported"]["temperature"];
        assert_eq!(stored.to_string(), value);
    }
    assert_eq!(info_number(&mut con, "reports") - reports, 4);
    assert_eq!(state(&mut con, "d", "hot"), "none");
    let log = server.log();
    assert!(
        log.contains("alert rule 'hot' of type 't': no number is reported at temperature"),
        "{log}"
    );
    // What fires goes on.
    report(&mut con, "d", r#"{"temperature":71}"#);
    report(&mut con, "d", r#"{"temperature":[]}"#);
    assert_eq!(state(&mut con, "d", "hot"), "firing 1 1");
}

#[test]
fn a_value_on_the_bound_is_inside_and_hysteresis_keeps_what_fires() {
    let (_server, mut con) = hot(r#","hysteresis":2"#);
    for (value, expected) in [
        ("70", "none"),
        ("70.00001", "firing 1 1"),
        ("85", "firing 1 2"),
        ("85.5", "firing 3 3"),
        ("70", "firing 3 3"),
        ("68.5", "firing 3 3"),
        ("68", "none"),
        ("69", "none"),
        ("18446744073709551615", "firing 3 4"),
        ("-9223372036854775808", "none"),
        ("1e308", "firing 3 5"),
    ] {
        report(&mut con, "d", &format!("{{\"temperature\":{value}}}"));
        assert_eq!(state(&mut con, "d", "hot"), expected, "{value}");
    }
}

#[test]
fn a_rule_tells_its_users_and_the_owners_each_once() {
    let (_server, mut con) = hot(r#","wait":0,"notify":["ops","ann","ops"]"#);
    let meta = r#"{"owners":["ann","bob",7,"","a b",{},"bob"]}"#;
    cmd!(con, "DEVICE.REGISTER", "d", "t", "META", meta).int();
    report(&mut con, "d", r#"{"temperature":71}"#);
    let alert = &list(&mut con, "d")["hot"];
    assert_eq!(alert["users"].texts(), ["ops", "ann", "bob"]);
    for user in ["ops", "ann", "bob"] {
        assert_eq!(told(&mut con, user), ["d hot firing 1 1"], "{user}");
    }
    for meta in ["{}", r#"{"owners":"ann"}"#, r#"{"owners":{}}"#] {
        cmd!(con, "DEVICE.REGISTER", "e", "t", "META", meta).int();
        cmd!(con, "DEL device:alerts:e").int();
        report(&mut con, "e", r#"{"temperature":71}"#);
        let users = list(&mut con, "e")["hot"]["users"].texts();
        assert_eq!(users, ["ops", "ann"], "{meta}");
    }
}

#[test]
fn what_is_urgent_waits_for_nobody_whatever_the_rule_says() {
    let (_server, mut con) = hot(r#","wait":"3h","notify":["ops"]"#);
    report(&mut con, "d", r#"{"temperature":71}"#);
    assert_eq!(due(&mut con), Vec::<String>::new());
    report(&mut con, "d", r#"{"temperature":86}"#);
    assert_eq!(due(&mut con), ["ops"]);
    assert_eq!(told(&mut con, "ops"), ["d hot firing 3 2"]);
    // Where the setting says so, it waits as well.
    cmd!(con, "CONFIG SET devicestate.alert-urgent-severity 4").text();
    report(&mut con, "e", r#"{"temperature":86}"#);
    cmd!(con, "DEVICE.REGISTER f t").int();
    report(&mut con, "f", r#"{"temperature":86}"#);
    assert_eq!(state(&mut con, "f", "hot"), "firing 3 1");
    assert_eq!(due(&mut con), Vec::<String>::new());
    assert_eq!(
        batch(&mut con, "ops NOW").map(|b| b.lines()),
        Some(vec!["f hot firing 3 1".to_owned()])
    );
}

#[test]
fn a_rule_counts_as_soon_as_it_is_set_changed_or_deleted() {
    let (_server, mut con) = hot("");
    report(&mut con, "d", r#"{"temperature":71}"#);
    let other = r#"{"path":"temperature","bands":[{"severity":2,"high":200}]}"#;
    assert_eq!(set_rule(&mut con, "t", "hot", other), 0);
    assert_eq!(set_rule(&mut con, "t", "new", other), 1);
    // The old alert is cleared by what the new rule says.
    report(&mut con, "d", r#"{"temperature":71}"#);
    assert_eq!(state(&mut con, "d", "hot"), "none");
    report(&mut con, "d", r#"{"temperature":201}"#);
    assert_eq!(state(&mut con, "d", "hot"), "firing 2 2");
    assert_eq!(state(&mut con, "d", "new"), "firing 2 1");
    assert_eq!(cmd!(con, "ALERT.RULE.DEL t hot").int(), 1);
    assert_eq!(cmd!(con, "ALERT.RULE.DEL t hot").int(), 0);
    report(&mut con, "d", r#"{"temperature":1}"#);
    assert_eq!(state(&mut con, "d", "new"), "none");
    // It stays until somebody clears it.
    assert_eq!(state(&mut con, "d", "hot"), "firing 2 2");
    assert_eq!(clear(&mut con, "d", "hot"), 1);
    let rules = cmd!(con, "ALERT.RULE.LIST t").fields();
    assert_eq!(rules.keys().collect::<Vec<_>>(), ["new"]);
    assert_eq!(
        rules["new"].json(),
        serde_json::json!({
            "path": "temperature", "bands": [{"severity": 2, "high": 200}]
        })
    );
    // Written past the command, it counts all the same.
    cmd!(con, "DEL alerts:rules:t").int();
    report(&mut con, "d", r#"{"temperature":300}"#);
    assert_eq!(state(&mut con, "d", "new"), "none");
    cmd!(con, "HSET", "alerts:rules:t", "by-hand", other).int();
    report(&mut con, "d", r#"{"temperature":300}"#);
    assert_eq!(state(&mut con, "d", "by-hand"), "firing 2 1");
}

#[test]
fn a_device_that_changes_its_type_changes_its_rules() {
    let (_server, mut con) = hot("");
    let rule = r#"{"path":"temperature","bands":[{"severity":2,"low":0}]}"#;
    set_rule(&mut con, "freezer", "cold", rule);
    cmd!(con, "DEVICE.REGISTER d freezer").int();
    report(&mut con, "d", r#"{"temperature":99}"#);
    assert_eq!(list(&mut con, "d").len(), 0);
    report(&mut con, "d", r#"{"temperature":-1}"#);
    assert_eq!(state(&mut con, "d", "cold"), "firing 2 1");
}
