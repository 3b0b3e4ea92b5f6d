//! `DEVICE.TYPE.*`: the defaults of a device type.

use redis::{Connection, Value};

use crate::devices::*;
use crate::support::*;

/// `DEVICE.TYPE.GET`: timeout and history, or nothing.
#[track_caller]
fn defaults(con: &mut Connection, device_type: &str) -> Option<[Option<i64>; 2]> {
    let reply = cmd!(con, "DEVICE.TYPE.GET", device_type);
    if reply.is_nil() {
        return None;
    }
    let fields = reply.fields();
    assert_eq!(fields["type"].text(), device_type);
    assert_eq!(fields.len(), 3);
    let number = |value: &Value| (!value.is_nil()).then(|| value.int());
    Some([number(&fields["timeout"]), number(&fields["history"])])
}

/// A server whose default timeout is an hour, with these devices of type `sensor` online.
#[track_caller]
fn with_online(ids: &[&str]) -> (Server, Connection) {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.heartbeat-timeout", "3600000")
        .start();
    let mut con = server.connection();
    for id in ids {
        cmd!(con, "DEVICE.REGISTER", id, "sensor").int();
        beat(&mut con, id);
    }
    (server, con)
}

#[test]
fn defaults_are_set_changed_and_forgotten() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(defaults(&mut con, "sensor"), None);
    for (line, expected) in [
        ("TIMEOUT 90s", [Some(90_000), None]),
        ("HISTORY 5", [Some(90_000), Some(5)]),
        ("TIMEOUT 0 HISTORY 0", [Some(0), Some(0)]),
        ("history 7 timeout 100", [Some(100), Some(7)]),
    ] {
        assert_eq!(
            cmd!(con, &format!("DEVICE.TYPE.SET sensor {line}")).text(),
            "OK"
        );
        assert_eq!(defaults(&mut con, "sensor"), Some(expected));
    }
    assert_eq!(defaults(&mut con, "Sensor"), None);
    assert_eq!(cmd!(con, "DEVICE.TYPE.DEL sensor").int(), 1);
    assert_eq!(cmd!(con, "DEVICE.TYPE.DEL sensor").int(), 0);
    assert_eq!(defaults(&mut con, "sensor"), None);
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
}

#[test]
fn list_names_all_types_in_order() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(cmd!(con, "DEVICE.TYPE.LIST").items().len(), 0);
    for (device_type, timeout) in [("b", "1s"), ("a", "2s"), ("📟", "0")] {
        cmd!(con, "DEVICE.TYPE.SET", device_type, "TIMEOUT", timeout).text();
    }
    // A device alone makes no defaults.
    cmd!(con, "DEVICE.REGISTER d plain").int();
    let list = cmd!(con, "DEVICE.TYPE.LIST").items();
    let names: Vec<String> = list.iter().map(|t| t.fields()["type"].text()).collect();
    assert_eq!(names, ["a", "b", "📟"]);
    assert_eq!(list[0].fields()["timeout"].int(), 2_000);
    assert!(list[0].fields()["history"].is_nil());
}

#[test]
fn replies_are_maps_in_resp3() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    raw.call(&["DEVICE.TYPE.SET", "a", "TIMEOUT", "100"]);
    let body = "\r\n$4\r\ntype\r\n$1\r\na\r\n$7\r\ntimeout\r\n:100\r\n$7\r\nhistory\r\n";
    for (protocol, map, null) in [("2", "*6", "$-1\r\n"), ("3", "%3", "_\r\n")] {
        raw.call(&["HELLO", protocol]);
        let whole = format!("{map}{body}{null}");
        assert_eq!(raw.call(&["DEVICE.TYPE.GET", "a"]), whole.as_bytes());
        let list = format!("*1\r\n{whole}");
        assert_eq!(raw.call(&["DEVICE.TYPE.LIST"]), list.as_bytes());
        assert_eq!(raw.call(&["DEVICE.TYPE.GET", "b"]), null.as_bytes());
    }
}

#[test]
fn a_timeout_of_a_type_counts_at_once_and_a_devices_own_wins() {
    let (_server, mut con) = with_online(&["d", "own", "other"]);
    cmd!(con, "DEVICE.HEARTBEAT own TIMEOUT 2h").items();
    cmd!(con, "DEVICE.REGISTER other motor").int();
    cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 100").text();
    wait_until_offline(&mut con, "d");
    assert!(is_online(&mut con, "own") && is_online(&mut con, "other"));
    // It holds for those that come later too.
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
    wait_until_offline(&mut con, "d");
}

#[test]
fn a_longer_timeout_of_a_type_counts_at_once() {
    let (_server, mut con) = with_online(&[]);
    cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 400").text();
    for longer in ["1h", "0"] {
        cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 400").text();
        cmd!(con, "DEVICE.REGISTER d sensor").int();
        beat(&mut con, "d");
        cmd!(con, "DEVICE.TYPE.SET", "sensor", "TIMEOUT", longer).text();
        // Another device shows that the time is over.
        cmd!(con, "DEVICE.HEARTBEAT clock TIMEOUT 600").items();
        wait_until_offline(&mut con, "clock");
        assert!(is_online(&mut con, "d"), "{longer}");
    }
}

