//! Where in a document the value of a rule stands.
//!
//! Two notations. What begins with `/` is a JSON Pointer (RFC 6901): `/motor/temps/0`, with `~1` for
//! `/` and `~0` for `~` in a key; it reaches into arrays. Anything else is dotted, `motor.speed`:
//! keys of objects only, none of them empty or with a dot in it.

use serde_json::Value;

use crate::escape::Quoted;
use crate::json::Object;

/// The longest path, in bytes.
const MAX_BYTES: usize = 256;
/// The most parts of a path.
const MAX_PARTS: usize = 32;

/// A path that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: Box<str>,
    /// At least one.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    key: Box<str>,
    /// What the part means to an array; `None`: nothing.
    index: Option<usize>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// Nothing, or null.
    Missing,
    Number(f64),
    /// What stands there, or on the way there, where the path can't go on: no number in any case.
    Other(&'a Value),
}

impl Path {
    /// The error is a sentence about the path.
    pub fn parse(text: &str) -> Result<Path, String> {
        let refused = |why| Err(format!("{} {why}", Quoted(text.as_bytes())));
        if text.is_empty() {
            return refused("is no path");
        }
        if text.len() > MAX_BYTES {
            return refused("is longer than 256 bytes");
        }
        let parts: Option<Vec<Part>> = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(Part::of_pointer).collect(),
            None => text.split('.').map(Part::of_dotted).collect(),
        };
        match parts {
            Some(parts) if parts.len() > MAX_PARTS => refused("has more than 32 parts"),
            Some(parts) => Ok(Path {
                text: text.into(),
                parts,
            }),
            None if text.starts_with('/') => {
                refused("has a '~' that is neither '~0', for '~', nor '~1', for '/'")
            }
            None => refused("has an empty part; a key with a dot is named as in '/a.b'"),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Looks the path up, without an allocation. A number beyond 2^53 is rounded to a double.
    pub fn find<'a>(&self, document: &'a Object) -> Found<'a> {
        let mut parts = self.parts.iter();
        let mut here = parts.next().and_then(|part| document.get(&*part.key));
        for part in parts {
            here = match (here, part.index) {
                (None | Some(Value::Null), _) => return Found::Missing,
                (Some(Value::Object(object)), _) => object.get(&*part.key),
                (Some(Value::Array(items)), Some(index)) => items.get(index),
                (Some(other), _) => return Found::Other(other),
            };
        }
        match here {
            None | Some(Value::Null) => Found::Missing,
            Some(value) => value.as_f64().map_or(Found::Other(value), Found::Number),
        }
    }
}

impl Part {
    fn of_dotted(key: &str) -> Option<Part> {
        (!key.is_empty()).then(|| Part {
            key: key.into(),
            index: None,
        })
    }

    /// RFC 6901, sections 3 and 4.
    fn of_pointer(token: &str) -> Option<Part> {
        let mut chars = token.chars();
        let mut key = String::with_capacity(token.len());
        while let Some(c) = chars.next() {
            key.push(match c {
                '~' => match chars.next() {
                    Some('0') => '~',
                    Some('1') => '/',
                    _ => return None,
                },
                c => c,
            });
        }
        Some(Part {
            index: array_index(&key),
            key: key.into(),
        })
    }
}

