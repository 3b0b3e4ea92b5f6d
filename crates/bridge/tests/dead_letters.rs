//! What can never be applied is kept with its reason before it is acknowledged, and can be tried again.

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Output};
use support::bridge::Bridge;
use support::broker::Broker;
use support::heartbeat;
use support::server::Server;
use support::wait_until;

const KEY: &str = "bridge:dead-letters";

type Fields = BTreeMap<String, Vec<u8>>;

fn letters(server: &Server) -> Vec<(String, Fields)> {
    let answer = server.command(&["XRANGE", KEY, "-", "+"]);
    let entries: redis::streams::StreamRangeReply = redis::from_redis_value(answer).unwrap();
    let fields = |entry: redis::streams::StreamId| {
        let names: Vec<String> = entry.map.keys().cloned().collect();
        let value = |name: String| (name.clone(), entry.get(&name).unwrap());
        (entry.id.clone(), names.into_iter().map(value).collect())
    };
    entries.ids.into_iter().map(fields).collect()
}

#[track_caller]
fn wait_for_letters(server: &Server, count: usize) -> Vec<(String, Fields)> {
    let mut found = Vec::new();
    wait_until(&format!("there are {count} dead letters"), || {
        found = letters(server);
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:?}");
    found
}

fn text(fields: &Fields, name: &str) -> String {
    String::from_utf8_lossy(fields.get(name).map_or(b"", Vec::as_slice)).into_owned()
}

fn replay(server: &Server, config: &str, words: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .args(["replay", "--redis", &server.url(), "--config"])
        .arg(file.path())
        .args(words)
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_refused_message_is_kept_whole_with_its_reason() {
    let (broker, server) = (Broker::start(), Server::start());
    let mut bridge = Bridge::start(
        &broker.url(),
        &server.url(),
        "[mqtt]\nmax_payload = 1024\nreceive_maximum = 3\n",
    );
    let bytes = b"{\"session\":\xff\x00}";
    broker.publish(&heartbeat("bytes"), bytes);
    broker.publish_as(
        &["-q", "1", "-D", "publish", "content-type", "text/x"],
        &heartbeat("typed"),
        "?",
    );
    broker.publish("devices/x%zz/will", "");
    broker.publish("devices/big/reported", "x".repeat(5000));
    let deep = format!(
        "{{\"reported\":{}1{}}}",
        "{\"a\":".repeat(40),
        "}".repeat(40)
    );
    broker.publish("devices/deep/reported", &deep);
    broker.publish(&heartbeat("good"), "");
    wait_until("the good one is there", || {
        server.command(&["DEVICE.COUNT"]) == redis::Value::Int(1)
    });

    let letters = wait_for_letters(&server, 5);
    let of = |device: &str| {
        let found = letters.iter().find(|(_, f)| text(f, "device") == device);
        &found.unwrap_or_else(|| panic!("no letter of {device}")).1
    };
    assert_eq!(of("bytes")["payload"], bytes);
    assert_eq!(text(of("bytes"), "topic"), "devices/bytes/heartbeat");
    assert!(text(of("bytes"), "reason").contains("not UTF-8 at byte 11"));
    assert!(text(of("bytes"), "received_at").parse::<u64>().unwrap() > 1_700_000_000_000);
    assert_eq!(text(of("typed"), "content_type"), "text/x");
    assert_eq!(of("big")["payload"].len(), 1024);
    assert_eq!(text(of("big"), "size"), "5000");
    assert!(
        text(of("deep"), "reason").starts_with("BADJSON"),
        "{}",
        text(of("deep"), "reason")
    );
    let nobody = letters.iter().find(|(_, f)| !f.contains_key("device"));
    assert!(text(&nobody.unwrap().1, "reason").contains("hexadecimal"));

    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(
        summary.contains("applied 1, refused 5, dead letters 5"),
        "{summary}"
    );
}

/// A stream of another type, or a permission that is missing, must not fill the window.
#[test]
fn a_message_that_can_not_even_be_kept_stops_nobody() {
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&["SET", KEY, "not a stream"]);
    let bridge = Bridge::start(
        &broker.url(),
        &server.url(),
        "[mqtt]\nreceive_maximum = 2\n",
    );
    for _ in 0..5 {
        broker.publish(&heartbeat("bad"), "?");
    }
    broker.publish(&heartbeat("good"), "");
    wait_until("the good one is there", || {
        server.command(&["DEVICE.COUNT"]) == redis::Value::Int(1)
    });
    bridge.wait_for("could not be put to the dead letters: WRONGTYPE");
}

#[test]
fn none_are_kept_where_none_are_wanted() {
    let (broker, server) = (Broker::start(), Server::start());
    let bridge = Bridge::start(&broker.url(), &server.url(), "[dead_letters]\nmaxlen = 0\n");
    broker.publish(&heartbeat("bad"), "?");
    bridge.wait_for("refused a message on topic 'devices/bad/heartbeat'");
    broker.publish(&heartbeat("good"), "");
    wait_until("the good one is there", || {
        server.command(&["DEVICE.COUNT"]) == redis::Value::Int(1)
    });
    assert_eq!(server.command(&["EXISTS", KEY]), redis::Value::Int(0));
}

#[test]
fn what_was_mended_is_replayed_and_the_rest_stays() {
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&["CONFIG", "SET", "devicestate.auto-register", "no"]);
    let mut bridge = Bridge::start(&broker.url(), &server.url(), "");
    for n in 0..250 {
        broker.publish(&heartbeat(&format!("d{n}")), "{\"session\":1}");
    }
    broker.publish(&heartbeat("broken"), "?");
    let letters = wait_for_letters(&server, 251);
    assert!(text(&letters[0].1, "reason").starts_with("NODEVICE"));
    bridge.terminate();
    bridge.exit();

    // Nothing is mended yet.
    let output = replay(&server, "", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).ends_with("0 replayed, 251 left\n"),
        "{}",
        printed(&output)
    );

    server.command(&["CONFIG", "SET", "devicestate.auto-register", "yes"]);
    let first = letters[0].0.as_str();
    let output = replay(&server, "", &["--dry-run", first]);
    assert_eq!(printed(&output), "1 would be replayed, 0 left\n");
    assert_eq!(server.command(&["DEVICE.COUNT"]), redis::Value::Int(0));
    let output = replay(&server, "", &[first]);
    assert_eq!(printed(&output), "1 replayed, 0 left\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(server.command(&["DEVICE.COUNT"]), redis::Value::Int(1));

    let output = replay(&server, "", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).ends_with("249 replayed, 1 left\n"));
    assert_eq!(server.command(&["DEVICE.COUNT"]), redis::Value::Int(250));
    wait_for_letters(&server, 1);
    let again = replay(&server, "", &[first]);
    assert!(printed(&again).contains("there is no such entry"));
}
