//! Topics and device ids: `<prefix>/<id>/heartbeat`, `<prefix>/<id>/reported`, `<prefix>/<id>/will`,
//! `<prefix>/<id>/get`.
//!
//! An id may hold characters that a topic level may not (`/`, `+`, `#`) or that are awkward there,
//! so it is percent-encoded (RFC 3986, section 2.1). Every byte may be encoded, none has to be that
//! MQTT allows in a level. The bridge itself encodes no more than it has to: a device hears it on the
//! topics that it would write itself. Topics of rules are in [`super::pattern`].

use devicestate_core::name::{self, InvalidName};
use percent_encoding::{percent_decode_str, percent_encode_byte};
use std::fmt;

/// What a message is about: the last level of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Heartbeat,
    Reported,
    Will,
    /// The device asks for what waits for it.
    Get,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Heartbeat, Kind::Reported, Kind::Will, Kind::Get];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Heartbeat => "heartbeat",
            Kind::Reported => "reported",
            Kind::Will => "will",
            Kind::Get => "get",
        }
    }
}

/// Why a topic does not lead to a device.
#[derive(Debug, PartialEq, Eq)]
pub enum TopicError {
    NotUtf8,
    OtherPrefix,
    Shape,
    Encoding,
    Id(InvalidName),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::NotUtf8 => f.write_str("the topic is not UTF-8"),
            TopicError::OtherPrefix => f.write_str("the topic is outside the prefix"),
            TopicError::Shape => {
                f.write_str("the topic is not <prefix>/<id>/heartbeat, reported, will or get")
            }
            TopicError::Encoding => {
                f.write_str("the id in the topic has a '%' without two hexadecimal digits")
            }
            TopicError::Id(reason) => write!(f, "invalid device id: {reason}"),
        }
    }
}

/// The topics below one prefix.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The prefix with its closing `/`.
    base: String,
}

impl Topics {
    /// `prefix` is one or more topic levels, without `/` at either end. [`check_prefix`] says
    /// whether it can be used.
    pub fn new(prefix: &str) -> Topics {
        Topics {
            base: format!("{prefix}/"),
        }
    }

    /// The filters to subscribe to: one for each kind, and one for the results of commands.
    pub fn filters(&self) -> Vec<String> {
        let kinds = Kind::ALL.iter().map(|kind| kind.name());
        kinds
            .chain(["commands/+/result"])
            .map(|rest| self.of("+", rest))
            .collect()
    }

    /// What comes after the prefix.
    pub fn below<'t>(&self, topic: &'t [u8]) -> Option<&'t str> {
        std::str::from_utf8(topic).ok()?.strip_prefix(&self.base)
    }

    /// A topic of a device, or a filter where the level of the device is `+`.
    pub fn of(&self, level: &str, rest: &str) -> String {
        format!("{}{level}/{rest}", self.base)
    }

    /// Reads the kind and the device id from a topic.
    pub fn parse(&self, topic: &[u8]) -> Result<(Kind, String), TopicError> {
        let topic = std::str::from_utf8(topic).map_err(|_| TopicError::NotUtf8)?;
        let rest = topic
            .strip_prefix(&self.base)
            .ok_or(TopicError::OtherPrefix)?;
        let (level, last) = rest.split_once('/').ok_or(TopicError::Shape)?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == last)
            .ok_or(TopicError::Shape)?;
        Ok((kind, decode_id(level)?))
    }
}

/// Decodes one topic level. A `%` that encodes nothing is refused, so that no two readings of a
/// topic exist.
pub fn decode_id(level: &str) -> Result<String, TopicError> {
    let whole = level
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    if !whole {
        return Err(TopicError::Encoding);
    }
    let bytes: Vec<u8> = percent_decode_str(level).collect();
    name::check(&bytes)
        .map(str::to_owned)
        .map_err(TopicError::Id)
}

/// One topic level from which [`decode_id`] reads the same again.
pub fn encode_id(id: &str) -> String {
    let mut level = String::with_capacity(id.len());
    for c in id.chars() {
        if is_encoded(c) {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).bytes();
            level.extend(bytes.map(percent_encode_byte));
        } else {
            level.push(c);
        }
    }
    level
}

/// What a level may not hold, what brokers may refuse in any text (MQTT 5, 1.5.4: control characters
/// and non-characters), and the sign of the encoding itself.
fn is_encoded(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    matches!(c, '/' | '+' | '#' | '%') || c.is_control() || is_noncharacter
}

