//! Nothing that the broker took is lost, and nothing is acknowledged before Redis confirmed it.

mod support;

use std::collections::BTreeMap;
use support::bridge::Bridge;
use support::broker::Broker;
use support::redis::{Answer, Redis};
use support::{heartbeat, numbered, wait_until};

fn publish_numbered(broker: &Broker, devices: usize, messages: usize) {
    for device in 0..devices {
        let topic = heartbeat(&format!("d{device}"));
        broker.publish_lines(&topic, (1..=messages).map(numbered));
    }
}

fn complete(devices: usize, messages: usize) -> BTreeMap<String, Vec<usize>> {
    (0..devices)
        .map(|device| (format!("d{device}"), (1..=messages).collect()))
        .collect()
}

/// What each device's confirmed numbers come to when those that came before are left out.
fn first_seen(sequences: BTreeMap<String, Vec<usize>>) -> BTreeMap<String, Vec<usize>> {
    let news = |numbers: Vec<usize>| {
        let mut seen: Vec<usize> = Vec::new();
        for number in numbers {
            if !seen.contains(&number) {
                seen.push(number);
            }
        }
        seen
    };
    sequences.into_iter().map(|(d, s)| (d, news(s))).collect()
}

/// A bridge that takes the place of the last one is sent nothing but what is new: all before was
/// acknowledged.
fn assert_all_acknowledged(broker: &Broker, redis: &Redis) {
    redis.forget();
    let _bridge = Bridge::start(&broker.url(), &redis.url(), "");
    broker.publish(&heartbeat("sentinel"), "");
    redis.wait_for("sentinel");
    let confirmed = redis.confirmed();
    assert_eq!(confirmed.len(), 1, "{confirmed:?}");
}

#[test]
fn nothing_is_acknowledged_before_redis_confirmed_it() {
    let (broker, redis) = (Broker::start(), Redis::start());
    redis.withhold();
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    publish_numbered(&broker, 5, 20);
    redis.wait_for_seen(2);
    bridge.kill();
    assert!(redis.confirmed().is_empty());

    // The old connections end with their process; what the next bridge sends is answered.
    redis.cut();
    redis.release();
    redis.forget();
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    wait_until("the broker has sent everything again", || {
        redis.sequences() == complete(5, 20)
    });
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
    assert_all_acknowledged(&broker, &redis);
}

#[test]
fn a_connection_lost_in_the_middle_of_a_batch_loses_nothing() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut answered = 0;
    redis.answer(move |_| {
        answered += 1;
        match answered % 13 {
            0 if answered < 200 => Answer::HangUp,
            _ => Answer::Confirm,
        }
    });
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    publish_numbered(&broker, 20, 15);
    wait_until("all are confirmed, in order", || {
        first_seen(redis.sequences()) == complete(20, 15)
    });
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(summary.contains("received 300"), "{summary}");
    assert!(summary.contains("left to the broker 0"), "{summary}");
    assert!(bridge.count("does not take commands") > 0);
    assert_all_acknowledged(&broker, &redis);
}

/// A server that was stalled could run the old connection's commands after the new one's.
#[test]
fn the_old_connection_is_ended_before_its_commands_are_sent_again() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut answered = 0;
    redis.answer(move |_| {
        answered += 1;
        match answered {
            3 | 5 => Answer::HangUp,
            _ => Answer::Confirm,
        }
    });
    let _bridge = Bridge::start(&broker.url(), &redis.url(), "[redis]\nworkers = 1\n");
    publish_numbered(&broker, 1, 5);
    wait_until("all are confirmed", || redis.sequences() == complete(1, 5));
    let killed = redis.killed();
    assert_eq!(
        killed.iter().map(|(_, seen)| *seen).collect::<Vec<_>>(),
        [3, 5]
    );
    assert_ne!(killed[0].0, killed[1].0);
}

