//! Merging a patch into a document of a shadow, by the rules of the AWS IoT Device Shadow service.
//!
//! Objects recurse; scalars, arrays and changes of type replace; `null` removes a member and leaves
//! its parent, which may become `{}`. Inside a subtree that is new, nulls are stripped, and a
//! subtree that consisted of nulls only is not created (the cloud's behaviour, which differs from
//! RFC 7396). An empty object that the client wrote is kept.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::document::{write_key, Document, Member, Node};
use super::times::{Collector, Times};
use crate::json::Object;

/// What a document becomes.
#[derive(Debug)]
pub struct Merged<'a> {
    pub document: Document<'a>,
    /// When each leaf was written last; those of the patch now, changed or not.
    pub times: Times,
    /// `None`: the document is what it was.
    pub change: Option<Change>,
}

/// What changed, as the JSON text of two patches: merging `new` repeats the change, merging `old`
/// takes it back. A member that is not there is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub old: String,
    pub new: String,
}

/// Merges `patch` into `document`, whose leaves have these times.
pub fn merge<'a>(document: Document<'a>, times: &Times, patch: Object, now: u64) -> Merged<'a> {
    let mut merging = Merging {
        times: Collector::new(times, now),
        change: ChangeWriter::new(),
    };
    let document = merging.object(document, patch);
    Merged {
        document,
        times: merging.times.finish(),
        change: merging.change.finish(),
    }
}

/// Puts `patch` in the place of `document`.
pub fn replace<'a>(document: &Document<'_>, patch: Object, now: u64) -> Merged<'a> {
    let Merged {
        document: new,
        times,
        ..
    } = merge(Document::default(), &Times::default(), patch, now);
    let mut change = ChangeWriter::new();
    difference(document, &new, &mut change);
    Merged {
        document: new,
        times,
        change: change.finish(),
    }
}

struct Merging<'t> {
    times: Collector<'t>,
    change: ChangeWriter,
}

impl Merging<'_> {
    /// Both objects are sorted by key, so one walk over the two sees every member of either in the
    /// order of the result, which is also the order of the times.
    fn object<'a>(&mut self, document: Document<'a>, patch: Object) -> Document<'a> {
        let mut members = Vec::with_capacity(document.members.len() + patch.len());
        let mut document = document.members.into_iter().peekable();
        let mut patch = patch.into_iter().peekable();
        loop {
            let order = match (document.peek(), patch.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some((new, _))) => old.key.as_ref().cmp(new),
            };
            let old = document.next_if(|_| order.is_le());
            match (old, patch.next_if(|_| order.is_ge())) {
                (Some(old), None) => {
                    self.times.keep(&old.node);
                    members.push(old);
                }
                (Some(old), Some((_, new))) => members.extend(self.member(old, new)),
                (None, Some((key, new))) => {
                    if let Some(node) = without_nulls(new) {
                        self.times.write(&node);
                        self.change.add(&key, None, Some(&node));
                        let key = Cow::Owned(key);
                        members.push(Member { key, node });
                    }
                }
                (None, None) => break,
            }
        }
        Document { members }
    }

    /// A member of both.
    fn member<'a>(&mut self, old: Member<'a>, new: Value) -> Option<Member<'a>> {
        let Member { key, node } = old;
        let node = match (node, new) {
            (node, Value::Null) => {
                self.times.drop(&node);
                self.change.add(&key, Some(&node), None);
                return None;
            }
            (Node::Object(old), Value::Object(new)) => {
                let before = self.change.enter(&key);
                let both = self.object(old, new);
                self.change.leave(before);
                Node::Object(both)
            }
            (node, new) => match without_nulls(new) {
                // Only nulls, below what is no object: there is nothing to remove.
                None => {
                    self.times.keep(&node);
                    node
                }
                Some(new) => {
                    self.times.drop(&node);
                    self.times.write(&new);
                    if !node.is_same(&new) {
                        self.change.add(&key, Some(&node), Some(&new));
                    }
                    new
                }
            },
        };
        Some(Member { key, node })
    }
}

/// `None` when nothing is left: a null, or an object that held only nulls.
fn without_nulls<'a>(value: Value) -> Option<Node<'a>> {
    match value {
        Value::Null => None,
        Value::Object(object) if object.is_empty() => Some(Node::Object(Document::default())),
        Value::Object(object) => {
            let members: Vec<Member<'_>> = object
                .into_iter()
                .filter_map(|(key, value)| {
                    let node = without_nulls(value)?;
                    let key = Cow::Owned(key);
                    Some(Member { key, node })
                })
                .collect();
            (!members.is_empty()).then_some(Node::Object(Document { members }))
        }
        leaf => Some(Node::Leaf(Cow::Owned(leaf.to_string()))),
    }
}

