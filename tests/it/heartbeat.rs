//! `DEVICE.HEARTBEAT` and `DEVICE.OFFLINE`: the reply, registering by speaking up, the step from
//! offline to online and back.

mod atomic;
mod fencing;
pub mod replication;
mod reports;
mod timeouts;

use crate::devices::*;
use crate::support::*;

#[test]
fn the_reply_is_five_elements_in_both_protocols() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    assert_eq!(
        raw.call(&["DEVICE.HEARTBEAT", "d"]),
        b"*5\r\n:1\r\n:1\r\n:0\r\n$-1\r\n:0\r\n"
    );
    raw.call(&["HELLO", "3"]);
    assert_eq!(
        raw.call(&["DEVICE.HEARTBEAT", "d", "REPORTED", r#"{"a":1}"#]),
        b"*5\r\n:0\r\n:1\r\n:1\r\n_\r\n:0\r\n"
    );
}

#[test]
fn an_unknown_device_registers_itself_as_type_unknown() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
    assert_eq!(
        field(&mut con, "d", "device_type").as_deref(),
        Some("unknown")
    );
    let kinds = events_of(&mut con, "d");
    assert_eq!(kinds.field("type"), ["registered", "online"]);
    for set in [
        "devices:registered",
        "devices:online",
        "devices:type:unknown",
        "devices:online:type:unknown",
    ] {
        assert_eq!(cmd!(con, "SMEMBERS", set).texts(), ["d"], "{set}");
    }
    assert!(cmd!(con, "ZSCORE", "devices:offline", "d").is_nil());
}

#[test]
fn without_auto_register_an_unknown_device_is_refused() {
    let server = Server::builder()
        .config("devicestate.auto-register", "no")
        .start();
    let mut con = server.connection();
    for command in [
        &["DEVICE.HEARTBEAT", "d"][..],
        &["DEVICE.HEARTBEAT", "d", "REPORTED", "{}"],
        &["DEVICE.HEARTBEAT", "d", "TIMEOUT", "1s", "SESSION", "1"],
    ] {
        expect_refusal(&mut con, command, "NODEVICE", "'d'");
    }
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
    assert_eq!(cmd!(con, "DEVICE.REGISTER", "d", "sensor").int(), 1);
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
}

#[test]
fn only_the_first_beat_comes_online() {
    let server = Server::start();
    let told = Subscriber::channels(&server, &["devices:presence"]);
    let notified = Subscriber::patterns(&server, &["__keyevent@0__:device.*"]);
    let mut con = server.connection();
    let before = now_ms();
    cmd!(con, "DEVICE.REGISTER", "d", "sensor").int();
    let reply = cmd!(con, "DEVICE.HEARTBEAT", "d", "SESSION", 7);
    assert_eq!(outcome(reply.value()), [1, 1, 0]);
    for _ in 0..5 {
        assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
    }

    let online = events_of(&mut con, "d").of_type("online");
    assert_eq!(online.len(), 1);
    assert_eq!(online[0].get("status"), "online");
    assert_eq!(online[0].get("session"), "7");
    assert!((before..=now_ms()).contains(&online[0].int("timestamp")));

    // The goodbye is the last thing told, so nothing else can still be on its way.
    assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d").int(), 1);
    let messages = told.wait_for_count(2, SOON);
    let message = messages[0].json();
    assert_eq!(message["type"], "presence");
    assert_eq!(message["device_id"], "d");
    assert_eq!(message["status"], "online");
    assert_eq!(message["session"], 7);
    assert_eq!(message["timestamp"], online[0].int("timestamp"));
    assert_eq!(messages[1].json()["status"], "offline");
    let last = |m: &Message| m.channel.ends_with("device.offline");
    notified.wait_for_message("device.offline", SOON, last);
    let names: Vec<String> = notified.take().into_iter().map(|m| m.channel).collect();
    let expected = ["device.registered", "device.online", "device.offline"];
    assert_eq!(names, expected.map(|name| format!("__keyevent@0__:{name}")));
}