/// QoS 0 knows no window, so the bridge's own bound holds.
#[test]
fn qos_0_is_bounded_and_does_not_disturb_qos_1() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let config = "[mqtt]\nqos0_buffer = 4096\n[redis]\nworkers = 1\n";
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), config);
    redis.withhold();
    broker.publish(&heartbeat("first"), "");
    redis.wait_for_seen(1);
    for _ in 0..100 {
        broker.publish_as(&["-q", "0"], &heartbeat("zero"), "");
    }
    broker.publish(&heartbeat("one"), "");
    bridge.wait_for("QoS 0 messages: Redis is behind and qos0_buffer is full");
    redis.release();
    redis.wait_for("one");
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    let kept = redis.confirmed().iter().filter(|w| w[1] == "zero").count();
    assert!((1..50).contains(&kept), "{kept}");
    let expected = format!(
        "received 102, applied {}, refused 0, dead letters 0, retried 0, dropped {}",
        kept + 2,
        100 - kept
    );
    assert!(summary.contains(&expected), "{summary}");
}

#[test]
fn redis_away_for_a_while_loses_nothing_and_tells_it_once() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let bridge = Bridge::start(&broker.url(), &redis.url(), "");
    redis.go_away();
    publish_numbered(&broker, 10, 50);
    bridge.wait_for("does not take commands");
    redis.come_back();
    wait_until("all are confirmed, in order", || {
        first_seen(redis.sequences()) == complete(10, 50)
    });
    bridge.wait_for("works again after");
    assert_eq!(bridge.count("works again after"), 1);
}

/// LOADING, BUSY and the like put some commands of a pipeline off and not the later ones.
#[test]
fn commands_of_a_device_never_overtake_each_other() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut answered = 0;
    redis.answer(move |_| {
        answered += 1;
        match answered % 7 {
            0 => Answer::Error("LOADING Redis is loading the dataset in memory"),
            3 => Answer::Error("OOM command not allowed when used memory > 'maxmemory'."),
            _ => Answer::Confirm,
        }
    });
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "[redis]\nworkers = 3\n");
    publish_numbered(&broker, 20, 6);
    wait_until("all are confirmed once, in order", || {
        redis.sequences() == complete(20, 6)
    });
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
    assert_all_acknowledged(&broker, &redis);
}

#[test]
fn a_broker_that_restarts_is_followed() {
    let (mut broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    publish_numbered(&broker, 3, 5);
    wait_until("the first half", || redis.sequences() == complete(3, 5));

    // Messages are on their way to Redis while the broker goes: their late confirmations belong to
    // a connection that is gone.
    redis.withhold();
    for device in 0..3 {
        let topic = heartbeat(&format!("d{device}"));
        broker.publish_lines(&topic, (6..=10).map(numbered));
    }
    redis.wait_for_seen(15 + 2);
    broker.stop();
    bridge.wait_for("no connection to MQTT");
    broker.resume();
    wait_until("the bridge is back", || {
        bridge.count("resumed session") == 1
    });
    redis.release();
    wait_until("the second half", || {
        first_seen(redis.sequences()) == complete(3, 10)
    });
    assert_eq!(bridge.count("bridge ready"), 1);
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0), "{summary}");
    assert_all_acknowledged(&broker, &redis);
}

