//! What a device has still to do: the part of the desired document that the reported one lacks or
//! has otherwise.
//!
//! Only desired members count; objects recurse and keep the path to the difference, anything else
//! is taken whole. Numbers compare by value (10 is 10.0). An empty object is in sync with any
//! object, since it asks for nothing in it, and outstanding against anything else.

use serde_json::{Number, Value};

use super::document::{may_be_spelled_otherwise, parse_leaf, write_key, Document, Node, CAPACITY};

/// The outstanding delta as JSON; empty when the two are in sync.
pub fn delta(desired: &Document<'_>, reported: &Document<'_>) -> String {
    let mut text = String::with_capacity(CAPACITY);
    text.push('{');
    write_delta(&mut text, desired, reported);
    if text.len() == 1 {
        return String::new();
    }
    text.push('}');
    text
}

/// Writes the members that are outstanding. Both objects are sorted, so the other side of a member
/// is looked for behind that of the one before.
fn write_delta(text: &mut String, desired: &Document<'_>, reported: &Document<'_>) {
    let mut rest = reported.members.as_slice();
    for member in &desired.members {
        let smaller = rest.iter().take_while(|other| other.key < member.key);
        rest = &rest[smaller.count()..];
        let found = rest.first().filter(|other| other.key == member.key);
        let before = text.len();
        match (&member.node, found.map(|found| &found.node)) {
            (Node::Object(wanted), Some(Node::Object(found))) => {
                write_key(text, &member.key);
                text.push('{');
                let empty = text.len();
                write_delta(text, wanted, found);
                match text.len() == empty {
                    true => text.truncate(before),
                    false => text.push('}'),
                }
            }
            (Node::Leaf(wanted), Some(Node::Leaf(found))) if is_same_leaf(wanted, found) => {}
            (wanted, _) => {
                write_key(text, &member.key);
                wanted.write(text);
            }
        }
    }
}

/// For operators, as JSON: desired and reported value of every top-level member that differs,
/// whole. What is not reported is null.
pub fn both_sides(desired: &Document<'_>, reported: &Document<'_>) -> String {
    let mut text = "{".to_owned();
    for member in &desired.members {
        let found = reported.get(&member.key);
        let is_in_sync = match (&member.node, found) {
            (Node::Object(wanted), Some(Node::Object(found))) => delta(wanted, found).is_empty(),
            (Node::Leaf(wanted), Some(Node::Leaf(found))) => is_same_leaf(wanted, found),
            _ => false,
        };
        if is_in_sync {
            continue;
        }
        write_key(&mut text, &member.key);
        text.push_str("{\"desired\":");
        member.node.write(&mut text);
        text.push_str(",\"reported\":");
        match found {
            Some(found) => found.write(&mut text),
            None => text.push_str("null"),
        }
        text.push('}');
    }
    text.push('}');
    text
}

/// Equal as JSON values, numbers by their value.
fn is_same_leaf(a: &str, b: &str) -> bool {
    if a == b || !may_be_spelled_otherwise(a, b) {
        return a == b;
    }
    match (parse_leaf(a), parse_leaf(b)) {
        (Some(a), Some(b)) => is_same(&a, &b),
        _ => false,
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => is_same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn is_same_number(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(whole), None) => is_same_as_double(whole, b),
        (None, Some(whole)) => is_same_as_double(whole, a),
    }
}

