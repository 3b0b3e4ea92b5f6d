//! A shadow in the plainest words: merge, delta, version. It knows nothing of the module's own code.

use serde_json::{json, Map, Value};

pub type Object = Map<String, Value>;

/// A value without its nulls; nothing where it was null, or an object of nulls only.
pub fn stripped(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) if members.is_empty() => Some(json!({})),
        Value::Object(members) => {
            let mut object = Object::new();
            for (key, value) in members {
                if let Some(value) = stripped(value) {
                    object.insert(key.clone(), value);
                }
            }
            match object.is_empty() {
                true => None,
                false => Some(Value::Object(object)),
            }
        }
        other => Some(other.clone()),
    }
}

pub fn merge(document: &mut Object, patch: &Object) {
    for (key, new) in patch {
        if new.is_null() {
            document.remove(key);
        } else if let (Some(Value::Object(old)), Value::Object(new)) = (document.get_mut(key), new)
        {
            merge(old, new);
        } else if let Some(new) = stripped(new) {
            document.insert(key.clone(), new);
        }
    }
}

/// Equal as AWS has it: 10 is 10.0.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// What is outstanding; empty when in sync.
pub fn delta(desired: &Object, reported: &Object) -> Object {
    let mut outstanding = Object::new();
    for (key, wanted) in desired {
        let missing = match (wanted, reported.get(key)) {
            (Value::Object(wanted), Some(Value::Object(found))) => {
                let inner = delta(wanted, found);
                (!inner.is_empty()).then_some(Value::Object(inner))
            }
            (wanted, Some(found)) if equal(wanted, found) => None,
            (wanted, _) => Some(wanted.clone()),
        };
        if let Some(missing) = missing {
            outstanding.insert(key.clone(), missing);
        }
    }
    outstanding
}

#[derive(Default, Clone)]
pub struct Shadow {
    pub exists: bool,
    pub version: i64,
    pub desired: Object,
    pub reported: Object,
}

impl Shadow {
    pub fn write(&mut self, section: Section, patch: &Object, replace: bool) {
        let document = match section {
            Section::Desired => &mut self.desired,
            Section::Reported => &mut self.reported,
        };
        if replace {
            document.clear();
        }
        merge(document, patch);
        self.exists = true;
        self.version += 1;
    }

    /// What a request document with this `state` does.
    pub fn update(&mut self, state: &Value) {
        let sections = [&mut self.desired, &mut self.reported];
        for (section, document) in ["desired", "reported"].into_iter().zip(sections) {
            match state.get(section) {
                Some(Value::Object(patch)) => merge(document, patch),
                Some(_) => document.clear(),
                None if state.is_null() => document.clear(),
                None => {}
            }
        }
        self.exists = true;
        self.version += 1;
    }

    /// The version goes on counting.
    pub fn delete(&mut self) {
        *self = Shadow {
            version: self.version + 1,
            ..Shadow::default()
        };
    }

    /// As a reply tells it: null when in sync.
    pub fn outstanding(&self) -> Value {
        let delta = delta(&self.desired, &self.reported);
        match delta.is_empty() {
            true => Value::Null,
            false => Value::Object(delta),
        }
    }

    /// As GET tells it: without the sections that are empty.
    pub fn state(&self) -> Value {
        let mut state = Object::new();
        for (name, document) in [("desired", &self.desired), ("reported", &self.reported)] {
            if !document.is_empty() {
                state.insert(name.to_owned(), Value::Object(document.clone()));
            }
        }
        let delta = self.outstanding();
        if !delta.is_null() {
            state.insert("delta".to_owned(), delta);
        }
        Value::Object(state)
    }
}

#[derive(Clone, Copy)]
pub enum Section {
    Desired,
    Reported,
}

#[test]
fn the_model_itself_is_right_about_the_examples() {
    let object = |value: Value| value.as_object().cloned().expect("an object");
    for (document, patch, whole) in [
        (json!({"a": 1}), json!({"a": null}), json!({})),
        (
            json!({"a": {"b": 1}}),
            json!({"a": {"b": null}}),
            json!({"a": {}}),
        ),
        (
            json!({}),
            json!({"a": {"b": null}, "c": {}}),
            json!({"c": {}}),
        ),
        (
            json!({"a": 1}),
            json!({"a": {"b": {"c": null}, "d": 1}}),
            json!({"a": {"d": 1}}),
        ),
    ] {
        let mut merged = object(document);
        merge(&mut merged, &object(patch));
        assert_eq!(Value::Object(merged), whole);
    }
    for (desired, reported, outstanding) in [
        (json!({"a": 10}), json!({"a": 10.0}), json!({})),
        (json!({"a": {}}), json!({"a": {"b": 1}}), json!({})),
        (json!({"a": {}}), json!({"a": 1}), json!({"a": {}})),
        (
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": 1}, "d": 1}),
            json!({"a": {"c": 2}}),
        ),
    ] {
        let found = delta(&object(desired), &object(reported));
        assert_eq!(Value::Object(found), outstanding);
    }
}
