//! Every field of the message, through the server into the reported document.

use devicestate_proto::v1::{metric::Value as V, IntegerList, MilliList, Position, ResetReason};

use super::*;

/// A message with every field that reports something.
fn full() -> DeviceMessage {
    DeviceMessage {
        session: Some(1_700_000_000_123),
        seq: Some(42),
        vitals: Some(Vitals {
            battery_percent: Some(97),
            rssi_dbm: Some(-61),
            temperature_centi_c: Some(-512),
            uptime_s: Some(u64::MAX),
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
            metric("t", V::Milli(-21_400)),
            metric("n", V::Integer(i64::MIN)),
            metric("x", V::Number(0.1)),
            metric("open", V::Flag(false)),
            metric("mode", V::Text("\u{f6}ko \"1\"\n".into())),
            metric("raw", V::Data(vec![0, 255, 7])),
            metric(
                "ports",
                V::Integers(IntegerList {
                    values: vec![1, -2, 300],
                }),
            ),
            Metric {
                time_delta_ms: Some(-250),
                ..metric(
                    "acc",
                    V::Millis(MilliList {
                        values: vec![12, -981, 3_000],
                    }),
                )
            },
        ],
        timestamp_ms: Some(1_700_000_100_000),
        timeout_ms: Some(15_000),
        replace: Some(false),
        reported_json: Some("{\"door\":\"open\",\"t\":0,\"vitals\":{\"fan\":2}}".into()),
        command_results: Vec::new(),
    }
}

#[test]
fn every_field_is_reported_under_its_name_and_in_its_unit() {
    let server = Server::start();
    let told = Subscriber::channels(&server, &["devices:status"]);
    let mut con = server.connection();
    assert_eq!(outcome(&ingest(&mut con, &full())), [1, 1, 1]);
    let expected = json!({
        "door": "open",
        "vitals": {
            "fan": 2,
            "battery_percent": 97,
            "rssi_dbm": -61,
            "temperature_c": -5.12,
            "uptime_s": u64::MAX,
            "free_memory_bytes": 131_072,
            "firmware_version": "1.4.2",
            "supply_mv": 3_300,
            "charging": true,
            "cpu_percent": 12,
            "free_storage_bytes": 1_099_511_627_776_u64,
            "position": {"lat": 52.2296756, "lon": -179.9999999, "altitude_m": -0.4},
            "reset_reason": "watchdog",
        },
        "t": -21.4,
        "n": i64::MIN,
        "x": 0.1,
        "open": false,
        "mode": "\u{f6}ko \"1\"\n",
        "raw": "AP8H",
        "ports": [1, -2, 300],
        "acc": [0.012, -0.981, 3],
    });
    assert_eq!(reported(&mut con), expected);
    assert_eq!(told.wait_for_count(1, SOON)[0].json()["reported"], expected);
    for (name, value) in [
        ("session", "1700000000123"),
        ("seq", "42"),
        ("timeout", "15000"),
    ] {
        assert_eq!(field(&mut con, "d", name).as_deref(), Some(value), "{name}");
    }
    // The device's own clock changes nothing of the server's.
    assert!(number(&mut con, "d", "last_seen") > 1_700_000_100_000);
}

#[test]
fn what_is_not_said_stays_and_zero_is_said() {
    let server = Server::start();
    let mut con = server.connection();
    ingest(&mut con, &full());
    let before = reported(&mut con);
    let vitals = |vitals| DeviceMessage {
        vitals: Some(vitals),
        ..DeviceMessage::default()
    };
    let zeros = vitals(Vitals {
        battery_percent: Some(0),
        rssi_dbm: Some(0),
        charging: Some(false),
        ..Vitals::default()
    });
    ingest(&mut con, &zeros);
    let mut expected = before;
    for (name, zero) in [
        ("battery_percent", json!(0)),
        ("rssi_dbm", json!(0)),
        ("charging", json!(false)),
    ] {
        expected["vitals"][name] = zero;
    }
    assert_eq!(reported(&mut con), expected);
    // What says nothing at all reports nothing: the version stays.
    let version = number(&mut con, "d", "version");
    let silent = DeviceMessage {
        metrics: vec![
            Metric::default(),
            metric("", V::Integer(1)),
            metric("x", V::Number(f64::NAN)),
        ],
        timestamp_ms: Some(5),
        ..vitals(Vitals {
            reset_reason: Some(ResetReason::Unspecified as i32),
            position: Some(Position::default()),
            ..Vitals::default()
        })
    };
    let reply = ingest(&mut con, &silent);
    assert_eq!((reply.at(1).int(), reply.at(2).int()), (1, version));
    assert_eq!(reported(&mut con), expected);
}

#[test]
fn replace_starts_the_document_anew() {
    let server = Server::start();
    let mut con = server.connection();
    ingest(&mut con, &full());
    let replacing = DeviceMessage {
        replace: Some(true),
        metrics: vec![metric("t", V::Integer(1))],
        ..DeviceMessage::default()
    };
    ingest(&mut con, &replacing);
    assert_eq!(reported(&mut con), json!({"t": 1}));
    // Without anything to report there is nothing to replace it with.
    let nothing = DeviceMessage {
        replace: Some(true),
        ..DeviceMessage::default()
    };
    ingest(&mut con, &nothing);
    assert_eq!(reported(&mut con), json!({"t": 1}));
    ingest(
        &mut con,
        &DeviceMessage {
            replace: Some(true),
            ..reporting("{}")
        },
    );
    assert_eq!(reported(&mut con), json!({}));
}

#[test]
fn the_timeout_is_the_devices_own_from_then_on() {
    let server = quick();
    let mut con = server.connection();
    let timeout = |ms| DeviceMessage {
        timeout_ms: Some(ms),
        ..DeviceMessage::default()
    };
    ingest(&mut con, &timeout(0));
    assert_eq!(number(&mut con, "d", "timeout"), 0);
    ingest(&mut con, &timeout(315_360_000_000));
    assert_eq!(number(&mut con, "d", "timeout"), 315_360_000_000);
    ingest(&mut con, &timeout(100));
    wait_until_offline(&mut con, "d");
    assert_eq!(ingest(&mut con, &DeviceMessage::default()).at(0).int(), 1);
    for bad in [1, 99, 315_360_000_001, u64::MAX] {
        let payload = timeout(bad).encode_to_vec();
        let error = try_ingest(&mut con, &payload, "").expect_err("no timeout");
        assert_eq!(error.code(), Some("BADPAYLOAD"));
        let text = error.detail().unwrap_or_default().to_owned();
        assert!(text.starts_with(&format!("timeout_ms: {bad} ms")), "{text}");
    }
    assert_eq!(number(&mut con, "d", "timeout"), 100);
}
