//! Documents that are no JSON object, or none that a shadow may hold.

use redis::Connection;

use super::populate;
use crate::devices::*;
use crate::support::*;

/// Refused by HEARTBEAT REPORTED and REGISTER META alike, for new and known devices.
#[track_caller]
fn refused(con: &mut Connection, document: &[u8], code: &str, contains: &str) {
    for (before, argument) in [
        ("DEVICE.HEARTBEAT new REPORTED", "REPORTED"),
        ("DEVICE.HEARTBEAT online TIMEOUT 1s REPORTED", "REPORTED"),
        ("DEVICE.HEARTBEAT offline SESSION 9 REPORTED", "REPORTED"),
        ("DEVICE.REGISTER new sensor META", "META"),
        ("DEVICE.REGISTER offline motor META", "META"),
    ] {
        let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
        words.push(document);
        let error = expect_refusal(con, &words, code, contains);
        assert!(error.contains(argument), "{error}");
    }
}

#[test]
fn broken_json_is_refused_with_its_line_and_column() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (document, place) in [
        ("", "line 1 column"),
        (" ", "line 1 column"),
        ("{", "line 1 column 1"),
        ("{\"a\":1,}", "line 1 column 8"),
        ("{\"a\":1,\n \"b\" 2}", "line 2 column 6"),
        ("{\"a\":1,\n\n \"a\":2}", "line 3 column"),
        ("{\"a\":{\"b\":1,\"b\":1}}", "line 1 column"),
        ("{a:1}", "line 1 column 2"),
        ("{'a':1}", "line 1 column 2"),
        ("{} x", "line 1 column 4"),
        ("{}{}", "line 1 column 3"),
        ("{\"a\":01}", "line 1 column"),
        ("{\"a\":+1}", "line 1 column"),
        ("{\"a\":.5}", "line 1 column"),
        ("{\"a\":NaN}", "line 1 column"),
        ("{\"a\":Infinity}", "line 1 column"),
        ("{\"a\":\"\\ud800\"}", "line 1 column"),
        ("{\"a\":\"\n\"}", "column"),
        ("{\"a\":\"\u{1}\"}", "line 1 column"),
        ("{\"a\":// c\n1}", "line 1 column"),
        ("\u{feff}{}", "line 1 column"),
    ] {
        refused(&mut con, document.as_bytes(), "BADJSON", place);
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for document in ["[]", "[{}]", "1", "null", "true", "\"{}\"", "-0"] {
        refused(&mut con, document.as_bytes(), "BADJSON", "line 1 column 1");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for document in [
        &b"\xff"[..],
        b"{\"a\":\"\xff\"}",
        b"{\"\xc3\":1}",
        b"{\"a\":\"\0\"}",
        b"\0",
        b"{\"a\":1}\0",
        b"%n%s%n%s",
    ] {
        refused(&mut con, document, "BADJSON", "line 1 column");
    }
}

#[test]
fn numbers_that_would_be_rounded_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for number in [
        "18446744073709551616",
        "-9223372036854775809",
        "1e400",
        "-1e400",
        "0.12345678901234567890123",
        "9007199254740993.0",
        "1e99999999999999999999",
    ] {
        let document = format!("{{\"x\":1,\n\"n\":{number}}}");
        refused(&mut con, document.as_bytes(), "BADJSON", "line 2 column");
    }
}

#[test]
fn documents_may_be_as_deep_as_the_setting_says() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for depth in [17, 100, 50_000] {
        refused(&mut con, nested(depth).as_bytes(), "BADJSON", "16");
    }
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
    refused(&mut con, arrays.as_bytes(), "BADJSON", "16");
    assert!(cmd!(con, "DEVICE.HEARTBEAT", "online", "REPORTED", nested(16)).is_ok());
    assert!(cmd!(
        con,
        "DEVICE.REGISTER",
        "online",
        "sensor",
        "META",
        nested(16)
    )
    .is_ok());
    cmd!(con, "CONFIG SET", "devicestate.max-document-depth", 2).text();
    refused(&mut con, nested(3).as_bytes(), "BADJSON", "2");
}

#[test]
fn documents_may_be_as_large_as_the_setting_says() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    let document = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for bytes in [65_537 + 20, 1 << 20] {
        refused(&mut con, document(bytes).as_bytes(), "TOOLARGE", "65536");
    }
    assert!(cmd!(con, "DEVICE.REGISTER", "new", "s", "META", document(65_536)).is_ok());
    let report = ["DEVICE.HEARTBEAT", "new", "REPORTED", &document(65_536)];
    assert!(con.run(redis::Cmd::new().arg(&report)).is_ok());
}

#[test]
fn nulls_in_arrays_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for document in ["{\"a\":[null]}", "{\"a\":[1,{\"b\":null}]}"] {
        refused(&mut con, document.as_bytes(), "BADJSON", "null");
    }
}
