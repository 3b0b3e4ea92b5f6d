//! Examples, and every refusal with its text.

use super::*;
use crate::alert::path::Path;
use serde_json::json;

fn parsed(text: &str) -> Rule {
    Rule::parse(text.as_bytes()).unwrap().0
}

fn refused(text: &str) -> String {
    Rule::parse(text.as_bytes()).unwrap_err().to_string()
}

/// A rule on a value that is good but for these fields; null takes a field away.
pub(super) fn with(fields: Value) -> String {
    changed(
        json!({"path": "t", "bands": [{"severity": 1, "high": 70}]}),
        fields,
    )
}

/// The same on presence.
pub(super) fn offline_with(fields: Value) -> String {
    changed(json!({"on": "offline"}), fields)
}

pub(super) fn changed(mut rule: Value, fields: Value) -> String {
    for (field, value) in fields.as_object().unwrap() {
        rule[field] = value.clone();
    }
    rule.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    rule.to_string()
}

#[test]
fn a_rule_on_a_value_with_everything() {
    let text = r#"{"path":"/a/temperature","bands":[{"severity":3,"high":85},
        {"severity":1,"low":5,"high":70}],"hysteresis":2,"for":1500,"every":"1h","keep":"10m",
        "wait":"3h","notify":["ops","night","ops"]}"#;
    let rule = parsed(text);
    assert_eq!(rule.hold_ms, 1_500);
    assert_eq!(rule.every_ms, Some(3_600_000));
    assert_eq!(rule.keep_ms, 600_000);
    assert_eq!(rule.wait_ms, Some(10_800_000));
    assert_eq!(rule.notify, ["ops", "night"]);
    let Condition::Value(bands) = rule.condition else {
        panic!("a rule on a value");
    };
    assert_eq!(bands.path(), &Path::parse("/a/temperature").unwrap());
    for (value, judgement) in [
        (4.0, Judgement::Outside { severity: 1 }),
        (6.9, Judgement::Within),
        (7.0, Judgement::Inside),
        (86.0, Judgement::Outside { severity: 3 }),
    ] {
        assert_eq!(bands.judge(value), judgement, "{value}");
    }
}

#[test]
fn a_rule_on_presence_with_everything() {
    let text = r#"{"on":"offline","for":"5m","severity":2,"every":"1h","wait":0,"notify":["ops"]}"#;
    assert_eq!(
        parsed(text),
        Rule {
            condition: Condition::Offline { severity: 2 },
            hold_ms: 300_000,
            every_ms: Some(3_600_000),
            keep_ms: 0,
            wait_ms: Some(0),
            notify: vec!["ops".to_owned()],
        }
    );
}

#[test]
fn what_is_not_given_has_its_default() {
    let rule = parsed(&with(json!({})));
    assert_eq!((rule.hold_ms, rule.keep_ms), (0, 0));
    assert_eq!((rule.every_ms, rule.wait_ms), (None, None));
    assert!(rule.notify.is_empty());
    let Condition::Value(bands) = rule.condition else {
        panic!("a rule on a value");
    };
    assert_eq!(bands.judge(70.0), Judgement::Inside, "hysteresis 0");
    assert_eq!(
        parsed(&offline_with(json!({}))),
        Rule {
            condition: Condition::Offline { severity: 1 },
            hold_ms: 0,
            every_ms: None,
            keep_ms: 0,
            wait_ms: None,
            notify: Vec::new(),
        }
    );
}

#[test]
fn the_stored_text_is_the_same_without_white_space() {
    let text = "{ \"path\": \"t\",\n \"notify\": [ \"b\", \"a\", \"b\" ], \"for\": \"5m\",
        \"bands\": [ { \"severity\": 2, \"high\": 70.50 }, {\"severity\":1, \"high\": 1e1} ] }";
    let (rule, stored) = Rule::parse(text.as_bytes()).unwrap();
    assert_eq!(
        stored,
        r#"{"bands":[{"high":70.5,"severity":2},{"high":10.0,"severity":1}],"for":"5m","notify":["b","a","b"],"path":"t"}"#
    );
    assert_eq!(Rule::parse(stored.as_bytes()), Ok((rule, stored)));
}

