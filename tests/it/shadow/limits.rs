//! The vectors on size and depth, with the limits of AWS: 8 KiB and 6 levels.

use redis::Connection;
use serde_json::{json, Value};

use super::*;

#[track_caller]
fn as_aws_has_it() -> Server {
    let server = Server::builder()
        .config("devicestate.max-document-bytes", 8_192)
        .config("devicestate.max-document-depth", 6)
        .start();
    server.settle();
    server
}

/// The length of desired and reported together, as compact JSON.
#[track_caller]
fn stored_bytes(con: &mut Connection, id: &str) -> usize {
    let parts = ["desired_state", "reported_state"].map(|part| field(con, id, part));
    parts.iter().flatten().map(String::len).sum()
}

/// GG PR #127; repost QUYss-BCU1Tne.
#[test]
fn m13_many_small_updates_pass_the_limit_together() {
    let server = as_aws_has_it();
    let mut con = server.connection();
    let mut accepted = 0;
    let refused = (0..1_000).find(|turn| {
        let patch = json!({format!("key-{turn}"): "x".repeat(30)}).to_string();
        let command = ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"][turn % 2];
        let before = get(&mut con, "d");
        match cmd!(con, command, "d", &patch) {
            Ok(_) => {
                accepted += 1;
                false
            }
            Err(error) => {
                assert_eq!(error.code(), Some("TOOLARGE"), "{error}");
                let after = get(&mut con, "d");
                assert_eq!(after["state"], before["state"]);
                assert_eq!(after["version"], before["version"]);
                assert_eq!(after["version"], accepted);
                // The first that would not have fitted.
                assert!(stored_bytes(&mut con, "d") + patch.len() - 1 > 8_192);
                true
            }
        }
    });
    assert!(refused.is_some(), "nothing was refused");
    let stored = stored_bytes(&mut con, "d");
    assert!((8_100..=8_192).contains(&stored), "{stored}");
    // The same in all other ways to write.
    let more = json!({"more": "x".repeat(100)});
    for (words, contains) in [
        (["DEVICE.SHADOW.SET", "d", &more.to_string()], "8192"),
        (["DEVICE.SHADOW.REPORT", "d", &more.to_string()], "8192"),
        (
            [
                "DEVICE.SHADOW.UPDATE",
                "d",
                &json!({"state": {"desired": more}}).to_string(),
            ],
            "413 The payload exceeds the maximum size allowed",
        ),
    ] {
        expect_refusal(&mut con, &words, "TOOLARGE", contains);
    }
    let beat = ["DEVICE.HEARTBEAT", "d", "REPORTED", &more.to_string()];
    expect_refusal(&mut con, &beat, "TOOLARGE", "8192");
    // Less is always welcome, and each shadow has a limit of its own.
    assert!(cmd!(con, "DEVICE.SHADOW.SET", "d", "{\"key-0\":null}").is_ok());
    assert_eq!(set_with(&mut con, "d", more, "NAME n").0, 1);
}

/// GG PR #127: white space and metadata are free.
#[test]
fn m13_the_limit_is_inclusive_and_white_space_and_times_are_free() {
    let server = as_aws_has_it();
    let mut con = server.connection();
    let list = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert_eq!(list(4_000).len(), 4_000);
    assert!(cmd!(con, "DEVICE.SHADOW.SET", "d", list(4_096)).is_ok());
    let spaced = list(4_096).replace(':', &format!(" : {}", "\n\t ".repeat(20_000)));
    assert!(cmd!(con, "DEVICE.SHADOW.REPORT", "d", spaced).is_ok());
    assert_eq!(stored_bytes(&mut con, "d"), 8_192);
    for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
        expect_refusal(&mut con, &[command, "d", &list(4_097)], "TOOLARGE", "8192");
    }
    // Many leaves, whose times need far more than the values.
    let many: Vec<u32> = vec![1; 4_000];
    let many = json!({"list": many}).to_string();
    assert!(cmd!(con, "DEVICE.SHADOW.SET", "e", &many).is_ok());
}

/// `levels` objects within each other, the section itself being the first.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"leaf": 1}), |inner, _| json!({"a": inner}))
}

/// GG, JsonUtilTest.
#[test]
fn m14_six_levels_are_accepted_and_seven_are_not() {
    let server = as_aws_has_it();
    let mut con = server.connection();
    for (section, command) in [
        ("desired", "DEVICE.SHADOW.SET"),
        ("reported", "DEVICE.SHADOW.REPORT"),
    ] {
        let (six, seven) = (nested(6).to_string(), nested(7).to_string());
        assert!(cmd!(con, command, "d", &six).is_ok());
        let error = expect_refusal(&mut con, &[command, "d", &seven], "BADJSON", "6");
        assert!(error.contains("line 1 column"), "{error}");
        let request = |levels| json!({"state": {section: nested(levels)}}).to_string();
        assert!(cmd!(con, "DEVICE.SHADOW.UPDATE", "d", request(6)).is_ok());
        let words = ["DEVICE.SHADOW.UPDATE", "d", &request(7)];
        let error = expect_refusal(
            &mut con,
            &words,
            "BADJSON",
            "400 JSON contains too many levels of nesting; maximum is 6 at line 1 column",
        );
        assert!(!error.contains("64"), "{error}");
    }
}

/// As deep as the setting allows, in both sections and all that is told of them.
#[test]
fn a_hundred_levels_are_walked_by_every_command() {
    let server = Server::builder()
        .config("devicestate.max-document-depth", 100)
        .config("devicestate.reports-maxlen", 10)
        .start();
    server.settle();
    let mut con = server.connection();
    let deep = |leaf: i64| (1..100).fold(json!({"leaf": leaf}), |inner, _| json!({"a": inner}));
    assert_eq!(set(&mut con, "d", deep(1)), (1, deep(1)));
    assert_eq!(report(&mut con, "d", deep(2)), (2, deep(1)));
    assert_eq!(state(&mut con, "d")["delta"], deep(1));
    assert_eq!(
        both_sides(&mut con, "d")["delta"]["a"]["desired"],
        deep(1)["a"]
    );
    assert_eq!(cmd!(con, "DEVICE.HISTORY d").items().len(), 2);
    let request = json!({"state": {"desired": deep(3)}});
    assert_eq!(
        update(&mut con, "d", request.clone())["state"],
        request["state"]
    );
    let too_deep = json!({"a": deep(1)}).to_string();
    expect_refusal(
        &mut con,
        &["DEVICE.SHADOW.SET", "d", &too_deep],
        "BADJSON",
        "100",
    );
    assert_eq!(report(&mut con, "d", deep(3)), (4, Value::Null));
}

/// What is empty holds nothing, whichever of the two it is.
#[test]
fn an_empty_document_counts_nothing_towards_the_limit() {
    let server = Server::builder()
        .config("devicestate.max-document-bytes", 64)
        .start();
    server.settle();
    let mut con = server.connection();
    let document = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for command in ["DEVICE.SHADOW.SET", "DEVICE.SHADOW.REPORT"] {
        cmd!(con, "FLUSHALL").text();
        for options in ["", "NAME n"] {
            let words = format!("{command} d {} {options}", document(64));
            assert!(cmd!(con, words.trim_end()).is_ok(), "{words}");
        }
        let words = [command, "d", &document(65)];
        expect_refusal(&mut con, &words, "TOOLARGE", "64");
    }
    // Emptied, a document leaves its room to the other.
    assert!(cmd!(con, "DEVICE.SHADOW.REPORT d {\"a\":null}").is_ok());
    assert!(cmd!(con, "DEVICE.SHADOW.SET", "d", document(64)).is_ok());
}
