//! Merging a patch into a document of a shadow, by the rules of the AWS IoT Device Shadow service.
//!
//! Objects recurse; scalars, arrays and changes of type replace; `null` removes a member and leaves
//! its parent, which may become `{}`. Inside a subtree that is new, nulls are stripped, and a
//! subtree that consisted of nulls only is not created (the cloud's behaviour, which differs from
//! RFC 7396). An empty object that the client wrote is kept.

use std::cmp::Ordering;

use serde_json::Value;

use super::times::{Collector, Times};
use crate::json::Object;

/// What a document becomes.
#[derive(Debug)]
pub struct Merged {
    pub document: Object,
    /// When each leaf was written last; those of the patch now, changed or not.
    pub times: Times,
    /// `None`: the document is what it was.
    pub change: Option<Change>,
}

/// What changed, as two patches: merging `new` repeats the change, merging `old` takes it back.
/// A member that is not there is null.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    pub old: Object,
    pub new: Object,
}

impl Change {
    fn unless_empty(self) -> Option<Change> {
        (!self.new.is_empty()).then_some(self)
    }

    fn add(&mut self, key: &str, old: Value, new: Value) {
        self.old.insert(key.to_owned(), old);
        self.new.insert(key.to_owned(), new);
    }

    fn add_inner(&mut self, key: &str, inner: Change) {
        if let Some(Change { old, new }) = inner.unless_empty() {
            self.add(key, old.into(), new.into());
        }
    }
}

/// Merges `patch` into `document`, whose leaves have these times.
pub fn merge(document: Object, times: &Times, patch: Object, now: u64) -> Merged {
    let mut times = Collector::new(times, now);
    let mut change = Change::default();
    let document = merge_object(document, patch, &mut times, &mut change);
    Merged {
        document,
        times: times.finish(),
        change: change.unless_empty(),
    }
}

/// Puts `patch` in the place of `document`.
pub fn replace(document: &Object, patch: Object, now: u64) -> Merged {
    let Merged {
        document: new,
        times,
        ..
    } = merge(Object::new(), &Times::default(), patch, now);
    Merged {
        change: difference(document, &new),
        document: new,
        times,
    }
}

