//! Several bridges that share the messages, and what the broker tells of itself.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use support::bridge::Bridge;
use support::broker::Broker;
use support::redis::Redis;
use support::{heartbeat, numbered, wait_until};

const SHARED: &str = "[mqtt]\nshare = \"fleet\"\nreceive_maximum = 10\n";

fn instance(number: usize, broker: &Broker, redis: &Redis) -> Bridge {
    let number = number.to_string();
    let words = ["--instance", number.as_str()];
    let bridge = Bridge::launch_as(&words, &broker.url(), &redis.url(), SHARED);
    bridge.wait_for("bridge ready");
    bridge
}

/// How often each number of each device was confirmed.
fn counts(redis: &Redis) -> BTreeMap<(String, usize), usize> {
    let mut counts = BTreeMap::new();
    for (device, numbers) in redis.sequences() {
        for number in numbers {
            *counts.entry((device.clone(), number)).or_default() += 1;
        }
    }
    counts
}

fn publish(broker: &Broker, devices: std::ops::Range<usize>, messages: usize) {
    for device in devices {
        let topic = heartbeat(&format!("d{device}"));
        broker.publish_lines(&topic, (1..=messages).map(numbered));
    }
}

#[test]
fn three_bridges_take_each_message_once() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridges: Vec<Bridge> = (0..3).map(|n| instance(n, &broker, &redis)).collect();
    publish(&broker, 0..10, 30);
    wait_until("all are confirmed", || counts(&redis).len() == 300);
    for bridge in &mut bridges {
        bridge.terminate();
        let (status, summary) = bridge.exit();
        assert_eq!(status, Some(0));
        assert!(summary.contains("received 100, applied 100"), "{summary}");
    }
    assert!(counts(&redis).values().all(|times| *times == 1));
}

#[test]
fn one_that_was_killed_comes_back_to_its_messages() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridges: Vec<Bridge> = (0..3).map(|n| instance(n, &broker, &redis)).collect();
    publish(&broker, 0..5, 30);
    bridges[1].kill();
    publish(&broker, 5..10, 30);
    wait_until("the others' shares are there", || {
        counts(&redis).len() >= 200
    });
    // Its share waits for it, and is given to no other.
    assert!(counts(&redis).len() < 300);
    bridges[1] = instance(1, &broker, &redis);
    bridges[1].wait_for("resumed session");
    wait_until("all are confirmed", || counts(&redis).len() == 300);
}

#[test]
fn kills_in_turn_under_load_lose_nothing() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridges: Vec<Bridge> = (0..3).map(|n| instance(n, &broker, &redis)).collect();
    let all = 20 * 200;
    thread::scope(|scope| {
        for device in 0..20 {
            let broker = &broker;
            scope.spawn(move || publish(broker, device..device + 1, 200));
        }
        for round in 0..6 {
            let number = round % 3;
            bridges[number].kill();
            let before = counts(&redis).len();
            // Those that are left go on. A third of all may wait for the one that is away.
            wait_until("more are confirmed", || {
                let now = counts(&redis).len();
                now >= before + 100 || now >= all / 2
            });
            bridges[number] = instance(number, &broker, &redis);
        }
    });
    wait_until("all are confirmed", || counts(&redis).len() == all);
}

/// Shrinking: the share of a bridge that will not come back is carried, and its session is no more.
#[test]
fn one_that_leaves_takes_nothing_with_it() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let _stays = instance(0, &broker, &redis);
    let mut goes = instance(1, &broker, &redis);
    goes.kill();
    // Many more than receive_maximum.
    publish(&broker, 0..10, 100);
    wait_until("one share is there", || counts(&redis).len() >= 500);
    let mut leaving = Bridge::launch_as(
        &["leave", "--instance", "1"],
        &broker.url(),
        &redis.url(),
        SHARED,
    );
    leaving.wait_for("resumed session");
    leaving.wait_for("the session of devicestate-bridge-1 is ended");
    wait_until("the other share, too", || counts(&redis).len() == 1000);
    assert_eq!(leaving.exit().0, Some(0));

    // From now on the one that stays gets everything.
    redis.forget();
    publish(&broker, 10..11, 50);
    wait_until("all are confirmed", || counts(&redis).len() == 50);
    let bridge = instance(1, &broker, &redis);
    bridge.wait_for("new session");
}

/// Messages go on to come while one leaves, and Redis is not always there.
#[test]
fn one_that_leaves_under_load_loses_nothing() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let _stays = instance(0, &broker, &redis);
    let mut goes = instance(1, &broker, &redis);
    let all = 10 * 300;
    thread::scope(|scope| {
        for device in 0..10 {
            let broker = &broker;
            scope.spawn(move || publish(broker, device..device + 1, 300));
        }
        goes.kill();
        let before = counts(&redis).len();
        wait_until("some wait for it", || counts(&redis).len() > before + 50);
        let mut leaving = Bridge::launch_as(
            &["leave", "--instance", "1"],
            &broker.url(),
            &redis.url(),
            SHARED,
        );
        leaving.wait_for("resumed session");
        redis.cut();
        assert_eq!(leaving.exit().0, Some(0));
    });
    wait_until("all are confirmed", || counts(&redis).len() == all);
    assert_eq!(instance(1, &broker, &redis).count("resumed session"), 0);
}

/// A bridge that ran alone had subscriptions of its own in its session. With them it would get
/// everything, beside its share.
#[test]
fn a_bridge_that_was_alone_gets_only_its_share() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut alone = Bridge::start(&broker.url(), &redis.url(), "");
    alone.terminate();
    assert_eq!(alone.exit().0, Some(0));
    let first = instance(0, &broker, &redis);
    first.wait_for("subscriptions ended");
    let _second = instance(1, &broker, &redis);
    publish(&broker, 0..1, 1);
    publish(&broker, 1..11, 20);
    wait_until("all are confirmed", || counts(&redis).len() == 201);
    assert!(counts(&redis).values().all(|times| *times == 1));
}

#[test]
fn what_the_broker_drops_is_told() {
    let (broker, redis) = (
        Broker::start_with(&["max_queued_messages 10", "sys_interval 1"]),
        Redis::start(),
    );
    let bridge = Bridge::start(&broker.url(), &redis.url(), "");
    // Another client that is away, and whose queue is full soon.
    let port = broker.port.to_string();
    let left = Command::new("mosquitto_sub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-i",
            "absent",
            "-c",
            "-q",
            "1",
        ])
        .args(["-t", "elsewhere", "-E"])
        .status()
        .unwrap();
    assert!(left.success());
    broker.publish_lines("elsewhere", (0..50).map(|n| n.to_string()));
    let line = bridge.wait_for("the broker has dropped");
    assert!(line.contains("max_queued_messages"), "{line}");
}

#[test]
fn what_the_broker_does_not_grant_is_told() {
    let redis = Redis::start();
    let broker = Broker::start_with(&["max_keepalive 20"]);
    let bridge = Bridge::start(&broker.url(), &redis.url(), "");
    bridge.wait_for("the broker sets keep_alive to 20s");
    bridge.wait_for("the session is new");
}