#[test]
fn without_its_type_a_device_falls_back_to_the_default() {
    let (_server, mut con) = with_online(&["d"]);
    cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 0").text();
    cmd!(con, "CONFIG SET", "devicestate.heartbeat-timeout", 100).text();
    cmd!(con, "DEVICE.HEARTBEAT clock").items();
    wait_until_offline(&mut con, "clock");
    assert!(is_online(&mut con, "d"));
    assert_eq!(cmd!(con, "DEVICE.TYPE.DEL sensor").int(), 1);
    wait_until_offline(&mut con, "d");
}

#[test]
fn history_alone_leaves_the_timeout_to_the_default() {
    let (_server, mut con) = with_online(&["d"]);
    cmd!(con, "DEVICE.TYPE.SET sensor HISTORY 5").text();
    assert_eq!(
        cmd!(con, "DEVICE.WHY d").fields()["timeout_from"].text(),
        "default"
    );
    cmd!(con, "CONFIG SET", "devicestate.heartbeat-timeout", 100).text();
    wait_until_offline(&mut con, "d");
}

/// Ways in which other hands may give type `sensor` the timeout of the type `model`.
const EDITS: &[(&str, &[&str])] = &[
    ("HSET", &["HSET devices:types sensor {\"timeout\":100}"]),
    (
        "RENAME",
        &[
            "HSET other sensor {\"timeout\":100}",
            "RENAME other devices:types",
        ],
    ),
    (
        "COPY",
        &[
            "HSET other sensor {\"timeout\":100}",
            "COPY other devices:types REPLACE",
        ],
    ),
    (
        "MULTI",
        &[
            "MULTI",
            "DEL devices:types",
            "HSET devices:types sensor {\"timeout\":100}",
            "EXEC",
        ],
    ),
    (
        "EVAL",
        &["EVAL redis.call('HSET',KEYS[1],'sensor','{\"timeout\":100}') 1 devices:types"],
    ),
];

#[test]
fn the_key_edited_by_hand_is_seen_at_once() {
    for (name, lines) in EDITS {
        let (_server, mut con) = with_online(&["d"]);
        cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 1h").text();
        for line in *lines {
            assert!(cmd!(con, line).is_ok(), "{line}");
        }
        assert_eq!(
            defaults(&mut con, "sensor"),
            Some([Some(100), None]),
            "{name}"
        );
        wait_until_offline(&mut con, "d");
    }
}

#[test]
fn the_key_gone_by_other_hands_is_seen_at_once() {
    let mut unseen = Vec::new();
    for line in [
        "HDEL devices:types sensor",
        "DEL devices:types",
        "UNLINK devices:types",
        "RENAME devices:types elsewhere",
        "MOVE devices:types 1",
        "PEXPIREAT devices:types 1",
        "SET devices:types x",
        "SUNIONSTORE devices:types nothing",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
    ] {
        let server = Server::start();
        let mut con = server.connection();
        cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 1h").text();
        assert!(defaults(&mut con, "sensor").is_some());
        assert!(cmd!(con, line).is_ok(), "{line}");
        // What a wrong type is answered with is tested elsewhere; the old defaults it must not be.
        let gone = cmd!(con, "DEVICE.TYPE.GET", "sensor").map_or(true, |reply| reply.is_nil());
        if !gone {
            unseen.push(line);
        }
    }
    assert!(unseen.is_empty(), "the old defaults hold after {unseen:?}");
}

#[test]
fn the_key_that_expires_is_seen_at_once() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 1h").text();
    cmd!(con, "PEXPIRE", "devices:types", 50).int();
    wait_for("the defaults expire", SOON, || {
        defaults(&mut con, "sensor").is_none()
    });
}

#[test]
fn entries_that_are_no_defaults_are_skipped() {
    let server = Server::start();
    let mut con = server.connection();
    for broken in [
        "",
        "x",
        "null",
        "{\"timeout\":\"1h\"}",
        "{\"timeout\":-1}",
        "{\"timeout\":1.5}",
    ] {
        cmd!(con, "HSET", "devices:types", "sensor", broken).int();
        assert_eq!(defaults(&mut con, "sensor"), None, "{broken}");
        assert_eq!(cmd!(con, "DEVICE.TYPE.LIST").items().len(), 0, "{broken}");
        cmd!(con, "DEVICE.REGISTER d sensor").int();
        assert!(beat(&mut con, "d")[1] == 1, "{broken}");
        assert_eq!(
            cmd!(con, "DEVICE.WHY d").fields()["timeout_from"].text(),
            "default"
        );
    }
    assert_eq!(cmd!(con, "DEVICE.TYPE.SET sensor HISTORY 1").text(), "OK");
    assert_eq!(defaults(&mut con, "sensor"), Some([None, Some(1)]));
}

#[test]
fn defaults_survive_a_restart() {
    let mut server = Server::builder().config("appendonly", "yes").start();
    cmd!(
        server.connection(),
        "DEVICE.TYPE.SET sensor TIMEOUT 2h HISTORY 3"
    )
    .text();
    server.restart();
    let found = defaults(&mut server.connection(), "sensor");
    assert_eq!(found, Some([Some(7_200_000), Some(3)]));
}