/// Exactly: no whole number is taken for the double that is next to it.
fn is_same_as_double(whole: i128, double: &Number) -> bool {
    double.as_f64().is_some_and(|double| {
        // 2^100 is beyond every 64-bit number, and below it the conversion is exact.
        double.fract() == 0.0 && double.abs() < 2f64.powi(100) && double as i128 == whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Object;
    use crate::shadow::merge::merge;
    use crate::shadow::testing::{any_object, object, parsed};
    use crate::shadow::times::Times;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(desired: Value, reported: Value) -> Value {
        let (desired, reported) = (object(desired), object(reported));
        parsed(&delta(&Document::of(&desired), &Document::of(&reported)))
    }

    /// S1, AWS developer guide, "delta state": what is only reported does not appear.
    #[test]
    fn s1_only_desired_members_count() {
        assert_eq!(
            of(
                json!({"color":"RED","state":"STOP"}),
                json!({"color":"GREEN","engine":"ON"})
            ),
            json!({"color":"RED","state":"STOP"})
        );
    }

    /// S2, AWS developer guide: objects recurse and keep the path.
    #[test]
    fn s2_objects_recurse() {
        assert_eq!(
            of(
                json!({"lights":{"color":{"r":255,"g":255,"b":255}}}),
                json!({"lights":{"color":{"r":255,"g":0,"b":255}}})
            ),
            json!({"lights":{"color":{"g":255}}})
        );
    }

    /// S3 to S8, moto test_iotdata (verified against the cloud).
    #[test]
    fn s3_to_s8_scalars() {
        for (desired, reported, expected) in [
            (json!({"led":"on"}), json!({}), json!({"led":"on"})),
            (json!({"led":"on"}), json!({"led":"on"}), json!({})),
            (json!({}), json!({"online":false}), json!({})),
            (
                json!({"online":true}),
                json!({"online":false}),
                json!({"online":true}),
            ),
            (
                json!({"enabled":true}),
                json!({"online":false,"enabled":true}),
                json!({}),
            ),
            (
                json!({"enabled":true}),
                json!({"online":true}),
                json!({"enabled":true}),
            ),
        ] {
            assert_eq!(of(desired, reported), expected);
        }
    }

    /// S9 and S11, moto test_iotdata: arrays are taken whole.
    #[test]
    fn s9_s11_arrays_are_atomic() {
        assert_eq!(
            of(json!({"list":["v1"]}), json!({"list":["v1","v2"]})),
            json!({"list":["v1"]})
        );
        assert_eq!(
            of(json!({"list":[["v1"]]}), json!({"list":[["v1"],["v2"]]})),
            json!({"list":[["v1"]]})
        );
    }

    /// An object of this key is no text of what it holds, though serde_json would read it so.
    #[test]
    fn no_key_inside_an_array_has_a_meaning_of_its_own() {
        let wanted = r#"{"a":[{"$serde_json::private::RawValue":"1"}]}"#;
        let of = |text: &'static str| Document::parse(text.as_bytes()).unwrap();
        assert_eq!(delta(&of(wanted), &of(r#"{"a":[1]}"#)), wanted);
        assert_eq!(delta(&of(wanted), &of(wanted)), "");
    }

    /// S13, moto test_iotdata.
    #[test]
    fn s13_deep_differences_keep_their_path() {
        assert_eq!(
            of(
                json!({"a":{"b":{"c":"d2"}}}),
                json!({"a":{"b":{"c":"d","e":"f"}}})
            ),
            json!({"a":{"b":{"c":"d2"}}})
        );
    }

    /// S16, Greengrass JsonUtil.calculateDelta: numbers compare by value, and exactly.
    #[test]
    fn s16_numbers_compare_by_value() {
        assert_eq!(of(json!({"t":10}), json!({"t":10.0})), json!({}));
        assert_eq!(of(json!({"t":[1.0,2]}), json!({"t":[1,2.0]})), json!({}));
        assert_eq!(
            of(json!({"t":[{"x":1}]}), json!({"t":[{"x":1.0}]})),
            json!({})
        );
        let next_to = json!({"t":9_007_199_254_740_993u64});
        assert_eq!(
            of(next_to.clone(), json!({"t":9007199254740992.0})),
            next_to
        );
        let largest = json!({"t":u64::MAX});
        assert_eq!(
            of(largest.clone(), json!({"t":1.8446744073709552e19})),
            largest
        );
        assert_eq!(of(json!({"t":1}), json!({"t":1e300})), json!({"t":1}));
        assert_eq!(of(json!({"t":0}), json!({"t":-0.0})), json!({}));
        assert_eq!(of(json!({"t":1}), json!({"t":true})), json!({"t":1}));
    }

    /// S18, moto test_update_desired: empty objects are outstanding where there is nothing; and the
    /// decision where no source speaks: against an object they ask for nothing.
    #[test]
    fn s18_empty_objects() {
        let desired = json!({"a":1,"b":{"c":{}},"d":{}});
        assert_eq!(of(desired.clone(), json!({})), desired);
        assert_eq!(of(json!({"a":{}}), json!({"a":{"b":1}})), json!({}));
        assert_eq!(of(json!({"a":{}}), json!({"a":5})), json!({"a":{}}));
        assert_eq!(of(json!({"a":5}), json!({"a":{}})), json!({"a":5}));
    }

    #[test]
    fn operators_see_both_sides_whole() {
        let desired =
            object(json!({"interval":30,"net":{"ssid":"x","ip":{"v":4}},"same":1,"new":{}}));
        let reported =
            object(json!({"interval":10,"net":{"ssid":"x","ip":{"v":6},"rssi":-5},"same":1}));
        assert_eq!(
            parsed(&both_sides(
                &Document::of(&desired),
                &Document::of(&reported)
            )),
            json!({
                "interval":{"desired":30,"reported":10},
                "net":{
                    "desired":{"ssid":"x","ip":{"v":4}},
                    "reported":{"ssid":"x","ip":{"v":6},"rssi":-5}
                },
                "new":{"desired":{},"reported":null},
            })
        );
    }

    /// A document as it is stored: without nulls.
    fn stored(document: Object) -> Document<'static> {
        merge(Document::default(), &Times::default(), document, 1).document
    }

    proptest! {
        #[test]
        fn applying_the_delta_brings_the_device_in_sync(
            desired in any_object(),
            reported in any_object(),
        ) {
            let (desired, reported) = (stored(desired), stored(reported));
            let outstanding = object(parsed(&delta(&desired, &reported)));
            let obeyed = merge(reported, &Times::default(), outstanding, 1).document;
            prop_assert_eq!(delta(&desired, &obeyed), "");
        }

        #[test]
        fn a_document_is_in_sync_with_itself(document in any_object()) {
            let document = stored(document);
            prop_assert_eq!(delta(&document, &document), "");
        }

        #[test]
        fn both_forms_agree_on_the_members(desired in any_object(), reported in any_object()) {
            let (desired, reported) = (stored(desired), stored(reported));
            let outstanding = object(parsed(&delta(&desired, &reported)));
            let sides = object(parsed(&both_sides(&desired, &reported)));
            prop_assert!(sides.keys().eq(outstanding.keys()));
        }
    }
}
