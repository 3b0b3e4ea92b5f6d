//! What the plain recipe wrote: device hashes made by hand, with times in float seconds.

use crate::digits::parse_u64;

/// A point in time as whole milliseconds since the Unix epoch, from either form: the recipe's
/// seconds (with a dot, or below 1e11) or milliseconds. `None` when it is no time at all.
pub fn time_ms(text: &[u8]) -> Option<u64> {
    const SECONDS_BELOW: u64 = 100_000_000_000;
    let whole = |number| match number {
        n if n < SECONDS_BELOW => n * 1_000,
        n => n,
    };
    if let Some(number) = parse_u64(text) {
        return Some(whole(number));
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(number) = text.parse() {
        // With a plus.
        return Some(whole(number));
    }
    let seconds: f64 = text.parse().ok()?;
    let ms = seconds * 1_000.0;
    (ms.is_finite() && (0.0..=9.0e15).contains(&ms)).then_some(ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(time_ms(b"1700000000.123456"), Some(1_700_000_000_123));
        assert_eq!(time_ms(b"1700000000"), Some(1_700_000_000_000));
        assert_eq!(time_ms(b"1700000000123"), Some(1_700_000_000_123));
        assert_eq!(time_ms(b"0"), Some(0));
        assert_eq!(time_ms(b"0.0"), Some(0));
        assert_eq!(time_ms(b"1.7e9"), Some(1_700_000_000_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "", "now", "-1", "-5.5", "nan", "inf", "1e300", "12:00", "\u{661}",
        ] {
            assert_eq!(time_ms(text.as_bytes()), None, "{text}");
        }
    }
}
