//! What the shadow commands refuse: documents, names, options. Nothing is written, and the error names the place of the fault.

use redis::Connection;
use serde_json::json;

use super::*;

/// A device with a classic and a named shadow, out of sync.
#[track_caller]
pub fn populate(con: &mut Connection) {
    for options in ["", "NAME n"] {
        set_with(con, "d", json!({"a": 1}), options);
        report_with(con, "d", json!({"a": 2, "b": {}}), options);
    }
}

/// Refused by SET and REPORT, for known and unknown devices and shadows, merging and replacing.
#[track_caller]
fn refused(con: &mut Connection, document: &[u8], code: &str, contains: &str) {
    for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
        for (id, options) in [
            ("d", &[][..]),
            ("d", &["REPLACE"]),
            ("d", &["NAME", "n", "VERSION", "2"]),
            ("d", &["NAME", "new"]),
            ("new", &[]),
        ] {
            let mut words = vec![command.as_bytes(), id.as_bytes(), document];
            words.extend(options.iter().map(|option| option.as_bytes()));
            let error = expect_refusal(con, &words, code, contains);
            assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
        }
    }
}

#[test]
fn broken_documents_are_refused_with_the_place_of_the_fault() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (document, place) in [
        ("", "line 1 column"),
        ("{", "line 1 column 1"),
        ("{\"a\":1,}", "line 1 column 8"),
        ("{\"a\":1,\n \"b\" 2}", "line 2 column 6"),
        ("{} x", "line 1 column 4"),
        ("{\"a\":NaN}", "line 1 column"),
        // Arrays with null, however deep.
        ("{\"x\":1,\n\"a\":[null]}", "line 2 column"),
        ("{\"a\":[1,[2,null]]}", "line 1 column"),
        ("{\"a\":{\"b\":\n[{\"c\":null}]}}", "line 2 column"),
        // Duplicate keys, also where escapes hide them.
        ("{\"a\":1,\n\"a\":1}", "line 2 column"),
        ("{\"a\":{\"b\":1,\"\\u0062\":2}}", "line 1 column"),
        ("{\"a\":[{\"b\":1,\n\n\"b\":1}]}", "line 3 column"),
        // Numbers that would be rounded.
        ("{\"n\":\n18446744073709551616}", "line 2 column"),
        ("{\"n\":-9223372036854775809}", "line 1 column"),
        ("{\"n\":1e400}", "line 1 column"),
        ("{\"n\":[0.12345678901234567890123]}", "line 1 column"),
        // Lone surrogates.
        ("{\"a\":\"\\ud800\"}", "line 1 column"),
        ("{\"\\udc00\":1}", "line 1 column"),
        ("{\"a\":\"\\ud800\\u0041\"}", "line 1 column"),
        // What is no object.
        ("[]", "line 1 column 1"),
        ("null", "line 1 column 1"),
        ("1", "line 1 column 1"),
        ("\"{}\"", "line 1 column 1"),
    ] {
        refused(&mut con, document.as_bytes(), "BADJSON", place);
    }
    for bytes in [&b"\xff"[..], b"{\"a\":\"\xff\"}", b"{\"a\":1}\0", b"%n%s"] {
        refused(&mut con, bytes, "BADJSON", "line 1 column");
    }
}

#[test]
fn the_error_says_that_it_is_about_null_or_depth() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    refused(&mut con, b"{\"a\":[null]}", "BADJSON", "null");
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for depth in [17, 100, 50_000] {
        refused(&mut con, nested(depth).as_bytes(), "BADJSON", "16");
    }
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
    refused(&mut con, arrays.as_bytes(), "BADJSON", "16");
    assert!(cmd!(con, "DEVICE.SHADOW.SET", "d", nested(16)).is_ok());
    assert!(cmd!(con, "DEVICE.SHADOW.REPORT", "d", nested(16)).is_ok());
}

#[test]
fn both_sections_together_may_be_64_kib() {
    let server = Server::start();
    let mut con = server.connection();
    let document = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    populate(&mut con);
    for bytes in [65_537, 1 << 20] {
        refused(&mut con, document(bytes).as_bytes(), "TOOLARGE", "65536");
    }
    // An empty reported section may count as the two bytes that it is.
    let words = ["DEVICE.SHADOW.SET", "half", &document(32_768)];
    assert!(con.run(Cmd::new().arg(&words)).is_ok());
    let one_more = ["DEVICE.SHADOW.REPORT", "half", &document(32_769)];
    expect_refusal(&mut con, &one_more, "TOOLARGE", "65536");
    let words = ["DEVICE.SHADOW.REPORT", "half", &document(32_768)];
    assert!(con.run(Cmd::new().arg(&words)).is_ok());
    let one_more = ["DEVICE.SHADOW.SET", "half", "{\"b\":1}"];
    expect_refusal(&mut con, &one_more, "TOOLARGE", "65536");
    let beat = ["DEVICE.HEARTBEAT", "half", "REPORTED", "{\"b\":1}"];
    expect_refusal(&mut con, &beat, "TOOLARGE", "65536");
    assert_eq!(number(&mut con, "half", "version"), 2);
}

