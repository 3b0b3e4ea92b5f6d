//! What the settings do.

use redis::Connection;

use std::process::Command;

use super::{shown, SETTINGS};
use crate::devices::*;
use crate::support::*;

#[test]
fn every_key_carries_the_prefix() {
    for prefix in ["sc:", "📟%n/", "device:state:"] {
        let server = Server::builder()
            .module_arg("key-prefix", prefix)
            .config("devicestate.restart-grace", 0)
            .config("devicestate.reports-maxlen", 10)
            .start();
        let told = Subscriber::channels(&server, &["devices:presence"]);
        let mut con = server.connection();
        for line in [
            "DEVICE.REGISTER d sensor META {}",
            "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 2",
            "DEVICE.HEARTBEAT d SESSION 1",
            "DEVICE.SHADOW.SET d {\"a\":2}",
            "DEVICE.SHADOW.SET d {\"a\":2} NAME n",
            "DEVICE.HEARTBEAT e TIMEOUT 100",
            "DEVICE.TYPE.SET sensor TIMEOUT 1h",
            "DEVICE.HEARTBEAT gone",
            "DEVICE.REMOVE gone BLOCK 1h",
            "ALERT.RAISE d a NOTIFY 1 u",
            "ALERT.RULE.SET sensor r {\"on\":\"offline\"}",
            "DEVICE.CHECK 0 REPAIR",
        ] {
            assert!(cmd!(con, line).is_ok(), "{line}");
        }
        told.wait_for_message("the timeout of e", SOON, |m| {
            m.payload.contains("\"timeout\"")
        });
        let keys = cmd!(con, "KEYS", "*").sorted();
        assert!(keys.iter().all(|key| key.starts_with(prefix)), "{keys:?}");
        let own: Vec<&str> = keys.iter().map(|key| &key[prefix.len()..]).collect();
        let expected = [
            "alerts:due",
            "alerts:rules:sensor",
            "alerts:user:u",
            "device:alerts:d",
            "device:blocked:gone",
            "device:heartbeat:d",
            "device:history:d",
            "device:shadows:d",
            "device:state:d",
            "device:state:e",
            "devices:events",
            "devices:offline",
            "devices:online",
            "devices:online:type:sensor",
            "devices:outofsync",
            "devices:registered",
            "devices:reports",
            "devices:type:sensor",
            "devices:type:unknown",
            "devices:types",
        ];
        assert_eq!(own, expected);
        assert_eq!(cmd!(con, "DEVICE.LIST").at(1).sorted(), ["d", "e"]);
        assert_eq!(cmd!(con, "DEVICE.LIST OFFLINE").at(1).texts(), ["e"]);
    }
}

#[test]
fn without_heartbeat_keys_there_are_none_and_no_expired_notification() {
    let server = Server::builder()
        .config("devicestate.heartbeat-keys", "no")
        .config("devicestate.restart-grace", 0)
        .start();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired", "devices:presence"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    assert_eq!(cmd!(con, "KEYS", "device:heartbeat:*").items().len(), 0);
    wait_until_offline(&mut con, "d");
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    assert_eq!(cmd!(con, "KEYS", "device:heartbeat:*").items().len(), 0);
    let messages = expired.wait_for_count(3, SOON);
    assert!(
        messages.iter().all(|m| m.channel == "devices:presence"),
        "{messages:?}"
    );
}

/// Left behind, they would expire a day later while their devices live.
#[test]
fn heartbeat_keys_go_when_they_are_switched_off_and_come_back() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    cmd!(con, "DEVICE.HEARTBEAT wired TIMEOUT 0").items();
    let keys = |con: &mut Connection| cmd!(con, "KEYS", "device:heartbeat:*").items().len();
    for (switch, left) in [("no", 0), ("yes", 2)] {
        cmd!(con, "CONFIG SET devicestate.heartbeat-keys", switch).text();
        wait_for(switch, SOON, || keys(&mut con) == left);
    }
    assert!(is_online(&mut con, "d"));
}

#[test]
fn an_empty_channel_is_silent() {
    let server = Server::builder()
        .config("devicestate.presence-channel", "")
        .config("devicestate.status-channel", "")
        .start();
    let told = Subscriber::patterns(&server, &["*"]);
    let mut con = server.connection();
    cmd!(con, "CONFIG SET", "notify-keyspace-events", "").text();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":1}").items();
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(
        events(&mut con).field("type"),
        ["registered", "online", "offline"]
    );
    // A message of our own shows that nothing else was on its way.
    cmd!(con, "PUBLISH", "last", "x").int();
    let messages = told.wait_for_count(1, SOON);
    assert_eq!(messages[0].channel, "last", "{messages:?}");
}

#[test]
fn channels_go_where_the_settings_say_at_once() {
    let server = Server::start();
    let told = Subscriber::channels(&server, &["p", "s", "devices:presence", "devices:status"]);
    let mut con = server.connection();
    cmd!(
        con,
        "CONFIG SET devicestate.presence-channel p devicestate.status-channel s"
    )
    .text();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":1}").items();
    let mut channels: Vec<_> = told
        .wait_for_count(2, SOON)
        .into_iter()
        .map(|m| m.channel)
        .collect();
    channels.sort();
    assert_eq!(channels, ["p", "s"]);
}

#[test]
fn the_events_stream_is_capped() {
    let server = Server::builder()
        .config("devicestate.events-maxlen", 10)
        .start();
    let mut con = server.connection();
    for _ in 0..500 {
        beat(&mut con, "d");
        cmd!(con, "DEVICE.OFFLINE d").int();
    }
    // `MAXLEN ~` leaves whole nodes; these are of 512 bytes, or of 100 entries.
    let length = cmd!(con, "XLEN", "devices:events").int();
    assert!((10..300).contains(&length), "{length}");
}

#[test]
fn auto_register_can_be_switched_while_running() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "CONFIG SET", "devicestate.auto-register", "no").text();
    expect_refusal(
        &mut con,
        &["DEVICE.HEARTBEAT", "d"],
        "NODEVICE",
        "auto-register",
    );
    cmd!(con, "CONFIG SET", "devicestate.auto-register", "yes").text();
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
}

#[test]
fn config_rewrite_keeps_every_setting_for_the_next_start() {
    let mut server = Server::start();
    let mut con = server.connection();
    let mut wanted = Vec::new();
    for setting in SETTINGS {
        let (given, expected) = setting.good.last().expect("a good value");
        cmd!(con, "CONFIG SET", setting.full_name(), given).text();
        wanted.push((setting.name, *expected));
    }
    assert_eq!(cmd!(con, "CONFIG REWRITE").text(), "OK");
    drop(con);
    server.terminate();

    // The test support would write its own file again, so this start is by hand.
    let mut redis = Command::new(server_program());
    redis.arg(server.dir().join("redis.conf"));
    let _again = Process::spawn("redis-server", redis);
    wait_for("the server answers again", SOON, || {
        let client = redis::Client::open(server.url()).expect("an address");
        let mut con = client.get_connection().ok()?;
        cmd!(con, "PING").is_ok().then_some(())
    });
    let mut con = server.connection();
    for (name, expected) in wanted {
        assert_eq!(shown(&mut con, name), expected, "{name}");
    }
}

/// The server under test.
fn server_program() -> String {
    std::env::var("DEVICESTATE_TEST_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}
