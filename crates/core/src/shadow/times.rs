//! When each leaf of a document was written last.
//!
//! A leaf is whatever is no object: a scalar or an array. The times of a document are a list in
//! the order of its leaves (objects are sorted by key, so that order is fixed), stored as runs: the
//! first time in full, every other as its difference from the one before, and how often it repeats:
//! `1795254682221*3 -35 +35*2`.

use serde_json::{json, Value};

use super::document::{parse_leaf, write_key, Document, Node, CAPACITY};
use crate::json::Object;

/// The time of a leaf of which none is known.
const UNKNOWN: u64 = 0;

/// One time per leaf, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Times(Vec<u64>);

impl Times {
    /// The stored times of a document with this many leaves. Whatever else stands there (other hands
    /// changed the document, or no times were kept) makes all of them unknown.
    pub fn decode(text: &[u8], leaves: usize) -> Times {
        let decoded = std::str::from_utf8(text)
            .ok()
            .and_then(|text| Times::decode_runs(text, leaves));
        Times(decoded.unwrap_or_else(|| vec![UNKNOWN; leaves]))
    }

    fn decode_runs(text: &str, leaves: usize) -> Option<Vec<u64>> {
        let mut times = Vec::with_capacity(leaves);
        let mut last = 0u64;
        for run in text.split_ascii_whitespace() {
            let (step, count) = match run.split_once('*') {
                Some((step, count)) => (step, count.parse().ok()?),
                None => (run, 1),
            };
            last = last.checked_add_signed(step.parse().ok()?)?;
            if count > leaves - times.len() {
                return None;
            }
            times.resize(times.len() + count, last);
        }
        (times.len() == leaves).then_some(times)
    }

    /// See the module's comment; empty for a document without leaves.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(CAPACITY);
        let mut digits = itoa::Buffer::new();
        let mut last: Option<u64> = None;
        for run in self.0.chunk_by(|a, b| a == b) {
            let time = run[0];
            if let Some(last) = last {
                text.push_str(if time < last { " -" } else { " +" });
            }
            text.push_str(digits.format(last.map_or(time, |last| time.abs_diff(last))));
            if run.len() > 1 {
                text.push('*');
                text.push_str(digits.format(run.len()));
            }
            last = Some(time);
        }
        text
    }

    /// The time of every leaf of `document`, in its shape, as JSON: `{"timestamp":ms}` for a scalar,
    /// an array of them for an array.
    pub fn metadata(&self, document: &Document<'_>) -> String {
        let mut times = self.0.iter().copied();
        metadata_of(document, &mut || times.next().unwrap_or(UNKNOWN))
    }
}

/// The metadata of a patch whose leaves, nulls included, are all written at `now`.
pub fn metadata_at(patch: &Object, now: u64) -> String {
    metadata_of(&Document::of(patch), &mut || now)
}

fn metadata_of(document: &Document<'_>, next: &mut impl FnMut() -> u64) -> String {
    let mut text = String::new();
    write_metadata(&mut text, document, next);
    text
}

fn write_metadata(text: &mut String, document: &Document<'_>, next: &mut impl FnMut() -> u64) {
    text.push('{');
    for member in &document.members {
        write_key(text, &member.key);
        match &member.node {
            Node::Object(inner) => write_metadata(text, inner, next),
            Node::Leaf(leaf) if leaf.starts_with('[') => {
                let shape = parse_leaf(leaf).unwrap_or_default();
                text.push_str(&in_shape(&shape, next()).to_string());
            }
            Node::Leaf(_) => text.push_str(&in_shape(&Value::Null, next()).to_string()),
        }
    }
    text.push('}');
}

/// One time in the shape of an array; of objects in it too.
fn in_shape(shape: &Value, time: u64) -> Value {
    match shape {
        Value::Array(items) => items.iter().map(|item| in_shape(item, time)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), in_shape(value, time)))
            .collect(),
        _ => json!({ "timestamp": time }),
    }
}

