//! Devices that speak a protobuf of their own, from the topic to the command.

mod support;

use std::path::Path;
use std::process::Command;
use support::bridge::Bridge;
use support::broker::Broker;
use support::heartbeat;
use support::redis::Redis;
use tempfile::TempDir;

const PROTO: &str = r#"
    syntax = "proto3";
    package acme.v1;

    message Thermo {
      optional sint32 temp_centi = 1;
      optional bool door_open = 2;
      optional uint64 uptime_ms = 3;
    }

    message Pump {
      int32 speed = 1;
      bool on = 2;
    }
"#;

const RULES: &str = r#"
    [[protobuf.rule]]
    topic = "plant/+/{device}/up"
    message = "acme.v1.Thermo"
    [[protobuf.rule]]
    content_type = "application/x-acme-pump"
    message = "acme.v1.Pump"
"#;

/// A folder with the schema.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.proto"), PROTO).unwrap();
    folder
}

fn settings(folder: &Path, more: &str) -> String {
    let include = folder.display();
    format!("[protobuf]\nfiles = [\"acme.proto\"]\ninclude = [\"{include}\"]\n{more}")
}

fn start(broker: &Broker, redis: &Redis, more: &str) -> (Bridge, TempDir) {
    let folder = folder();
    let config = settings(folder.path(), more);
    (Bridge::start(&broker.url(), &redis.url(), &config), folder)
}

/// Publishes with the content type that an MQTT 5 client may state.
fn publish_typed(broker: &Broker, content_type: &str, topic: &str, payload: &[u8]) {
    let options = ["-q", "1", "-D", "publish", "content-type", content_type];
    broker.publish_as(&options, topic, payload);
}

#[test]
fn messages_of_a_rule_become_reports() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (_bridge, _folder) = start(&broker, &redis, RULES);
    for (device, payload, json) in [
        // -5.00 degrees, the door is shut, a day.
        (
            "a%2F1",
            &[0x08, 0xe7, 0x07, 0x10, 0, 0x18, 0x80, 0xb8, 0x99, 0x29][..],
            r#"{"temp_centi":-500,"door_open":false,"uptime_ms":86400000}"#,
        ),
        ("zero", &[0x08, 0], r#"{"temp_centi":0}"#),
        ("silent", &[], "{}"),
    ] {
        broker.publish(&format!("plant/7/{device}/up"), payload);
        let device = device.replace("%2F", "/");
        let words = redis.wait_for(&device);
        assert_eq!(words, ["DEVICE.HEARTBEAT", &device, "REPORTED", json]);
    }
    // The bridge's own topics are what they were.
    broker.publish("devices/b/reported", "{\"reported\":{\"x\":1}}");
    assert_eq!(redis.wait_for("b")[3], "{\"x\":1}");
}

#[test]
fn a_content_type_comes_before_the_topic() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (bridge, _folder) = start(&broker, &redis, RULES);
    let (pump, json) = ("application/x-acme-pump", "application/json");
    for (content_type, topic, payload, report) in [
        (
            pump,
            "devices/a/reported",
            &b"\x08\x07"[..],
            r#"{"speed":7}"#,
        ),
        (pump, "plant/7/b/up", b"\x08\x07", r#"{"speed":7}"#),
        (
            json,
            "plant/7/c/up",
            b"{\"reported\":{\"x\":1}}",
            r#"{"x":1}"#,
        ),
        (
            "application/protobuf",
            "plant/7/d/up",
            b"\x08\x04",
            r#"{"temp_centi":2}"#,
        ),
    ] {
        publish_typed(&broker, content_type, topic, payload);
        let device = topic.split('/').rev().nth(1).unwrap();
        assert_eq!(
            redis.wait_for(device)[3],
            report,
            "{content_type} on {topic}"
        );
    }
    publish_typed(
        &broker,
        "application/protobuf",
        "devices/e/reported",
        b"\x08\x07",
    );
    bridge.wait_for("device 'e': the payload is protobuf, and no rule says which message it is");
}