/// Without persistence a broker forgets what it had sent. The bridge still has it.
#[test]
fn what_a_broker_forgot_is_still_applied() {
    let (mut broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    redis.withhold();
    publish_numbered(&broker, 4, 5);
    redis.wait_for_seen(2);
    wait_until("the bridge has them all", || {
        // Redis sees one command per connection; the rest waits in the bridge. There is no other
        // witness than the broker's own count, so a marker goes last.
        broker.publish("devices/marker/heartbeat", "{");
        bridge.count("'marker'") > 0
    });
    broker.stop();
    broker.forget();
    bridge.wait_for("no connection to MQTT");
    broker.resume();
    wait_until("the bridge is back", || bridge.count("new session") == 2);
    redis.release();
    wait_until("all are confirmed", || redis.sequences() == complete(4, 5));
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
}

/// What the broker has forgotten is not in the session that it resumes later.
#[test]
fn what_a_broker_forgot_is_still_applied_after_one_more_loss() {
    let (mut broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "");
    redis.withhold();
    publish_numbered(&broker, 4, 5);
    broker.publish(&heartbeat("marker"), "broken");
    bridge.wait_for("'marker'");
    broker.stop();
    broker.forget();
    bridge.wait_for("no connection to MQTT");
    broker.resume();
    wait_until("the bridge is back", || bridge.count("new session") == 2);
    broker.stop();
    wait_until("the bridge has noticed", || {
        bridge.count("no connection to MQTT") == 2
    });
    broker.resume();
    bridge.wait_for("resumed session");
    redis.release();
    wait_until("all are confirmed", || redis.sequences() == complete(4, 5));
    bridge.terminate();
    assert_eq!(bridge.exit().0, Some(0));
}

/// Packet identifiers and places in the window start afresh on a new connection.
#[test]
fn a_late_confirmation_acknowledges_no_other_message() {
    let (mut broker, redis) = (Broker::start(), Redis::start());
    let config = "[redis]\nworkers = 1\n";
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), config);
    redis.withhold();
    broker.publish(&heartbeat("first"), "");
    redis.wait_for_seen(1);
    broker.stop();
    broker.forget();
    bridge.wait_for("no connection to MQTT");
    broker.resume();
    wait_until("the bridge is back", || bridge.count("new session") == 2);
    broker.publish(&heartbeat("second"), "");
    broker.publish(&heartbeat("marker"), "broken");
    bridge.wait_for("'marker'");
    redis.withhold_those(|words| words[1] == "second");
    redis.wait_for_seen(2);
    broker.publish(&heartbeat("third"), "broken");
    bridge.wait_for("'third'");
    bridge.kill();
    assert_eq!(redis.confirmed(), [["DEVICE.HEARTBEAT", "first"]]);
    redis.cut();
    redis.release();
    let _next = Bridge::start(&broker.url(), &redis.url(), config);
    redis.wait_for("second");
}

/// Messages keep coming while the bridge says goodbye; closing must not cost acknowledgements.
#[test]
fn a_stop_under_load_repeats_nothing() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let config = "drain_timeout = \"1m\"\n[mqtt]\nqos1_buffer = 65536\n";
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), config);
    std::thread::scope(|scope| {
        for device in 0..6 {
            let (broker, topic) = (&broker, heartbeat(&format!("d{device}")));
            scope.spawn(move || broker.publish_lines(&topic, (1..=3000).map(numbered)));
        }
        wait_until("some are confirmed", || redis.seen() > 2000);
        bridge.terminate();
        assert_eq!(bridge.exit().0, Some(0));
    });
    assert!(redis.seen() < 18_000, "there was no load any more");
    // Mosquitto sends more than Receive Maximum here; the bridge does not take it.
    let stopping = bridge.wait_for("stopping;");
    let waiting = stopping
        .split(' ')
        .find_map(|word| word.parse::<usize>().ok());
    assert!(waiting.is_some_and(|waiting| waiting < 1000), "{stopping}");
    let _next = Bridge::start(&broker.url(), &redis.url(), "");
    wait_until("all are confirmed", || redis.seen() >= 18_000);
    wait_until("each exactly once", || {
        redis.sequences() == complete(6, 3000)
    });
}

#[test]
fn a_stop_waits_for_redis_and_acknowledges() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "drain_timeout = \"1m\"\n");
    redis.withhold();
    publish_numbered(&broker, 4, 5);
    redis.wait_for_seen(2);
    bridge.terminate();
    bridge.wait_for("stopping;");
    redis.release();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(summary.contains("left to the broker 0"), "{summary}");

    // Whatever the stopping bridge took is not sent again, whatever it did not take is.
    let _next = Bridge::start(&broker.url(), &redis.url(), "");
    wait_until("each exactly once", || redis.sequences() == complete(4, 5));
}

#[test]
fn a_stop_does_not_wait_for_a_redis_that_is_gone() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), "drain_timeout = \"100ms\"\n");
    redis.withhold();
    publish_numbered(&broker, 1, 3);
    redis.wait_for_seen(1);
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(summary.contains("applied 0"), "{summary}");
    assert!(!summary.contains("left to the broker 0"), "{summary}");
    redis.cut();
    redis.release();
    let _next = Bridge::start(&broker.url(), &redis.url(), "");
    wait_until("all are sent again", || redis.sequences() == complete(1, 3));
}