/// What turns one document into another.
fn difference(old: &Document<'_>, new: &Document<'_>, change: &mut ChangeWriter) {
    for Member { key, node } in &old.members {
        match (node, new.get(key)) {
            (Node::Object(old), Some(Node::Object(new))) => {
                let before = change.enter(key);
                difference(old, new, change);
                change.leave(before);
            }
            (old, Some(new)) if old.is_same(new) => {}
            (old, new) => change.add(key, Some(old), new),
        }
    }
    for Member { key, node } in &new.members {
        if old.get(key).is_none() {
            change.add(key, None, Some(node));
        }
    }
}

/// Writes the two patches of a [`Change`] side by side.
struct ChangeWriter {
    old: String,
    new: String,
}

/// Where an object began, so that it can be taken back if nothing comes into it.
struct Mark {
    old: usize,
    new: usize,
    empty: usize,
}

impl ChangeWriter {
    fn new() -> ChangeWriter {
        ChangeWriter {
            old: "{".to_owned(),
            new: "{".to_owned(),
        }
    }

    fn add(&mut self, key: &str, old: Option<&Node<'_>>, new: Option<&Node<'_>>) {
        for (text, node) in [(&mut self.old, old), (&mut self.new, new)] {
            write_key(text, key);
            match node {
                Some(node) => node.write(text),
                None => text.push_str("null"),
            }
        }
    }

    fn enter(&mut self, key: &str) -> Mark {
        let (old, new) = (self.old.len(), self.new.len());
        for text in [&mut self.old, &mut self.new] {
            write_key(text, key);
            text.push('{');
        }
        Mark {
            old,
            new,
            empty: self.new.len(),
        }
    }

    fn leave(&mut self, mark: Mark) {
        if self.new.len() == mark.empty {
            self.old.truncate(mark.old);
            self.new.truncate(mark.new);
        } else {
            self.old.push('}');
            self.new.push('}');
        }
    }