/// Both objects are sorted by key, so one walk over the two sees every member of either in the
/// order of the result, which is also the order of the times.
fn merge_object(
    document: Object,
    patch: Object,
    times: &mut Collector<'_>,
    change: &mut Change,
) -> Object {
    let mut merged = Vec::with_capacity(document.len() + patch.len());
    let mut document = document.into_iter().peekable();
    let mut patch = patch.into_iter().peekable();
    loop {
        let order = match (document.peek(), patch.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = document.next_if(|_| order.is_le());
        let new = patch.next_if(|_| order.is_ge());
        match (old, new) {
            (Some((key, old)), None) => {
                times.keep(&old);
                merged.push((key, old));
            }
            (Some((key, old)), Some((_, Value::Null))) => {
                times.drop(&old);
                change.add(&key, old, Value::Null);
            }
            (Some((key, Value::Object(old))), Some((_, Value::Object(new)))) => {
                let mut inner = Change::default();
                let both = merge_object(old, new, times, &mut inner);
                change.add_inner(&key, inner);
                merged.push((key, both.into()));
            }
            (old, Some((key, new))) => {
                let old = old.map(|(_, old)| old);
                match (old, without_nulls(new)) {
                    (None, None) => {}
                    // Only nulls, below what is no object: there is nothing to remove.
                    (Some(old), None) => {
                        times.keep(&old);
                        merged.push((key, old));
                    }
                    (old, Some(new)) => {
                        if let Some(old) = &old {
                            times.drop(old);
                        }
                        times.write(&new);
                        if old.as_ref() != Some(&new) {
                            change.add(&key, old.unwrap_or(Value::Null), new.clone());
                        }
                        merged.push((key, new));
                    }
                }
            }
            (None, None) => break,
        }
    }
    merged.into_iter().collect()
}

/// What turns one document into another; `None` when they are equal.
fn difference(old: &Object, new: &Object) -> Option<Change> {
    let mut change = Change::default();
    for (key, old) in old {
        match (old, new.get(key)) {
            (Value::Object(old), Some(Value::Object(new))) => {
                change.add_inner(key, difference(old, new).unwrap_or_default());
            }
            (old, Some(new)) if old == new => {}
            (old, new) => change.add(key, old.clone(), new.cloned().unwrap_or(Value::Null)),
        }
    }
    for (key, new) in new {
        if !old.contains_key(key) {
            change.add(key, Value::Null, new.clone());
        }
    }
    change.unless_empty()
}

/// `None` when nothing is left: a null, or an object that held only nulls.
fn without_nulls(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(object) if object.is_empty() => Some(Value::Object(object)),
        Value::Object(object) => {
            let stripped: Object = object
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_nulls(value)?)))
                .collect();
            (!stripped.is_empty()).then_some(Value::Object(stripped))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::testing::{any_object, has_null, object};
    use crate::shadow::times::leaves;
    use proptest::prelude::*;
    use serde_json::json;

    fn into(document: Object, patch: Object) -> Merged {
        merge(document, &Times::default(), patch, 1)
    }

    fn merged(document: Value, patch: Value) -> Value {
        Value::Object(into(object(document), object(patch)).document)
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
        let change = |document, patch| into(object(document), object(patch)).change;
        assert_eq!(
            change(
                json!({"a":{"b":1,"x":0},"c":[1],"d":{"e":1}}),
                json!({"a":{"b":2},"c":null,"n":{"m":null,"o":3},"d":{"e":1}}),
            ),
            Some(Change {
                old: object(json!({"a":{"b":1},"c":[1],"n":null})),
                new: object(json!({"a":{"b":2},"c":null,"n":{"o":3}})),
            })
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
            Object::new(),
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
        assert_eq!(
            Value::Object(second.times.metadata(&second.document)),
            json!({
                "a":{"timestamp":20},
                "b":{"c":{"timestamp":20},"d":{"timestamp":10},"x":{"timestamp":20}},
            })
        );
        let third = replace(&second.document, object(json!({"b":{"d":3}})), 30);
        assert_eq!(third.times.encode(), "30");
        assert_eq!(
            third.change,
            Some(Change {
                old: object(json!({"a":1,"b":{"c":5,"x":6}})),
                new: object(json!({"a":null,"b":{"c":null,"x":null}})),
            })
        );
    }

    proptest! {
        #[test]
        fn merging_twice_is_merging_once(document in any_object(), patch in any_object()) {
            let once = into(into(Object::new(), document).document, patch.clone()).document;
            let twice = into(once.clone(), patch);
            prop_assert_eq!(&once, &twice.document);
            prop_assert_eq!(twice.change, None);
        }

        #[test]
        fn a_document_never_holds_null(document in any_object(), patch in any_object()) {
            let document = into(into(Object::new(), document).document, patch).document;
            prop_assert!(!has_null(&document));
        }

        #[test]
        fn a_change_can_be_repeated_and_taken_back(
            document in any_object(),
            patch in any_object(),
            whole in any::<bool>(),
        ) {
            let before = into(Object::new(), document).document;
            let merged = if whole {
                replace(&before, patch, 1)
            } else {
                into(before.clone(), patch)
            };
            prop_assert_eq!(merged.change.is_some(), before != merged.document);
            if let Some(change) = merged.change {
                prop_assert_eq!(&into(before.clone(), change.new).document, &merged.document);
                prop_assert_eq!(into(merged.document, change.old).document, before);
            }
        }

        #[test]
        fn every_leaf_has_a_time(document in any_object(), patch in any_object()) {
            let first = merge(Object::new(), &Times::default(), document, 1);
            let second = merge(first.document, &first.times, patch, 2);
            let text = second.times.encode();
            let count = leaves(&second.document);
            prop_assert_eq!(Times::decode(text.as_bytes(), count), second.times);
        }
    }
}
