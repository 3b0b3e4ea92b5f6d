//! What holds for all rules, and for all texts that are none.

use super::tests::{changed, offline_with, with};
use super::*;
use proptest::prelude::*;
use serde_json::json;

/// The fields of rules, with values that are right or nearly so.
fn any_rule_like() -> impl Strategy<Value = Value> {
    let scalar = || {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-2..1_002i64).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[0-9]{1,12}[a-z]{0,2}".prop_map(Value::from),
            prop_oneof![Just("offline"), Just("a.b"), Just("/a/0"), Just("ops")]
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ]
    };
    let member = |names: &'static [&'static str], value: BoxedStrategy<Value>| {
        proptest::collection::btree_map(proptest::sample::select(names), value, 0..5).prop_map(
            |members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect())
            },
        )
    };
    let band = member(&["severity", "low", "high", "x"], scalar().boxed());
    let list = proptest::collection::vec(prop_oneof![scalar(), band], 0..4);
    let value = prop_oneof![3 => scalar(), 1 => list.prop_map(Value::from)];
    member(
        &[
            "path",
            "on",
            "bands",
            "hysteresis",
            "for",
            "every",
            "keep",
            "wait",
            "notify",
            "severity",
        ],
        value.boxed(),
    )
}

/// Rules that are right.
fn any_rule() -> impl Strategy<Value = String> {
    let duration = || {
        proptest::option::of(prop_oneof![
            (0..=MAX_DURATION_MS).prop_map(Value::from),
            (0..3_650u32, "ms|s|m|h|d").prop_map(|(n, unit)| Value::from(format!("{n}{unit}"))),
        ])
    };
    let users = proptest::option::of(proptest::collection::vec("[a-c\u{e9}\"~/]{1,2}", 0..9));
    let times = (duration(), duration(), duration());
    let severity = proptest::option::of(0..=MAX_SEVERITY);
    let bound = any::<f64>().prop_filter("finite", |bound| bound.is_finite());
    let value = (
        "(/([a.]|~0|~1){0,3}){1,4}|[a~][a~/]{0,2}(\\.[a~/]{1,3}){0,3}",
        bound,
        duration(),
    );
    let condition = prop_oneof![
        severity.prop_map(|severity| offline_with(json!({"severity": severity}))),
        value.prop_map(|(path, high, keep)| {
            let bands = json!([{"severity": 1, "high": high}]);
            with(json!({"path": path, "bands": bands, "keep": keep}))
        }),
    ];
    (condition, times, users).prop_map(|(rule, (hold, every, wait), users)| {
        let rule = serde_json::from_str(&rule).unwrap();
        changed(
            rule,
            json!({"for": hold, "every": every, "wait": wait, "notify": users}),
        )
    })
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Rule::parse(&bytes);
    }

    #[test]
    fn what_is_stored_reads_the_same(text in any_rule()) {
        let (rule, stored) = Rule::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&stored, &text, "as serde_json writes it");
        prop_assert_eq!(Rule::parse(stored.as_bytes()), Ok((rule, stored.clone())));
    }

    #[test]
    fn any_json_is_safe_and_refused_in_one_line(wrong in any_rule_like()) {
        let fields = wrong.as_object().unwrap();
        let changed = fields.iter().flat_map(|(field, value)| {
            [with(json!({ field: value })), offline_with(json!({ field: value }))]
        });
        for text in changed.chain([wrong.to_string()]) {
            if let Err(error) = Rule::parse(text.as_bytes()) {
                let error = error.to_string();
                prop_assert!(!error.is_empty() && !error.contains(['\n', '\r']), "{}", error);
                prop_assert!(error.len() < 1_000, "{}", error);
            }
        }
    }
}
