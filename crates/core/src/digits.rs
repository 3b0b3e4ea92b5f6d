//! Whole numbers as clients and stored texts write them.

/// The largest number. As texts of the same length compare as their numbers do, it tells which of
/// the longest ones fit.
const MAX: [u8; 20] = *b"18446744073709551615";

/// Digits only: no sign, no white space, no overflow.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match leading_u64(text)? {
        (value, []) => Some(value),
        _ => None,
    }
}

/// A signed number as the server writes it and as `INCR` reads it: no plus, no leading zeros.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if is_negative => None,
        [b'0', _, ..] => None,
        _ if is_negative => 0_i64.checked_sub_unsigned(parse_u64(digits)?),
        _ => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// The number that a text begins with, and what follows it; `None` when it begins with no digit, or
/// with too many.
pub fn leading_u64(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut length = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(length) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        length += 1;
    }
    let (digits, rest) = text.split_at(length);
    let fits = length < MAX.len() || (length == MAX.len() && digits <= &MAX[..]);
    (fits && length > 0).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_only() {
        assert_eq!(parse_u64(b"0"), Some(0));
        assert_eq!(parse_u64(b"007"), Some(7));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        for text in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1a",
            "1.0",
            "18446744073709551616",
            "99999999999999999999",
            "000000000000000000001",
        ] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn signed_numbers_end_at_their_bounds() {
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"0"), Some(0));
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_is_given_back() {
        assert_eq!(leading_u64(b"12,34"), Some((12, &b",34"[..])));
        assert_eq!(leading_u64(b"5"), Some((5, &b""[..])));
        assert_eq!(leading_u64(b"ms"), None);
        assert_eq!(leading_u64(b"18446744073709551616s"), None);
    }

    proptest! {
        #[test]
        fn every_number_comes_back(value in any::<u64>()) {
            prop_assert_eq!(parse_u64(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn a_signed_number_is_read_as_it_is_written(value in any::<i64>(), text in "[0-9+-]{0,21}") {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
            let expected = text.parse::<i64>().ok();
            let expected = expected.filter(|value| value.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), expected);
        }

        #[test]
        fn it_reads_what_the_standard_library_reads(text in "[0-9:/a+-]{0,22}") {
            let expected = text.parse().ok();
            let expected = expected.filter(|_| !text.starts_with('+') && text.len() <= MAX.len());
            prop_assert_eq!(parse_u64(text.as_bytes()), expected);
        }
    }
}
