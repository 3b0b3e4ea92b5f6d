//! What Redis wants from a device reaches it: a real server with the module, a real broker.

mod support;

use redis::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::bridge::Bridge;
use support::broker::Broker;
use support::server::Server;
use support::subscriber::Subscriber;
use support::{heartbeat, wait_until};

const ON: &str = "[downlink]\n";

fn ids_on(subscriber: &Subscriber, device: &str) -> Vec<String> {
    let start = format!("devices/{device}/commands/");
    let received = subscriber.received();
    let topics = received.iter().map(|(topic, _)| topic);
    topics
        .filter_map(|topic| topic.strip_prefix(&start))
        .map(str::to_owned)
        .collect()
}

/// How many events the group was given and has not acknowledged.
fn pending(server: &Server) -> i64 {
    let summary = server.command(&["XPENDING", "devices:events", "bridge"]);
    match summary {
        Value::Array(items) => match items.first() {
            Some(Value::Int(pending)) => *pending,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Whether everything in the stream is acknowledged.
fn settled(server: &Server) -> bool {
    let groups: Vec<redis::Value> = server.query(&["XINFO", "GROUPS", "devices:events"]);
    let Some(Value::Array(group)) = groups.first() else {
        return false;
    };
    let last: Vec<(String, redis::Value)> =
        server.query(&["XREVRANGE", "devices:events", "+", "-", "COUNT", "1"]);
    let delivered = redis::from_redis_value::<String>(group[7].clone()).unwrap();
    last.first().is_none_or(|(id, _)| *id == delivered) && pending(server) == 0
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn command(server: &Server, device: &str, json: &str) -> String {
    server.query(&["DEVICE.COMMAND", device, json])
}

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

#[test]
fn a_bridge_that_is_killed_gives_every_command() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/+/commands/+"]);
    let config = "[downlink]\ncommand_lease = \"2s\"\nbatch = 20\n";
    let mut bridge = Bridge::start(&broker.url(), &server.url(), config);
    let devices: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    for device in &devices {
        broker.publish(&heartbeat(device), r#"{"timeout":"10m"}"#);
    }
    wait_until("the devices are online", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(50)
    });
    let mut given = BTreeSet::new();
    for round in 0..20 {
        for device in &devices {
            let id = command(&server, device, &format!("{{\"n\":{round}}}"));
            given.insert((device.clone(), id));
        }
        // In the middle of the work, at four places of it.
        if round % 5 == 2 {
            bridge.kill();
            bridge = Bridge::launch(&broker.url(), &server.url(), config);
        }
    }
    let came = || -> BTreeSet<(String, String)> {
        let received = device.received();
        let topics = received.iter().map(|(topic, _)| topic.split('/'));
        topics
            .map(|mut levels| {
                let device = levels.nth(1).unwrap_or_default();
                let id = levels.nth(1).unwrap_or_default();
                (device.to_owned(), id.to_owned())
            })
            .collect()
    };
    // Nobody sends heartbeats any more: it is the events that are not acknowledged that bring back
    // what a killed bridge had taken.
    wait_until("every command came", || came() == given);
    wait_until("all events are acknowledged", || settled(&server));
}

#[test]
fn events_that_were_trimmed_are_made_up_for() {
    let (broker, server) = (
        Broker::start(),
        Server::start_with(&["devicestate.events-maxlen 100"]),
    );
    let device = Subscriber::start(&broker, &["devices/#"]);
    let mut bridge = Bridge::start(&broker.url(), &server.url(), ON);
    for n in 0..30 {
        broker.publish(&heartbeat(&format!("d{n}")), r#"{"timeout":"10m"}"#);
    }
    wait_until("all are online, and all events acknowledged", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(30) && settled(&server)
    });
    bridge.terminate();
    bridge.exit();
    let mut ids = Vec::new();
    for n in 0..30 {
        let name = format!("d{n}");
        server.command(&["DEVICE.SHADOW.SET", &name, r#"{"on":true}"#]);
        server.command(&["DEVICE.SHADOW.SET", &name, r#"{"on":true}"#, "NAME", "wifi"]);
        ids.push(command(&server, &name, r#"{"do":"it"}"#));
    }
    // The storm.
    for n in 0..1000 {
        let wish = format!("{{\"n\":{n}}}");
        server.command(&["DEVICE.SHADOW.SET", "d0", &wish]);
    }
    let before = device.received().len();
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    bridge.wait_for("was trimmed past the group bridge");
    for (n, id) in ids.iter().enumerate().skip(1) {
        let told = r#"{"version":1,"delta":{"on":true}}"#;
        device.wait_for(&format!("devices/d{n}/delta"), told);
        device.wait_for(&format!("devices/d{n}/delta/wifi"), told);
        device.wait_for(&format!("devices/d{n}/commands/{id}"), r#"{"do":"it"}"#);
    }
    wait_until("all events are acknowledged", || settled(&server));
    assert_eq!(bridge.count("was trimmed past"), 1);
    assert!(
        device.received().len() < before + 100,
        "the storm came to little"
    );
}

#[test]
fn events_that_are_trimmed_while_somebody_has_them_are_made_up_for() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/#"]);
    let config = "[downlink]\nclaim_after = \"1s\"\n";
    let mut bridge = Bridge::start(&broker.url(), &server.url(), config);
    server.command(&["DEVICE.HEARTBEAT", "a", "TIMEOUT", "10m"]);
    wait_until("all events are acknowledged", || settled(&server));
    bridge.kill();
    let id = command(&server, "a", r#"{"do":"it"}"#);
    let group = ["GROUP", "bridge", "one-that-died"];
    let taken = [
        &["XREADGROUP"],
        &group[..],
        &["STREAMS", "devices:events", ">"],
    ]
    .concat();
    server.command(&taken);
    server.command(&["XTRIM", "devices:events", "MAXLEN", "0"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), config);
    bridge.wait_for("that were not finished are trimmed");
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    wait_until("nothing is left over", || pending(&server) == 0);
}

#[test]
fn a_database_that_was_emptied_is_followed_again() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/#"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    bridge.wait_for("looked at 0 devices");
    server.command(&["FLUSHALL"]);
    broker.publish(&heartbeat("a"), "");
    wait_until("the bridge has noticed", || {
        bridge.count("has no group bridge") == 2
    });
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    device.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);
    wait_until("all events are acknowledged", || settled(&server));
}

#[test]
fn a_broker_that_was_away_gets_what_it_missed() {
    let (mut broker, server) = (Broker::start(), Server::start());
    let options = ["-i", "device-a", "-c", "-x", "3600"];
    let device = Subscriber::start_as(&broker, &options, &["devices/a/#"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    broker.publish(&heartbeat("a"), r#"{"timeout":"10m"}"#);
    wait_until("all events are acknowledged", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1) && settled(&server)
    });
    broker.stop();
    bridge.wait_for("cannot publish to MQTT");
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    let id = command(&server, "a", r#"{"do":"it"}"#);
    wait_until("the events are taken", || pending(&server) > 0);
    broker.resume();
    device.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    wait_until("all events are acknowledged", || settled(&server));
}

#[test]
fn a_command_whose_lease_ended_while_the_broker_was_away_is_given_all_the_same() {
    let (mut broker, server) = (Broker::start(), Server::start());
    let options = ["-i", "device-a", "-c", "-x", "3600"];
    let device = Subscriber::start_as(&broker, &options, &["devices/a/#"]);
    let config = "[downlink]\ncommand_lease = \"1s\"\n";
    let bridge = Bridge::start(&broker.url(), &server.url(), config);
    server.command(&["DEVICE.HEARTBEAT", "a", "TIMEOUT", "0"]);
    wait_until("all events are acknowledged", || settled(&server));
    broker.stop();
    bridge.wait_for("cannot publish to MQTT");
    let id = command(&server, "a", r#"{"do":"it"}"#);
    let listed = || -> BTreeMap<String, Value> {
        let list: Vec<_> = server.query(&["DEVICE.COMMAND.LIST", "a"]);
        list.into_iter().next().unwrap()
    };
    wait_until("it was taken, and waits again", || {
        let command = listed();
        command["deliveries"] == Value::Int(1) && command["state"] == bulk("waiting")
    });
    broker.resume();
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    wait_until("all events are acknowledged", || settled(&server));
    // However long the broker was away, that was one delivery more.
    assert_eq!(listed()["deliveries"], Value::Int(2));
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
fn a_server_that_was_away_is_followed_again() {
    let (broker, mut server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/#"]);
    let bridge = Bridge::start(&broker.url(), &server.url(), ON);
    broker.publish(&heartbeat("a"), r#"{"timeout":"10m"}"#);
    wait_until("all events are acknowledged", || {
        server.command(&["DEVICE.COUNT", "ONLINE"]) == Value::Int(1) && settled(&server)
    });
    for round in 1..=2 {
        match round {
            1 => server.stop(),
            _ => server.kill(),
        }
        wait_until("the bridge has noticed", || {
            bridge.count("devices do not hear from Redis") == round
        });
        server.resume();
        let wish = format!("{{\"round\":{round}}}");
        server.command(&["DEVICE.SHADOW.SET", "a", &wish]);
        let told = format!("{{\"version\":{round},\"delta\":{{\"round\":{round}}}}}");
        device.wait_for("devices/a/delta", &told);
    }
    wait_until("all events are acknowledged", || settled(&server));
}

#[test]
fn two_bridges_share_the_events_and_one_takes_over_from_the_other() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/#"]);
    let config = |id: &str| {
        format!(
            "[mqtt]\nclient_id = \"{id}\"\n[downlink]\nbatch = 5\nclaim_after = \"1s\"\n\
             command_lease = \"1s\"\n"
        )
    };
    let first = Bridge::start(&broker.url(), &server.url(), &config("first"));
    first.wait_for("looked at");
    let mut second = Bridge::start(&broker.url(), &server.url(), &config("second"));
    server.command(&["DEVICE.HEARTBEAT", "a", "TIMEOUT", "10m"]);
    for n in 1..=200 {
        let wish = format!("{{\"n\":{n}}}");
        server.command(&["DEVICE.SHADOW.SET", "a", &wish]);
    }
    device.wait_for("devices/a/delta", r#"{"version":200,"delta":{"n":200}}"#);
    wait_until("all events are acknowledged", || settled(&server));
    // One message for each event, at most.
    assert!(device.count("devices/a/delta") <= 201);
    // Events that the second one was given and dies with.
    second.kill();
    let id = command(&server, "a", r#"{"do":"it"}"#);
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"n":0}"#]);
    server.command(&[
        "XREADGROUP",
        "GROUP",
        "bridge",
        "second",
        "STREAMS",
        "devices:events",
        ">",
    ]);
    wait_until("all events are acknowledged", || settled(&server));
    device.wait_for("devices/a/delta", r#"{"version":201,"delta":{"n":0}}"#);
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

#[test]
fn a_bridge_that_is_told_to_stop_finishes_what_it_has_begun() {
    let (broker, server) = (Broker::start(), Server::start());
    let config = "[downlink]\ncommand_lease = \"2s\"\n";
    let device = Subscriber::start(&broker, &["devices/+/commands/+"]);
    let mut bridge = Bridge::start(&broker.url(), &server.url(), config);
    server.command(&["DEVICE.HEARTBEAT", "a", "TIMEOUT", "10m"]);
    let ids: Vec<String> = (0..500)
        .map(|n| command(&server, "a", &format!("{{\"n\":{n}}}")))
        .collect();
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
    let _bridge = Bridge::start(&broker.url(), &server.url(), config);
    wait_until("all commands came", || {
        ids.iter().all(|id| ids_on(&device, "a").contains(id))
    });
    wait_until("all events are acknowledged", || settled(&server));
    // What the device has not answered may have come again.
    let mut seen = BTreeSet::new();
    let mut came = ids_on(&device, "a");
    came.retain(|id| seen.insert(id.clone()));
    assert_eq!(came, ids);
}