    fn finish(mut self) -> Option<Change> {
        if self.new.len() == 1 {
            return None;
        }
        self.old.push('}');
        self.new.push('}');
        Some(Change {
            old: self.old,
            new: self.new,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::testing::{any_object, has_null, object, value};
    use proptest::prelude::*;
    use serde_json::json;

    /// The document of a patch by itself.
    fn fresh(patch: Object) -> Document<'static> {
        merge(Document::default(), &Times::default(), patch, 1).document
    }

    fn into(document: &Document<'static>, patch: Object) -> Merged<'static> {
        merge(document.clone(), &Times::default(), patch, 1)
    }

    fn merged(document: Value, patch: Value) -> Value {
        value(&into(&fresh(object(document)), object(patch)).document)
    }

    fn told(change: Option<Change>) -> Option<(Value, Value)> {
        let parse = |text: &str| serde_json::from_str(text).unwrap();
        change.map(|change| (parse(&change.old), parse(&change.new)))
    }

    /// M1, AWS Greengrass shadow manager, JsonMergerTest.
    #[test]
    fn m1_new_subtrees_of_nulls_are_not_created() {
        assert_eq!(
            merged(
                json!({"id":100,"K":"V","O":{"foo":"bar"}}),
                json!({"NewKey":true,"NewNullParent":{"n1":null,"n2":{"n3":null}},"L1":{"L2":{"L3":"v"}}}),
            ),
            json!({"id":100,"K":"V","O":{"foo":"bar"},"NewKey":true,"L1":{"L2":{"L3":"v"}}}),
        );
    }

    /// M3, AWS developer guide: arrays are replaced whole.
    #[test]
    fn m3_arrays_are_atomic() {
        assert_eq!(
            merged(json!({"c":["R","G","B"]}), json!({"c":["R"]})),
            json!({"c":["R"]})
        );
    }

    /// M9, moto test_iotdata (verified against the cloud).
    #[test]
    fn m9_null_on_an_empty_document() {
        assert_eq!(merged(json!({}), json!({"online":null})), json!({}));
    }

    /// M12, RFC 7396 section 3.
    #[test]
    fn m12_rfc_7396_example() {
        assert_eq!(
            merged(
                json!({"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},
                       "tags":["example","sample"],"content":"x"}),
                json!({"title":"Hello!","phoneNumber":"p","author":{"familyName":null},"tags":["example"]}),
            ),
            json!({"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"x",
                   "phoneNumber":"p"}),
        );
    }

    /// Greengrass JsonMergerTest: the parent of a removed member stays.
    #[test]
    fn removing_the_last_member_leaves_an_empty_object() {
        assert_eq!(
            merged(json!({"a":{"foo":1}}), json!({"a":{"foo":null}})),
            json!({"a":{}})
        );
    }

    /// S18, moto test_update_desired: the cloud keeps empty objects.
    #[test]
    fn empty_objects_are_values() {
        assert_eq!(
            merged(json!({"a":1,"b":{"c":3}}), json!({"b":{"c":{}},"d":{}})),
            json!({"a":1,"b":{"c":{}},"d":{}}),
        );
    }

    #[test]
    fn nulls_below_a_scalar_change_nothing() {
        assert_eq!(
            merged(json!({"a":5}), json!({"a":{"b":null}})),
            json!({"a":5})
        );
    }

    #[test]
    fn a_change_is_told_as_two_patches() {
        let change = |document, patch| told(into(&fresh(object(document)), object(patch)).change);
        assert_eq!(
            change(
                json!({"a":{"b":1,"x":0},"c":[1],"d":{"e":1}}),
                json!({"a":{"b":2},"c":null,"n":{"m":null,"o":3},"d":{"e":1}}),
            ),
            Some((
                json!({"a":{"b":1},"c":[1],"n":null}),
                json!({"a":{"b":2},"c":null,"n":{"o":3}}),
            ))
        );
        let same = json!({"a":{"b":1},"c":[1]});
        for nothing in [
            json!({}),
            json!({"a":{}}),
            json!({"c":[1],"z":null}),
            same.clone(),
        ] {
            assert_eq!(change(same.clone(), nothing), None);
        }
    }

    #[test]
    fn leaves_of_the_patch_are_as_old_as_it_changed_or_not() {
        let first = merge(
            Document::default(),
            &Times::default(),
            object(json!({"a":1,"b":{"c":2,"d":3},"e":[1]})),
            10,
        );
        let second = merge(
            first.document,
            &first.times,
            object(json!({"a":1,"b":{"c":5,"x":6},"e":null})),
            20,
        );
        let metadata: Value =
            serde_json::from_str(&second.times.metadata(&second.document)).unwrap();
        assert_eq!(
            metadata,
            json!({
                "a":{"timestamp":20},
                "b":{"c":{"timestamp":20},"d":{"timestamp":10},"x":{"timestamp":20}},
            })
        );
        let third = replace(&second.document, object(json!({"b":{"d":3}})), 30);
        assert_eq!(third.times.encode(), "30");
        assert_eq!(
            told(third.change),
            Some((
                json!({"a":1,"b":{"c":5,"x":6}}),
                json!({"a":null,"b":{"c":null,"x":null}}),
            ))
        );
    }

    /// The rules in their plainest form, on values.
    fn model(document: &mut Object, patch: Object) {
        for (key, new) in patch {
            match (document.get_mut(&key), new) {
                (_, Value::Null) => {
                    document.remove(&key);
                }
                (Some(Value::Object(old)), Value::Object(new)) => model(old, new),
                (_, Value::Object(new)) => {
                    let (mut inner, was_empty) = (Object::new(), new.is_empty());
                    model(&mut inner, new);
                    if was_empty || !inner.is_empty() {
                        document.insert(key, inner.into());
                    }
                }
                (_, new) => {
                    document.insert(key, new);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_model(document in any_object(), patch in any_object()) {
            let mut expected = Object::new();
            model(&mut expected, document.clone());
            model(&mut expected, patch.clone());
            prop_assert_eq!(value(&into(&fresh(document), patch).document), Value::Object(expected));
        }

        #[test]
        fn merging_twice_is_merging_once(document in any_object(), patch in any_object()) {
            let once = into(&fresh(document), patch.clone()).document;
            let twice = into(&once, patch);
            prop_assert_eq!(&once, &twice.document);
            prop_assert_eq!(twice.change, None);
        }

        #[test]
        fn a_document_never_holds_null(document in any_object(), patch in any_object()) {
            let document = into(&fresh(document), patch).document;
            prop_assert!(!has_null(&object(value(&document))));
        }

        #[test]
        fn a_change_can_be_repeated_and_taken_back(
            document in any_object(),
            patch in any_object(),
            whole in any::<bool>(),
        ) {
            let before = fresh(document);
            let merged = if whole {
                replace(&before, patch, 1)
            } else {
                into(&before, patch)
            };
            prop_assert_eq!(merged.change.is_some(), before != merged.document);
            if let Some((old, new)) = told(merged.change) {
                prop_assert_eq!(&into(&before, object(new)).document, &merged.document);
                prop_assert_eq!(&into(&merged.document, object(old)).document, &before);
            }
        }

        #[test]
        fn every_leaf_has_a_time(document in any_object(), patch in any_object()) {
            let first = merge(Document::default(), &Times::default(), document, 1);
            let second = merge(first.document, &first.times, patch, 2);
            let text = second.times.encode();
            let count = second.document.leaves();
            prop_assert_eq!(Times::decode(text.as_bytes(), count), second.times);
        }
    }
}
