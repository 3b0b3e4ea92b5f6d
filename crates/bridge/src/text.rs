//! Text of others (servers, devices, files) made fit for one log line.

/// At most this many characters are shown.
const SHOWN: usize = 300;

/// The text on one line: letters, digits, ASCII signs and spaces as they are, everything else
/// escaped, so that no control character and no mark that reorders text reaches a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(SHOWN));
    for (shown, c) in text.chars().enumerate() {
        if shown == SHOWN {
            line.push_str("...");
            break;
        }
        if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
            line.push(c);
        } else {
            line.extend(c.escape_default());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_one_line() {
        assert_eq!(one_line("plain \u{fc}: 'x'"), "plain \u{fc}: 'x'");
        assert_eq!(
            one_line("a\r\nb\u{1b}[31m\0\u{202e}"),
            "a\\r\\nb\\u{1b}[31m\\u{0}\\u{202e}"
        );
        assert_eq!(one_line(&"x".repeat(1000)).len(), SHOWN + 3);
    }
}