/// Walks the old times beside an old document, and collects the times of the new one.
pub(super) struct Collector<'a> {
    old: std::slice::Iter<'a, u64>,
    now: u64,
    new: Vec<u64>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(old: &'a Times, now: u64) -> Collector<'a> {
        Collector {
            old: old.0.iter(),
            now,
            new: Vec::with_capacity(old.0.len() + 8),
        }
    }

    /// These leaves stay as they were.
    pub(super) fn keep(&mut self, node: &Node<'_>) {
        for _ in 0..node.leaves() {
            self.new.push(self.old.next().copied().unwrap_or(UNKNOWN));
        }
    }

    /// These leaves are gone.
    pub(super) fn drop(&mut self, node: &Node<'_>) {
        for _ in 0..node.leaves() {
            self.old.next();
        }
    }

    /// These leaves are written now.
    pub(super) fn write(&mut self, node: &Node<'_>) {
        self.new.resize(self.new.len() + node.leaves(), self.now);
    }

    pub(super) fn finish(self) -> Times {
        Times(self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::testing::{any_object, object};
    use proptest::prelude::*;

    fn times(list: &[u64]) -> Times {
        Times(list.to_vec())
    }

    #[test]
    fn times_are_stored_as_runs() {
        let list = times(&[1_000, 1_000, 1_000, 965, 1_000, 1_000]);
        assert_eq!(list.encode(), "1000*3 -35 +35*2");
        assert_eq!(Times::decode(b"1000*3 -35 +35*2", 6), list);
        assert_eq!(times(&[]).encode(), "");
        assert_eq!(Times::decode(b"", 0), times(&[]));
    }

    #[test]
    fn what_does_not_fit_the_document_is_unknown() {
        for text in [
            "",
            "7",
            "7*3",
            "7*1",
            "x",
            "7*x",
            "7 -8",
            "7*99999999999999999999",
            "-1*2",
            "7*",
            "*2",
            "18446744073709551616*2",
            "\u{1f4df}",
        ] {
            assert_eq!(Times::decode(text.as_bytes(), 2), times(&[0, 0]), "{text}");
        }
        assert_eq!(Times::decode(b"\xff", 1), times(&[0]));
    }

    /// AWS developer guide, "Device Shadow service documents": metadata has the shape of the
    /// document, with an array for an array.
    #[test]
    fn metadata_has_the_shape_of_the_document() {
        let object = object(json!({"a":{"b":1,"e":{}},"c":[1,[2],{"d":3}],"f":"x"}));
        let document = Document::of(&object);
        assert_eq!(document.leaves(), 3);
        let metadata = times(&[10, 20, 30]).metadata(&document);
        assert_eq!(
            serde_json::from_str::<Value>(&metadata).unwrap(),
            json!({
                "a":{"b":{"timestamp":10},"e":{}},
                "c":[{"timestamp":20},[{"timestamp":20}],{"d":{"timestamp":20}}],
                "f":{"timestamp":30},
            })
        );
    }

    proptest! {
        #[test]
        fn any_times_survive(list in proptest::collection::vec(any::<u64>(), 0..40)) {
            // Steps between extremes fit no i64; real clocks never make them.
            let list: Vec<u64> = list.into_iter().map(|time| time >> 2).collect();
            let times = Times(list.clone());
            prop_assert_eq!(Times::decode(times.encode().as_bytes(), list.len()), times);
        }

        #[test]
        fn any_text_is_safe(text in ".{0,40}", leaves in 0..10usize) {
            prop_assert_eq!(Times::decode(text.as_bytes(), leaves).0.len(), leaves);
        }

        #[test]
        fn metadata_tells_every_leaf(object in any_object()) {
            let document = Document::of(&object);
            let times = Times(vec![7; document.leaves()]);
            prop_assert_eq!(times.metadata(&document), metadata_at(&object, 7));
        }
    }
}
