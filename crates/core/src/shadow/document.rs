//! A document as a tree that borrows its text.
//!
//! A change of a shadow touches a few leaves of documents that are stored as text, so they are not
//! parsed into values: a leaf stays the piece of JSON that it is in the text. Leaves are scalars and
//! arrays, whatever is no object; members are sorted by key.

use std::borrow::Cow;

use serde_json::Value;

use super::scanner;
use crate::json::{self, Object};

/// How much room a text is given at first, in bytes.
pub(super) const CAPACITY: usize = 512;

/// See the module's comment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document<'a> {
    pub(super) members: Vec<Member<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member<'a> {
    /// Without quotes and escapes.
    pub key: Cow<'a, str>,
    pub node: Node<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Object(Document<'a>),
    /// JSON text.
    Leaf(Cow<'a, str>),
}

impl<'a> Document<'a> {
    /// Reads the text of an object, which other hands may have written: nulls mean nothing, and of
    /// two equal keys the last counts. `None` when it is no JSON object.
    pub fn parse(text: &'a [u8]) -> Option<Document<'a>> {
        scanner::scan(std::str::from_utf8(text).ok()?)
    }

    /// The same tree of a parsed object.
    pub fn of(object: &'a Object) -> Document<'a> {
        let members = object.iter().map(|(key, value)| Member {
            key: Cow::Borrowed(key),
            node: Node::of(value),
        });
        Document {
            members: members.collect(),
        }
    }

    /// Whether the object in a text has a member that `other` has too, without reading more of the
    /// text than it takes; `None` where it turns out to be no JSON object.
    pub fn shares_a_member(text: &[u8], other: &Object) -> Option<bool> {
        scanner::shares_a_member(std::str::from_utf8(text).ok()?, other)
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many leaves there are.
    pub fn leaves(&self) -> usize {
        self.members.iter().map(|member| member.node.leaves()).sum()
    }

    /// As compact JSON.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(CAPACITY);
        self.write(&mut text);
        text
    }

    pub(super) fn write(&self, text: &mut String) {
        text.push('{');
        for member in &self.members {
            write_key(text, &member.key);
            member.node.write(text);
        }
        text.push('}');
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let found = self.members.binary_search_by(|m| m.key.as_ref().cmp(key));
        found.ok().map(|index| &self.members[index].node)
    }
}

impl<'a> Node<'a> {
    fn of(value: &'a Value) -> Node<'a> {
        match value {
            Value::Object(object) => Node::Object(Document::of(object)),
            leaf => Node::leaf(leaf),
        }
    }

    /// A value that is no object.
    pub fn leaf(value: &Value) -> Node<'a> {
        // Any value can be written as JSON.
        let text = serde_json::to_string(value).unwrap_or_default();
        Node::Leaf(Cow::Owned(text))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Node::Leaf(leaf) if leaf == "null")
    }

    pub fn leaves(&self) -> usize {
        match self {
            Node::Object(inner) => inner.leaves(),
            Node::Leaf(_) => 1,
        }
    }

    pub fn write(&self, text: &mut String) {
        match self {
            Node::Object(inner) => inner.write(text),
            Node::Leaf(leaf) => text.push_str(leaf),
        }
    }

    /// Equal as JSON, numbers by the way they are written.
    pub fn is_same(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Node::Leaf(a), Node::Leaf(b)) => {
                a == b
                    || (may_be_spelled_otherwise(a, b)
                        && parse_leaf(a).is_some_and(|a| Some(a) == parse_leaf(b)))
            }
            (Node::Object(a), Node::Object(b)) => {
                a.members.len() == b.members.len()
                    && a.members
                        .iter()
                        .zip(&b.members)
                        .all(|(a, b)| a.key == b.key && a.node.is_same(&b.node))
            }
            _ => false,
        }
    }
}

/// Whether two leaves of different text may have the same value: only what has more than one
/// spelling needs to be parsed.
pub(super) fn may_be_spelled_otherwise(a: &str, b: &str) -> bool {
    let has = |bytes: &[u8]| {
        let found = |text: &str| text.bytes().any(|byte| bytes.contains(&byte));
        found(a) || found(b)
    };
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(b'"'), Some(b'"')) => has(b"\\"),
        (Some(b'['), Some(b'[')) => true,
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => has(b".eE") || has(b"-"),
        _ => false,
    }
}

pub(super) fn parse_leaf(text: &str) -> Option<Value> {
    json::stored_value(text.as_bytes())
}

/// Begins a member: a comma unless it is the first of its object, the key, a colon.
pub(super) fn write_key(text: &mut String, key: &str) {
    if !text.ends_with('{') {
        text.push(',');
    }
    write_string(text, key);
    text.push(':');
}

/// The bytes that do not stand for themselves in a JSON string.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        escaped[control] = true;
        control += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

