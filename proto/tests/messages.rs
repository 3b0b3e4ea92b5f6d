//! What the schema promises: nothing is lost on the way, absent is not zero, newer fields are
//! skipped, and messages are small.

use devicestate_proto::v1::{
    metric::Value, CommandResult, CommandStatus, DeviceMessage, IntegerList, Metric, MilliList,
    Position, ResetReason, Vitals,
};
use prost::Message;

fn metric(name: &str, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        value: Some(value),
        time_delta_ms: None,
    }
}

/// A message with every field set, the signed ones negative.
fn full() -> DeviceMessage {
    DeviceMessage {
        session: Some(1_700_000_000_123),
        seq: Some(42),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            rssi_dbm: Some(-61),
            temperature_centi_c: Some(-512),
            uptime_s: Some(86_400),
            free_memory_bytes: Some(131_072),
            firmware_version: Some("1.4.2".into()),
            supply_mv: Some(3_300),
            charging: Some(true),
            cpu_percent: Some(12),
            free_storage_bytes: Some(1 << 40),
            position: Some(Position {
                lat_e7: Some(522_296_756),
                lon_e7: Some(-1_799_999_999),
                altitude_dm: Some(-4),
            }),
            reset_reason: Some(ResetReason::Watchdog as i32),
        }),
        metrics: vec![
            metric("t", Value::Milli(-21_400)),
            metric("n", Value::Integer(i64::MIN)),
            metric("x", Value::Number(0.1)),
            metric("open", Value::Flag(false)),
            metric("mode", Value::Text("öko".into())),
            metric("raw", Value::Data(vec![0, 255, 7])),
            metric(
                "ports",
                Value::Integers(IntegerList {
                    values: vec![1, -2, 300],
                }),
            ),
            Metric {
                time_delta_ms: Some(-250),
                ..metric(
                    "acc",
                    Value::Millis(MilliList {
                        values: vec![12, -981, 3],
                    }),
                )
            },
        ],
        timestamp_ms: Some(1_700_000_100_000),
        timeout_ms: Some(15_000),
        replace: Some(true),
        reported_json: Some(r#"{"door":"open"}"#.into()),
        command_results: vec![CommandResult {
            command_id: Some("1700000000000-0".into()),
            status: Some(CommandStatus::Rejected as i32),
            detail_json: Some(r#""unknown command""#.into()),
        }],
    }
}

/// A heartbeat of a battery device: session, number, five vital parameters.
fn vitals_beat() -> DeviceMessage {
    DeviceMessage {
        session: Some(1_700_000_000_123),
        seq: Some(1_000),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            rssi_dbm: Some(-71),
            temperature_centi_c: Some(2_140),
            uptime_s: Some(1_000_000),
            free_memory_bytes: Some(131_072),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    }
}

#[test]
fn every_field_survives_the_round_trip() {
    let message = full();
    let read = DeviceMessage::decode(message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read, message);
}

#[test]
fn the_empty_message_is_a_heartbeat_of_no_bytes() {
    assert_eq!(DeviceMessage::default().encode_to_vec(), b"");
    assert_eq!(
        DeviceMessage::decode(&b""[..]).unwrap(),
        DeviceMessage::default()
    );
}

#[test]
fn absent_and_zero_differ() {
    let zero = DeviceMessage {
        session: Some(0),
        seq: Some(0),
        timestamp_ms: Some(0),
        timeout_ms: Some(0),
        replace: Some(false),
        reported_json: Some(String::new()),
        vitals: Some(Vitals {
            battery_percent: Some(0),
            rssi_dbm: Some(0),
            temperature_centi_c: Some(0),
            uptime_s: Some(0),
            free_memory_bytes: Some(0),
            firmware_version: Some(String::new()),
            supply_mv: Some(0),
            charging: Some(false),
            cpu_percent: Some(0),
            free_storage_bytes: Some(0),
            position: Some(Position {
                lat_e7: Some(0),
                lon_e7: Some(0),
                altitude_dm: Some(0),
            }),
            reset_reason: Some(ResetReason::Unspecified as i32),
        }),
        metrics: vec![
            Metric {
                time_delta_ms: Some(0),
                ..metric("", Value::Milli(0))
            },
            metric("", Value::Flag(false)),
        ],
        command_results: vec![CommandResult {
            command_id: Some(String::new()),
            status: Some(CommandStatus::Unspecified as i32),
            detail_json: Some(String::new()),
        }],
    };
    let read = DeviceMessage::decode(zero.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read, zero);

    let silent = DeviceMessage {
        vitals: Some(Vitals::default()),
        metrics: vec![Metric::default()],
        ..DeviceMessage::default()
    };
    let read = DeviceMessage::decode(silent.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read.timeout_ms, None);
    assert_eq!(read.vitals, Some(Vitals::default()));
    assert_eq!(read.metrics[0].value, None);
}

