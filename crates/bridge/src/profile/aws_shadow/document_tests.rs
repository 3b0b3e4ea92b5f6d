use super::*;
use serde_json::json;

/// As `DEVICE.SHADOW.GET` answers.
const LAMP: &str = r#"{"state":{"desired":{"color":{"g":0,"r":255},"on":true},"reported":{"hours":[6,18],"on":true},"delta":{"color":{"g":0,"r":255}}},"metadata":{"desired":{"color":{"g":{"timestamp":1764000000999},"r":{"timestamp":1764000001000}},"on":{"timestamp":1764000000000}},"reported":{"hours":[{"timestamp":1764000000210},{"timestamp":0}],"on":{"timestamp":1764000000210}}},"version":2,"timestamp":1764000005123}"#;

fn json(payload: Vec<u8>) -> Value {
    serde_json::from_slice(&payload).unwrap()
}

fn accepted(document: &str) -> String {
    let document = ShadowDocument::read(document.as_bytes()).unwrap();
    String::from_utf8(document.accepted(None).unwrap()).unwrap()
}

fn delta_of(document: &str) -> Option<Value> {
    let document = ShadowDocument::read(document.as_bytes()).unwrap();
    delta(&document).unwrap().map(json)
}

#[test]
fn times_are_in_seconds_and_nothing_else_changes() {
    assert_eq!(
        accepted(LAMP),
        LAMP.replace("1764000000999", "1764000000")
            .replace("1764000001000", "1764000001")
            .replace("1764000000000", "1764000000")
            .replace("1764000000210", "1764000000")
            .replace("1764000005123", "1764000005")
    );
    // Numbers that a double does not hold, one that says how it was written, escapes, and names
    // that look like the service's own.
    let odd = r#"{"state":{"desired":{"timestamp":1764000000000,"a\"1\\":18446744073709551615,"b":10.0,"1000":"\u00e9 1000"}},"metadata":{"desired":{"timestamp":{"timestamp":5999},"a\"1\\":{"timestamp":5000},"b":{"timestamp":7},"1000":{"timestamp":8000}}},"version":9007199254740993,"timestamp":9000}"#;
    let in_seconds = odd
        .replace(r#"{"timestamp":5999}"#, r#"{"timestamp":5}"#)
        .replace(r#"{"timestamp":5000}"#, r#"{"timestamp":5}"#)
        .replace(r#"{"timestamp":7}"#, r#"{"timestamp":0}"#)
        .replace(r#"{"timestamp":8000}"#, r#"{"timestamp":8}"#)
        .replace(r#""timestamp":9000}"#, r#""timestamp":9}"#);
    assert_eq!(accepted(odd), in_seconds);
}

/// moto test_update_empty_state.
#[test]
fn a_cleared_shadow() {
    let cleared = r#"{"state":null,"metadata":{"timestamp":3000},"version":4,"timestamp":3000}"#;
    assert_eq!(
        accepted(cleared),
        r#"{"state":null,"metadata":{"timestamp":3},"version":4,"timestamp":3}"#
    );
    let empty = r#"{"state":{},"metadata":{},"version":4,"timestamp":3000}"#;
    assert_eq!(accepted(empty), empty.replace("3000", "3"));
}

#[test]
fn the_client_token_comes_back() {
    let document = ShadowDocument::read(LAMP.as_bytes()).unwrap();
    let answer = json(document.accepted(Some("a\"1")).unwrap());
    assert_eq!(answer["clientToken"], "a\"1");
    let deleted = Deleted::read(br#"{"version":3,"timestamp":2999}"#).unwrap();
    assert_eq!(
        json(deleted.accepted(Some("t")).unwrap()),
        json!({"version":3,"timestamp":2,"clientToken":"t"})
    );
    assert_eq!(
        json(deleted.accepted(None).unwrap()),
        json!({"version":3,"timestamp":2})
    );
    let conflict = Rejection::new(409, "Version conflict");
    assert_eq!(
        json(rejected(&conflict, Some("t"), 2999).unwrap()),
        json!({"code":409,"message":"Version conflict","timestamp":2,"clientToken":"t"})
    );
}

/// S1 and S2 of the AWS IoT developer guide, "Delta state": what is outstanding, and its times.
#[test]
fn a_delta_has_the_times_of_its_own_members() {
    assert_eq!(
        delta_of(LAMP),
        Some(json!({
            "state":{"color":{"g":0,"r":255}},
            "metadata":{"color":{"g":{"timestamp":1764000000},"r":{"timestamp":1764000001}}},
            "version":2,"timestamp":1764000005,
        }))
    );
    let partly = r#"{"state":{"desired":{"a":{"b":{"c":1},"d":[1,2]},"e":1},"reported":{"a":{"b":{"c":1}},"e":1},"delta":{"a":{"d":[1,2]}}},"metadata":{"desired":{"a":{"b":{"c":{"timestamp":1000}},"d":[{"timestamp":2000},{"timestamp":3000}]},"e":{"timestamp":4000}}},"version":7,"timestamp":9000}"#;
    assert_eq!(
        delta_of(partly),
        Some(json!({
            "state":{"a":{"d":[1,2]}},
            "metadata":{"a":{"d":[{"timestamp":2},{"timestamp":3}]}},
            "version":7,"timestamp":9,
        }))
    );
}

#[test]
fn a_delta_without_times() {
    let bare = r#"{"state":{"desired":{"a":1,"b":{}},"delta":{"a":1,"b":{}}},"metadata":{},"version":1,"timestamp":1000}"#;
    assert_eq!(
        delta_of(bare),
        Some(json!({"state":{"a":1,"b":{}},"metadata":{},"version":1,"timestamp":1}))
    );
}

#[test]
fn in_sync_there_is_no_delta() {
    let met = r#"{"state":{"desired":{"a":1},"reported":{"a":1}},"metadata":{},"version":2,"timestamp":1}"#;
    assert_eq!(delta_of(met), None);
}

#[test]
fn documents_have_both_sides_and_no_delta() {
    let before = r#"{"state":{"desired":{"on":true},"delta":{"on":true}},"metadata":{"desired":{"on":{"timestamp":1000}}},"version":1,"timestamp":5000}"#;
    let after = r#"{"state":{"desired":{"on":true},"reported":{"on":true}},"metadata":{"desired":{"on":{"timestamp":1000}},"reported":{"on":{"timestamp":5000}}},"version":2,"timestamp":5000}"#;
    let before = ShadowDocument::read(before.as_bytes()).unwrap();
    let after = ShadowDocument::read(after.as_bytes()).unwrap();
    let current = json!({
        "state":{"desired":{"on":true},"reported":{"on":true}},
        "metadata":{"desired":{"on":{"timestamp":1}},"reported":{"on":{"timestamp":5}}},
        "version":2,
    });
    assert_eq!(
        json(documents(Some(&before), &after, Some("t")).unwrap()),
        json!({
            "previous":{
                "state":{"desired":{"on":true}},
                "metadata":{"desired":{"on":{"timestamp":1}}},
                "version":1,
            },
            "current":current,"timestamp":5,"clientToken":"t",
        })
    );
    assert_eq!(
        json(documents(None, &after, None).unwrap()),
        json!({"previous":null,"current":current,"timestamp":5})
    );
}
