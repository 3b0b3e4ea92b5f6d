//! Devices with documents: what they are set to, what they report, and the patches that change it.
//!
//! A building controller: about 500 bytes each of desired and reported state, nested, with numbers,
//! texts, switches and an array. Every patch of a kind covers the same leaves with other values, so
//! that each one changes something, and what a device holds after any number of them is known.

use serde_json::{json, Map, Value};

use crate::support::*;

pub type Object = Map<String, Value>;

/// How many patches take turns on each device.
pub const TURNS: usize = 4;

pub fn id(number: usize) -> String {
    format!("d-{number:012}")
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn pick<T: Copy>(values: &[T], turn: usize) -> T {
    values[turn % values.len()]
}

/// What the back end has set before anything is measured.
pub fn desired(number: usize) -> Object {
    object(json!({
        "alarms": {"humidityHigh": 85, "notify": format!("ops+{number:05}@example.com"),
                   "temperatureHigh": 70, "temperatureLow": 5},
        "climate": {"fan": {"boost": false, "speed": 3}, "hysteresis": 0.5, "mode": "auto",
                    "schedule": {"home": "17:45", "leave": "08:15", "sleep": "22:30",
                                 "wake": "06:30"},
                    "setpoint": 20.5},
        "firmware": {"channel": "stable", "version": "2.14.3"},
        "location": {"lat": 48.137154, "lon": 11.576124, "room": format!("3.{:03}", number % 1000)},
        "telemetry": {"batch": 20, "compress": true, "intervalSeconds": 60,
                      "values": ["temperature", "humidity", "co2", "battery"]},
    }))
}

/// What the device has reported before: the same but for its place and its alarms, which the back end
/// sees to; and what it measures.
pub fn reported(number: usize) -> Object {
    let mut document = desired(number);
    document.remove("location");
    document.remove("alarms");
    let measured = json!({"battery": 3.71, "co2": 480, "humidity": 41.5, "pressure": 1009.5,
                          "temperature": 20.25});
    document.insert("measured".into(), measured);
    document.insert(
        "network".into(),
        json!({"channel": 6, "retries": 0, "signal": -58}),
    );
    document.insert("uptime".into(), json!(3_600));
    document
}

/// The patch of a turn for the desired document: about 200 bytes that never agree with what is
/// reported. Every second one removes a member which the next one sets again.
pub fn desired_patch(number: usize, turn: usize) -> Object {
    let turn = turn % TURNS;
    let step = turn as f64 * 0.5 + (number % 7) as f64;
    object(json!({
        "alarms": {"temperatureHigh": 71 + turn},
        "climate": {"fan": {"speed": 4 + turn % 2},
                    "holiday": turn.is_multiple_of(2).then(|| format!("2026-12-{}", 10 + number % 20)),
                    "mode": pick(&["heat", "cool"], turn),
                    "schedule": {"sleep": pick(&["23:15", "21:45"], turn), "wake": "06:15"},
                    "setpoint": 21.25 + step},
        "telemetry": {"intervalSeconds": pick(&[15, 30, 45, 90], turn),
                      "values": ["temperature", "humidity", pick(&["pressure", "light"], turn / 2)]},
    }))
}

/// The patch of a turn for the reported document: about 200 bytes, nothing of which is desired.
pub fn reported_patch(number: usize, turn: usize) -> Object {
    let turn = turn % TURNS;
    let step = turn as f64;
    object(json!({
        "measured": {"battery": 3.72 + step / 100.0, "co2": 500 + 10 * turn + number % 10,
                     "humidity": 42.25 + step, "light": 1_100 + turn, "motion": turn.is_multiple_of(2),
                     "pressure": 1_010.25 + step, "temperature": 21.25 + step * 0.25},
        "network": {"channel": 1 + 5 * (turn % 2), "retries": 1 + turn, "signal": -60 - turn as i64},
        "uptime": 100_000 + 10 * turn,
    }))
}

/// A device's document after so many patches.
pub fn after(base: Object, count: usize, patch: impl Fn(usize) -> Object) -> Object {
    let mut document = base;
    // Each turn covers the leaves of the one before: the last round of them decides.
    for turn in count.saturating_sub(TURNS)..count {
        merge(&mut document, &patch(turn));
    }
    document
}

/// RFC 7396, as clients do it: null removes, objects recurse, everything else replaces.
pub fn merge(document: &mut Object, patch: &Object) {
    for (key, new) in patch {
        match (document.get_mut(key), new) {
            (_, Value::Null) => {
                document.remove(key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(old), new) => old.clone_from(new),
            (None, new) => {
                document.insert(key.clone(), new.clone());
            }
        }
    }
}

/// Whether two documents say the same: `10` is `10.0`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let found = |(key, value)| b.get(key).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(found)
        }
        (a, b) => a == b,
    }
}

/// Every device holds what its patches make of it.
pub fn check_documents(
    server: &Server,
    counts: &[usize],
    field: &str,
    base: fn(usize) -> Object,
    patch: fn(usize, usize) -> Object,
) {
    let mut con = server.connection();
    for (number, count) in counts.iter().enumerate() {
        let found = cmd!(con, "HGET", format!("device:state:{}", id(number)), field).json();
        let expected = after(base(number), *count, |turn| patch(number, turn));
        let expected = Value::Object(expected);
        assert!(
            same(&found, &expected),
            "{} after {count} patches holds\n{found}\nand not\n{expected}",
            id(number)
        );
    }
}

/// And every patch counted, changed something, and is in the history.
pub fn check_shadows(
    server: &Server,
    counts: &[usize],
    field: &str,
    base: fn(usize) -> Object,
    patch: fn(usize, usize) -> Object,
) {
    check_documents(server, counts, field, base, patch);
    // The two that gave it its documents.
    const BEFORE: usize = 2;
    let mut con = server.connection();
    for (number, count) in counts.iter().enumerate() {
        let id = id(number);
        let version = cmd!(con, "HGET", format!("device:state:{id}"), "version").int();
        assert_eq!(version as usize, BEFORE + count, "the version of {id}");
        let delta = cmd!(con, "HEXISTS", format!("device:state:{id}"), "delta").int();
        assert_eq!(delta, 1, "{id} is in sync");
        let history = cmd!(con, "XINFO STREAM", format!("device:history:{id}")).fields();
        let entries = history["entries-added"].int() as usize;
        assert_eq!(entries, BEFORE + count, "the history of {id}");
    }
}
