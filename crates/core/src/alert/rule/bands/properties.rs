//! What holds for all bands, checked against the rules about them in plain words.

use super::tests::read;
use super::Judgement::{self, Inside, Outside, Within};
use proptest::prelude::*;
use serde_json::{json, Value};

/// A band as it is given: severity, low, high.
type Given = (u32, Option<f64>, Option<f64>);

fn text(given: &[Given]) -> Value {
    let band = |(severity, low, high): &Given| {
        let mut band = json!({ "severity": severity });
        for (side, bound) in [("low", low), ("high", high)] {
            if let Some(bound) = bound {
                band[side] = json!(bound);
            }
        }
        band
    };
    given.iter().map(band).collect()
}

/// The rule about bands in plain words: none empty, none of the same severity, and of any two the
/// worse one nowhere nearer, and not the same.
fn is_in_order(given: &[Given]) -> bool {
    let empty = |(_, low, high): &Given| match (low, high) {
        (None, None) => true,
        (Some(low), Some(high)) => low >= high,
        _ => false,
    };
    let fits = |a: &Given, b: &Given| {
        let ((_, low, high), (_, worse_low, worse_high)) = if a.0 < b.0 { (a, b) } else { (b, a) };
        let low_fits = low.zip(*worse_low).is_none_or(|(low, worse)| worse <= low);
        let high_fits = high
            .zip(*worse_high)
            .is_none_or(|(high, worse)| worse >= high);
        a.0 != b.0 && low_fits && high_fits && (low, high) != (worse_low, worse_high)
    };
    let pairs = |(at, a): (usize, &Given)| given[at + 1..].iter().all(|b| fits(a, b));
    !given.iter().any(empty) && given.iter().enumerate().all(pairs)
}

/// The judgement in plain words.
fn model(given: &[Given], hysteresis: f64, value: f64) -> Judgement {
    let below = |bound: &Option<f64>, by: f64| bound.is_some_and(|low| value < low + by);
    let above = |bound: &Option<f64>, by: f64| bound.is_some_and(|high| value > high - by);
    let outside = given
        .iter()
        .filter(|(_, low, high)| below(low, 0.0) || above(high, 0.0));
    match outside.map(|(severity, ..)| *severity).max() {
        Some(severity) => Outside { severity },
        None if given
            .iter()
            .any(|(_, low, high)| below(low, hysteresis) || above(high, hysteresis)) =>
        {
            Within
        }
        None => Inside,
    }
}

/// Few bounds, so that they meet: lows on the left, highs on the right, overlapping a little. Half of
/// them have their bounds further out the worse they are.
fn few() -> impl Strategy<Value = Vec<Given>> {
    let half = |n: i32| f64::from(n) / 2.0;
    let low = proptest::option::weighted(0.8, (-12..2).prop_map(half));
    let high = proptest::option::weighted(0.8, (-1..12).prop_map(half));
    let bands = proptest::collection::vec((0..6u32, low, high), 1..5);
    (bands, any::<bool>()).prop_map(|(given, tidy)| if tidy { outwards(given) } else { given })
}

/// The same bounds, given to the bands in such an order that they may be accepted.
fn outwards(given: Vec<Given>) -> Vec<Given> {
    let mut lows: Vec<f64> = given.iter().filter_map(|(_, low, _)| *low).collect();
    let mut highs: Vec<f64> = given.iter().filter_map(|(_, _, high)| *high).collect();
    lows.sort_by(|a, b| a.total_cmp(b));
    highs.sort_by(|a, b| b.total_cmp(a));
    let bands = given
        .into_iter()
        .zip(1..)
        .map(|((_, low, high), severity)| {
            let low = low.and_then(|_| lows.pop());
            let high = high.and_then(|_| highs.pop());
            (severity, low, high)
        });
    bands.collect()
}

/// Bounds of every size, in order so that many are accepted.
fn wide() -> impl Strategy<Value = Vec<Given>> {
    let bound = || any::<f64>().prop_filter("finite", |n| n.is_finite());
    proptest::collection::vec((bound(), 0..3u8), 1..5).prop_map(|bounds| {
        let bands = bounds.into_iter().map(|(bound, sides)| {
            let low = (sides != 0).then_some(-bound.abs());
            (0, low, (sides != 1).then_some(bound.abs().sqrt()))
        });
        outwards(bands.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn judgements_and_refusals_agree_with_plain_words(given in few(), hysteresis in 0..4u8) {
        let hysteresis = f64::from(hysteresis) / 2.0;
        let steps = || (-60..60).map(|n| f64::from(n) / 8.0);
        match read(&text(&given), &json!(hysteresis)) {
            Ok(bands) => {
                prop_assert!(is_in_order(&given));
                for value in steps() {
                    prop_assert_eq!(bands.judge(value), model(&given, hysteresis, value), "{}", value);
                }
                prop_assert!(steps().any(|value| bands.judge(value) == Inside), "can clear");
            }
            Err(error) => prop_assert!(
                !is_in_order(&given)
                    || steps().all(|value| model(&given, hysteresis, value) != Inside),
                "{}", error
            ),
        }
    }

    #[test]
    fn bounds_of_any_size_can_clear(
        given in wide(),
        hysteresis in prop_oneof![Just(0.0), 0.0..10.0, any::<f64>().prop_map(f64::abs)],
    ) {
        prop_assume!(hysteresis.is_finite());
        if let Ok(bands) = read(&text(&given), &json!(hysteresis)) {
            let bounds = given.iter().flat_map(|(_, low, high)| {
                [low.map(|low| low + hysteresis), high.map(|high| high - hysteresis)]
            });
            let edges: Vec<f64> = bounds.flatten().collect();
            prop_assert!(edges.iter().any(|value| bands.judge(*value) == Inside));
            for value in edges {
                for value in [value.next_down(), value, value.next_up()] {
                    prop_assert_eq!(bands.judge(value), model(&given, hysteresis, value));
                }
            }
        }
    }

    #[test]
    fn further_out_is_never_milder(given in few(), near in 0.0..20.0f64, more in 0.0..20.0f64) {
        if let Ok(bands) = read(&text(&given), &json!(0)) {
            let rank = |value: f64| match bands.judge(value) {
                Outside { severity } => Some(severity),
                Within | Inside => None,
            };
            prop_assert!(rank(6.0 + near) <= rank(6.0 + near + more));
            prop_assert!(rank(-6.0 - near) <= rank(-6.0 - near - more));
        }
    }
}
