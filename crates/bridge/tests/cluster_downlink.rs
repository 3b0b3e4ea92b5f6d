//! Messages to devices of a cluster: deltas and commands arrive while slots move, after a failover, and
//! whichever of two bridges lives.

mod support;

use std::collections::BTreeSet;
use support::bridge::Bridge;
use support::broker::Broker;
use support::cluster::Cluster;
use support::events::ON;
use support::subscriber::Subscriber;
use support::wait_until;

const DEVICES: usize = 30;

fn device(number: usize) -> String {
    format!("d{number}")
}

/// Devices that stay online, and whose events are read.
fn online(cluster: &Cluster) {
    for number in 0..DEVICES {
        cluster.command(&["DEVICE.HEARTBEAT", &device(number), "TIMEOUT", "10m"]);
    }
}

/// Gives each device a wish and a command.
fn give(cluster: &Cluster, round: usize, given: &mut BTreeSet<(String, String)>) {
    for number in 0..DEVICES {
        let device = device(number);
        let json = format!("{{\"n\":{round}}}");
        cluster.command(&["DEVICE.SHADOW.SET", &device, &json]);
        let id: String = cluster.query(&["DEVICE.COMMAND", &device, &json]);
        given.insert((device, id));
    }
}

#[track_caller]
fn wait_for_all(subscriber: &Subscriber, rounds: usize, given: &BTreeSet<(String, String)>) {
    for number in 0..DEVICES {
        let told = format!("{{\"version\":{rounds},\"delta\":{{\"n\":{rounds}}}}}");
        subscriber.wait_for(&format!("devices/d{number}/delta"), &told);
    }
    wait_until("every command came", || came(subscriber) == *given);
}

/// Devices and their commands.
fn came(subscriber: &Subscriber) -> BTreeSet<(String, String)> {
    let received = subscriber.received();
    let topics = received.iter().map(|(topic, _)| topic.split('/'));
    topics
        .filter_map(|mut levels| {
            let device = levels.nth(1)?;
            let is_command = levels.next()? == "commands";
            is_command.then_some((device.to_owned(), levels.next()?.to_owned()))
        })
        .collect()
}

/// No older delta came after a newer one.
#[track_caller]
fn assert_order(subscriber: &Subscriber) {
    for number in 0..DEVICES {
        let told = subscriber.on(&format!("devices/d{number}/delta"));
        let versions = told.iter().map(|payload| {
            let (_, rest) = payload.split_once(':').unwrap();
            rest.split(',').next().unwrap().parse::<u64>().unwrap()
        });
        let versions: Vec<u64> = versions.collect();
        assert!(versions.is_sorted(), "d{number}: {versions:?}");
    }
}

#[test]
fn devices_hear_while_slots_move() {
    const ROUNDS: usize = 6;
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let config = "[downlink]\ncommand_lease = \"2s\"\nbatch = 20\n";
    let bridge = Bridge::start(&broker.url(), &cluster.url(), config);
    bridge.wait_for("looked at 0 devices");
    online(&cluster);
    let mut given = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let [a, b, c] = [0, 1, 2].map(|at| &cluster.nodes[at]);
            for (from, to) in [(a, b), (b, c), (c, a)] {
                cluster.reshard(from, to, 300);
            }
        });
        for round in 1..=ROUNDS {
            give(&cluster, round, &mut given);
        }
    });
    wait_for_all(&subscriber, ROUNDS, &given);
    assert_order(&subscriber);
    assert_eq!(bridge.count("were trimmed"), 0);
}

#[test]
fn devices_hear_after_a_failover() {
    let (broker, mut cluster) = (Broker::start(), Cluster::start());
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let config = "[downlink]\ncommand_lease = \"2s\"\n";
    let bridge = Bridge::start(&broker.url(), &cluster.url(), config);
    bridge.wait_for("looked at 0 devices");
    online(&cluster);
    let mut given = BTreeSet::new();
    give(&cluster, 1, &mut given);
    wait_for_all(&subscriber, 1, &given);
    cluster.fail_over(0);
    give(&cluster, 2, &mut given);
    wait_for_all(&subscriber, 2, &given);
    assert_order(&subscriber);
    bridge.wait_for("devices hear from Redis");
}

