//! What an operator sees: metrics, probes and the log for programs.

mod support;

use serde_json::Value;
use std::process::Command;
use support::bridge::Bridge;
use support::broker::Broker;
use support::http::{exchange, get, wait_for_metric, wait_for_readiness};
use support::redis::{Answer, Redis};
use support::{free_port, heartbeat, wait_until};

/// Settings with the endpoint on a port, and the port.
fn endpoint() -> (u16, String) {
    let port = free_port();
    (port, format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"))
}

#[test]
fn every_message_is_in_one_of_the_counters() {
    let (broker, redis) = (Broker::start(), Redis::start());
    redis.answer(|words| match words[1].as_str() {
        "bad" => Answer::Error("BADJSON at line 1"),
        _ => Answer::Confirm,
    });
    let (port, settings) = endpoint();
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), &settings);
    let payloads = (0..20).map(|n| format!("{{\"session\":1,\"seq\":{n}}}"));
    broker.publish_lines(&heartbeat("good"), payloads);
    broker.publish(&heartbeat("bad"), "");
    broker.publish(&heartbeat("worse"), "no json");
    for line in [
        "devicestate_bridge_messages_received_total{profile=\"native\"} 22",
        "devicestate_bridge_messages_applied_total{profile=\"native\"} 20",
        "devicestate_bridge_messages_refused_total{profile=\"native\"} 2",
        "devicestate_bridge_dead_letters_total{profile=\"native\"} 2",
        "devicestate_bridge_messages_refused_total{profile=\"none\"} 0",
        "devicestate_bridge_messages_retried_total{profile=\"native\"} 0",
        "devicestate_bridge_messages_unacknowledged 0",
        "devicestate_bridge_messages_waiting 0",
        "devicestate_bridge_buffer_used_bytes{qos=\"1\"} 0",
        "devicestate_bridge_buffer_limit_bytes{qos=\"1\"} 67108864",
        "devicestate_bridge_lag_seconds 0.0",
        "devicestate_bridge_up{peer=\"mqtt\"} 1",
        "devicestate_bridge_up{peer=\"redis\"} 1",
        "devicestate_bridge_ready 1",
        "# TYPE devicestate_bridge_redis_round_trip_seconds histogram",
    ] {
        wait_for_metric(port, line);
    }
    // The last line of the log counts the same.
    bridge.terminate();
    let (_, summary) = bridge.exit();
    assert!(
        summary.contains("received 22, applied 20, refused 2, dead letters 2, retried 0"),
        "{summary}"
    );
}

#[test]
fn a_redis_that_is_away_makes_it_unready_not_unhealthy() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (port, settings) = endpoint();
    let bridge = Bridge::start(&broker.url(), &redis.url(), &settings);
    assert_eq!(get(port, "/readyz"), (200, "{\"ready\":true}\n".to_owned()));
    redis.go_away();
    broker.publish(&heartbeat("a"), "");
    let body: Value = serde_json::from_str(&wait_for_readiness(port, 503)).unwrap();
    assert_eq!(body["ready"], false);
    let reasons = body["reasons"].as_object().unwrap();
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["redis"]);
    assert_eq!(get(port, "/healthz").0, 200);
    for line in [
        "devicestate_bridge_up{peer=\"redis\"} 0",
        "devicestate_bridge_ready 0",
        "devicestate_bridge_messages_unacknowledged 1",
        "devicestate_bridge_messages_waiting 1",
    ] {
        wait_for_metric(port, line);
    }
    wait_until("the lag grows", || {
        let page = get(port, "/metrics").1;
        let mut lines = page.lines();
        let lag = lines.find_map(|line| line.strip_prefix("devicestate_bridge_lag_seconds "));
        lag.unwrap().parse::<f64>().unwrap() > 1.0
    });
    redis.come_back();
    wait_for_readiness(port, 200);
    // Both workers had a connection before.
    wait_for_metric(
        port,
        "devicestate_bridge_reconnects_total{peer=\"redis\"} 2",
    );
    wait_for_metric(port, "devicestate_bridge_lag_seconds 0.0");
    bridge.wait_for("works again after");
}

