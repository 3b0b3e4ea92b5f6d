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
    let metadata: Value = serde_json::from_str(&second.times.metadata(&second.document)).unwrap();
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
