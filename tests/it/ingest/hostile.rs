//! Payloads that are no messages: refused with the reason, and nothing changes.

use devicestate_proto::v1::{metric::Value as V, CommandResult, CommandStatus};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::command::give;

/// A device with a bit of everything, so that a message has something it could spoil.
#[track_caller]
fn populated() -> (Server, Connection, String) {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(
        con,
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 5 SEQ 5 TIMEOUT 1h"
    )
    .items();
    let id = give(&mut con, "d {\"n\":1}");
    (server, con, id)
}

/// A message of all kinds of fields.
fn valid(command: &str) -> DeviceMessage {
    DeviceMessage {
        session: Some(9),
        seq: Some(1),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            firmware_version: Some("1.4.2".into()),
            ..Vitals::default()
        }),
        metrics: vec![
            metric("t", V::Milli(21_400)),
            metric("m", V::Text("on".into())),
        ],
        timeout_ms: Some(90_000),
        reported_json: Some("{\"a\":2,\"b\":[1,2]}".into()),
        command_results: vec![CommandResult {
            command_id: Some(command.to_owned()),
            status: Some(CommandStatus::Ok as i32),
            detail_json: Some("{\"x\":1}".into()),
        }],
        ..DeviceMessage::default()
    }
}

#[track_caller]
fn expect_bad(con: &mut Connection, payload: &[u8], more: &[&str], contains: &str) {
    let mut words = vec![&b"DEVICE.INGEST"[..], b"d", payload];
    words.extend(more.iter().map(|word| word.as_bytes()));
    expect_refusal(con, &words, "BADPAYLOAD", contains);
}

#[test]
fn refusals_say_what_is_wrong() {
    let (_server, mut con, _) = populated();
    let none = "payload is no devicestate.v1.DeviceMessage: ";
    for (payload, contains) in [
        (&b"\xff\xff"[..], none),
        (b"{\"a\":1}", none),
        // Text that is no UTF-8, the wrong wire type, a group that never ends, field number 0.
        (b"\x42\x01\xff", none),
        (b"\x0a\x00", none),
        (b"\x7b\x7b\x7b", none),
        (b"\x00\x00", none),
        (b"\x10\x01", "seq goes with session"),
        (
            b"\x42\x02[]",
            "reported_json: not a JSON object at line 1 column 1",
        ),
        (b"\x42\x0d{\"a\":1,\"a\":2}", "reported_json: duplicate key"),
        (b"\x30\x01", "timeout_ms: 1 ms"),
    ] {
        expect_bad(&mut con, payload, &[], contains);
    }
    for text in ["*", "IgcKAXQYr84C=", "IgcK AXQYr84C", "{}"] {
        expect_bad(
            &mut con,
            text.as_bytes(),
            &["BASE64"],
            "payload is not base64: ",
        );
    }
    expect_bad(&mut con, b"/////w==", &["BASE64"], none);
    // A metric that no double holds, a document that is too deep.
    let precise = DeviceMessage {
        metrics: vec![metric("t", V::Milli(i64::MAX))],
        ..DeviceMessage::default()
    };
    expect_bad(
        &mut con,
        &precise.encode_to_vec(),
        &[],
        "metric 't' has more digits",
    );
    let deep = format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17));
    expect_bad(
        &mut con,
        &reporting(&deep).encode_to_vec(),
        &[],
        "reported_json: ",
    );
    for (words, contains) in [
        (
            &["DEVICE.INGEST", "d", "", "SEQ", "1"][..],
            "SEQ goes with SESSION",
        ),
        (&["DEVICE.INGEST", "d", "", "SESSION"], "SESSION is missing"),
        (
            &["DEVICE.INGEST", "d", "", "SESSION", "-1"],
            "SESSION: '-1'",
        ),
        (
            &["DEVICE.INGEST", "d", "", "BASE64", "BASE64"],
            "BASE64 is given twice",
        ),
        (&["DEVICE.INGEST", "d", "", "REPLACE"], "'REPLACE'"),
        (&["DEVICE.INGEST", "d"], "wrong number of arguments"),
        (&["DEVICE.INGEST", "a b", ""], "invalid device id"),
    ] {
        expect_refusal(&mut con, words, "ERR", contains);
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let (_server, mut con, _) = populated();
    let mib = vec![b'x'; 1 << 20];
    let words = [&b"DEVICE.INGEST"[..], b"d", &mib];
    expect_refusal(&mut con, &words, "TOOLARGE", "payload: 1048576 bytes");
    let words = [&words[..], &[b"BASE64"]].concat();
    expect_refusal(&mut con, &words, "TOOLARGE", "payload: 1048576 bytes");
    // A good message whose document is too large, by JSON, by text and by bytes.
    for message in [
        reporting(&format!("{{\"a\":\"{}\"}}", "x".repeat(65_536))),
        DeviceMessage {
            metrics: vec![metric("m", V::Text("x".repeat(65_536)))],
            ..DeviceMessage::default()
        },
        DeviceMessage {
            metrics: vec![metric("m", V::Data(vec![0; 49_152]))],
            ..DeviceMessage::default()
        },
    ] {
        let payload = message.encode_to_vec();
        expect_refusal(
            &mut con,
            &[b"DEVICE.INGEST", &b"d"[..], &payload],
            "TOOLARGE",
            "payload: the shadow would have 655",
        );
    }
}

