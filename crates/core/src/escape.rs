//! Client bytes made safe to show in an error reply or a log line.

use std::fmt;

/// At most this many characters of a value are shown.
const SHOWN: usize = 64;

/// Shows bytes in single quotes: printable UTF-8 as it is, everything else as `\xHH` or `\u{H}`,
/// long values cut with `...`. The result is one line of valid UTF-8, whatever the bytes are.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        let mut shown = 0;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if shown == SHOWN {
                    return f.write_str("...'");
                }
                shown += 1;
                match c {
                    '\'' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() || is_invisible(c) => write!(f, "{}", c.escape_default())?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                if shown == SHOWN {
                    return f.write_str("...'");
                }
                shown += 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("'")
    }
}

/// Line and paragraph separators and the marks that reorder text: they could make one log line
/// look like two, or like another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        Quoted(bytes).to_string()
    }

    #[test]
    fn printable_text_is_kept() {
        assert_eq!(quoted("dev-📟".as_bytes()), "'dev-📟'");
        assert_eq!(quoted(b"%n%s"), "'%n%s'");
    }

    #[test]
    fn everything_else_is_escaped() {
        assert_eq!(quoted(b"a\r\n\0b"), "'a\\r\\n\\u{0}b'");
        assert_eq!(quoted(b"\xffok\xc3"), "'\\xffok\\xc3'");
        assert_eq!(quoted("\u{202e}abc".as_bytes()), "'\\u{202e}abc'");
        assert_eq!(quoted(b"it's"), "'it\\'s'");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(quoted(&[b'x'; 64]), format!("'{}'", "x".repeat(64)));
        assert_eq!(quoted(&[b'x'; 65]), format!("'{}...'", "x".repeat(64)));
        assert_eq!(quoted(&[0xff; 300]), format!("'{}...'", "\\xff".repeat(64)));
    }
}
