//! Merging a patch into a shadow document, by the rules of the AWS IoT Device Shadow service.
//!
//! Objects recurse; scalars, arrays and changes of type replace; `null` removes a member and leaves
//! its parent, which may become `{}`. Inside a subtree that is new, nulls are stripped, and a
//! subtree that consisted of nulls only is not created (the cloud's behaviour, which differs from
//! RFC 7396). An empty object that the client wrote is kept.

use serde_json::Value;

use crate::json::Object;

/// Merges `patch` into `document`; returns whether anything changed.
pub fn merge(document: &mut Object, patch: Object) -> bool {
    let mut changed = false;
    for (key, new) in patch {
        match (document.get_mut(&key), new) {
            (Some(_), Value::Null) => {
                document.remove(&key);
                changed = true;
            }
            (None, Value::Null) => {}
            (Some(Value::Object(old)), Value::Object(new)) => changed |= merge(old, new),
            (old, new) => {
                let Some(new) = without_nulls(new) else {
                    continue;
                };
                if old.is_none_or(|old| *old != new) {
                    document.insert(key, new);
                    changed = true;
                }
            }
        }
    }
    changed
}

/// A whole document from a patch: what [`merge`] into an empty document gives.
pub fn fresh(patch: Object) -> Object {
    let mut document = Object::new();
    merge(&mut document, patch);
    document
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
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("not an object: {other}"),
        }
    }

    fn merged(document: Value, patch: Value) -> Value {
        let mut document = object(document);
        merge(&mut document, object(patch));
        Value::Object(document)
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
    fn it_says_whether_anything_changed() {
        let mut document = object(json!({"a":{"b":1},"c":[1]}));
        assert!(!merge(
            &mut document,
            object(json!({"a":{"b":1},"c":[1],"z":null}))
        ));
        assert!(!merge(&mut document, object(json!({"a":{}}))));
        assert!(merge(&mut document, object(json!({"a":{"b":2}}))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec((0..3i64).prop_map(Value::from), 0..3)
                    .prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = Object> {
        proptest::collection::btree_map("[a-d]", any_json(), 0..4)
            .prop_map(|m| m.into_iter().collect())
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Object(o) => o.values().any(has_null),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn merging_twice_is_merging_once(document in any_object(), patch in any_object()) {
            let mut once = fresh(document);
            merge(&mut once, patch.clone());
            let mut twice = once.clone();
            prop_assert!(!merge(&mut twice, patch));
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn a_document_never_holds_null(document in any_object(), patch in any_object()) {
            let mut document = fresh(document);
            merge(&mut document, patch);
            prop_assert!(!has_null(&Value::Object(document)));
        }

        #[test]
        fn changed_means_different(document in any_object(), patch in any_object()) {
            let before = fresh(document);
            let mut after = before.clone();
            let changed = merge(&mut after, patch);
            prop_assert_eq!(changed, before != after);
        }
    }
}