/// An array index as RFC 6901 writes it: digits without a leading zero. One that no array is long
/// enough for stays an index.
fn array_index(token: &str) -> Option<usize> {
    let is_index = match token.as_bytes() {
        [] => false,
        [b'0'] => true,
        [first, ..] => *first != b'0' && token.bytes().all(|b| b.is_ascii_digit()),
    };
    is_index.then(|| token.parse().unwrap_or(usize::MAX))
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

    fn keys(text: &str) -> Vec<String> {
        let path = Path::parse(text).unwrap();
        assert_eq!(path.as_str(), text);
        path.parts.iter().map(|part| part.key.to_string()).collect()
    }

    fn find<'a>(document: &'a Object, path: &str) -> Found<'a> {
        Path::parse(path).unwrap().find(document)
    }

    #[test]
    fn both_notations_are_split_into_keys() {
        assert_eq!(keys("temperature"), ["temperature"]);
        assert_eq!(keys("motor.speed"), ["motor", "speed"]);
        assert_eq!(keys("a/b.c~1"), ["a/b", "c~1"]);
        assert_eq!(keys("/motor/temps/0"), ["motor", "temps", "0"]);
        assert_eq!(keys("/a.b/ü/"), ["a.b", "ü", ""]);
        assert_eq!(keys("/a~1b/m~0n/~01"), ["a/b", "m~n", "~1"]);
        assert_eq!(keys(&"x".repeat(256)).len(), 1);
        assert_eq!(keys(&vec!["x"; 32].join(".")).len(), 32);
        assert_eq!(keys(&"/x".repeat(32)).len(), 32);
    }

    #[test]
    fn each_broken_path_says_why() {
        let long = "x".repeat(257);
        let shown = format!("'{}...'", "x".repeat(64));
        let deep = "/x".repeat(33);
        for (path, error) in [
            ("", "'' is no path".to_owned()),
            (&long, format!("{shown} is longer than 256 bytes")),
            (
                &deep,
                format!("'{}...' has more than 32 parts", "/x".repeat(32)),
            ),
            (
                "/a~",
                "'/a~' has a '~' that is neither '~0', for '~', nor '~1', for '/'".to_owned(),
            ),
            (
                "/a/~2b",
                "'/a/~2b' has a '~' that is neither '~0', for '~', nor '~1', for '/'".to_owned(),
            ),
            (
                "a..b",
                "'a..b' has an empty part; a key with a dot is named as in '/a.b'".to_owned(),
            ),
        ] {
            assert_eq!(Path::parse(path), Err(error));
        }
        for path in [".", ".a", "a.", "a.\n."] {
            assert!(
                Path::parse(path).unwrap_err().contains("empty part"),
                "{path}"
            );
        }
        assert!(Path::parse(&vec!["x"; 33].join(".")).is_err());
    }

    /// RFC 6901, section 5: its document and its pointers, with numbers it can be found by.
    #[test]
    fn rfc_6901_example() {
        let document = object(json!({
            "foo": [10, 11], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6,
            " ": 7, "m~n": 8,
        }));
        for (pointer, number) in [
            ("/foo/0", 10.0),
            ("/", 0.0),
            ("/a~1b", 1.0),
            ("/c%d", 2.0),
            ("/e^f", 3.0),
            ("/g|h", 4.0),
            ("/i\\j", 5.0),
            ("/k\"l", 6.0),
            ("/ ", 7.0),
            ("/m~0n", 8.0),
        ] {
            assert_eq!(find(&document, pointer), Found::Number(number), "{pointer}");
        }
        assert_eq!(find(&document, "/foo"), Found::Other(&json!([10, 11])));
    }

    #[test]
    fn what_is_not_there_is_missing() {
        let document = object(json!({"a": {"b": null, "c": [1, 2]}, "n": null}));
        for path in [
            "x",
            "a.x",
            "a.b",
            "a.b.c",
            "n",
            "n.x",
            "x.y.z",
            "/a/c/2",
            "/a/c/99999999999999999999999",
            "/x/0",
        ] {
            assert_eq!(find(&document, path), Found::Missing, "{path}");
        }
    }

    #[test]
    fn what_is_no_number_or_bars_the_way_is_told() {
        let document = object(json!({"a": {"c": [1, {"d": 2}]}, "s": "5", "t": true, "n": 1}));
        for (path, other) in [
            ("s", json!("5")),
            ("t", json!(true)),
            ("a", json!({"c": [1, {"d": 2}]})),
            ("s.x", json!("5")),
            ("/s/0", json!("5")),
            ("n.x.y", json!(1)),
            ("a.c", json!([1, {"d": 2}])),
            ("a.c.0", json!([1, {"d": 2}])),
            ("/a/c/-", json!([1, {"d": 2}])),
            ("/a/c/01", json!([1, {"d": 2}])),
            ("/a/c/+1", json!([1, {"d": 2}])),
            ("/a/c/", json!([1, {"d": 2}])),
            ("/a/c/0/x", json!(1)),
        ] {
            assert_eq!(find(&document, path), Found::Other(&other), "{path}");
        }
        assert_eq!(find(&document, "/a/c/0"), Found::Number(1.0));
        assert_eq!(find(&document, "/a/c/1/d"), Found::Number(2.0));
    }

    #[test]
    fn digits_are_keys_of_objects() {
        let document = object(json!({"0": {"01": 5}}));
        assert_eq!(find(&document, "/0/01"), Found::Number(5.0));
        assert_eq!(find(&document, "0.01"), Found::Number(5.0));
    }

    #[test]
    fn every_number_is_a_double() {
        let document = object(json!({"i": -3, "u": u64::MAX, "f": 2.5}));
        assert_eq!(find(&document, "i"), Found::Number(-3.0));
        assert_eq!(
            find(&document, "u"),
            Found::Number(18_446_744_073_709_551_615.0)
        );
        assert_eq!(find(&document, "f"), Found::Number(2.5));
    }

    fn any_document() -> impl Strategy<Value = Object> {
        let leaf = prop_oneof![
            Just(json!(null)),
            Just(json!("x")),
            (0..9).prop_map(Value::from)
        ];
        let value = leaf.prop_recursive(3, 24, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a0/~]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map("[a0/~]{0,2}", value, 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn pointers_find_what_serde_json_finds(
            document in any_document(),
            path in "(/(a|0|1|~0|~1){0,2}){1,4}",
        ) {
            let found = Path::parse(&path).unwrap().find(&document);
            let root = Value::Object(document.clone());
            match root.pointer(&path) {
                Some(Value::Number(number)) => {
                    prop_assert_eq!(found, Found::Number(number.as_f64().unwrap()));
                }
                Some(Value::Null) => prop_assert_eq!(found, Found::Missing),
                Some(value) => prop_assert_eq!(found, Found::Other(value)),
                None => prop_assert!(!matches!(found, Found::Number(_))),
            }
        }

        #[test]
        fn any_text_is_safe(path in ".{0,300}", document in any_document()) {
            if let Ok(path) = Path::parse(&path) {
                path.find(&document);
            }
        }
    }
}