#[test]
fn a_broker_that_is_away_or_forgets_is_seen() {
    let (mut broker, redis) = (Broker::start(), Redis::start());
    let (port, settings) = endpoint();
    let _bridge = Bridge::start(&broker.url(), &redis.url(), &settings);
    broker.stop();
    assert!(wait_for_readiness(port, 503).contains("\"mqtt\""));
    wait_for_metric(port, "devicestate_bridge_up{peer=\"mqtt\"} 0");
    broker.resume();
    wait_for_readiness(port, 200);
    wait_for_metric(port, "devicestate_bridge_reconnects_total{peer=\"mqtt\"} 1");
    wait_for_metric(port, "devicestate_bridge_sessions_lost_total 0");
    broker.stop();
    broker.forget();
    broker.resume();
    wait_for_metric(port, "devicestate_bridge_sessions_lost_total 1");
}

#[test]
fn a_bridge_that_stops_is_not_ready() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (port, settings) = endpoint();
    let settings = format!("drain_timeout = \"1h\"\n{settings}");
    let bridge = Bridge::start(&broker.url(), &redis.url(), &settings);
    redis.withhold();
    broker.publish(&heartbeat("a"), "");
    redis.wait_for_seen(1);
    bridge.terminate();
    let body = wait_for_readiness(port, 503);
    assert!(body.contains("\"bridge\":\"it is stopping\""), "{body}");
    redis.release();
}

#[test]
fn clients_that_misbehave_do_not_keep_others_out() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (port, settings) = endpoint();
    let _bridge = Bridge::start(&broker.url(), &redis.url(), &settings);
    let page = exchange(
        port,
        "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(page.starts_with("HTTP/1.1 405 "), "{page}");
    let nonsense = exchange(port, "\u{1}\u{2}\r\n\r\n");
    assert!(
        nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400 "),
        "{nonsense}"
    );
    // More than may be open, and all silent: they are sent away after a while.
    let silent: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    assert_eq!(get(port, "/healthz").0, 200);
    drop(silent);
}

#[test]
fn a_port_that_is_taken_ends_it_with_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .args(["--http", &address, "--log", "error"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("http.listen {address}: ")), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn the_log_for_programs_has_an_object_on_each_line() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let settings = "log_format = \"json\"\n";
    let mut bridge = Bridge::start(&broker.url(), &redis.url(), settings);
    broker.publish("devices/a\"b/heartbeat", "");
    broker.publish(&heartbeat("b"), "{\"x\":\"\u{1b}\"}");
    redis.go_away();
    bridge.wait_for("does not take commands");
    redis.come_back();
    bridge.wait_for("works again after");
    bridge.terminate();
    bridge.exit();
    let lines = bridge.lines();
    let objects: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for object in &objects {
        for member in ["timestamp", "level", "message"] {
            assert!(object[member].is_string(), "{member} in {object}");
        }
    }
    let find = |text: &str| {
        let says = |object: &&Value| object["message"].as_str().unwrap().contains(text);
        objects.iter().find(says).unwrap()
    };
    let refused = find("refused a message on topic 'devices/b/heartbeat'");
    assert_eq!(refused["device"], "b");
    assert_eq!(refused["profile"], "native");
    assert_eq!(refused["topic"], "devices/b/heartbeat");
    assert!(refused["reason"]
        .as_str()
        .unwrap()
        .contains("unknown field"));
    assert_eq!(refused["level"], "WARN");
    assert_eq!(find("does not take commands")["peer"], "redis");
    assert!(find("works again after")["after_seconds"].is_number());
    assert_eq!(find("session")["session"], "new");
    let summary = find("stopped: ");
    assert_eq!(
        (&summary["received"], &summary["refused"]),
        (&2.into(), &1.into())
    );
}
