//! The device shadow: what a device should be (desired) against what it is (reported), by the
//! rules of the AWS IoT Device Shadow service.
//!
//! A shadow is two documents, a version that counts every accepted update, and a timestamp for each
//! leaf. Nothing here knows where they are stored. The rules and their sources are in
//! `docs/shadow.md`; where sources disagree, what was verified against the cloud wins.

pub mod delta;
pub mod document;
pub mod merge;
pub mod request;
mod scanner;
pub mod times;

#[cfg(test)]
mod testing {
    //! Documents for the tests of this module's parts.

    use proptest::prelude::*;
    use serde_json::Value;

    use super::document::Document;
    use crate::json::Object;

    pub fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("not an object: {other}"),
        }
    }

    pub fn value(document: &Document<'_>) -> Value {
        parsed(&document.text())
    }

    /// JSON text as a value; no text is an empty object.
    pub fn parsed(text: &str) -> Value {
        match text {
            "" => Value::Object(Object::new()),
            text => serde_json::from_str(text).unwrap(),
        }
    }

    /// What stored text means as a value: nulls mean nothing.
    pub fn stored(text: &str) -> Option<Object> {
        let mut object = crate::json::stored_object(text.as_bytes())?;
        drop_nulls(&mut object);
        Some(object)
    }

    fn drop_nulls(object: &mut Object) {
        object.retain(|_, value| {
            if let Value::Object(inner) = value {
                drop_nulls(inner);
            }
            !value.is_null()
        });
    }

    pub fn has_null(document: &Object) -> bool {
        document.values().any(|value| match value {
            Value::Null => true,
            Value::Object(inner) => has_null(inner),
            _ => false,
        })
    }

    /// Few keys, so that documents meet; nulls too.
    pub fn any_object() -> impl Strategy<Value = Object> {
        proptest::collection::btree_map("[a-d]", any_json(), 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from),
            (0..4i32).prop_map(|n| Value::from(f64::from(n) / 2.0)),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec((0..3i64).prop_map(Value::from), 0..3)
                    .prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