#[test]
fn broken_json_says_line_and_column() {
    for (text, error) in [
        ("", "EOF while parsing a value at line 1 column 1"),
        ("[]", "not a JSON object at line 1 column 1"),
        (
            "{\"on\":\n\"offline\",}",
            "trailing comma at line 2 column 11",
        ),
        (
            r#"{"on":"offline","on":"offline"}"#,
            "duplicate key \"on\" at line 1 column 20",
        ),
        (
            r#"{"on":"offline","notify":[null]}"#,
            "null inside an array at line 1 column 30",
        ),
    ] {
        assert_eq!(refused(text), error);
        assert!(matches!(
            Rule::parse(text.as_bytes()),
            Err(RuleError::Json(_))
        ));
    }
    let deep = format!("{{\"on\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(&deep).starts_with("JSON contains too many levels of nesting"));
}

#[test]
fn a_rule_is_on_a_value_or_on_presence() {
    for (text, error) in [
        ("{}".to_owned(), "has neither 'path' nor 'on'"),
        (
            with(json!({"on": "offline"})),
            "/on: a rule with a 'path' has no 'on'",
        ),
        (
            with(json!({"severity": 1})),
            "/severity: not for a rule on a value",
        ),
        (
            offline_with(json!({"keep": 0})),
            "/keep: not for a rule on presence",
        ),
        (
            offline_with(json!({"bands": []})),
            "/bands: not for a rule on presence",
        ),
        (
            offline_with(json!({"hysteresis": 0})),
            "/hysteresis: not for a rule on presence",
        ),
        (
            offline_with(json!({"on": "online"})),
            "/on: 'online' is not 'offline'",
        ),
        (
            offline_with(json!({"on": true})),
            "/on: true is not 'offline'",
        ),
        (with(json!({"every_": 1})), "unknown field 'every_'"),
        (offline_with(json!({"a\nb": 1})), "unknown field 'a\\nb'"),
        (
            with(json!({"bands": [{"severity": 1, "hihg": 70}]})),
            "/bands/0: unknown field 'hihg'",
        ),
    ] {
        assert_eq!(refused(&text), error);
    }
    // Null is a value like another one, not the same as nothing.
    assert_eq!(refused(r#"{"on":null}"#), "/on: null is not 'offline'");
    assert_eq!(refused(r#"{"path":null}"#), "/path: null is not a path");
}

#[test]
fn paths_and_bands_say_what_is_wrong_with_them() {
    let many: Vec<Value> = (0..17).map(|n| json!({"severity": n, "high": n})).collect();
    for (fields, error) in [
        (json!({"path": 5}), "/path: 5 is not a path"),
        (
            json!({"path": "a..b"}),
            "/path: 'a..b' has an empty part; a key with a dot is named as in '/a.b'",
        ),
        (json!({"bands": null}), "'bands' is missing"),
        (
            json!({"bands": {}}),
            "/bands: an object is not an array of bands",
        ),
        (json!({"bands": []}), "/bands: 0 is not from 1 to 16 bands"),
        (
            json!({"bands": many}),
            "/bands: 17 is not from 1 to 16 bands",
        ),
        (json!({"bands": [70]}), "/bands/0: 70 is not a band"),
        (
            json!({"bands": [{"high": 70}]}),
            "/bands/0: 'severity' is missing",
        ),
        (
            json!({"bands": [{"severity": 1}]}),
            "/bands/0: has neither 'low' nor 'high'",
        ),
        (
            json!({"bands": [{"severity": 1, "high": "70"}]}),
            "/bands/0/high: '70' is not a number",
        ),
        (
            json!({"bands": [{"severity": 1, "low": [], "high": 5}]}),
            "/bands/0/low: an array is not a number",
        ),
    ] {
        assert_eq!(refused(&with(fields)), error);
    }
    assert!(Rule::parse(with(json!({"bands": many[..16]})).as_bytes()).is_ok());
    for severity in [json!(-1), json!(1001), json!(1.5), json!("1"), json!(1e300)] {
        let shown = shown(&severity);
        assert_eq!(
            refused(&with(json!({"bands": [{"severity": severity, "low": 1}]}))),
            format!("/bands/0/severity: {shown} is not a whole number from 0 to 1000")
        );
        assert_eq!(
            refused(&offline_with(json!({"severity": severity}))),
            format!("/severity: {shown} is not a whole number from 0 to 1000")
        );
    }
    for (given, severity) in [("0", 0), ("1000", 1_000), ("2.0", 2), ("1e2", 100)] {
        let rule = parsed(&format!(r#"{{"on":"offline","severity":{given}}}"#));
        assert_eq!(rule.condition, Condition::Offline { severity });
    }
}

#[test]
fn durations_say_what_is_wrong_with_them() {
    const NO_DURATION: &str = "is not milliseconds or a whole number with a unit (ms, s, m, h, d)";
    for field in ["for", "every", "wait", "keep"] {
        for (given, error) in [
            (json!("5 min"), format!("'5 min' {NO_DURATION}")),
            (json!(""), format!("'' {NO_DURATION}")),
            (json!(-1), format!("-1 {NO_DURATION}")),
            (json!(1.5), format!("1.5 {NO_DURATION}")),
            (json!(true), format!("true {NO_DURATION}")),
            (json!({"h": 1}), format!("an object {NO_DURATION}")),
            (json!("3651d"), "'3651d' is more than ten years".to_owned()),
            (
                json!(MAX_DURATION_MS + 1),
                "315360000001 is more than ten years".to_owned(),
            ),
            (json!(1e300), "1e+300 is more than ten years".to_owned()),
            (
                json!("99999999999999999999d"),
                "'99999999999999999999d' is more than ten years".to_owned(),
            ),
        ] {
            assert_eq!(
                refused(&with(json!({field: given}))),
                format!("/{field}: {error}")
            );
        }
        for (given, ms) in [
            (json!(0), 0),
            (json!(1e3), 1_000),
            (json!("250"), 250),
            (json!("3650d"), MAX_DURATION_MS),
            (json!(MAX_DURATION_MS), MAX_DURATION_MS),
        ] {
            let rule = parsed(&with(json!({field: given})));
            let read = match field {
                "for" => rule.hold_ms,
                "every" => rule.every_ms.unwrap(),
                "wait" => rule.wait_ms.unwrap(),
                _ => rule.keep_ms,
            };
            assert_eq!(read, ms, "{field}");
        }
    }
    assert_eq!(
        refused(r#"{"on":"offline","wait":null}"#),
        format!("/wait: null {NO_DURATION}")
    );
}

#[test]
fn users_say_what_is_wrong_with_them() {
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("u{n}")).collect() };
    for (given, error) in [
        (json!("ops"), "/notify: 'ops' is not an array of users"),
        (json!(names(65)), "/notify: 65 users are more than 64"),
        (json!(["ops", 5]), "/notify/1: 5 is not the name of a user"),
        (
            json!([["ops"]]),
            "/notify/0: an array is not the name of a user",
        ),
        (
            json!(["ops", "night shift"]),
            "/notify/1: invalid user 'night shift': it contains white space",
        ),
        (json!([""]), "/notify/0: invalid user '': it is empty"),
    ] {
        assert_eq!(refused(&with(json!({"notify": given}))), error);
        assert_eq!(refused(&offline_with(json!({"notify": given}))), error);
    }
    assert_eq!(
        parsed(&with(json!({"notify": names(64)}))).notify,
        names(64)
    );
    assert!(parsed(&with(json!({"notify": []}))).notify.is_empty());
}