/// Cut anywhere, a message is another one that is shorter, or it is none and changes nothing.
#[test]
fn truncated_messages_are_read_or_refused() {
    let (_server, mut con, id) = populated();
    let whole = valid(&id).encode_to_vec();
    let mut refused = 0;
    for length in 0..whole.len() {
        let before = snapshot(&mut con);
        match try_ingest(&mut con, &whole[..length], "") {
            Ok(reply) => assert_eq!(reply.items().len(), 5),
            Err(error) => {
                refused += 1;
                assert_eq!(error.code(), Some("BADPAYLOAD"), "{length}");
                let changed = difference(&before, &snapshot(&mut con));
                assert_eq!(changed, [] as [&str; 0], "{length}");
            }
        }
    }
    assert!(refused > whole.len() / 2, "{refused} of {}", whole.len());
    assert!(try_ingest(&mut con, &whole, "").is_ok());
}

/// Either bytes at random, or a message with some of its bytes changed, cut or repeated.
fn payloads(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let random = proptest::collection::vec(any::<u8>(), 0..300);
    let places =
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..4), 1..6);
    let mutated = places.prop_map(move |places| {
        let mut bytes = valid.clone();
        for (at, byte, kind) in places {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    });
    prop_oneof![random, mutated]
}

#[test]
fn any_bytes_are_read_or_refused_and_a_refusal_changes_nothing() {
    let (_server, con, id) = populated();
    let con = std::cell::RefCell::new(con);
    let mut runner = TestRunner::new(Config {
        cases: 600,
        failure_persistence: None,
        ..Config::default()
    });
    let counts = std::cell::Cell::new((0, 0));
    let result = runner.run(&payloads(valid(&id).encode_to_vec()), |payload| {
        let mut con = con.borrow_mut();
        let before = snapshot(&mut con);
        let (good, bad) = counts.get();
        match try_ingest(&mut con, &payload, "") {
            Ok(reply) => {
                counts.set((good + 1, bad));
                prop_assert_eq!(reply.items().len(), 5);
            }
            Err(error) => {
                counts.set((good, bad + 1));
                let code = error.code().unwrap_or_default();
                prop_assert!(["BADPAYLOAD", "TOOLARGE"].contains(&code), "{}", error);
                let changed = difference(&before, &snapshot(&mut con));
                prop_assert_eq!(changed, Vec::<String>::new(), "{}", error);
            }
        }
        Ok(())
    });
    result.expect("every payload is read or refused");
    // Both happened, or the test would prove little.
    let (good, bad) = counts.get();
    assert!(good > 0 && bad > 0, "{good} were read, {bad} refused");
    let mut con = con.into_inner();
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 1);
}
