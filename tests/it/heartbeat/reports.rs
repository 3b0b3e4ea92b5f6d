//! REPORTED and REPLACE: merging, the version, who is told.

use redis::Connection;
use serde_json::{json, Value};

use crate::devices::*;
use crate::support::*;

/// Reports a document: `[came_online, applied, version]`.
#[track_caller]
fn report(con: &mut Connection, id: &str, document: &Value) -> [i64; 3] {
    let document = document.to_string();
    outcome(cmd!(con, "DEVICE.HEARTBEAT", id, "REPORTED", document).value())
}

/// What is stored.
#[track_caller]
fn reported(con: &mut Connection, id: &str) -> Value {
    cmd!(con, "DEVICE.GET", id, "reported_state").at(0).json()
}

#[test]
fn reports_merge_deeply() {
    let server = Server::start();
    let mut con = server.connection();
    let first = json!({"a": {"b": {"c": 1, "d": [1, 2]}, "e": "x"}, "f": true});
    assert_eq!(report(&mut con, "d", &first), [1, 1, 1]);
    let patch = json!({"a": {"b": {"c": 2.5, "d": [3]}, "g": {"h": 1}}, "f": {"i": "ü"}});
    assert_eq!(report(&mut con, "d", &patch), [0, 1, 2]);
    let merged =
        json!({"a": {"b": {"c": 2.5, "d": [3]}, "e": "x", "g": {"h": 1}}, "f": {"i": "ü"}});
    assert_eq!(reported(&mut con, "d"), merged);
}

#[test]
fn null_removes() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", &json!({"a": {"b": 1, "c": 2}, "d": 3}));
    let patch = json!({"a": {"b": null}, "d": null, "nope": null, "new": {"e": null}});
    assert_eq!(report(&mut con, "d", &patch), [0, 1, 2]);
    assert_eq!(reported(&mut con, "d"), json!({"a": {"c": 2}}));
}

#[test]
fn replace_takes_the_place_of_the_whole_document() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", &json!({"a": 1, "b": {"c": 2}}));
    for line in [
        "REPORTED {\"b\":{\"x\":null,\"y\":7}} REPLACE",
        "replace reported {\"z\":0}",
    ] {
        assert!(cmd!(con, &format!("DEVICE.HEARTBEAT d {line}")).is_ok());
    }
    assert_eq!(reported(&mut con, "d"), json!({"z": 0}));
    assert_eq!(number(&mut con, "d", "version"), 3);
    expect_refusal(
        &mut con,
        &["DEVICE.HEARTBEAT", "d", "REPLACE"],
        "ERR",
        "REPLACE",
    );
}

#[test]
fn a_report_that_changes_nothing_counts_in_the_version() {
    let server = Server::start();
    let mut con = server.connection();
    for (turn, document) in [
        json!({"a": 1}),
        json!({"a": 1}),
        json!({}),
        json!({"b": null}),
    ]
    .iter()
    .enumerate()
    {
        let came_online = i64::from(turn == 0);
        let version = turn as i64 + 1;
        assert_eq!(report(&mut con, "d", document), [came_online, 1, version]);
    }
    assert_eq!(reported(&mut con, "d"), json!({"a": 1}));
    assert_eq!(beat(&mut con, "d"), [0, 1, 4]);
}

