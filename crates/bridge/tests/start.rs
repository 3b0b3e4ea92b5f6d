//! Starting, being configured, and what is sent to Redis in the plain case.

mod support;

use std::process::{Command, Output};
use support::bridge::Bridge;
use support::broker::Broker;
use support::redis::Redis;
use support::{free_port, heartbeat, wait_until};

#[test]
fn messages_become_commands() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let _bridge = Bridge::start(&broker.url(), &redis.url(), "");
    let json = "{ \"t\" : 1.10, \"big\":12345678901234567890123 }";
    for (topic, payload, words) in [
        (
            "devices/a/heartbeat",
            "".into(),
            vec!["DEVICE.HEARTBEAT", "a"],
        ),
        (
            "devices/b/heartbeat",
            "{\"session\":3,\"seq\":4,\"timeout\":\"90s\"}".into(),
            vec![
                "DEVICE.HEARTBEAT",
                "b",
                "TIMEOUT",
                "90s",
                "SESSION",
                "3",
                "SEQ",
                "4",
            ],
        ),
        (
            "devices/c%2F1/reported",
            format!("{{\"reported\":{json},\"replace\":true}}"),
            vec!["DEVICE.HEARTBEAT", "c/1", "REPORTED", json, "REPLACE"],
        ),
        (
            "devices/d/will",
            "".into(),
            vec!["DEVICE.OFFLINE", "d", "REASON", "will"],
        ),
        (
            "devices/e/will",
            "{\"session\":3,\"reason\":\"sleep\"}".into(),
            vec!["DEVICE.OFFLINE", "e", "REASON", "sleep", "SESSION", "3"],
        ),
    ] {
        broker.publish(topic, payload);
        assert_eq!(redis.wait_for(words[1]), words);
    }
    // QoS 0 is taken, too.
    broker.publish_as(&["-q", "0"], &heartbeat("f"), "");
    redis.wait_for("f");
}

/// A will that the broker sends for a device that vanished.
#[test]
fn a_real_will_takes_the_device_offline() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let _bridge = Bridge::start(&broker.url(), &redis.url(), "");
    let mut device = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-V", "5"])
        .args([
            "-t",
            "none",
            "--will-topic",
            "devices/gone/will",
            "--will-qos",
            "1",
        ])
        .args(["--will-payload", "{\"session\":8}"])
        .args(["-t", "devices/gone/heartbeat", "-W", "60"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The device has its own heartbeat back: so the broker knows it, and its will.
    broker.publish_as(&["-q", "1", "-r"], "devices/gone/heartbeat", "{}");
    let mut echo = [0; 2];
    std::io::Read::read_exact(device.stdout.as_mut().unwrap(), &mut echo).unwrap();
    device.kill().unwrap();
    device.wait().unwrap();
    wait_until("the device goes offline", || {
        let goodbye = ["DEVICE.OFFLINE", "gone", "REASON", "will", "SESSION", "8"];
        redis
            .confirmed()
            .last()
            .is_some_and(|words| *words == goodbye)
    });
}

#[test]
fn both_sides_may_come_later() {
    let (mut broker, redis) = (Broker::stopped(), Redis::start());
    redis.go_away();
    let bridge = Bridge::launch(&broker.url(), &redis.url(), "");
    let first = bridge.wait_for("from MQTT");
    assert!(first.contains(env!("CARGO_PKG_VERSION")), "{first}");
    assert!(
        first.contains(&format!("127.0.0.1:{}", broker.port)),
        "{first}"
    );
    assert!(
        first.contains(&format!("127.0.0.1:{}", redis.port)),
        "{first}"
    );
    bridge.wait_for("no connection to MQTT");
    bridge.wait_for("does not take commands");
    redis.come_back();
    bridge.wait_for("works again after");
    assert_eq!(bridge.count("bridge ready"), 0);
    broker.resume();
    bridge.wait_for("bridge ready");
    broker.publish(&heartbeat("a"), "");
    redis.wait_for("a");
}

/// A resumed session keeps its subscriptions, so a new prefix needs a SUBSCRIBE there.
#[test]
fn a_changed_prefix_takes_effect_in_a_resumed_session() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
    let bridge = Bridge::start(
        &broker.url(),
        &redis.url(),
        "[mqtt]\nprefix = \"acme/site 1\"\n",
    );
    bridge.wait_for("resumed session");
    broker.publish("acme/site 1/a/heartbeat", "");
    redis.wait_for("a");
    // The old subscription is still there. Its messages are told, not applied.
    broker.publish("devices/b/heartbeat", "");
    bridge.wait_for("'devices/b/heartbeat': the topic is of no profile");
}

#[test]
fn two_bridges_of_one_name_say_so() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let first = Bridge::start(&broker.url(), &redis.url(), "");
    let _second = Bridge::start(&broker.url(), &redis.url(), "");
    first.wait_for("perhaps another client connects as devicestate-bridge-0");
}

#[test]
fn a_server_without_the_module_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .arg("--dir")
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let broker = Broker::start();
    let url = format!("redis://127.0.0.1:{port}");
    let mut bridge = Bridge::start(&broker.url(), &url, "drain_timeout = 0\n");
    broker.publish(&heartbeat("a"), "");
    bridge.wait_for("does not take commands: ERR unknown command 'DEVICE.HEARTBEAT'");
    bridge.terminate();
    let (_, summary) = bridge.exit();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(summary.contains("applied 0, refused 0"), "{summary}");
    assert!(summary.contains("left to the broker 1"), "{summary}");
    let redis = Redis::start();
    let _next = Bridge::start(&broker.url(), &redis.url(), "");
    redis.wait_for("a");
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_wrong_configuration_ends_it_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(&file, "[mqtt]\nurl = \"mqtt://u:secret@h\"\nqos = 1\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, says) in [
        (vec!["--config", file], "line 3: unknown field `qos`"),
        (
            vec!["--config", "/nowhere/x.toml"],
            "/nowhere/x.toml: No such file",
        ),
        (
            vec!["--redis", "redis+sentinel://:secret@h"],
            "redis.url does not end with the name of the master",
        ),
        (vec!["--redis", "redis://:secret@h/3"], "database 0"),
        (
            vec!["--redis", "redis://:secret@h:1?protocol=resp3"],
            "redis.url has a query",
        ),
        (
            vec!["--mqtt", "h:secret"],
            "mqtt.url does not begin with mqtt://",
        ),
        (vec!["--prefix", "a/+"], "mqtt.prefix contains a wildcard"),
        (vec!["--client-id", ""], "mqtt.client_id"),
    ] {
        let output = run(&arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert_eq!(run(&["--log", "loud"]).status.code(), Some(2));
}
