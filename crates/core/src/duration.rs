//! Durations as people write them: milliseconds, or a whole number with a unit (`250ms`, `90s`,
//! `10m`, `1h`, `7d`).

use std::fmt;

use crate::digits::leading_u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidDuration {
    NotADuration,
    TooLarge,
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidDuration::NotADuration => {
                "is not milliseconds or a whole number with a unit (ms, s, m, h, d)"
            }
            InvalidDuration::TooLarge => "is too large",
        })
    }
}

/// Parses a duration into milliseconds.
pub fn parse(text: &[u8]) -> Result<u64, InvalidDuration> {
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return Err(InvalidDuration::NotADuration);
    }
    let (value, unit) = leading_u64(text).ok_or(InvalidDuration::TooLarge)?;
    let scale = match unit {
        b"" | b"ms" => 1,
        b"s" => 1_000,
        b"m" => 60_000,
        b"h" => 3_600_000,
        b"d" => 86_400_000,
        _ => return Err(InvalidDuration::NotADuration),
    };
    // Ten thousand years: far above any limit of ours, far below where sums of times overflow.
    value
        .checked_mul(scale)
        .filter(|v| *v <= 315_360_000_000_000)
        .ok_or(InvalidDuration::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse(b"250"), Ok(250));
        assert_eq!(parse(b"250ms"), Ok(250));
        assert_eq!(parse(b"90s"), Ok(90_000));
        assert_eq!(parse(b"10m"), Ok(600_000));
        assert_eq!(parse(b"1h"), Ok(3_600_000));
        assert_eq!(parse(b"7d"), Ok(604_800_000));
        assert_eq!(parse(b"0"), Ok(0));
    }

    #[test]
    fn broken_ones_are_refused() {
        for text in [
            "", "s", "-1", "+1", "1.5s", "1 s", "1S", "1week", "0x10", "1e3", "1s1",
        ] {
            assert_eq!(
                parse(text.as_bytes()),
                Err(InvalidDuration::NotADuration),
                "{text}"
            );
        }
        assert_eq!(
            parse(b"18446744073709551616"),
            Err(InvalidDuration::TooLarge)
        );
        assert_eq!(
            parse(b"18446744073709551615d"),
            Err(InvalidDuration::TooLarge)
        );
        assert_eq!(
            parse(b"9999999999999999999"),
            Err(InvalidDuration::TooLarge)
        );
    }
}
