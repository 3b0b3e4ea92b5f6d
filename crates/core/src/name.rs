//! The rule for device ids, device types, alert names and users.
//!
//! Ids become parts of key names, channel names and cluster hash tags, so the rule is strict: 1 to
//! 256 bytes of UTF-8 without white space, control characters or braces.

use std::fmt;

/// The longest name, in bytes.
pub const MAX_BYTES: usize = 256;

/// The ASCII characters that names may hold: of most names, all characters.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'{' && byte != b'}';
        byte += 1;
    }
    plain
};

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidName {
    Empty,
    TooLong,
    NotUtf8,
    WhiteSpace,
    Control,
    Brace,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidName::Empty => "it is empty",
            InvalidName::TooLong => "it is longer than 256 bytes",
            InvalidName::NotUtf8 => "it is not UTF-8",
            InvalidName::WhiteSpace => "it contains white space",
            InvalidName::Control => "it contains a control character",
            InvalidName::Brace => "it contains '{' or '}'",
        })
    }
}

/// Returns the bytes as text when they keep the rule.
pub fn check(bytes: &[u8]) -> Result<&str, InvalidName> {
    let text = std::str::from_utf8(bytes).map_err(|_| InvalidName::NotUtf8)?;
    check_text(text)
}

/// The same for what is known to be text. Part of every command, so it is compiled into its caller.
#[inline]
pub fn check_text(text: &str) -> Result<&str, InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(InvalidName::TooLong);
    }
    if text.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return Ok(text);
    }
    for c in text.chars() {
        match c {
            '{' | '}' => return Err(InvalidName::Brace),
            c if c.is_whitespace() => return Err(InvalidName::WhiteSpace),
            c if c.is_control() => return Err(InvalidName::Control),
            _ => {}
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_emoji_names_are_good() {
        for name in [
            "a",
            "sensor-1",
            "plant/7:axis.2",
            "温度計",
            "📟",
            &"x".repeat(256),
        ] {
            assert_eq!(check(name.as_bytes()), Ok(name));
        }
    }

    #[test]
    fn each_broken_name_says_why() {
        assert_eq!(check(b""), Err(InvalidName::Empty));
        assert_eq!(check(&[b'x'; 257]), Err(InvalidName::TooLong));
        assert_eq!(check(b"\xff\xfe"), Err(InvalidName::NotUtf8));
        assert_eq!(check(b"a b"), Err(InvalidName::WhiteSpace));
        assert_eq!(check("a\u{2003}b".as_bytes()), Err(InvalidName::WhiteSpace));
        assert_eq!(check(b"a\nb"), Err(InvalidName::WhiteSpace));
        assert_eq!(check(b"a\0b"), Err(InvalidName::Control));
        assert_eq!(check("a\u{85}b".as_bytes()), Err(InvalidName::WhiteSpace));
        assert_eq!(check("a\u{9f}b".as_bytes()), Err(InvalidName::Control));
        assert_eq!(check(b"{a}"), Err(InvalidName::Brace));
    }
}
