//! JSON as devices and back ends may send it: strict, and never rounded.
//!
//! A document is one UTF-8 object. Beyond what JSON itself asks for, these are refused, each with
//! its line and column: duplicate keys (which one counts is not defined, RFC 8259 section 4),
//! numbers that would be rounded, `null` inside an array (the AWS shadow's rule: null means
//! "remove", and an array has nothing to remove it from), and documents nested too deeply.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub type Object = Map<String, Value>;

/// Why a document was refused, and where: lines and columns count from 1, columns in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    pub message: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at line {} column {}",
            self.message, self.line, self.column
        )
    }
}

impl JsonError {
    /// Whether the document was refused because it nests too deeply.
    pub fn is_depth(&self) -> bool {
        self.message.starts_with(TOO_DEEP)
    }
}

/// The text of AWS IoT's own refusal.
const TOO_DEEP: &str = "JSON contains too many levels of nesting; maximum is";

/// Parses one object, at most `max_depth` containers deep (the object itself is the first).
pub fn parse_object(text: &[u8], max_depth: usize) -> Result<Object, JsonError> {
    parse_object_around(text, max_depth, 0)
}

/// The same for an object whose documents lie `outer` containers deep in it.
pub fn parse_object_around(
    text: &[u8],
    max_depth: usize,
    outer: usize,
) -> Result<Object, JsonError> {
    match parse(text, max_depth, outer)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError {
            message: "not a JSON object".into(),
            line: 1,
            column: 1,
        }),
    }
}

/// Parses any value, at most `max_depth` containers deep.
pub fn parse_value(text: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    parse(text, max_depth, 0)
}

fn parse(text: &[u8], max_depth: usize, outer: usize) -> Result<Value, JsonError> {
    let reader = Reader {
        depth_left: max_depth + outer,
        max_depth,
        in_array: false,
        is_strict: true,
    };
    let value = read(text, reader).map_err(located)?;
    match rounded_number(text) {
        Some(at) => Err(at),
        None => Ok(value),
    }
}

