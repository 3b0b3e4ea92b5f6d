//! `DEVICE.REGISTER`, and `DEVICE.REMOVE` below.

mod removing;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// The sets that hold the device.
#[track_caller]
fn sets_of(con: &mut Connection, id: &str) -> Vec<String> {
    let mut sets = Vec::new();
    for key in cmd!(con, "KEYS", "devices:*").sorted() {
        if cmd!(con, "TYPE", &key).text() == "set" && cmd!(con, "SISMEMBER", &key, id).int() == 1 {
            sets.push(key);
        }
    }
    sets
}

#[test]
fn registering_answers_1_once_and_0_afterwards() {
    let server = Server::start();
    let mut con = server.connection();
    let before = now_ms();
    assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 1);
    let registered = snapshot(&mut con);
    assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 0);
    assert_eq!(
        difference(&registered, &snapshot(&mut con)),
        [] as [&str; 0]
    );

    let state = cmd!(con, "DEVICE.GET d").text_fields();
    for (name, value) in [
        ("device_id", "d"),
        ("device_type", "sensor"),
        ("status", "offline"),
        ("last_seen", "0"),
        ("version", "0"),
    ] {
        assert_eq!(state[name], value, "{name}");
    }
    let registered_at: i64 = state["registered_at"].parse().expect("a number");
    assert!((before..=now_ms()).contains(&registered_at));
    assert_eq!(
        sets_of(&mut con, "d"),
        ["devices:registered", "devices:type:sensor"]
    );
    assert_eq!(cmd!(con, "ZSCORE", "devices:offline", "d").int(), 0);
}

#[test]
fn registering_is_told_once_with_the_type() {
    let server = Server::start();
    let notified = Subscriber::patterns(&server, &["__keyevent@0__:device.*"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor META {\"m\":1}").int();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    cmd!(con, "DEVICE.REMOVE d").int();
    let all = events(&mut con);
    assert_eq!(all.field("type"), ["registered", "removed"]);
    for event in all.iter() {
        assert_eq!((event.device(), event.get("device_type")), ("d", "sensor"));
        assert!((now_ms() - 60_000..=now_ms()).contains(&event.int("timestamp")));
        assert_eq!(event.fields.len(), 4, "{event:?}");
    }
    let messages = notified.wait_for_count(2, SOON);
    for (message, name) in messages.iter().zip(["device.registered", "device.removed"]) {
        assert_eq!(message.channel, format!("__keyevent@0__:{name}"));
        assert_eq!(message.payload, "device:state:d");
    }
    assert_eq!(messages.len(), 2);
}

#[test]
fn a_change_of_type_moves_the_indexes_of_an_offline_device() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    assert_eq!(cmd!(con, "DEVICE.REGISTER d motor").int(), 0);
    assert_eq!(
        sets_of(&mut con, "d"),
        ["devices:registered", "devices:type:motor"]
    );
    assert_eq!(
        field(&mut con, "d", "device_type").as_deref(),
        Some("motor")
    );
    for (device_type, count) in [("sensor", 0), ("motor", 1)] {
        assert_eq!(cmd!(con, "DEVICE.COUNT", "TYPE", device_type).int(), count);
        assert_eq!(
            cmd!(con, "DEVICE.COUNT", "OFFLINE", "TYPE", device_type).int(),
            count
        );
    }
}

#[test]
fn a_change_of_type_moves_the_indexes_of_an_online_device() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    let since = number(&mut con, "d", "status_since");
    assert_eq!(cmd!(con, "DEVICE.REGISTER d motor").int(), 0);
    let online_motor = [
        "devices:online",
        "devices:online:type:motor",
        "devices:registered",
        "devices:type:motor",
    ];
    assert_eq!(sets_of(&mut con, "d"), online_motor);
    assert!(is_online(&mut con, "d"));
    assert_eq!(number(&mut con, "d", "status_since"), since);
    // It leaves the sets of the type it has now.
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
    assert_eq!(
        sets_of(&mut con, "d"),
        ["devices:registered", "devices:type:motor"]
    );
    assert_eq!(
        events_of(&mut con, "d").field("type"),
        ["registered", "online", "offline"]
    );
}

#[test]
fn a_device_takes_on_the_timeout_of_its_new_type_at_once() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET hasty TIMEOUT 100").text();
    for id in ["d", "own"] {
        cmd!(con, "DEVICE.REGISTER", id, "calm").int();
    }
    beat(&mut con, "d");
    cmd!(con, "DEVICE.HEARTBEAT own TIMEOUT 1h").items();
    for id in ["own", "d"] {
        assert_eq!(cmd!(con, "DEVICE.REGISTER", id, "hasty").int(), 0);
    }
    wait_until_offline(&mut con, "d");
    assert!(is_online(&mut con, "own"));
}

