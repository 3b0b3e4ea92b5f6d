//! `DEVICE.WHY`.

use std::collections::BTreeMap;

use redis::{Connection, Value};

use crate::devices::*;
use crate::support::*;

#[track_caller]
fn why(con: &mut Connection, id: &str) -> BTreeMap<String, Value> {
    cmd!(con, "DEVICE.WHY", id).fields()
}

/// Asserts the fields that are texts; `-` stands for null.
#[track_caller]
fn assert_tells(con: &mut Connection, id: &str, expected: &[(&str, &str)]) {
    let why = why(con, id);
    for (name, value) in expected {
        let found = match why[*name].is_nil() {
            true => "-".to_owned(),
            false => why[*name].text(),
        };
        assert_eq!(found, *value, "{name} of {why:?}");
    }
}

#[test]
fn an_unknown_device_is_an_error() {
    let server = Server::start();
    let mut con = server.connection();
    expect_refusal(&mut con, &["DEVICE.WHY", "d"], "NODEVICE", "'d'");
}

#[test]
fn a_device_that_was_never_seen() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    let since = number(&mut con, "d", "registered_at").to_string();
    assert_tells(
        &mut con,
        "d",
        &[
            ("device_id", "d"),
            ("status", "offline"),
            ("status_since", &since),
            ("cause", "registered, never seen"),
            ("last_seen", "0"),
            ("deadline", "-"),
            ("time_left", "-"),
            ("session", "-"),
            ("seq", "-"),
            ("ignored", "0"),
            ("ignored_reason", "-"),
            ("ignored_at", "-"),
        ],
    );
}

#[test]
fn an_online_device_tells_where_its_timeout_comes_from() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET typed TIMEOUT 2h").text();
    for id in ["own", "type"] {
        cmd!(con, "DEVICE.REGISTER", id, "typed").int();
    }
    cmd!(
        con,
        "DEVICE.HEARTBEAT own TIMEOUT 1h SESSION 6 SEQ 3 REPORTED {}"
    )
    .items();
    beat(&mut con, "type");
    beat(&mut con, "default");
    cmd!(con, "DEVICE.HEARTBEAT none TIMEOUT 0").items();
    assert_tells(&mut con, "own", &[("session", "6"), ("seq", "3")]);
    for (id, source, timeout) in [
        ("own", "device", 3_600_000),
        ("type", "type", 7_200_000),
        ("default", "default", 60_000),
        ("none", "device", 0),
    ] {
        let timeout_text = timeout.to_string();
        assert_tells(
            &mut con,
            id,
            &[
                ("status", "online"),
                ("cause", "heartbeat"),
                ("timeout", &timeout_text),
                ("timeout_from", source),
            ],
        );
        let why = why(&mut con, id);
        if timeout == 0 {
            assert!(
                why["deadline"].is_nil() && why["time_left"].is_nil(),
                "{why:?}"
            );
            continue;
        }
        // A server that started without grace still gives one timeout from when it hears.
        let earliest = why["last_seen"].int() + timeout;
        let deadline = why["deadline"].int();
        assert!((earliest..earliest + 20_000).contains(&deadline), "{why:?}");
        let left = why["time_left"].int();
        assert!(
            (timeout - 20_000..=timeout + 20_000).contains(&left),
            "{why:?}"
        );
    }
}

#[test]
fn a_device_that_timed_out() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    wait_until_offline(&mut con, "d");
    let since = events_of(&mut con, "d").of_type("offline")[0]
        .int("timestamp")
        .to_string();
    let expected = [
        ("status", "offline"),
        ("cause", "timeout"),
        ("status_since", since.as_str()),
        ("timeout", "100"),
        ("deadline", "-"),
        ("time_left", "-"),
        ("held_by", "-"),
    ];
    assert_tells(&mut con, "d", &expected);
    beat(&mut con, "d");
    assert_tells(
        &mut con,
        "d",
        &[("status", "online"), ("cause", "heartbeat")],
    );
}

#[test]
fn a_device_that_said_goodbye_tells_the_reason() {
    let server = Server::start();
    let mut con = server.connection();
    for reason in ["battery", "a \"b\"\n%n%s 📟"] {
        beat(&mut con, "d");
        cmd!(con, "DEVICE.OFFLINE", "d", "REASON", reason).int();
        assert_tells(&mut con, "d", &[("status", "offline"), ("cause", reason)]);
    }
}

#[test]
fn what_was_ignored_and_why() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 6 SEQ 3 REPORTED {}").items();
    let before = now_ms();
    let steps = [
        ("DEVICE.HEARTBEAT d SESSION 5", ["session", "5", "6"]),
        (
            "DEVICE.HEARTBEAT d SESSION 6 SEQ 3 REPORTED {}",
            ["sequence", "3", "3"],
        ),
        (
            "DEVICE.HEARTBEAT d SESSION 6 SEQ 2 REPORTED {}",
            ["sequence", "2", "3"],
        ),
        ("DEVICE.OFFLINE d SESSION 4", ["session", "4", "6"]),
    ];
    for (turn, (line, words)) in steps.into_iter().enumerate() {
        assert!(cmd!(con, line).is_ok());
        let why = why(&mut con, "d");
        assert_eq!(why["ignored"].int() as usize, turn + 1, "{line}");
        let reason = why["ignored_reason"].text();
        assert!(
            words.iter().all(|word| reason.contains(word)),
            "{line}: {reason}"
        );
        assert!(
            (before..=now_ms()).contains(&why["ignored_at"].int()),
            "{line}"
        );
    }
}

#[test]
fn the_grace_after_a_start_holds_a_silent_device() {
    // The default: nobody goes offline in the first 30 s.
    let server = Server::start();
    let mut con = server.connection();
    wait_for("the server hears", SOON, || {
        info(&mut con)["hearing"] == "yes"
    });
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    let silent = why(&mut con, "d");
    assert_eq!(silent["held_by"].text(), "grace", "{silent:?}");
    assert!(
        silent["deadline"].int() > silent["last_seen"].int() + 100,
        "{silent:?}"
    );
    // Beyond its timeout it is online still, and the explanation says why.
    let last_seen = silent["last_seen"].int();
    wait_for("the timeout passes", SOON, || now_ms() > last_seen + 200);
    assert_tells(&mut con, "d", &[("status", "online"), ("held_by", "grace")]);
    // Without the grace it is over.
    cmd!(con, "CONFIG SET", "devicestate.restart-grace", 0).text();
    wait_until_offline(&mut con, "d");
}

#[test]
fn it_is_a_map_in_resp3() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    raw.call(&["DEVICE.REGISTER", "d", "sensor"]);
    let two = raw.call(&["DEVICE.WHY", "d"]);
    raw.call(&["HELLO", "3"]);
    let three = raw.call(&["DEVICE.WHY", "d"]);
    let pairs = |reply: &[u8], kind: u8| -> usize {
        assert_eq!(reply[0], kind, "{}", reply.escape_ascii());
        let end = reply.iter().position(|b| *b == b'\r').unwrap_or(0);
        String::from_utf8_lossy(&reply[1..end])
            .parse()
            .expect("a length")
    };
    assert_eq!(pairs(&two, b'*'), 2 * pairs(&three, b'%'));
}
