//! How much history is kept, whether presence is in it, how an entry is found, what is refused.

use redis::Connection;
use serde_json::json;

use super::history::history;
use super::*;

/// How many entries a capped stream may hold: `MAXLEN ~` leaves whole nodes, here of 512 bytes.
const SLACK: i64 = 60;

#[track_caller]
fn length_after_500(con: &mut Connection, id: &str) -> i64 {
    for turn in 0..500 {
        set(con, id, json!({"a": turn}));
    }
    cmd!(con, "XLEN", format!("device:history:{id}")).int()
}

#[test]
fn the_history_is_capped_by_the_setting() {
    let server = Server::start();
    let mut con = server.connection();
    let length = length_after_500(&mut con, "d");
    assert!((16..16 + SLACK).contains(&length), "{length}");
    let newest = history(&mut con, " REV COUNT 1");
    assert_eq!(newest[0].int("version"), 500);
    cmd!(con, "CONFIG SET devicestate.history-maxlen 200").text();
    let length = length_after_500(&mut con, "e");
    assert!((200..200 + SLACK).contains(&length), "{length}");
    cmd!(con, "CONFIG SET devicestate.history-maxlen 0").text();
    assert_eq!(length_after_500(&mut con, "f"), 0);
    assert_eq!(cmd!(con, "EXISTS device:history:f").int(), 0);
    assert_eq!(cmd!(con, "DEVICE.HISTORY f").items().len(), 0);
}

#[test]
fn a_type_has_a_cap_of_its_own() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET long HISTORY 100").text();
    cmd!(con, "DEVICE.TYPE.SET none HISTORY 0").text();
    cmd!(con, "DEVICE.TYPE.SET default TIMEOUT 1h").text();
    for id in ["long", "none", "default"] {
        cmd!(con, "DEVICE.REGISTER", id, id).int();
    }
    let length = length_after_500(&mut con, "long");
    assert!((100..100 + SLACK).contains(&length), "{length}");
    assert_eq!(length_after_500(&mut con, "none"), 0);
    let length = length_after_500(&mut con, "default");
    assert!((16..16 + SLACK).contains(&length), "{length}");
    // Off by the setting, on for one type; and a changed type counts at once.
    cmd!(con, "CONFIG SET devicestate.history-maxlen 0").text();
    cmd!(con, "DEVICE.REGISTER none long").int();
    set(&mut con, "none", json!({"b": 1}));
    assert_eq!(cmd!(con, "XLEN device:history:none").int(), 1);
    let before = cmd!(con, "XLEN device:history:default").int();
    set(&mut con, "default", json!({"b": 1}));
    assert_eq!(cmd!(con, "XLEN device:history:default").int(), before);
}

#[test]
fn presence_is_recorded_where_it_is_asked_for() {
    let server = Server::builder()
        .config("devicestate.history-presence", "yes")
        .config("devicestate.restart-grace", 0)
        .start();
    server.settle();
    let mut con = server.connection();
    cmd!(
        con,
        "DEVICE.HEARTBEAT d SESSION 7 TIMEOUT 200 REPORTED {\"a\":1}"
    )
    .items();
    wait_until_offline(&mut con, "d");
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    cmd!(con, "DEVICE.OFFLINE d REASON bye").int();
    let all = history(&mut con, "");
    let presence: Vec<_> = all
        .iter()
        .filter(|event| event.kind() == "presence")
        .collect();
    let found: Vec<_> = presence
        .iter()
        .map(|e| (e.get("old"), e.get("new")))
        .collect();
    let (on, off) = (("offline", "online"), ("online", "offline"));
    assert_eq!(found, [on, off, on, off]);
    let reasons: Vec<_> = presence.iter().map(|e| e.get("reason")).collect();
    assert_eq!((reasons[1], reasons[3]), ("timeout", "bye"));
    assert_eq!(presence[0].get("session"), "7");
    assert!(presence.iter().all(|e| e.int("timestamp") <= now_ms()));
    assert_eq!(all.len(), 5, "the report is there as well: {all:?}");
}

/// The moment of a command and that of its entry in the stream may be a millisecond apart.
#[test]
fn every_entry_is_found_by_its_own_timestamp() {
    let server = Server::builder()
        .config("devicestate.history-maxlen", 2_000)
        .start();
    server.settle();
    let mut con = server.connection();
    for turn in 0..1_000 {
        set(&mut con, "d", json!({"a": turn}));
    }
    for entry in history(&mut con, "") {
        let time = entry.int("timestamp");
        let found = history(&mut con, &format!(" FROM {time} TO {time}"));
        assert!(found.contains(&entry), "not at {time}: {entry:?}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    for (option, values) in [
        (
            "FROM",
            &["", "x", "-1", "1.5", "18446744073709551616", "-", "1s"][..],
        ),
        (
            "TO",
            &["", "x", "-1", "1.5", "18446744073709551616", "+", "1s"],
        ),
        (
            "COUNT",
            &["", "x", "-1", "1.5", "0", "18446744073709551616"],
        ),
    ] {
        for value in values {
            let words = ["DEVICE.HISTORY", "d", option, value];
            expect_refusal(&mut con, &words, "ERR", option);
        }
        expect_refusal(&mut con, &["DEVICE.HISTORY", "d", option], "ERR", option);
        let words = ["DEVICE.HISTORY", "d", option, "1", option, "1"];
        expect_refusal(&mut con, &words, "ERR", option);
    }
    expect_refusal(
        &mut con,
        &["DEVICE.HISTORY", "d", "REV", "rev"],
        "ERR",
        "REV",
    );
    expect_refusal(
        &mut con,
        &["DEVICE.HISTORY", "d", "NAME", "n"],
        "ERR",
        "'NAME'",
    );
    expect_refusal(
        &mut con,
        &["DEVICE.HISTORY", "nobody"],
        "NODEVICE",
        "'nobody'",
    );
    expect_refusal(
        &mut con,
        &["DEVICE.HISTORY"],
        "ERR",
        "wrong number of arguments",
    );
}
