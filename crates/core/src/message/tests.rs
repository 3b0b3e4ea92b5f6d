use devicestate_proto::v1::{metric::Value as V, IntegerList, MilliList};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const DEPTH: usize = 16;

fn metric(name: &str, value: V) -> Metric {
    Metric {
        name: Some(name.into()),
        value: Some(value),
        time_delta_ms: None,
    }
}

fn read(message: &DeviceMessage) -> Result<Beat, BadPayload> {
    decode(&message.encode_to_vec(), DEPTH)
}

#[track_caller]
fn reported(message: DeviceMessage) -> Value {
    let beat = read(&message).expect("a good message");
    beat.report.map_or(Value::Null, Value::Object)
}

#[track_caller]
fn refused(message: DeviceMessage) -> String {
    read(&message).expect_err("a bad message").to_string()
}

/// A message of all kinds of fields.
fn everything() -> DeviceMessage {
    let lists = IntegerList {
        values: vec![1, -2],
    };
    let axes = MilliList {
        values: vec![12, -981],
    };
    DeviceMessage {
        session: Some(1_700_000_000_123),
        seq: Some(42),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            temperature_centi_c: Some(-512),
            firmware_version: Some("1.4.2".into()),
            position: Some(Position {
                lat_e7: Some(522_296_756),
                ..Position::default()
            }),
            reset_reason: Some(ResetReason::Crash as i32),
            ..Vitals::default()
        }),
        metrics: vec![
            metric("t", V::Milli(-21_400)),
            metric("x", V::Number(0.1)),
            metric("mode", V::Text("\u{f6}ko".into())),
            metric("raw", V::Data(vec![0, 255, 7])),
            metric("ports", V::Integers(lists)),
            metric("acc", V::Millis(axes)),
        ],
        timestamp_ms: Some(1_700_000_100_000),
        timeout_ms: Some(15_000),
        replace: Some(true),
        reported_json: Some(r#"{"a":{"b":[1,2.5,"c"]}}"#.into()),
        command_results: vec![CommandResult {
            command_id: Some("1700000000000-0".into()),
            status: Some(CommandStatus::Failed as i32),
            detail_json: Some(r#"{"code":7}"#.into()),
        }],
    }
}

#[test]
fn the_empty_message_is_a_plain_heartbeat() {
    assert_eq!(decode(b"", DEPTH), Ok(Beat::default()));
}

#[test]
fn session_sequence_timeout_and_replace_are_those_of_a_heartbeat() {
    let beat = read(&DeviceMessage {
        session: Some(7),
        seq: Some(0),
        timeout_ms: Some(90_000),
        replace: Some(true),
        ..DeviceMessage::default()
    });
    let expected = Beat {
        session: Some(7),
        seq: Some(0),
        timeout: Some(90_000),
        replace: true,
        ..Beat::default()
    };
    assert_eq!(beat, Ok(expected));
}

#[test]
fn metrics_are_reported_under_their_names() {
    let lists = IntegerList {
        values: vec![1, -2],
    };
    let axes = MilliList {
        values: vec![12, -981, 3_000],
    };
    let message = DeviceMessage {
        metrics: vec![
            metric("t", V::Milli(-21_400)),
            metric("whole", V::Milli(3_000)),
            metric("n", V::Integer(i64::MIN)),
            metric("x", V::Number(0.1)),
            metric("nan", V::Number(f64::NAN)),
            metric("endless", V::Number(f64::INFINITY)),
            metric("open", V::Flag(false)),
            metric("mode", V::Text("\u{f6}ko \"1\"".into())),
            metric("raw", V::Data(vec![0, 255, 7])),
            metric("ports", V::Integers(lists)),
            metric("acc", V::Millis(axes)),
            metric("a.b", V::Integer(1)),
            metric("a.b", V::Integer(2)),
            metric("", V::Integer(3)),
        ],
        ..DeviceMessage::default()
    };
    let expected = json!({
        "t": -21.4, "whole": 3, "n": i64::MIN, "x": 0.1, "open": false, "mode": "\u{f6}ko \"1\"",
        "raw": "AP8H", "ports": [1, -2], "acc": [0.012, -0.981, 3], "a.b": 2,
    });
    assert_eq!(reported(message), expected);
}

#[test]
fn what_has_no_name_or_no_value_is_skipped() {
    let nameless = Metric {
        name: None,
        ..metric("", V::Integer(1))
    };
    let empty = Metric {
        value: None,
        ..metric("later", V::Integer(1))
    };
    let message = DeviceMessage {
        metrics: vec![nameless, empty],
        ..DeviceMessage::default()
    };
    assert_eq!(reported(message), Value::Null);
}