#[test]
fn a_bridge_takes_over_from_one_that_dies() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let config = |id: &str| {
        format!(
            "[mqtt]\nclient_id = \"{id}\"\n[downlink]\nbatch = 5\nclaim_after = \"2s\"\n\
             command_lease = \"1s\"\n"
        )
    };
    let mut first = Bridge::start(&broker.url(), &cluster.url(), &config("first"));
    first.wait_for("looked at 0 devices");
    let second = Bridge::start(&broker.url(), &cluster.url(), &config("second"));
    second.wait_for("another bridge follows the events");
    online(&cluster);
    let mut given = BTreeSet::new();
    give(&cluster, 1, &mut given);
    wait_until("some came", || came(&subscriber).len() > 5);
    first.kill();
    give(&cluster, 2, &mut given);
    second.wait_for("the other bridge is gone");
    wait_for_all(&subscriber, 2, &given);
    assert_eq!(second.count("looking at all devices"), 0);
}

#[test]
fn a_bridge_that_ends_is_followed_at_once() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let config =
        |id: &str| format!("[mqtt]\nclient_id = \"{id}\"\n[downlink]\nclaim_after = \"1h\"\n");
    let mut first = Bridge::start(&broker.url(), &cluster.url(), &config("first"));
    first.wait_for("looked at 0 devices");
    let second = Bridge::start(&broker.url(), &cluster.url(), &config("second"));
    second.wait_for("another bridge follows the events");
    first.terminate();
    assert_eq!(first.exit().0, Some(0));
    second.wait_for("the other bridge is gone");
}

#[test]
fn events_that_were_trimmed_are_made_up_for() {
    let (broker, cluster) = (
        Broker::start(),
        Cluster::start_with(&["devicestate.events-maxlen 100"]),
    );
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let mut bridge = Bridge::start(&broker.url(), &cluster.url(), ON);
    bridge.wait_for("looked at 0 devices");
    online(&cluster);
    let mut given = BTreeSet::new();
    give(&cluster, 1, &mut given);
    wait_for_all(&subscriber, 1, &given);
    bridge.terminate();
    bridge.exit();
    give(&cluster, 2, &mut given);
    // The storm goes through the slot of one of them; what it had before is gone.
    for n in 0..1000 {
        let wish = format!("{{\"n\":2,\"storm\":{n}}}");
        cluster.command(&["DEVICE.SHADOW.SET", "d0", &wish]);
    }
    let bridge = Bridge::start(&broker.url(), &cluster.url(), ON);
    bridge.wait_for("events were trimmed before they were read");
    wait_until("every command came", || came(&subscriber) == given);
    let last = r#"{"version":1002,"delta":{"n":2,"storm":999}}"#;
    subscriber.wait_for("devices/d0/delta", last);
    wait_until("one line is enough", || {
        bridge.count("looked at") == 1 && bridge.count("were trimmed") == 1
    });
}

#[test]
fn a_device_that_asks_is_answered() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let _bridge = Bridge::start(&broker.url(), &cluster.url(), ON);
    for number in 0..DEVICES {
        broker.publish(&format!("devices/{}/get", device(number)), "");
    }
    for number in 0..DEVICES {
        subscriber.wait_for(
            &format!("devices/d{number}/delta"),
            r#"{"version":0,"delta":{}}"#,
        );
    }
}

#[test]
fn a_primary_that_joins_is_read() {
    let (broker, mut cluster) = (Broker::start(), Cluster::start());
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let bridge = Bridge::start(&broker.url(), &cluster.url(), ON);
    bridge.wait_for("looked at 0 devices");
    cluster.join();
    let (first, new) = (&cluster.nodes[0], &cluster.nodes[6]);
    cluster.reshard(first, new, 100);
    // One of its own: the others are refused.
    let mut devices = (0..).map(|n| format!("d{n}"));
    let is_there = |device: &String| new.ask(&["DEVICE.HEARTBEAT", device]).is_ok();
    let device = devices.find(is_there).unwrap();
    cluster.command(&["DEVICE.SHADOW.SET", &device, r#"{"on":true}"#]);
    let told = r#"{"version":1,"delta":{"on":true}}"#;
    subscriber.wait_for(&format!("devices/{device}/delta"), told);
}
