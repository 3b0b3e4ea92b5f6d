//! What a simulated device reports: plausible values that change slowly.
//!
//! A value depends on seed, device and beat alone. So a device needs no memory of its values (a
//! million of them cost nothing), and a run can be repeated.

use std::f64::consts::TAU;
use std::fmt::Write;

use crate::rng::{fraction, pick};

// What a random number is drawn for. Beats count up from 0, these down from the other end.
const CLIMATE: u64 = u64::MAX - 1;
const CHARGE: u64 = u64::MAX - 2;
const RELEASE: u64 = u64::MAX - 3;
const HOME_LAT: u64 = u64::MAX - 4;
const HOME_LON: u64 = u64::MAX - 5;

/// Beats in one turn of temperature and position.
const TURN: u64 = 96;
/// Beats that cost one percent of charge.
const BEATS_PER_PERCENT: u64 = 40;
/// At this charge the battery is changed for a full one.
const EMPTY: u64 = 5;

/// Appends the reported object of `device` at its `beat`:
/// `{"temperature":21.4,"battery":97,"firmware":"1.4.2","position":{"lat":52.52011,"lon":13.40492}}`.
///
/// Degrees Celsius, percent, text, degrees (WGS 84).
pub fn write_reported(out: &mut String, seed: u64, device: u32, beat: u64) {
    let device = u64::from(device);
    let draw = |what| fraction(seed, device, what);
    let angle = (beat % TURN) as f64 / TURN as f64 * TAU + draw(CLIMATE) * TAU;

    let noise = draw(beat) * 0.6 - 0.3;
    let temperature = 14.0 + draw(CLIMATE) * 12.0 + 3.0 * angle.sin() + noise;

    let used = pick(seed, device, CHARGE) % 40 + beat / BEATS_PER_PERCENT;
    let battery = 100 - used % (100 - EMPTY);

    let firmware = match pick(seed, device, RELEASE) % 10 {
        0 => "1.3.9",
        1 => "1.5.0-rc1",
        _ => "1.4.2",
    };

    let lat = 47.5 + draw(HOME_LAT) * 6.5 + 0.002 * angle.sin();
    let lon = 6.5 + draw(HOME_LON) * 8.0 + 0.003 * angle.cos();

    // Writing to a String cannot fail.
    let _ = write!(
        out,
        r#"{{"temperature":{temperature:.1},"battery":{battery},"firmware":"{firmware}","position":{{"lat":{lat:.5},"lon":{lon:.5}}}}}"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn reported(seed: u64, device: u32, beat: u64) -> Value {
        let mut text = String::new();
        write_reported(&mut text, seed, device, beat);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn values_are_plausible() {
        for device in 0..200 {
            for beat in [0, 1, 50, 999, 1_000_000] {
                let value = reported(3, device, beat);
                let number = |pointer: &str| value.pointer(pointer).unwrap().as_f64().unwrap();
                assert!((5.0..35.0).contains(&number("/temperature")), "{value}");
                assert!((6.0..=100.0).contains(&number("/battery")), "{value}");
                assert!((47.0..54.5).contains(&number("/position/lat")), "{value}");
                assert!((6.0..15.0).contains(&number("/position/lon")), "{value}");
                assert!(value["firmware"].as_str().unwrap().starts_with("1."));
            }
        }
    }

    #[test]
    fn values_change_slowly() {
        for beat in 0..500 {
            let (a, b) = (reported(3, 9, beat), reported(3, 9, beat + 1));
            let change = a["temperature"].as_f64().unwrap() - b["temperature"].as_f64().unwrap();
            assert!(change.abs() < 1.2, "{a} {b}");
            assert_eq!(a["firmware"], b["firmware"]);
        }
        assert_ne!(reported(3, 9, 0), reported(3, 9, 10));
    }

    #[test]
    fn values_depend_on_seed_and_device() {
        assert_eq!(reported(1, 1, 1), reported(1, 1, 1));
        assert_ne!(reported(1, 1, 1), reported(2, 1, 1));
        assert_ne!(reported(1, 1, 1), reported(1, 2, 1));
    }
}