#[test]
fn vitals_are_in_the_units_of_their_names() {
    let message = DeviceMessage {
        vitals: Some(Vitals {
            battery_percent: Some(0),
            rssi_dbm: Some(-61),
            temperature_centi_c: Some(2_140),
            uptime_s: Some(u64::MAX),
            firmware_version: Some("1.4.2".into()),
            charging: Some(false),
            position: Some(Position {
                lat_e7: Some(522_296_756),
                lon_e7: Some(-1_800_000_000),
                altitude_dm: Some(-4),
            }),
            reset_reason: Some(ResetReason::DeepSleep as i32),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    };
    let expected = json!({"vitals": {
        "battery_percent": 0, "rssi_dbm": -61, "temperature_c": 21.4, "uptime_s": u64::MAX,
        "firmware_version": "1.4.2", "charging": false,
        "position": {"lat": 52.2296756, "lon": -180, "altitude_m": -0.4},
        "reset_reason": "deep_sleep",
    }});
    assert_eq!(reported(message), expected);
}

#[test]
fn enums_that_are_not_known_are_skipped() {
    let message = DeviceMessage {
        vitals: Some(Vitals {
            reset_reason: Some(99),
            ..Vitals::default()
        }),
        command_results: vec![CommandResult {
            command_id: Some("1-0".into()),
            status: Some(99),
            detail_json: None,
        }],
        ..DeviceMessage::default()
    };
    assert_eq!(read(&message), Ok(Beat::default()));
}

#[test]
fn json_comes_first_then_vitals_then_metrics() {
    let message = DeviceMessage {
        reported_json: Some(r#"{"a":1,"b":1,"vitals":{"x":1,"rssi_dbm":0}}"#.into()),
        vitals: Some(Vitals {
            rssi_dbm: Some(-5),
            ..Vitals::default()
        }),
        metrics: vec![metric("b", V::Integer(2))],
        ..DeviceMessage::default()
    };
    assert_eq!(
        reported(message),
        json!({"a": 1, "b": 2, "vitals": {"x": 1, "rssi_dbm": -5}})
    );
}

#[test]
fn results_of_commands() {
    let result = |id: &str, status, detail: Option<&str>| CommandResult {
        command_id: Some(id.into()),
        status: Some(status),
        detail_json: detail.map(str::to_owned),
    };
    let message = DeviceMessage {
        command_results: vec![
            result("1-0", CommandStatus::Ok as i32, Some(" [ 1 ]\n")),
            result("2-0", CommandStatus::Rejected as i32, None),
            result("", CommandStatus::Ok as i32, None),
        ],
        ..DeviceMessage::default()
    };
    let results = read(&message).expect("a good message").results;
    let names: Vec<_> = results
        .iter()
        .map(|r| (r.command.as_str(), r.status.name(), r.detail.as_deref()))
        .collect();
    assert_eq!(
        names,
        [("1-0", "OK", Some("[1]")), ("2-0", "REJECTED", None)]
    );
}

#[test]
fn refusals_say_what_is_wrong() {
    let message = DeviceMessage {
        seq: Some(1),
        ..DeviceMessage::default()
    };
    assert_eq!(refused(message), "seq goes with session");
    let message = DeviceMessage {
        reported_json: Some("{\"a\":}".into()),
        ..DeviceMessage::default()
    };
    assert_eq!(
        refused(message),
        "reported_json: expected value at line 1 column 6"
    );
    let message = DeviceMessage {
        metrics: vec![metric("t", V::Milli(i64::MAX))],
        ..DeviceMessage::default()
    };
    assert_eq!(refused(message), "metric 't' has more digits than a double");
    let message = DeviceMessage {
        command_results: vec![CommandResult {
            command_id: Some("1-0".into()),
            status: Some(1),
            detail_json: Some("{".into()),
        }],
        ..DeviceMessage::default()
    };
    assert!(refused(message).starts_with("detail_json of command '1-0': "));
    let message = DeviceMessage {
        vitals: Some(Vitals {
            position: Some(Position {
                lat_e7: Some(1),
                ..Position::default()
            }),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    };
    let refusal = decode(&message.encode_to_vec(), 2).expect_err("three levels");
    assert_eq!(refusal, BadPayload::TooDeep(2));
    let refusal = decode(b"\xff\xff", DEPTH).expect_err("no protobuf");
    assert!(refusal
        .to_string()
        .starts_with("payload is no devicestate.v1.DeviceMessage: "));
}

#[test]
fn base64_with_padding_and_without() {
    assert_eq!(from_base64(b"CAc="), Ok(vec![8, 7]));
    assert_eq!(from_base64(b"CAc"), Ok(vec![8, 7]));
    assert_eq!(from_base64(b""), Ok(vec![]));
    for text in ["CAc*", "C", "CA c=", "CAc==", "\u{0}"] {
        assert!(from_base64(text.as_bytes()).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, DEPTH);
        let _ = from_base64(&bytes);
    }

    /// A message that was damaged on its way is another one, or it is refused.
    #[test]
    fn damaged_messages_are_read_or_refused(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..4), 1..6),
    ) {
        let mut bytes = everything().encode_to_vec();
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
        if let Ok(beat) = decode(&bytes, DEPTH) {
            let report = beat.report.unwrap_or_default();
            prop_assert!(depth_of(&report) <= DEPTH);
            // What is read is JSON: it can be written and is read as it was.
            let text = serde_json::to_string(&report).unwrap_or_default();
            let again = json::parse_object(text.as_bytes(), DEPTH);
            prop_assert_eq!(again.map_err(|error| error.to_string()), Ok(report));
            prop_assert!(beat.seq.is_none() || beat.session.is_some());
        }
    }

    #[test]
    fn thousandths_read_as_they_were_meant(milli in -(1i64 << 53)..(1i64 << 53)) {
        let sign = if milli < 0 { "-" } else { "" };
        let (whole, rest) = (milli.unsigned_abs() / 1_000, milli.unsigned_abs() % 1_000);
        let meant: f64 = format!("{sign}{whole}.{rest:03}").parse().unwrap_or(f64::NAN);
        let read = thousandths(milli).and_then(|number| number.as_f64());
        prop_assert_eq!(read, Some(meant));
    }
}