/// Reads a document that this program wrote itself; `None` when it is not one JSON object.
pub fn stored_object(text: &[u8]) -> Option<Object> {
    match stored_value(text)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The same for any value. (serde_json's own reader takes an object for something else when its first
/// key is one that it keeps for itself.)
pub fn stored_value(text: &[u8]) -> Option<Value> {
    read(text, Reader::LENIENT).ok()
}

fn read(text: &[u8], reader: Reader) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = reader.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// serde_json appends the place to its message; we keep the two apart.
fn located(error: serde_json::Error) -> JsonError {
    let (line, column) = (error.line().max(1), error.column().max(1));
    let mut message = error.to_string();
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    JsonError {
        message,
        line,
        column,
    }
}

/// Builds a `Value`; a strict one refuses what the module refuses.
#[derive(Clone, Copy)]
struct Reader {
    depth_left: usize,
    max_depth: usize,
    in_array: bool,
    is_strict: bool,
}

impl Reader {
    /// Takes whatever is JSON, of two equal keys the last, as deep as serde_json goes.
    const LENIENT: Reader = Reader {
        depth_left: usize::MAX,
        max_depth: usize::MAX,
        in_array: false,
        is_strict: false,
    };

    fn inner<E: serde::de::Error>(self, in_array: bool) -> Result<Reader, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Reader {
                depth_left,
                in_array: self.in_array || in_array,
                ..self
            }),
            None => Err(E::custom(format_args!("{TOO_DEEP} {}", self.max_depth))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        if self.is_strict && self.in_array {
            return Err(E::custom("null inside an array"));
        }
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner(true)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner(false)?;
        let mut object = Object::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.is_strict && object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Finds the first number of a valid JSON text that its parsed value would not give back.
fn rounded_number(text: &[u8]) -> Option<JsonError> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = end_of_string(text, at),
            b'-' | b'0'..=b'9' => {
                let length = text[at..]
                    .iter()
                    .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                    .count();
                let token = &text[at..at + length];
                if !is_exact(token) {
                    let before = &text[..at];
                    let line_start = before
                        .iter()
                        .rposition(|b| *b == b'\n')
                        .map_or(0, |newline| newline + 1);
                    return Some(JsonError {
                        message: format!(
                            "number {} fits neither 64 bits nor a double",
                            crate::escape::Quoted(token)
                        ),
                        line: 1 + before.iter().filter(|b| **b == b'\n').count(),
                        column: at - line_start + 1,
                    });
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// The index behind the string that starts at `at`.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Whether a JSON number token keeps its exact value as i64, u64 or the nearest double.
fn is_exact(token: &[u8]) -> bool {
    let has_exponent = token.iter().any(|b| matches!(b, b'e' | b'E'));
    // 15 significant digits always survive a double (DBL_DIG).
    if token.len() <= 15 && !has_exponent {
        return true;
    }
    let Ok(text) = std::str::from_utf8(token) else {
        return false;
    };
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return true;
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => {
            let wanted = decimal(text);
            // The shortest form; and, where two are equally short, the one that was sent
            // (17 digits always identify a double).
            let digits = wanted
                .as_ref()
                .map_or(1, |(digits, _)| digits.len().clamp(1, 17));
            wanted == decimal(&format!("{value:e}"))
                || wanted == decimal(&format!("{value:.*e}", digits - 1))
        }
        _ => false,
    }
}

/// A decimal number as its significant digits and the exponent of the last of them, so that equal
/// values compare equal however they are written.
fn decimal(text: &str) -> Option<(Vec<u8>, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let fraction = mantissa
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let leading = digits.iter().take_while(|d| **d == b'0').count();
    digits.drain(..leading);
    let mut exponent = exponent.checked_sub(i64::try_from(fraction).ok()?)?;
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent = exponent.checked_add(1)?;
    }
    if digits.is_empty() {
        exponent = 0;
    }
    Some((digits, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        parse_object(text.as_bytes(), 16).unwrap_err().to_string()
    }

    fn kept(text: &str) -> String {
        Value::Object(parse_object(text.as_bytes(), 16).unwrap()).to_string()
    }

    #[test]
    fn plain_documents_are_kept() {
        let text = r#"{"a":{"b":[1,2.5,"x",true]},"c":null,"d":-9007199254740993,"e":18446744073709551615}"#;
        assert_eq!(kept(text), text);
    }

    #[test]
    fn what_is_refused_says_where() {
        assert_eq!(refused("[1]"), "not a JSON object at line 1 column 1");
        assert_eq!(
            refused("{\"a\":1,\n \"a\":2}"),
            "duplicate key \"a\" at line 2 column 4"
        );
        assert_eq!(
            refused(r#"{"a":{"b":1,"b":1}}"#),
            "duplicate key \"b\" at line 1 column 15"
        );
        assert_eq!(
            refused(r#"{"a":[1,null]}"#),
            "null inside an array at line 1 column 12"
        );
        assert_eq!(
            refused(r#"{"a":[{"b":null}]}"#),
            "null inside an array at line 1 column 15"
        );
        assert_eq!(
            refused("{"),
            "EOF while parsing an object at line 1 column 1"
        );
        assert_eq!(refused("{} {}"), "trailing characters at line 1 column 4");
        assert!(
            refused(r#"{"a":"\ud800"}"#).contains("surrogate")
                || refused(r#"{"a":"\ud800"}"#).contains("hex escape")
        );
        assert!(parse_object(b"{\"a\":\"\xff\"}", 16).is_err());
        assert!(parse_object(b"{\"a\":\"\0\"}", 16).is_err());
        assert!(parse_object(b"", 16).is_err());
    }

    #[test]
    fn depth_counts_objects_and_arrays() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(parse_object(nested(16).as_bytes(), 16).is_ok());
        assert!(refused(&nested(17))
            .starts_with("JSON contains too many levels of nesting; maximum is 16"));
        assert!(
            refused(&format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16)))
                .contains("too many levels")
        );
        assert!(parse_object(nested(100_000).as_bytes(), 16).is_err());
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        for number in [
            "18446744073709551616",
            "-9223372036854775809",
            "12345678901234567890123",
            "0.12345678901234567890123",
            "1e400",
            "9007199254740993.0",
        ] {
            let text = format!("{{\"n\":{number}}}");
            assert!(parse_object(text.as_bytes(), 16).is_err(), "{number}");
        }
        assert_eq!(
            refused("{\"a\":1,\n  \"n\": 18446744073709551616}"),
            "number '18446744073709551616' fits neither 64 bits nor a double at line 2 column 8"
        );
    }

    #[test]
    fn numbers_that_survive_are_kept() {
        for number in [
            "0",
            "-0.0",
            "1.0",
            "0.1",
            "1e20",
            "100000000000000000000",
            "1.5e-7",
            "0.000000000000000000000000000001",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "630032405918170.2",
            "-10302349113810.562",
        ] {
            let text = format!("{{\"n\":{number}}}");
            assert!(parse_object(text.as_bytes(), 16).is_ok(), "{number}");
        }
    }

    #[test]
    fn digits_inside_strings_are_not_numbers() {
        assert!(parse_object(br#"{"a\"1":"18446744073709551616 \\"}"#, 16).is_ok());
    }

    /// By serde_json's own reader, an object whose first key is this one would be what its text holds.
    #[test]
    fn no_key_has_a_meaning_of_its_own() {
        for key in ["RawValue", "Number"] {
            let text = format!(r#"{{"a":[{{"$serde_json::private::{key}":"1"}}]}}"#);
            assert_eq!(kept(&text), text);
            let stored = stored_object(text.as_bytes()).unwrap();
            assert_eq!(Value::Object(stored).to_string(), text);
        }
    }

    #[test]
    fn what_is_stored_may_be_less_strict_than_what_is_sent() {
        let stored =
            |text: &str| stored_object(text.as_bytes()).map(|o| Value::from(o).to_string());
        assert_eq!(
            stored(r#" {"a":[null,{"b":null}],"c":1,"c":2,"n":1e2} "#).as_deref(),
            Some(r#"{"a":[null,{"b":null}],"c":2,"n":100.0}"#)
        );
        for text in ["", "[]", "1", "null", "{} {}", "{\"a\"}", "{\"a\":1e999}"] {
            assert_eq!(stored(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_as_by_serde_json(bytes in "[\\{\\}\\[\\]\",:1nul .e-]{0,20}") {
            let theirs: Option<Object> = serde_json::from_str(&bytes).ok();
            prop_assert_eq!(stored_object(bytes.as_bytes()), theirs);
        }

        #[test]
        fn a_double_comes_back_as_it_was(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let object = parse_object(format!("{{\"n\":{value:e}}}").as_bytes(), 16).unwrap();
            let stored = Value::Object(object).to_string();
            let again = stored_object(stored.as_bytes()).unwrap();
            prop_assert_eq!(again["n"].as_f64().map(f64::to_bits), Some(bits));
        }

        #[test]
        fn any_double_survives(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = format!("{{\"n\":{value:e}}}");
            prop_assert!(parse_object(text.as_bytes(), 16).is_ok());
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_object(&bytes, 16);
        }
    }
}