/// How many bytes from the start stand for themselves in a JSON string. Documents consist of strings
/// mostly, so this looks at eight bytes at a time, by the known trick: a byte below `n` borrows from
/// its highest bit when `n` is subtracted from each, and a byte that equals another is zero, which is
/// below one, when both are xored. Only bytes behind the first hit may be hit wrongly.
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = EACH << 7;
    let below = |word: u64, n: u8| word.wrapping_sub(EACH * u64::from(n)) & !word & HIGHEST;
    let equals = |word: u64, byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = below(word, 0x20) | equals(word, b'"') | equals(word, b'\\');
        if hits != 0 {
            return index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !ESCAPED[usize::from(**byte)]);
    words.len() * 8 + plain.count()
}

/// Writes a JSON string.
pub fn write_string(text: &mut String, value: &str) {
    if plain_prefix(value.as_bytes()) < value.len() {
        // Text always can be written as JSON.
        text.push_str(&serde_json::to_string(value).unwrap_or_default());
    } else {
        text.push('"');
        text.push_str(value);
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::testing::{any_object, stored as stored_value};
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use std::collections::BTreeMap;

    fn rewritten(text: &str) -> Option<String> {
        Document::parse(text.as_bytes()).map(|document| document.text())
    }

    #[test]
    fn a_document_comes_back_as_it_was() {
        for text in [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":{"b":{"c":-1.5e3},"d":{}},"e":[1,"]",{"f":[null]}],"g":"\"}\\"}"#,
            r#"{"\"":true,"a\nb":false,"ä":"ö","📟":{"x":"\u0001"}}"#,
        ] {
            assert_eq!(rewritten(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_hands_write_otherwise() {
        assert_eq!(
            rewritten(" { \"b\" : 1 , \"a\" :{ } ,\n\"c\": null, \"b\":\t[1, 2] , \"\\u0064\":3} ")
                .as_deref(),
            Some(r#"{"a":{},"b":[1, 2],"d":3}"#)
        );
        for text in [
            "",
            "1",
            "[]",
            "\"x\"",
            "null",
            "{",
            "{}}",
            "{\"a\":}",
            "{\"a\":1,}",
            "\0",
        ] {
            assert_eq!(rewritten(text), None, "{text}");
        }
        assert_eq!(Document::parse(b"{\"a\":\"\xff\"}"), None);
    }

    #[test]
    fn a_text_that_nests_without_end_is_no_document() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(rewritten(&nested(100)).is_some());
        assert_eq!(rewritten(&nested(1_000_000)), None);
        let array = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(rewritten(&array), None);
    }

    proptest! {
        #[test]
        fn bytes_that_stand_for_themselves_are_counted(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'a'), Just(b'"'), Just(b'\\'), 0x1eu8..0x24, 0x7eu8..0x83],
            0..40,
        )) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte));
            prop_assert_eq!(plain_prefix(&bytes), expected.unwrap_or(bytes.len()));
        }

        #[test]
        fn text_and_values_give_the_same_tree(object in any_object()) {
            let stored = Value::Object(object.clone()).to_string();
            let tree = Document::parse(stored.as_bytes()).unwrap();
            let without_nulls = stored_value(&stored).unwrap();
            prop_assert_eq!(&tree, &Document::of(&without_nulls));
            prop_assert_eq!(tree.text(), Value::Object(without_nulls).to_string());
        }

        #[test]
        fn shared_members_are_seen_without_reading_what_they_hold(
            object in any_object(), other in any_object(),
        ) {
            let text = Value::Object(object.clone()).to_string();
            for text in [text.clone(), text.replace(',', " ,\n").replace('{', "{ ")] {
                let read: Object = serde_json::from_str(&text).unwrap();
                let expected = read.keys().any(|key| other.contains_key(key));
                prop_assert_eq!(Document::shares_a_member(text.as_bytes(), &other), Some(expected));
            }
            prop_assert_eq!(Document::shares_a_member(text.as_bytes(), &Object::new()), Some(false));
        }

        /// By serde_json's judgement.
        #[test]
        fn what_is_nearly_json_is_refused(
            object in any_object(),
            at in any::<proptest::sample::Index>(),
            other in "[\\{\\}\\[\\]\",:\\\\a1nul \t.eE+0\n-]{0,3}",
        ) {
            let mut text: Vec<char> = Value::Object(object).to_string().chars().collect();
            let at = at.index(text.len());
            text.splice(at..=at, other.chars());
            let text = String::from_iter(text);
            let is_json = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&text).is_ok();
            prop_assert_eq!(Document::parse(text.as_bytes()).is_some(), is_json, "{}", text);
        }

        #[test]
        fn any_text_is_safe(text in "[\\{\\}\\[\\]\",:\\\\a1nul \\t]{0,30}") {
            let expected = stored_value(&text);
            let read = rewritten(&text).map(|text| stored_value(&text));
            prop_assert_eq!(read, expected.map(Some));
        }
    }
}
