//! Messages to devices while a bridge is killed, the broker or the server are away, or events are lost.

mod support;

use redis::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::bridge::Bridge;
use support::broker::Broker;
use support::events::{bulk, command, ids_on, pending, settled, ON};
use support::server::Server;
use support::subscriber::Subscriber;
use support::{heartbeat, wait_until};

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

/// What was answered is not asked, and told, once more because of what was not.
#[test]
fn deltas_are_told_once_while_commands_cannot_be_taken() {
    let (broker, server) = (Broker::start(), Server::start());
    let device = Subscriber::start(&broker, &["devices/a/#"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), ON);
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    server.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#, "NAME", "wifi"]);
    let id = command(&server, "a", r#"{"do":"it"}"#);
    wait_until("all events are acknowledged", || settled(&server));
    server.command(&["ACL", "SETUSER", "default", "-device.command.take"]);
    broker.publish(&heartbeat("a"), r#"{"timeout":"10m"}"#);
    wait_until("the command was asked for again and again", || {
        let errors: String = server.query(&["INFO", "errorstats"]);
        let refused = errors.split("errorstat_NOPERM:count=").nth(1);
        let refused = refused.and_then(|rest| rest.split_whitespace().next());
        refused.is_some_and(|refused| refused.parse::<u32>().unwrap() >= 4)
    });
    server.command(&["ACL", "SETUSER", "default", "+@all"]);
    device.wait_for(&format!("devices/a/commands/{id}"), r#"{"do":"it"}"#);
    wait_until("all events are acknowledged", || settled(&server));
    let told = [r#"{"version":1,"delta":{"on":true}}"#];
    assert_eq!(device.on("devices/a/delta"), told);
    assert_eq!(device.on("devices/a/delta/wifi"), told);
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
