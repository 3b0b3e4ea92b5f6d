//! A message as the fields of an entry: `b` its body, `x` when it expires, `d` before when it is not
//! delivered, and `a:<name>` an attribute. Any program can read that with XRANGE and write it with XADD.

use crate::digits::parse_u64;

pub const BODY: &str = "b";
/// Milliseconds since the Unix epoch.
pub const EXPIRES_AT: &str = "x";
/// Milliseconds since the Unix epoch.
pub const NOT_BEFORE: &str = "d";
const ATTRIBUTE: &[u8] = b"a:";

/// The field of an attribute.
pub fn attribute_field(name: &[u8]) -> Vec<u8> {
    [ATTRIBUTE, name].concat()
}

/// What an entry says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// `None`: another program wrote an entry without `b`.
    pub body: Option<&'a [u8]>,
    /// Names and values, in the order of the entry.
    pub attributes: Vec<(&'a [u8], &'a [u8])>,
    pub expires_at: Option<u64>,
    pub not_before: Option<u64>,
}

impl<'a> Message<'a> {
    /// Reads any entry: what is not one of our fields is an attribute under its own name, and so is
    /// a second `b`, and an `x` or `d` that is no time.
    pub fn read(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Message<'a> {
        let mut message = Message::default();
        for (field, value) in fields {
            if field == BODY.as_bytes() && message.body.is_none() {
                message.body = Some(value);
                continue;
            }
            let time = match field {
                _ if field == EXPIRES_AT.as_bytes() => Some(&mut message.expires_at),
                _ if field == NOT_BEFORE.as_bytes() => Some(&mut message.not_before),
                _ => None,
            };
            if let (Some(time @ None), Some(at)) = (time, parse_u64(value)) {
                *time = Some(at);
                continue;
            }
            let name = field.strip_prefix(ATTRIBUTE).unwrap_or(field);
            message.attributes.push((name, value));
        }
        message
    }

    /// Whether it is over at `now`.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(fields: &'a [(&'a str, &'a str)]) -> Message<'a> {
        Message::read(fields.iter().map(|(f, v)| (f.as_bytes(), v.as_bytes())))
    }

    #[test]
    fn entries_of_other_programs_are_messages_too() {
        let message = read(&[("temp", "21"), ("a:unit", "C"), ("x", "soon"), ("d", "-1")]);
        assert_eq!(message.body, None);
        assert_eq!((message.expires_at, message.not_before), (None, None));
        let names: Vec<_> = message.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [&b"temp"[..], b"unit", b"x", b"d"]);

        let twice = read(&[("b", "1"), ("b", "2"), ("x", "5"), ("x", "6")]);
        assert_eq!(twice.body, Some(&b"1"[..]));
        assert_eq!(twice.expires_at, Some(5));
        assert_eq!(twice.attributes, [(&b"b"[..], &b"2"[..]), (b"x", b"6")]);
    }

    #[test]
    fn a_message_is_over_in_the_millisecond_it_expires() {
        let message = read(&[("b", ""), ("x", "100")]);
        assert!(!message.is_expired(99));
        assert!(message.is_expired(100));
        assert!(!read(&[("b", "")]).is_expired(u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            body: Vec<u8>,
            attributes: Vec<(Vec<u8>, Vec<u8>)>,
            expires_at: Option<u64>,
            not_before: Option<u64>,
        ) {
            let mut fields = vec![(BODY.as_bytes().to_vec(), body.clone())];
            for (name, time) in [(EXPIRES_AT, expires_at), (NOT_BEFORE, not_before)] {
                fields.extend(time.map(|at| (name.as_bytes().to_vec(), at.to_string().into())));
            }
            for (name, value) in &attributes {
                fields.push((attribute_field(name), value.clone()));
            }
            let message = Message::read(fields.iter().map(|(f, v)| (&f[..], &v[..])));
            prop_assert_eq!(message.body, Some(&body[..]));
            prop_assert_eq!(message.expires_at, expires_at);
            prop_assert_eq!(message.not_before, not_before);
            let expected: Vec<_> = attributes.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            prop_assert_eq!(message.attributes, expected);
        }
    }
}