/// Says why a prefix cannot be used, if so.
pub fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.is_empty() {
        return Err("is empty");
    }
    if prefix.starts_with('/') || prefix.ends_with('/') {
        return Err("begins or ends with '/'");
    }
    if prefix.contains(['+', '#']) {
        return Err("contains a wildcard ('+' or '#')");
    }
    if prefix.chars().any(char::is_control) {
        return Err("contains a control character");
    }
    if prefix.starts_with('$') {
        return Err("begins with '$', which belongs to the broker");
    }
    if prefix.len() > 1024 {
        return Err("is longer than 1024 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
    use proptest::prelude::*;

    fn parse(topic: &str) -> Result<(Kind, String), TopicError> {
        Topics::new("devices").parse(topic.as_bytes())
    }

    #[test]
    fn filters_cover_all_kinds() {
        assert_eq!(
            Topics::new("acme/site 1").filters(),
            [
                "acme/site 1/+/heartbeat",
                "acme/site 1/+/reported",
                "acme/site 1/+/will",
                "acme/site 1/+/get",
                "acme/site 1/+/commands/+/result"
            ]
        );
    }

    #[test]
    fn ids_are_decoded() {
        assert_eq!(
            parse("devices/a1/heartbeat"),
            Ok((Kind::Heartbeat, "a1".into()))
        );
        assert_eq!(
            parse("devices/plant%2F7%2Bb%23%25/reported"),
            Ok((Kind::Reported, "plant/7+b#%".into()))
        );
        assert_eq!(
            parse("devices/%C3%BC\u{fc}/will"),
            Ok((Kind::Will, "\u{fc}\u{fc}".into()))
        );
        let deep = Topics::new("a/b");
        assert_eq!(deep.parse(b"a/b/c/will"), Ok((Kind::Will, "c".to_string())));
    }

    #[test]
    fn nothing_is_encoded_that_need_not_be() {
        for (id, level) in [
            ("p\u{fc}mp", "p\u{fc}mp"),
            ("\u{1f600}", "\u{1f600}"),
            ("a:b.c-d_e~f$g?h", "a:b.c-d_e~f$g?h"),
            ("plant/7+b#%", "plant%2F7%2Bb%23%25"),
            ("a\u{85}\u{7f}", "a%C2%85%7F"),
            (
                "\u{fdd0}\u{ffff}\u{1fffe}",
                "%EF%B7%90%EF%BF%BF%F0%9F%BF%BE",
            ),
        ] {
            assert_eq!(encode_id(id), level, "{id:?}");
        }
    }

    #[test]
    fn ids_outside_the_rule_are_refused() {
        for (topic, reason) in [
            ("devices//heartbeat", InvalidName::Empty),
            ("devices/a%20b/heartbeat", InvalidName::WhiteSpace),
            ("devices/a%00/heartbeat", InvalidName::Control),
            ("devices/a%0Ab/heartbeat", InvalidName::WhiteSpace),
            ("devices/{a}/heartbeat", InvalidName::Brace),
            ("devices/%7Ba%7d/heartbeat", InvalidName::Brace),
            ("devices/%FF/heartbeat", InvalidName::NotUtf8),
        ] {
            assert_eq!(parse(topic), Err(TopicError::Id(reason)), "{topic}");
        }
        let long = format!("devices/{}/heartbeat", "x".repeat(257));
        assert_eq!(parse(&long), Err(TopicError::Id(InvalidName::TooLong)));
        let longest = format!("devices/{}/heartbeat", "%41".repeat(256));
        assert_eq!(parse(&longest), Ok((Kind::Heartbeat, "A".repeat(256))));
    }

    #[test]
    fn broken_encodings_are_refused() {
        for level in ["%", "a%", "%4", "%4g", "%%41", "%zz", "a%\u{fc}"] {
            let topic = format!("devices/{level}/heartbeat");
            assert_eq!(parse(&topic), Err(TopicError::Encoding), "{level}");
        }
    }

    #[test]
    fn other_topics_are_refused() {
        for topic in ["device/a/heartbeat", "heartbeat", "", "xdevices/a/will"] {
            assert_eq!(parse(topic), Err(TopicError::OtherPrefix), "{topic}");
        }
        for topic in [
            "devices/a",
            "devices/a/",
            "devices/a/Heartbeat",
            "devices/a/b/heartbeat",
            "devices/a/heartbeat/x",
        ] {
            assert_eq!(parse(topic), Err(TopicError::Shape), "{topic}");
        }
        let raw = Topics::new("devices").parse(b"devices/\xff/will");
        assert_eq!(raw, Err(TopicError::NotUtf8));
    }

    #[test]
    fn prefixes() {
        for good in ["devices", "a/b/c", "site 1", "\u{fc}"] {
            assert_eq!(check_prefix(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a/+", "#", "a\nb", "$share/g/devices"] {
            assert!(check_prefix(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_valid_id_survives_its_encoding(id in "[^\\s\\p{Cc}{}]{1,60}") {
            prop_assume!(name::check(id.as_bytes()).is_ok());
            let level = utf8_percent_encode(&id, NON_ALPHANUMERIC);
            let read = parse(&format!("devices/{level}/will"));
            prop_assert_eq!(read, Ok((Kind::Will, id.clone())));
            let level = encode_id(&id);
            prop_assert!(!level.contains(['/', '+', '#']));
            prop_assert_eq!(parse(&format!("devices/{level}/will")), Ok((Kind::Will, id)));
        }

        #[test]
        fn hostile_topics_never_panic(topic in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Topics::new("devices").parse(&topic);
            let mut below = b"devices/".to_vec();
            below.extend(&topic);
            let _ = Topics::new("devices").parse(&below);
        }
    }
}
