//! What `DEVICE.SHADOW.UPDATE` refuses, with the numbers and texts of AWS.

use redis::Connection;
use serde_json::json;

use super::*;

/// Refused for a shadow that exists and for one that does not; nothing is written.
#[track_caller]
fn refused(con: &mut Connection, request: &str, code: &str, text: &str) {
    for id in ["d", "new"] {
        for name in [&[][..], &["NAME", "n"]] {
            let words = [&["DEVICE.SHADOW.UPDATE", id, request][..], name].concat();
            let error = expect_refusal(con, &words, code, "");
            let begins = format!("{code} {text}");
            assert!(
                error.starts_with(&begins),
                "{request}\n  {error}\n  {begins}"
            );
            // As a rule the texts of AWS are whole; those about the text of the JSON go on.
            assert!(code != "ERR" || error == begins, "{request}: {error}");
        }
    }
}

#[track_caller]
fn with_two_shadows() -> (Server, Connection) {
    let server = Server::start();
    let mut con = server.connection();
    for name in ["", "NAME n"] {
        set_with(&mut con, "d", json!({"a": 1}), name);
        report_with(&mut con, "d", json!({"a": 2}), name);
    }
    (server, con)
}

#[test]
fn requests_of_a_wrong_shape_are_refused_with_400() {
    let (_server, mut con) = with_two_shadows();
    let too_long = format!("{{\"state\":{{}},\"clientToken\":\"{}\"}}", "é".repeat(33));
    for (request, text) in [
        ("{}", "400 Missing required node: state"),
        (
            "{\"clientToken\":\"x\"}",
            "400 Missing required node: state",
        ),
        ("{\"State\":{}}", "400 Missing required node: state"),
        ("{\"state\":1}", "400 State node must be an object"),
        ("{\"state\":[]}", "400 State node must be an object"),
        ("{\"state\":\"\"}", "400 State node must be an object"),
        ("{\"state\":false}", "400 State node must be an object"),
        (
            "{\"state\":{\"desired\":1}}",
            "400 Desired node must be an object",
        ),
        (
            "{\"state\":{\"desired\":[]}}",
            "400 Desired node must be an object",
        ),
        (
            "{\"state\":{\"reported\":\"x\"}}",
            "400 Reported node must be an object",
        ),
        (
            "{\"state\":{\"desired\":{\"a\":5},\"reported\":true}}",
            "400 Reported node must be an object",
        ),
        (
            "{\"state\":{\"desired\":{\"a\":5},\"foo\":{}}}",
            "400 State contains an invalid node: 'foo'",
        ),
        (
            "{\"state\":{\"delta\":{\"a\":5}}}",
            "400 State contains an invalid node: 'delta'",
        ),
        (
            "{\"state\":{\"\":null}}",
            "400 State contains an invalid node: ''",
        ),
        (&too_long, "400 Invalid clientToken"),
        (
            "{\"state\":{},\"clientToken\":1}",
            "400 Invalid clientToken",
        ),
        (
            "{\"state\":{},\"clientToken\":{}}",
            "400 Invalid clientToken",
        ),
        ("{\"state\":{},\"version\":\"2\"}", "400 Invalid version"),
        ("{\"state\":{},\"version\":1.5}", "400 Invalid version"),
        ("{\"state\":{},\"version\":-1}", "400 Invalid version"),
        ("{\"state\":{},\"version\":{}}", "400 Invalid version"),
    ] {
        refused(&mut con, request, "ERR", text);
    }
}

#[test]
fn what_is_no_json_is_refused_with_400_and_its_place() {
    let (_server, mut con) = with_two_shadows();
    for (request, place) in [
        ("", "line 1 column"),
        ("{", "line 1 column 1"),
        ("[]", "line 1 column 1"),
        ("null", "line 1 column 1"),
        ("\"x\"", "line 1 column 1"),
        ("{\"state\":{},}", "line 1 column 13"),
        ("{\"state\":\n{\"desired\" 1}}", "line 2 column"),
        ("{\"state\":{},\n\"state\":{}}", "line 2 column"),
        (
            "{\"state\":{\"desired\":{\"a\":1,\"a\":1}}}",
            "line 1 column",
        ),
        ("{\"state\":{\"desired\":{\"a\":1e999}}}", "line 1 column"),
        (
            "{\"state\":{\"desired\":{\"a\":\"\\ud800\"}}}",
            "line 1 column",
        ),
        (
            "{\"state\":{\"reported\":{\"a\":\n[null]}}}",
            "line 2 column",
        ),
        ("{\"state\":{}} x", "line 1 column"),
    ] {
        refused(&mut con, request, "BADJSON", "400 Invalid JSON: ");
        let words = ["DEVICE.SHADOW.UPDATE", "d", request];
        expect_error(&mut con, &words, "BADJSON", &format!(" at {place}"));
    }
}

#[test]
fn too_deep_requests_are_refused_with_400() {
    let (_server, mut con) = with_two_shadows();
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let request = |depth| format!("{{\"state\":{{\"desired\":{}}}}}", nested(depth));
    let text = "400 JSON contains too many levels of nesting; maximum is 16 at line 1 column ";
    for depth in [17, 18, 100, 10_000] {
        refused(&mut con, &request(depth), "BADJSON", text);
    }
    assert!(cmd!(con, "DEVICE.SHADOW.UPDATE", "d", request(16)).is_ok());
}

#[test]
fn a_wrong_version_is_refused_with_409_and_400() {
    let (_server, mut con) = with_two_shadows();
    for version in ["0", "1", "3", "18446744073709551615"] {
        let request = format!("{{\"state\":{{\"desired\":{{\"a\":5}}}},\"version\":{version}}}");
        for name in [&[][..], &["NAME", "n"]] {
            let words = [&["DEVICE.SHADOW.UPDATE", "d", &request][..], name].concat();
            expect_refusal(
                &mut con,
                &words,
                "VERSIONCONFLICT",
                "409 Version conflict: ",
            );
            if version != "1" {
                let words = [&["DEVICE.SHADOW.UPDATE", "new", &request][..], name].concat();
                expect_refusal(&mut con, &words, "ERR", "400 Invalid version");
            }
        }
    }
}

#[test]
fn too_large_requests_are_refused_with_413() {
    let (_server, mut con) = with_two_shadows();
    let text = "413 The payload exceeds the maximum size allowed: ";
    let half = "x".repeat(32_761);
    let both = json!({"state": {"desired": {"x": half}, "reported": {"x": half}}}).to_string();
    refused(&mut con, &both, "TOOLARGE", text);
    let one = json!({"state": {"desired": {"x": half}}}).to_string();
    assert!(cmd!(con, "DEVICE.SHADOW.UPDATE", "d", &one).is_ok());
    // Now the other half is too much, though it is small enough by itself.
    let words = [
        "DEVICE.SHADOW.UPDATE",
        "d",
        &one.replace("desired", "reported"),
    ];
    expect_refusal(&mut con, &words, "TOOLARGE", text);
}

#[test]
fn an_unknown_device_is_refused_with_404_where_nobody_may_register_itself() {
    let server = Server::builder()
        .config("devicestate.auto-register", "no")
        .start();
    server.settle();
    let mut con = server.connection();
    let words = ["DEVICE.SHADOW.UPDATE", "d", "{\"state\":{}}"];
    let error = expect_refusal(&mut con, &words, "NODEVICE", "'d'");
    assert!(error.starts_with("NODEVICE 404 "), "{error}");
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    assert_eq!(update(&mut con, "d", json!({"state": {}}))["version"], 1);
}
