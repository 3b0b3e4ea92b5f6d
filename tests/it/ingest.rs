//! `DEVICE.INGEST`: a heartbeat in protobuf. Payloads are made with the generated code of `proto/`.

mod fields;
mod hostile;
mod results;

use devicestate_proto::v1::{metric, DeviceMessage, Metric, Vitals};
use prost::Message as _;
use redis::{Connection, RedisResult, Value};
use serde_json::json;

use crate::devices::*;
use crate::support::*;

fn metric(name: &str, value: metric::Value) -> Metric {
    Metric {
        name: Some(name.into()),
        value: Some(value),
        time_delta_ms: None,
    }
}

/// A message that reports this JSON.
fn reporting(json: &str) -> DeviceMessage {
    DeviceMessage {
        reported_json: Some(json.into()),
        ..DeviceMessage::default()
    }
}

/// `DEVICE.INGEST d` with these bytes and options.
fn try_ingest(con: &mut Connection, payload: &[u8], options: &str) -> RedisResult<Value> {
    let mut command = command("DEVICE.INGEST d");
    command.arg(payload);
    for word in options.split_whitespace() {
        command.arg(word);
    }
    con.run(&command)
}

#[track_caller]
fn ingest(con: &mut Connection, message: &DeviceMessage) -> Value {
    try_ingest(con, &message.encode_to_vec(), "")
        .value()
        .clone()
}

/// What the device has reported, as a document; null for nothing.
#[track_caller]
fn reported(con: &mut Connection) -> serde_json::Value {
    match field(con, "d", "reported_state") {
        Some(text) => serde_json::from_str(&text).expect("JSON"),
        None => serde_json::Value::Null,
    }
}

#[test]
fn the_reply_is_that_of_a_heartbeat() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    for (protocol, null, came) in [("2", "$-1\r\n", 1), ("3", "_\r\n", 0)] {
        raw.call(&["HELLO", protocol]);
        let reply = raw.call(&[&b"DEVICE.INGEST"[..], b"d", b""]);
        let wanted = format!("*5\r\n:{came}\r\n:1\r\n:0\r\n{null}:0\r\n");
        assert_eq!(String::from_utf8(reply).unwrap(), wanted);
        let steady = raw.call(&["DEVICE.HEARTBEAT", "d"]);
        assert_eq!(steady, raw.call(&[&b"DEVICE.INGEST"[..], b"d", b""]));
    }
}

/// Two devices hear the same and become the same, one by JSON and one by protobuf.
#[test]
fn what_it_does_is_what_a_heartbeat_does() {
    let server = Server::start();
    let mut con = server.connection();
    let steps: [(&str, DeviceMessage); 6] = [
        ("", DeviceMessage::default()),
        (
            "REPORTED {\"a\":1,\"b\":{\"c\":2}} SESSION 5 SEQ 1",
            DeviceMessage {
                session: Some(5),
                seq: Some(1),
                ..reporting("{\"a\":1,\"b\":{\"c\":2}}")
            },
        ),
        (
            "REPORTED {\"b\":{\"c\":null,\"d\":3}} TIMEOUT 90s",
            DeviceMessage {
                timeout_ms: Some(90_000),
                ..reporting("{\"b\":{\"c\":null,\"d\":3}}")
            },
        ),
        (
            "REPORTED {\"x\":1} REPLACE",
            DeviceMessage {
                replace: Some(true),
                ..reporting("{\"x\":1}")
            },
        ),
        (
            "REPORTED {\"x\":2} SESSION 5 SEQ 1",
            DeviceMessage {
                session: Some(5),
                seq: Some(1),
                ..reporting("{\"x\":2}")
            },
        ),
        (
            "REPORTED {\"x\":3} SESSION 4",
            DeviceMessage {
                session: Some(4),
                ..reporting("{\"x\":3}")
            },
        ),
    ];
    for id in ["d", "json"] {
        cmd!(con, "DEVICE.SHADOW.SET", id, "{\"wish\":1}").items();
    }
    for (words, message) in steps {
        let by_json = cmd!(con, format!("DEVICE.HEARTBEAT json {words}").trim());
        assert_eq!(ingest(&mut con, &message), *by_json.value(), "{words}");
    }
    let mut device = |id: &str| {
        let mut fields = cmd!(con, "DEVICE.GET", id).text_fields();
        fields.retain(|name, _| !matches!(name.as_str(), "device_id" | "last_seen"));
        let times = ["_at", "_since", "_meta"];
        fields.retain(|name, _| !times.iter().any(|time| name.ends_with(time)));
        let kinds = events_of(&mut con, id).field("type").join(" ");
        let history = cmd!(con, "DEVICE.HISTORY", id).items();
        let history: Vec<_> = history
            .iter()
            .map(|entry| entry.at(1).text_fields())
            .collect();
        (fields, kinds, format!("{history:?}"))
    };
    let (by_json, by_protobuf) = (device("json"), device("d"));
    assert_eq!(by_protobuf.0, by_json.0);
    assert_eq!(by_protobuf.1, by_json.1);
    assert_eq!(info_number(&mut con, "heartbeats"), 12);
}

#[test]
fn base64_with_padding_and_without_is_the_same_message() {
    let server = Server::start();
    let mut con = server.connection();
    // {"t":-21.4}, and an empty message.
    for (text, report) in [
        ("IgcKAXQYr84C", json!({"t": -21.4})),
        ("IgcKAXUYr84C", json!({"t": -21.4, "u": -21.4})),
        ("", json!({"t": -21.4, "u": -21.4})),
        ("QgggeyJ2IjoxfQ", json!({"t": -21.4, "u": -21.4, "v": 1})),
        ("QgggeyJ2IjoyfQ==", json!({"t": -21.4, "u": -21.4, "v": 2})),
    ] {
        for options in ["BASE64", "base64 SESSION 3"] {
            assert!(
                try_ingest(&mut con, text.as_bytes(), options).is_ok(),
                "{text}"
            );
            assert_eq!(reported(&mut con), report, "{text}");
        }
    }
}