/// Else its key would expire while the device lives.
#[test]
fn a_heartbeat_key_lives_as_long_as_the_timeout_of_the_new_type_wants() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET wired TIMEOUT 0").text();
    cmd!(con, "DEVICE.TYPE.SET slow TIMEOUT 7d").text();
    const DAY: i64 = 86_400_000;
    for (device_type, lives) in [("wired", -1..=-1), ("slow", 7 * DAY..=8 * DAY)] {
        beat(&mut con, "d");
        cmd!(con, "DEVICE.REGISTER d", device_type).int();
        let left = cmd!(con, "PTTL device:heartbeat:d").int();
        assert!(lives.contains(&left), "{device_type}: {left}");
        cmd!(con, "DEVICE.REGISTER d unknown").int();
    }
    cmd!(con, "DEL device:heartbeat:d").int();
    cmd!(con, "SADD device:heartbeat:d x").int();
    let line = ["DEVICE.REGISTER", "d", "wired"];
    expect_error(&mut con, &line, "WRONGTYPE", "device:heartbeat:d");
    assert_eq!(
        field(&mut con, "d", "device_type").as_deref(),
        Some("unknown")
    );
}

#[test]
fn metadata_is_stored_replaced_and_kept() {
    let server = Server::start();
    let mut con = server.connection();
    let metadata = |con: &mut Connection| field(con, "d", "metadata");
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    assert_eq!(metadata(&mut con), None);
    for (line, expected) in [
        (
            "DEVICE.REGISTER d sensor META {\"a\":{\"b\":1},\"c\":[1]}",
            "{\"a\":{\"b\":1},\"c\":[1]}",
        ),
        ("DEVICE.REGISTER d motor", "{\"a\":{\"b\":1},\"c\":[1]}"),
        ("DEVICE.REGISTER d motor meta {\"x\":1}", "{\"x\":1}"),
        ("DEVICE.HEARTBEAT d REPORTED {\"x\":2}", "{\"x\":1}"),
        ("DEVICE.REGISTER d motor META {}", "{}"),
    ] {
        assert!(cmd!(con, line).is_ok());
        assert_eq!(metadata(&mut con).as_deref(), Some(expected), "{line}");
    }
}

#[test]
fn registering_again_keeps_the_state() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor META {\"m\":1}").int();
    cmd!(
        con,
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 4 SEQ 7 TIMEOUT 2h"
    )
    .items();
    let before = snapshot(&mut con);
    assert_eq!(cmd!(con, "DEVICE.REGISTER d motor META {\"m\":2}").int(), 0);
    let changed = difference(&before, &snapshot(&mut con));
    let of_hash = changed
        .iter()
        .filter(|line| line.starts_with("device:state:d "));
    let expected = [
        "device:state:d - device_type: sensor",
        "device:state:d - metadata: {\\\"m\\\":1}",
        "device:state:d + device_type: motor",
        "device:state:d + metadata: {\\\"m\\\":2}",
    ];
    assert!(of_hash.eq(expected.iter()), "{changed:?}");
}

#[test]
fn bad_metadata_is_refused_and_nothing_is_written() {
    let server = Server::builder()
        .config("devicestate.max-document-bytes", 64)
        .start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER known sensor META {\"m\":1}").int();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(57));
    let deep = format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17)).replace('1', "0");
    for id in ["new", "known"] {
        for (document, code) in [
            ("{\"a\"", "BADJSON"),
            ("[1]", "BADJSON"),
            (&large, "TOOLARGE"),
            (&deep, "BADJSON"),
        ] {
            let command = ["DEVICE.REGISTER", id, "motor", "META", document];
            expect_refusal(&mut con, &command, code, "META");
        }
    }
}

#[test]
fn max_devices_bounds_the_registry() {
    let server = Server::builder()
        .config("devicestate.max-devices", 2)
        .start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    beat(&mut con, "b");
    for command in [
        &["DEVICE.REGISTER", "c", "sensor"][..],
        &["DEVICE.HEARTBEAT", "c"],
        &["DEVICE.HEARTBEAT", "c", "REPORTED", "{}"],
    ] {
        expect_refusal(&mut con, command, "LIMIT", "2");
    }
    // Known ones are served, and room that is made is used.
    assert_eq!(cmd!(con, "DEVICE.REGISTER a motor").int(), 0);
    assert_eq!(beat(&mut con, "a"), [1, 1, 0]);
    cmd!(con, "DEVICE.REMOVE a").int();
    assert_eq!(beat(&mut con, "c"), [1, 1, 0]);
    cmd!(con, "CONFIG SET", "devicestate.max-devices", 0).text();
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
}