#[test]
fn a_steady_beat_changes_last_seen_and_nothing_else() {
    let server = Server::start();
    let mut con = server.connection();
    let first = "TIMEOUT 1h SESSION 3 SEQ 1";
    cmd!(con, "DEVICE.REGISTER", "d", "sensor", "META", r#"{"m":1}"#).int();
    let mut command = command(&format!("DEVICE.HEARTBEAT d {first} REPORTED"));
    outcome(con.run(command.arg(r#"{"a":1}"#)).value());

    for same in ["", " TIMEOUT 1h", " SESSION 3", " SESSION 3 TIMEOUT 3600s"] {
        let before = snapshot_with_expiry(&mut con);
        wait_for_the_clock();
        let reply = cmd!(con, &format!("DEVICE.HEARTBEAT d{same}"));
        assert_eq!(outcome(reply.value()), [0, 1, 1]);
        let changed = difference(&before, &snapshot_with_expiry(&mut con));
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed[0].starts_with("device:state:d - last_seen: "));
        assert!(changed[1].starts_with("device:state:d + last_seen: "));
    }
}

#[test]
fn last_seen_is_the_moment_of_the_beat_in_milliseconds() {
    let server = Server::start();
    let mut con = server.connection();
    let before = now_ms();
    beat(&mut con, "d");
    let first = number(&mut con, "d", "last_seen");
    assert!((before..=now_ms()).contains(&first), "{first}");
    assert_eq!(number(&mut con, "d", "status_since"), first);
    wait_for_the_clock();
    beat(&mut con, "d");
    assert!(number(&mut con, "d", "last_seen") > first);
    assert_eq!(number(&mut con, "d", "status_since"), first);
}

#[test]
fn offline_takes_a_device_off_every_online_index_and_tells_it() {
    let server = Server::start();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let told = Subscriber::channels(&server, &["devices:presence"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER", "d", "sensor").int();
    let never_online = snapshot_without_streams(&mut con);
    beat(&mut con, "d");
    let last_seen = number(&mut con, "d", "last_seen");

    assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d").int(), 1);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d").int(), 0);
    let changed = difference(&never_online, &snapshot_without_streams(&mut con));
    assert!(changed.contains(&format!("devices:offline + d: {last_seen}")));
    // Beside that only the hash differs: no key of the online device is left.
    let elsewhere = changed
        .iter()
        .filter(|line| !line.starts_with("device:state:d "));
    assert_eq!(elsewhere.count(), 2, "{changed:?}");
    assert_eq!(number(&mut con, "d", "last_seen"), last_seen);

    let offline = events_of(&mut con, "d").of_type("offline");
    assert_eq!(offline.field("status"), ["offline"]);
    assert_eq!(told.wait_for_count(2, SOON)[1].json()["status"], "offline");
    let expired = expired.wait_for_count(1, SOON);
    assert_eq!(expired[0].payload, "device:heartbeat:d");
}

#[test]
fn the_reason_of_a_goodbye_is_in_event_channel_and_hash() {
    let server = Server::start();
    let told = Subscriber::channels(&server, &["devices:presence"]);
    let mut con = server.connection();
    let long = "x".repeat(256);
    let reasons = ["battery low", "a \"quoted\"\r\nline \\ 📟 %n%s", &long];
    for (turn, reason) in reasons.iter().enumerate() {
        beat(&mut con, "d");
        assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d", "reason", reason).int(), 1);
        assert_eq!(field(&mut con, "d", "status_reason").unwrap(), *reason);
        let events = events_of(&mut con, "d").of_type("offline");
        assert_eq!(events.last().unwrap().get("reason"), *reason);
        let messages = told.wait_for_count(2 * turn + 2, SOON);
        assert_eq!(messages[2 * turn + 1].json()["reason"], *reason);
    }
    beat(&mut con, "d");
    assert_eq!(field(&mut con, "d", "status_reason"), None);
    let too_long = "x".repeat(257);
    expect_refusal(
        &mut con,
        &["DEVICE.OFFLINE", "d", "REASON", &too_long],
        "ERR",
        "REASON",
    );
}

#[test]
fn offline_of_an_unknown_device_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    for command in [
        &["DEVICE.OFFLINE", "d"][..],
        &["DEVICE.OFFLINE", "d", "SESSION", "1", "REASON", "x"],
    ] {
        expect_refusal(&mut con, command, "NODEVICE", "'d'");
    }
}

#[test]
fn a_beat_after_the_goodbye_comes_online_again() {
    let server = Server::start();
    let mut con = server.connection();
    for _ in 0..3 {
        assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
        assert_eq!(cmd!(con, "EXISTS", "device:heartbeat:d").int(), 1);
        assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d").int(), 1);
        assert_eq!(cmd!(con, "EXISTS", "device:heartbeat:d").int(), 0);
    }
    let told = events_of(&mut con, "d");
    let mut expected = vec!["registered"];
    expected.extend(["online", "offline"].repeat(3));
    assert_eq!(told.field("type"), expected);
}
