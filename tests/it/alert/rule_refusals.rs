//! A rule that can't do what it says is refused when it is set, and the error names the place.

use super::*;

#[test]
fn every_refusal_names_its_place() {
    let server = Server::start();
    let mut con = server.connection();
    above_70(&mut con, "r", "v", "");
    for (rule, contains) in [
        ("{}", "rule: has neither 'path' nor 'on'"),
        (r#"{"on":"offline","path":"v"}"#, "rule at /on: "),
        (
            r#"{"on":"online"}"#,
            "rule at /on: 'online' is not 'offline'",
        ),
        (r#"{"on":7}"#, "rule at /on: 7 is not 'offline'"),
        (r#"{"on":"offline","severity":-1}"#, "rule at /severity: -1"),
        (
            r#"{"on":"offline","severity":1001}"#,
            "rule at /severity: 1001",
        ),
        (
            r#"{"on":"offline","severity":"1"}"#,
            "rule at /severity: '1'",
        ),
        (
            r#"{"on":"offline","keep":"1h"}"#,
            "rule at /keep: not for a rule on presence",
        ),
        (r#"{"on":"offline","bands":[]}"#, "rule at /bands: not for"),
        (r#"{"on":"offline","nope":1}"#, "unknown field 'nope'"),
        (r#"{"on":"offline","for":"soon"}"#, "rule at /for: 'soon'"),
        (
            r#"{"on":"offline","for":"3651d"}"#,
            "rule at /for: '3651d' is more than ten years",
        ),
        (r#"{"on":"offline","every":-1}"#, "rule at /every: -1"),
        (r#"{"on":"offline","every":1.5}"#, "rule at /every: 1.5"),
        (r#"{"on":"offline","wait":1e300}"#, "rule at /wait: "),
        (
            r#"{"on":"offline","notify":"ops"}"#,
            "rule at /notify: 'ops'",
        ),
        (
            r#"{"on":"offline","notify":["a b"]}"#,
            "rule at /notify/0: invalid user 'a b'",
        ),
        (
            r#"{"on":"offline","notify":["a",7]}"#,
            "rule at /notify/1: 7",
        ),
        (r#"{"path":"v"}"#, "rule: 'bands' is missing"),
        (r#"{"path":7,"bands":[]}"#, "rule at /path: 7 is not a path"),
        (
            r#"{"path":"a..b","bands":[]}"#,
            "rule at /path: 'a..b' has an empty part",
        ),
        (
            r#"{"path":"/a~2","bands":[]}"#,
            "rule at /path: '/a~2' has a '~'",
        ),
        (
            r#"{"path":"v","bands":[]}"#,
            "rule at /bands: 0 is not from 1 to 16 bands",
        ),
        (
            r#"{"path":"v","bands":{}}"#,
            "rule at /bands: an object is not an array",
        ),
        (
            r#"{"path":"v","bands":[7]}"#,
            "rule at /bands/0: 7 is not a band",
        ),
        (
            r#"{"path":"v","bands":[{"high":1}]}"#,
            "rule at /bands/0: 'severity' is missing",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1}]}"#,
            "rule at /bands/0: has neither",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"low":5,"high":5}]}"#,
            "rule at /bands/0/high: 5 is not above 'low', 5",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"high":"5"}]}"#,
            "rule at /bands/0/high: '5' is not a number",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"high":5},{"severity":1,"high":6}]}"#,
            "rule at /bands/1/severity: 1 is that of /bands/0 too",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"high":5},{"severity":2,"high":4}]}"#,
            "rule at /bands/1/high: 4 is nearer",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"high":5,"x":1}]}"#,
            "rule at /bands/0: unknown field 'x'",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"high":5}],"hysteresis":-1}"#,
            "rule at /hysteresis: -1",
        ),
        (
            r#"{"path":"v","bands":[{"severity":1,"low":4,"high":5}],"hysteresis":1}"#,
            "rule at /hysteresis: no value",
        ),
        (
            r#"{"path":"v","severity":1,"bands":[{"severity":1,"high":5}]}"#,
            "rule at /severity: not for a rule on a value",
        ),
    ] {
        for name in ["r", "new"] {
            let words = ["ALERT.RULE.SET", "t", name, rule];
            expect_refusal(&mut con, &words, "ERR", contains);
        }
    }
    for (rule, contains) in [
        ("", "line 1 column"),
        ("[]", "line 1 column 1"),
        ("{\"on\":\"offline\",\n\"on\":\"offline\"}", "line 2 column"),
        ("{\"on\":\"offline\"} x", "line 1 column"),
    ] {
        let words = ["ALERT.RULE.SET", "t", "r", rule];
        let error = expect_refusal(&mut con, &words, "BADJSON", contains);
        assert!(error.contains("rule"), "{error}");
    }
}

/// What is quoted of a rule is short and printable, however long it is.
#[test]
fn a_huge_rule_makes_no_huge_error() {
    let server = Server::start();
    let mut con = server.connection();
    let long = "y\\n".repeat(20_000);
    for rule in [
        format!(r#"{{"on":"{long}"}}"#),
        format!(r#"{{"path":"{long}","bands":[]}}"#),
        format!(r#"{{"on":"offline","{long}":1}}"#),
        format!(r#"{{"on":"offline","notify":["{long}"]}}"#),
    ] {
        let words = ["ALERT.RULE.SET", "t", "r", rule.as_str()];
        let error = expect_refusal(&mut con, &words, "ERR", "rule");
        assert!(error.len() < 1_000, "{} bytes", error.len());
        assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
    }
    let huge = format!(r#"{{"on":"offline","x":"{}"}}"#, "y".repeat(1 << 20));
    expect_refusal(
        &mut con,
        &["ALERT.RULE.SET", "t", "r", &huge],
        "TOOLARGE",
        "rule",
    );
}

#[test]
fn a_rule_is_stored_as_it_reads_without_white_space() {
    let server = Server::start();
    let mut con = server.connection();
    let rule = "{ \"on\" : \"offline\",\n \"for\" : \"5m\" , \"notify\" : [ ] }";
    set_rule(&mut con, "t", "b", rule);
    set_rule(&mut con, "t", "a", r#"{"on":"offline"}"#);
    let rules = cmd!(con, "ALERT.RULE.LIST t").texts();
    let stored = r#"{"on":"offline","for":"5m","notify":[]}"#;
    assert_eq!(rules[..3], ["a", r#"{"on":"offline"}"#, "b"]);
    let as_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    assert_eq!(as_json(&rules[3]), as_json(stored));
    assert!(!rules[3].contains(' '), "{}", rules[3]);
    assert_eq!(
        cmd!(con, "ALERT.RULE.LIST other").texts(),
        Vec::<String>::new()
    );
    // Nothing is left of a type whose last rule goes.
    for name in ["a", "b"] {
        assert_eq!(cmd!(con, "ALERT.RULE.DEL", "t", name).int(), 1);
    }
    assert_eq!(cmd!(con, "KEYS *").texts(), Vec::<String>::new());
}