#[test]
fn broken_messages_are_told_and_acknowledged() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let (mut bridge, _folder) = start(
        &broker,
        &redis,
        &format!("{RULES}[mqtt]\nreceive_maximum = 10\n"),
    );
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as u8
    };
    // A tag no message has, then anything.
    let noise: Vec<u8> = [0x07].into_iter().chain((0..500).map(|_| next())).collect();
    let groups = vec![0x7b; 100_000];
    let large = vec![0; 300_000];
    for (device, payload, reason) in [
        (
            "cut",
            &b"\x08\xe7"[..],
            "the payload is no acme.v1.Thermo: invalid varint",
        ),
        ("noise", &noise, "the payload is no acme.v1.Thermo: "),
        (
            "text",
            b"{\"reported\":{}}",
            "the payload is no acme.v1.Thermo: ",
        ),
        ("deep", &groups, "recursion limit"),
        (
            "large",
            &large,
            "the payload has 300000 bytes, more than max_payload (262144)",
        ),
    ] {
        broker.publish(&format!("plant/7/{device}/up"), payload);
        let told = bridge.wait_for(&format!("device '{device}': "));
        assert!(
            told.contains(&format!("refused a message on topic 'plant/7/{device}/up'")),
            "{told}"
        );
        assert!(told.contains(reason), "{told}");
    }
    // More than a window of them stops nobody.
    for _ in 0..20 {
        broker.publish("plant/7/cut/up", b"\x08\xe7");
    }
    broker.publish("plant/7/good/up", b"\x10\x01");
    assert_eq!(redis.wait_for("good")[3], r#"{"door_open":true}"#);
    broker.publish_as(&["-q", "1", "-r"], "plant/7/old/up", b"\x10\x01");
    redis.wait_for("old");
    assert_eq!(redis.seen(), 2);
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(
        summary.contains("received 27, applied 2, refused 25, dead letters 25, retried 0"),
        "{summary}"
    );

    // All were acknowledged: the next bridge is sent none of them again.
    let (bridge, _folder) = start(&broker, &redis, RULES);
    broker.publish(&heartbeat("sentinel"), "");
    redis.wait_for("sentinel");
    assert_eq!(
        bridge.count("refused a message"),
        0,
        "{:#?}",
        bridge.lines()
    );
}

#[test]
fn fields_without_presence_are_told_at_start() {
    let (broker, redis) = (Broker::start(), Redis::start());
    let zero = b"\x08\x00\x10\x01";
    let (pump, content_type) = ("devices/p/reported", "application/x-acme-pump");
    let (bridge, _folder) = start(&broker, &redis, RULES);
    let told = bridge.wait_for("fields of acme.v1.Pump without presence: speed, on. ");
    assert!(told.contains(" WARN "), "{told}");
    assert_eq!(bridge.count("acme.v1.Thermo"), 0);
    publish_typed(&broker, content_type, pump, zero);
    assert_eq!(redis.wait_for("p")[3], r#"{"on":true}"#);
    drop(bridge);

    redis.forget();
    let written = format!("[protobuf.implicit]\n\"acme.v1.Pump\" = \"write\"\n{RULES}");
    let (bridge, _folder) = start(&broker, &redis, &written);
    publish_typed(&broker, content_type, pump, b"\x10\x01");
    assert_eq!(redis.wait_for("p")[3], r#"{"speed":0,"on":true}"#);
    assert_eq!(bridge.count("without presence"), 0);
}

#[test]
fn what_cannot_be_compiled_ends_it_with_one_line() {
    let folder = folder();
    std::fs::write(
        folder.path().join("bad.proto"),
        "syntax = \"proto3\";\nmessage A { B b = 1; }\n",
    )
    .unwrap();
    let file = folder.path().join("bridge.toml");
    // Folders are counted from the file's own.
    let rule =
        |rule: &str| format!("[protobuf]\nfiles = [\"acme.proto\"]\n[[protobuf.rule]]\n{rule}\n");
    for (text, says) in [
        (
            "[protobuf]\nfiles = [\"bad.proto\"]\n".to_owned(),
            "protobuf.files: bad.proto:2:13: name 'B' is not defined",
        ),
        (
            "[protobuf]\nfiles = [\"none.proto\"]\n".to_owned(),
            "protobuf.files: file 'none.proto' is not in any include path",
        ),
        (
            rule("topic = \"x/{device}\"\nmessage = \"acme.v1.Termo\""),
            "protobuf.rule 1: there is no message 'acme.v1.Termo' in protobuf.files",
        ),
        (
            rule("topic = \"devices/{device}/+\"\nmessage = \"acme.v1.Pump\""),
            "protobuf.rule 1: ambiguous, ",
        ),
        (
            rule("topic = \"x/{device}\""),
            "line 3: missing field `message`",
        ),
        (
            rule("topic = \"x/{device}\"\nmesage = \"acme.v1.Pump\""),
            "line 5: unknown field `mesage`",
        ),
        (
            "[protobuf]\nimplicit = {\"acme.v1.Pump\" = \"always\"}\n".to_owned(),
            "line 2: unknown variant `always`, expected `skip` or `write`",
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
