//! What Redis wants from a device reaches it: a real server with the module, a real broker.

mod support;

use redis::Value;
use std::collections::BTreeMap;
use support::bridge::Bridge;
use support::broker::Broker;
use support::events::{bulk, command, ids_on, settled, ON};
use support::server::Server;
use support::subscriber::Subscriber;
use support::{heartbeat, wait_until};

#[test]
fn a_device_that_is_online_is_told_at_once() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/plant%2F7/#"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), ON);
    broker.publish("devices/plant%2F7/reported", r#"{"reported":{"on":false}}"#);
    wait_until("the device is online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1)
    });
    server.command(&["DEVICE.SHADOW.SET", "plant/7", r#"{"on":true}"#]);
    let told = r#"{"version":2,"delta":{"on":true}}"#;
    device.wait_for("devices/plant%2F7/delta", told);
    server.command(&[
        "DEVICE.SHADOW.SET",
        "plant/7",
        r#"{"a":1.0}"#,
        "NAME",
        "up/time",
    ]);
    let told = r#"{"version":1,"delta":{"a":1.0}}"#;
    device.wait_for("devices/plant%2F7/delta/up%2Ftime", told);
    let id = command(&server, "plant/7", r#"{"do":"blink"}"#);
    let topic = format!("devices/plant%2F7/commands/{id}");
    device.wait_for(&topic, r#"{"do":"blink"}"#);
    // That it has done so is told, too.
    broker.publish("devices/plant%2F7/reported", r#"{"reported":{"on":true}}"#);
    device.wait_for("devices/plant%2F7/delta", r#"{"version":3,"delta":{}}"#);
    wait_until("all events are acknowledged", || settled(&server));
    assert_eq!(device.count(&topic), 1);
}

/// It publishes on its id as it is, so that is where it listens.
#[test]
fn a_device_whose_name_is_not_ascii_is_told_on_its_own_topics() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/pümp/#"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), ON);
    broker.publish(&heartbeat("pümp"), "");
    wait_until("the device is online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1)
    });
    let shadow = ["DEVICE.SHADOW.SET", "pümp", r#"{"on":true}"#, "NAME"];
    server.command(&[&shadow[..], &["größe"]].concat());
    let told = r#"{"version":1,"delta":{"on":true}}"#;
    device.wait_for("devices/pümp/delta/größe", told);
    let id = command(&server, "pümp", r#"{"do":"it"}"#);
    device.wait_for(&format!("devices/pümp/commands/{id}"), r#"{"do":"it"}"#);
}

#[test]
fn a_result_ends_the_command() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/commands/+"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    broker.publish(&heartbeat("a"), "");
    wait_until("the device is online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1)
    });
    for (payload, outcome, result) in [
        ("", "OK", None),
        (
            r#"{"outcome":"FAILED","result":{"why":1.5}}"#,
            "FAILED",
            Some(r#"{"why":1.5}"#),
        ),
        (r#"{"outcome":"REJECTED"}"#, "REJECTED", None),
    ] {
        let id = command(&server, "a", r#"{"do":"it"}"#);
        let topic = format!("devices/a/commands/{id}");
        device.wait_for(&topic, r#"{"do":"it"}"#);
        broker.publish(&format!("{topic}/result"), payload);
        let settled = || {
            let commands: Vec<BTreeMap<String, Value>> =
                server.query(&["DEVICE.COMMAND.LIST", "a"]);
            let mut commands = commands.into_iter();
            commands.find(|command| {
                command["command_id"] == bulk(&id) && command["state"] == bulk("done")
            })
        };
        wait_until(outcome, || settled().is_some());
        let command = settled().unwrap();
        assert_eq!(command["outcome"], bulk(outcome));
        assert_eq!(command["result"], result.map_or(Value::Nil, bulk));
    }
    // What is no result of a command is refused, with the server's words.
    broker.publish("devices/a/commands/seven/result", "");
    bridge.wait_for("command id: 'seven'");
}

#[test]
fn what_waited_for_a_device_comes_when_it_is_back() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/#"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), ON);
    server.command(&["DEVICE.REGISTER", "a", "lamp"]);
    for level in 1..=20 {
        let wish = format!("{{\"level\":{level}}}");
        server.command(&["DEVICE.SHADOW.SET", "a", &wish]);
    }
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"ssid":"x"}"#, "NAME", "wifi"]);
    let expired: String = server.query(&["DEVICE.COMMAND", "a", r#"{"do":"late"}"#, "TTL", "1"]);
    let ids: Vec<String> = (0..40)
        .map(|n| command(&server, "a", &format!("{{\"n\":{n}}}")))
        .collect();
    wait_until("all events are acknowledged", || settled(&server));
    assert_eq!(device.received(), []);
    broker.publish(&heartbeat("a"), "");
    wait_until("all commands came", || {
        ids_on(&device, "a").len() >= ids.len()
    });
    wait_until("all events are acknowledged", || settled(&server));
    device.wait_for(
        "devices/a/delta/wifi",
        r#"{"version":1,"delta":{"ssid":"x"}}"#,
    );
    assert_eq!(ids_on(&device, "a"), ids);
    assert!(!ids.contains(&expired));
    let newest = r#"{"version":20,"delta":{"level":20}}"#;
    assert_eq!(device.on("devices/a/delta"), [newest]);
}

#[test]
fn a_device_may_ask() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/+/delta", "devices/+/commands/+"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), ON);
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    let id = command(&server, "a", r#"{"do":"it"}"#);
    wait_until("all events are acknowledged", || settled(&server));
    assert_eq!(device.received(), []);
    broker.publish("devices/a/get", "");
    device.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    // One that nobody wants anything from is told so.
    broker.publish("devices/b/get", "");
    device.wait_for("devices/b/delta", r#"{"version":0,"delta":{}}"#);
}

#[test]
fn a_command_that_is_not_answered_comes_again_with_a_heartbeat() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/#"]);
    let config = "[downlink]\ncommand_lease = \"1s\"\n";
    let _bridge = Bridge::start(&broker.url(), &server.url(), config);
    broker.publish(&heartbeat("a"), "");
    wait_until("the device is online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1)
    });
    let id = command(&server, "a", r#"{"do":"it"}"#);
    wait_until("it came again", || {
        broker.publish(&heartbeat("a"), "");
        ids_on(&device, "a").len() >= 2
    });
    assert!(ids_on(&device, "a").iter().all(|found| *found == id));
}

/// What docs/bridge.md says that the bridge's user needs.
#[test]
fn the_documented_permissions_are_enough() {
    let page = include_str!("../../../docs/bridge.md");
    let start = page.find("ACL SETUSER bridge").expect("the page has it");
    let rule = page[start..].split("\n```").next().unwrap();
    let words: Vec<&str> = rule.split_whitespace().filter(|w| *w != "\\").collect();
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&words);
    let device = Subscriber::start(&broker, &["devices/#"]);
    let url = format!("redis://bridge:secret@127.0.0.1:{}", server.port);
    let bridge = Bridge::start(&broker.url(), &url, ON);
    bridge.wait_for("looked at");
    broker.publish(&heartbeat("a"), r#"{"timeout":"10m"}"#);
    wait_until("the device is online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1)
    });
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    device.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);
    let id = command(&server, "a", r#"{"do":"it"}"#);
    let topic = format!("devices/a/commands/{id}");
    device.wait_for(&topic, r#"{"do":"it"}"#);
    broker.publish(&format!("{topic}/result"), "");
    broker.publish("devices/a/will", "");
    broker.publish("devices/a/nonsense/x/y", "");
    wait_until("all events are acknowledged", || settled(&server));
    let refused = bridge.count("refused") + bridge.count("NOPERM") + bridge.count("do not hear");
    assert_eq!(refused, 0, "{:#?}", bridge.lines());
}

#[test]
fn what_the_broker_does_not_take_stops_nothing() {
    let acl = tempfile::NamedTempFile::new().unwrap();
    let rules = "topic readwrite #\ntopic deny devices/secret/delta\n";
    std::fs::write(acl.path(), rules).unwrap();
    let acl_file = format!("acl_file {}", acl.path().display());
    let broker = Broker::start_with(&["max_packet_size 3000", &acl_file]);
    let server = Server::start();
    let device = Subscriber::start(&broker, &["devices/#"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    for device in ["secret", "large", "a"] {
        server.command(&["DEVICE.HEARTBEAT", device, "TIMEOUT", "10m"]);
    }
    server.command(&["DEVICE.SHADOW.SET", "secret", r#"{"on":true}"#]);
    bridge
        .wait_for("could not publish on 'devices/secret/delta': the broker answered NotAuthorized");
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(4000));
    server.command(&["DEVICE.SHADOW.SET", "large", &large]);
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    device.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);
    wait_until("all events are acknowledged", || settled(&server));
    assert_eq!(device.received().len(), 1);
    assert_eq!(bridge.count("cannot publish to MQTT"), 0);
}
