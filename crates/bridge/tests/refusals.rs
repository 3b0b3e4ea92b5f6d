//! What can never succeed is told in one line and acknowledged, and stops nobody else.

mod support;

use support::bridge::Bridge;
use support::broker::Broker;
use support::heartbeat;
use support::redis::{Answer, Redis};

const SMALL_WINDOW: &str = "[mqtt]\nreceive_maximum = 10\n";

#[test]
fn broken_messages_are_told_and_acknowledged() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let bridge = Bridge::start(&broker.url(), &redis.url(), SMALL_WINDOW);
    let deep = format!("{{\"session\":{}", "[".repeat(100_000));
    for (topic, payload, line) in [
        (
            "devices/a/heartbeat",
            "{\"sesion\":1}",
            "unknown field `sesion`",
        ),
        (
            "devices/a/heartbeat",
            "{\"seq\":1}",
            "\"seq\" needs \"session\"",
        ),
        (
            "devices/a/heartbeat",
            &deep,
            "'a': the payload is not accepted",
        ),
        ("devices/b/reported", "", "'b': the payload is empty"),
        (
            "devices/b/reported",
            "{\"reported\":7}",
            "\"reported\" is not an object",
        ),
        ("devices/x%zz/will", "", "hexadecimal"),
        ("devices/x%20y/will", "", "white space"),
    ] {
        broker.publish(topic, payload);
        let told = bridge.wait_for(line);
        assert!(
            told.contains("WARN refused a message on topic 'devices/"),
            "{told}"
        );
    }
    broker.publish("devices/bytes/heartbeat", b"{\"session\":\xff}");
    bridge.wait_for("not UTF-8 at byte 11");
    assert!(bridge.lines().iter().all(|line| line.len() < 600));

    // Seven and one were refused, and more than a window of others.
    let flood = (0..500).map(|n| format!("not json {n} \u{1b}[31m"));
    broker.publish_lines(&heartbeat("flood"), flood);
    broker.publish(&heartbeat("good"), "");
    redis.wait_for("good");
    bridge.wait_for("more messages, their lines are left out");
    assert_eq!(redis.confirmed().len(), 1);
    assert!(bridge.count("'flood'") < 100, "{}", bridge.count("'flood'"));
    let hostile = |line: &String| line.contains('\u{1b}');
    assert!(!bridge.lines().iter().any(hostile));
}

#[test]
fn what_redis_refuses_is_told_and_acknowledged() {
    let (broker, redis) = (Broker::start(), Redis::start());
    redis.answer(|words| match words[1].as_str() {
        "bad" => Answer::Error("BADJSON at line 1 column 3: \u{7}"),
        "large" => Answer::Error("TOOLARGE the document would have 70000 bytes"),
        "foreign" => Answer::Error("NOPERM No permissions to access a key"),
        _ => Answer::Confirm,
    });
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), SMALL_WINDOW);
    for device in ["bad", "large", "foreign"] {
        let payloads = (0..20).map(|_| "{\"reported\":{}}".to_owned());
        broker.publish_lines(&format!("devices/{device}/reported"), payloads);
    }
    broker.publish(&heartbeat("good"), "");
    redis.wait_for("good");
    bridge
        .wait_for("topic 'devices/bad/reported', device 'bad': BADJSON at line 1 column 3: \\u{7}");
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(
        summary.contains("received 61, applied 1, refused 60, dead letters 60, retried 0"),
        "{summary}"
    );

    let _next = Bridge::start(&broker.url(), &redis.url(), "");
    broker.publish(&heartbeat("sentinel"), "");
    redis.wait_for("sentinel");
    assert_eq!(redis.seen(), 62);
}

#[test]
fn retained_messages_are_no_sign_of_life() {
    let (broker, redis) = (Broker::start(), Redis::start());
    for topic in ["devices/old/heartbeat", "devices/old/will"] {
        broker.publish_as(&["-q", "1", "-r"], topic, "");
        broker.publish_as(&["-q", "1", "-r"], topic, "{}");
    }
    let bridge = Bridge::start(&broker.url(), &redis.url(), "");
    bridge.wait_for("topic 'devices/old/heartbeat', device 'old': a retained message");
    bridge.wait_for("topic 'devices/old/will', device 'old': a retained message");
    // The retain flag of a live message is not passed on to those who are subscribed.
    broker.publish_as(&["-q", "1", "-r"], "devices/live/heartbeat", "{}");
    redis.wait_for("live");
    assert_eq!(redis.seen(), 1);
}

/// With a Maximum Packet Size, Mosquitto 2.0.11 would stop after a window of messages above it.
#[test]
fn huge_messages_do_not_disturb_the_others() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let bridge = Bridge::start(&broker.url(), &redis.url(), SMALL_WINDOW);
    for _ in 0..20 {
        let huge = format!("{{\"reported\":{{\"x\":\"{}\"}}}}", "x".repeat(300_000));
        broker.publish("devices/huge/reported", huge);
    }
    let large = format!("{{\"reported\":{{\"x\":\"{}\"}}}}", "x".repeat(200_000));
    broker.publish("devices/large/reported", large);
    let words = redis.wait_for("large");
    assert_eq!(words[3].len(), 200_008);
    assert_eq!(redis.seen(), 1);
    bridge.wait_for("device 'huge': the payload has 300021 bytes, more than max_payload (262144)");
    assert_eq!(bridge.count("no connection to MQTT"), 0);
}