#[test]
fn the_session_of_the_arguments_takes_the_place_of_that_in_the_message() {
    let server = Server::start();
    let mut con = server.connection();
    let message = |session, seq, n: i32| DeviceMessage {
        session,
        seq,
        ..reporting(&format!("{{\"n\":{n}}}"))
    };
    let stored = |con: &mut Connection| ["session", "seq"].map(|name| field(con, "d", name));
    let some = |n: i64| Some(n.to_string());
    let mut send = |message: DeviceMessage, options: &str, applied: i64| {
        let reply = try_ingest(&mut con, &message.encode_to_vec(), options);
        assert_eq!(reply.at(1).int(), applied, "{options}");
        (reported(&mut con)["n"].clone(), stored(&mut con))
    };
    let first = send(message(Some(7), Some(3), 1), "", 1);
    assert_eq!(first, (json!(1), [some(7), some(3)]));
    // The number in the message belongs to the session in the message.
    let newer = send(message(Some(1), Some(1), 2), "SESSION 8", 1);
    assert_eq!(newer, (json!(2), [some(8), None]));
    let numbered = send(message(Some(9), Some(9), 3), "SESSION 8 SEQ 4", 1);
    assert_eq!(numbered, (json!(3), [some(8), some(4)]));
    let again = send(message(None, None, 4), "SEQ 4 SESSION 8", 0);
    assert_eq!(again, (json!(3), [some(8), some(4)]));
    let stale = send(message(Some(9), Some(9), 5), "SESSION 7", 0);
    assert_eq!(stale, (json!(3), [some(8), some(4)]));
    let without = send(message(None, None, 6), "", 1);
    assert_eq!(without, (json!(6), [some(8), some(4)]));
}

#[test]
fn an_unknown_device_registers_itself_unless_that_is_off() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "CONFIG SET devicestate.auto-register no").text();
    let payload = reporting("{\"a\":1}").encode_to_vec();
    let words = [&b"DEVICE.INGEST"[..], b"d", &payload];
    expect_refusal(&mut con, &words, "NODEVICE", "'d'");
    cmd!(con, "CONFIG SET devicestate.auto-register yes").text();
    assert_eq!(ingest(&mut con, &reporting("{\"a\":1}")).at(0).int(), 1);
    assert_eq!(
        field(&mut con, "d", "device_type").as_deref(),
        Some("unknown")
    );
}

#[test]
fn in_transactions_and_scripts_it_works_as_any_command() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    let payload = reporting("{\"a\":1}").encode_to_vec();
    assert_eq!(try_ingest(&mut con, &payload, "").text(), "QUEUED");
    assert_eq!(cmd!(con, "EXEC").at(0).at(0).int(), 1);
    let script = "return redis.call('DEVICE.INGEST', KEYS[1], ARGV[1], 'SESSION', 4)";
    let reply = cmd!(con, "EVAL", script, 1, "d", &payload);
    assert_eq!(outcome(reply.value()), [0, 1, 2]);
}

#[test]
fn a_user_needs_the_id() {
    let server = Server::start();
    let mut con = server.connection();
    let mut tenant = server.connection();
    cmd!(con, "ACL SETUSER tenant on >secret +@all ~acme-*").text();
    cmd!(tenant, "AUTH tenant secret").text();
    assert!(cmd!(tenant, "DEVICE.INGEST", "acme-1", "").is_ok());
    let before = snapshot(&mut con);
    expect_error(&mut tenant, &["DEVICE.INGEST", "other-1", ""], "NOPERM", "");
    cmd!(con, "ACL SETUSER tenant resetkeys %R~acme-*").text();
    expect_error(&mut tenant, &["DEVICE.INGEST", "acme-1", ""], "NOPERM", "");
    assert_eq!(before, snapshot(&mut con));
}

#[test]
fn over_maxmemory_a_report_is_refused_and_a_plain_message_is_taken() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    cmd!(con, "CONFIG SET maxmemory 1").text();
    let payload = reporting("{\"a\":1}").encode_to_vec();
    let error = try_ingest(&mut con, &payload, "").expect_err("no memory");
    assert_eq!(error.code(), Some("OOM"));
    assert_eq!(reported(&mut con), json!(null));
    assert_eq!(
        outcome(&ingest(&mut con, &DeviceMessage::default())),
        [0, 1, 0]
    );
}

#[test]
fn alert_rules_look_at_what_is_ingested() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d oven").int();
    let rule = "{\"path\":\"vitals.temperature_c\",\"bands\":[{\"severity\":2,\"high\":70}]}";
    cmd!(con, "ALERT.RULE.SET", "oven", "hot", rule).value();
    let at = |centi| DeviceMessage {
        vitals: Some(Vitals {
            temperature_centi_c: Some(centi),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    };
    ingest(&mut con, &at(7_000));
    assert_eq!(cmd!(con, "ALERT.LIST d").items().len(), 0);
    ingest(&mut con, &at(7_001));
    let alert = cmd!(con, "ALERT.LIST d").at(0).fields();
    assert_eq!(alert["alert"].text(), "hot");
    assert_eq!(
        events_of(&mut con, "d").of_type("alert").field("state"),
        ["firing"]
    );
    ingest(&mut con, &at(2_000));
    assert_eq!(cmd!(con, "ALERT.LIST d").items().len(), 0);
}