#[test]
fn bad_names_of_shadows_are_refused_by_every_command() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    let (long, wide) = ("x".repeat(65), "é".repeat(33));
    for name in [
        "", " ", "a b", "a\tb", "a\nb", "\0", "a\x7fb", "{", "}", "{n}", "a\u{a0}b", &long, &wide,
    ] {
        for (command, rest) in [
            ("DEVICE.SHADOW.SET", &["{\"x\":1}"][..]),
            ("DEVICE.SHADOW.REPORT", &["{\"x\":1}"]),
            ("DEVICE.SHADOW.UPDATE", &["{\"state\":{}}"]),
            ("DEVICE.SHADOW.GET", &[]),
            ("DEVICE.SHADOW.DEL", &[]),
            ("DEVICE.DELTA", &[]),
        ] {
            for id in ["d", "new"] {
                let words = [&[command, id][..], rest, &["NAME", name]].concat();
                let error = expect_refusal(&mut con, &words, "ERR", "name");
                let plain = error.chars().all(|c| !c.is_control());
                assert!(plain && error.contains("invalid"), "{error:?}");
            }
        }
    }
    let words = [&b"DEVICE.SHADOW.SET"[..], b"d", b"{}", b"NAME", b"\xff"];
    expect_refusal(&mut con, &words, "ERR", "invalid");
    let longest = "x".repeat(64);
    assert_eq!(
        set_with(&mut con, "d", json!({}), &format!("NAME {longest}")).0,
        1
    );
}

#[test]
fn bad_options_are_named() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (line, option) in [
        ("DEVICE.SHADOW.SET d {} NOPE", "'NOPE'"),
        ("DEVICE.SHADOW.SET d {} SESSION 1", "'SESSION'"),
        ("DEVICE.SHADOW.SET d {} REPLACE replace", "REPLACE"),
        ("DEVICE.SHADOW.SET d {} NAME n NAME n", "NAME"),
        ("DEVICE.SHADOW.SET d {} VERSION 2 VERSION 2", "VERSION"),
        ("DEVICE.SHADOW.SET d {} NAME", "name"),
        ("DEVICE.SHADOW.SET d {} VERSION", "VERSION"),
        ("DEVICE.SHADOW.REPORT d {} NOPE", "'NOPE'"),
        ("DEVICE.SHADOW.REPORT d {} TIMEOUT 1s", "'TIMEOUT'"),
        ("DEVICE.SHADOW.REPORT d {} REPLACE REPLACE", "REPLACE"),
        ("DEVICE.SHADOW.REPORT d {} NAME n name n", "NAME"),
        ("DEVICE.SHADOW.REPORT d {} VERSION 2 VERSION 2", "VERSION"),
        ("DEVICE.SHADOW.REPORT d {} SESSION 1 SESSION 1", "SESSION"),
        ("DEVICE.SHADOW.REPORT d {} SESSION 1 SEQ 1 SEQ 1", "SEQ"),
        ("DEVICE.SHADOW.REPORT d {} SESSION", "SESSION"),
        ("DEVICE.SHADOW.REPORT d {} SESSION 1 SEQ", "SEQ"),
        ("DEVICE.SHADOW.REPORT d {} SEQ 1", "SESSION"),
        ("DEVICE.SHADOW.REPORT new {} SEQ 1", "SESSION"),
        (
            "DEVICE.SHADOW.UPDATE d {\"state\":{}} VERSION 2",
            "'VERSION'",
        ),
        ("DEVICE.SHADOW.UPDATE d {\"state\":{}} NAME", "name"),
        (
            "DEVICE.SHADOW.UPDATE d {\"state\":{}} NAME n NAME n",
            "NAME",
        ),
        ("DEVICE.SHADOW.GET d NOPE", "'NOPE'"),
        ("DEVICE.SHADOW.GET d NAME", "name"),
        ("DEVICE.SHADOW.GET d NAME n NAME n", "NAME"),
        ("DEVICE.SHADOW.DEL d NOPE", "'NOPE'"),
        ("DEVICE.SHADOW.DEL d NAME n NAME n", "NAME"),
        ("DEVICE.DELTA d NOPE", "'NOPE'"),
        ("DEVICE.DELTA d NAME n NAME n", "NAME"),
        ("DEVICE.SHADOW.NAMES d n", "wrong number of arguments"),
        ("DEVICE.SHADOW.SET d", "wrong number of arguments"),
        ("DEVICE.SHADOW.REPORT d", "wrong number of arguments"),
        ("DEVICE.SHADOW.UPDATE d", "wrong number of arguments"),
        ("DEVICE.SHADOW.GET", "wrong number of arguments"),
        ("DEVICE.SHADOW.DEL", "wrong number of arguments"),
        ("DEVICE.SHADOW.NAMES", "wrong number of arguments"),
        ("DEVICE.DELTA", "wrong number of arguments"),
        ("DEVICE.HISTORY", "wrong number of arguments"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "ERR", option);
    }
}

#[test]
fn what_is_no_number_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (before, option) in [
        ("DEVICE.SHADOW.SET d {} VERSION", "VERSION"),
        ("DEVICE.SHADOW.SET new {} NAME n VERSION", "VERSION"),
        ("DEVICE.SHADOW.REPORT d {} VERSION", "VERSION"),
        ("DEVICE.SHADOW.REPORT d {} SESSION", "SESSION"),
        ("DEVICE.SHADOW.REPORT d {} SESSION 9 SEQ", "SEQ"),
        ("DEVICE.HISTORY d FROM", "FROM"),
        ("DEVICE.HISTORY d TO", "TO"),
        ("DEVICE.HISTORY d COUNT", "COUNT"),
    ] {
        for value in [
            &b""[..],
            b" ",
            b"x",
            b"-1",
            b"+1",
            b"1.0",
            b" 1",
            b"1\0",
            b"0x1",
            b"1e3",
            b"\xff",
            b"%n%s",
            b"18446744073709551616",
            b"NaN",
            b"1s",
        ] {
            let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
            words.push(value);
            let error = expect_refusal(&mut con, &words, "ERR", option);
            assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
        }
    }
}