#[test]
fn numbers_keep_their_exact_value() {
    let server = Server::start();
    let mut con = server.connection();
    let text = r#"{"a":9007199254740993,"b":-9223372036854775808,"c":18446744073709551615,"d":0.1,"e":1.7976931348623157e308}"#;
    assert!(cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", text).is_ok());
    assert!(cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", r#"{"x":1}"#).is_ok());
    let stored = cmd!(con, "DEVICE.GET", "d", "reported_state").at(0).text();
    for pair in text.trim_matches(['{', '}']).split(',') {
        // A float may be written in another form of the same value.
        let same = stored.contains(pair) || stored.contains(&pair.replace("e308", "e+308"));
        assert!(same, "{pair} in {stored}");
    }
}

/// The number behind `"a":` in a stored document. serde_json is no judge of it here: without a
/// feature it reads doubles less than exactly.
#[track_caller]
fn stored_number(con: &mut Connection, id: &str) -> f64 {
    let text = field(con, id, "reported_state").unwrap_or_default();
    let number = text
        .strip_prefix("{\"a\":")
        .and_then(|rest| rest.split([',', '}']).next());
    match number.map(str::parse) {
        Some(Ok(number)) => number,
        _ => panic!("no number in {text}"),
    }
}

#[test]
fn doubles_are_never_rounded() {
    let server = Server::start();
    let mut con = server.connection();
    let mut bits = 1_u64;
    let mut changed = Vec::new();
    for _ in 0..500 {
        bits = bits
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let sent = f64::from_bits(bits);
        if !sent.is_finite() {
            continue;
        }
        let document = format!("{{\"a\":{sent:e}}}");
        let report = ["DEVICE.HEARTBEAT", "d", "REPORTED", &document, "REPLACE"];
        assert!(
            con.run(redis::Cmd::new().arg(&report)).is_ok(),
            "{document}"
        );
        let first = stored_number(&mut con, "d");
        // Reading and writing it again must not move it either.
        assert!(cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"b\":1}").is_ok());
        let second = stored_number(&mut con, "d");
        if (first, second) != (sent, sent) {
            changed.push(format!("{sent:e} became {first:e}, then {second:e}"));
        }
    }
    assert!(
        changed.is_empty(),
        "{} numbers, as {:?}",
        changed.len(),
        &changed[..3]
    );
}

/// These doubles lie in the middle of two shortest decimals. JavaScript and Python print the even
/// one of them, Rust the other.
#[test]
fn doubles_are_taken_as_other_languages_print_them() {
    let server = Server::start();
    let mut con = server.connection();
    let mut refused = Vec::new();
    for number in [
        "630032405918170.2",
        "-10302349113810.562",
        "26399416630500.812",
    ] {
        let document = format!("{{\"a\":{number}}}");
        match cmd!(
            con,
            "DEVICE.HEARTBEAT",
            "d",
            "REPORTED",
            document,
            "REPLACE"
        ) {
            Ok(_) => assert_eq!(Ok(stored_number(&mut con, "d")), number.parse::<f64>()),
            Err(error) => refused.push(error.to_string()),
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn control_characters_in_a_document_survive() {
    let server = Server::start();
    let status = Subscriber::channels(&server, &["devices:status"]);
    let mut con = server.connection();
    let document = json!({"a\u{0}\n": "\u{0}\u{1f}\r\n %n %s", "📟": "\u{2028}"});
    report(&mut con, "d", &document);
    assert_eq!(reported(&mut con, "d"), document);
    assert_eq!(
        status.wait_for_count(1, SOON)[0].json()["reported"],
        document
    );
}

#[test]
fn an_applied_report_is_published_with_its_patch() {
    let server = Server::start();
    let status = Subscriber::channels(&server, &["devices:status"]);
    let notified = Subscriber::patterns(
        &server,
        &["__keyspace@0__:*", "__keyevent@0__:device.reported"],
    );
    let mut con = server.connection();
    report(&mut con, "d", &json!({"a": {"b": 1}, "c": 2}));
    report(&mut con, "d", &json!({"a": {"b": null}}));
    beat(&mut con, "d");
    report(&mut con, "d", &json!({"last": 1}));
    let messages = status.wait_for_count(3, SOON);
    assert_eq!(messages.len(), 3);
    let second = messages[1].json();
    assert_eq!(second["type"], "status");
    assert_eq!(second["device_id"], "d");
    assert_eq!(second["version"], 2);
    assert_eq!(second["reported"], json!({"a": {"b": null}}));
    assert!(second["timestamp"]
        .as_i64()
        .is_some_and(|ms| ms <= now_ms()));
    assert_eq!(second.as_object().map(|fields| fields.len()), Some(5));
    // Keyevents only (the servers of these tests run with `Exd`), on the key of the hash.
    let reported = notified.wait_for_count(3, SOON);
    assert!(reported.iter().all(|m| m.payload == "device:state:d"));
}

#[test]
fn a_report_of_an_unknown_device_registers_it_with_the_document() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(report(&mut con, "d", &json!({"a": 1})), [1, 1, 1]);
    assert_eq!(reported(&mut con, "d"), json!({"a": 1}));
    assert_eq!(
        events_of(&mut con, "d").field("type"),
        ["registered", "online"]
    );
}

#[test]
fn a_refused_report_registers_nobody_and_proves_no_life() {
    let server = Server::builder()
        .config("devicestate.max-document-bytes", 64)
        .start();
    let mut con = server.connection();
    let large = json!({"a": "x".repeat(64)}).to_string();
    for (document, code) in [("{", "BADJSON"), (&large, "TOOLARGE")] {
        let command = ["DEVICE.HEARTBEAT", "new", "REPORTED", document];
        expect_refusal(&mut con, &command, code, "REPORTED");
    }
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);

    report(&mut con, "d", &json!({"a": "x".repeat(40)}));
    // Each fits alone, both together don't: it is the merged document that counts.
    let more = json!({"b": "y".repeat(40)}).to_string();
    let command = ["DEVICE.HEARTBEAT", "d", "REPORTED", &more];
    expect_refusal(&mut con, &command, "TOOLARGE", "REPORTED");
    let command = ["DEVICE.HEARTBEAT", "d", "REPORTED", &more, "REPLACE"];
    let mut replace = redis::Cmd::new();
    assert_eq!(outcome(con.run(replace.arg(&command)).value()), [0, 1, 2]);
}

#[test]
fn the_size_limit_is_inclusive_and_white_space_is_free() {
    let server = Server::builder()
        .config("devicestate.max-document-bytes", 64)
        .start();
    let mut con = server.connection();
    let document = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert_eq!(document(64).len(), 64);
    let spaced = document(64).replace(':', &format!(" {}: ", "\n\t ".repeat(20)));
    for good in [document(64), spaced] {
        assert!(cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", good, "REPLACE").is_ok());
    }
    let command = ["DEVICE.HEARTBEAT", "d", "REPORTED", &document(65)];
    expect_refusal(&mut con, &command, "TOOLARGE", "64");
}