#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = Vec::new();
    // Number 15, varint 7: a field of a later version.
    bytes.extend([15 << 3, 7]);
    bytes.extend(full().encode_to_vec());
    // Number 1000, two bytes: a private field of a device maker.
    bytes.extend([0xc2, 0x3e, 2, b'h', b'i']);
    assert_eq!(DeviceMessage::decode(bytes.as_slice()).unwrap(), full());
}

/// A kind of value that a later version adds: the metric is there, and has no value we know. It must
/// not be taken for a zero.
#[test]
fn an_unknown_kind_of_value_is_no_value() {
    let metric = [0x0a, 1, b'n', 15 << 3, 7];
    let mut bytes = vec![0x22, metric.len() as u8];
    bytes.extend(metric);
    let read = DeviceMessage::decode(bytes.as_slice()).unwrap();
    assert_eq!(read.metrics[0].name.as_deref(), Some("n"));
    assert_eq!(read.metrics[0].value, None);
}

#[test]
fn an_unknown_status_is_kept_as_its_number() {
    let message = DeviceMessage {
        command_results: vec![CommandResult {
            status: Some(99),
            ..CommandResult::default()
        }],
        ..DeviceMessage::default()
    };
    let read = DeviceMessage::decode(message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read.command_results[0].status, Some(99));
    assert!(CommandStatus::try_from(99).is_err());
}

/// The wire form is a promise to devices in the field: these bytes were written by version 1.
#[test]
fn the_wire_form_stays() {
    let message = DeviceMessage {
        session: Some(5),
        seq: Some(1),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            rssi_dbm: Some(-61),
            ..Vitals::default()
        }),
        metrics: vec![metric("t", Value::Milli(21_400))],
        timeout_ms: Some(0),
        ..DeviceMessage::default()
    };
    let bytes = [
        0x08, 5, 0x10, 1, 0x1a, 4, 0x08, 97, 0x10, 121, 0x22, 7, 0x0a, 1, b't', 0x18, 0xb0, 0xce,
        0x02, 0x30, 0,
    ];
    assert_eq!(message.encode_to_vec(), bytes);
    assert_eq!(DeviceMessage::decode(bytes.as_slice()).unwrap(), message);
}

#[test]
fn damaged_messages_are_refused() {
    let whole = full().encode_to_vec();
    // Cut inside the last field, so that its announced length is not there.
    assert!(DeviceMessage::decode(&whole[..whole.len() - 1]).is_err());
    // A varint that never ends.
    assert!(DeviceMessage::decode(&[0x08, 0xff, 0xff][..]).is_err());
    // Text that is no UTF-8.
    assert!(DeviceMessage::decode(&[0x42, 1, 0xff][..]).is_err());
    // The right number with the wrong wire type.
    assert!(DeviceMessage::decode(&[0x0a, 0][..]).is_err());
}

#[test]
fn a_vitals_heartbeat_fits_31_bytes() {
    let size = vitals_beat().encoded_len();
    println!("vitals heartbeat: {size} bytes");
    assert!(size <= 31, "{size} bytes");
}

#[test]
fn eight_metrics_with_vitals_fit_112_bytes() {
    let names = ["t", "h", "p", "co2", "lux", "pm25", "rpm", "kwh"];
    let milli = [
        21_400, 48_250, 1_013_250, 612_000, 340_000, 8_100, 1_480_000, 12_345_678,
    ];
    let message = DeviceMessage {
        metrics: names
            .iter()
            .zip(milli)
            .map(|(n, v)| metric(n, Value::Milli(v)))
            .collect(),
        ..vitals_beat()
    };
    let size = message.encoded_len();
    println!("eight metrics with vitals: {size} bytes");
    assert!(size <= 112, "{size} bytes");
}

#[test]
fn lists_are_packed() {
    let list = IntegerList {
        values: vec![1; 100],
    };
    // One tag, one length, one byte per value.
    assert_eq!(list.encoded_len(), 102);
}
