//! Examples, and every refusal with its text.

use super::*;
use crate::alert::rule::{Condition, Rule};
use serde_json::json;
use Judgement::{Inside, Outside, Within};

pub(super) fn read(bands: &Value, hysteresis: &Value) -> Result<Bands, String> {
    let text = json!({"path": "t", "bands": bands, "hysteresis": hysteresis}).to_string();
    match Rule::parse(text.as_bytes()) {
        Ok((rule, _)) => match rule.condition {
            Condition::Value(bands) => Ok(bands),
            other => panic!("not on a value: {other:?}"),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn bands(bands: Value, hysteresis: f64) -> Bands {
    read(&bands, &json!(hysteresis)).unwrap()
}

fn refused(bands: Value) -> String {
    read(&bands, &json!(0)).unwrap_err()
}

fn check(bands: &Bands, expected: &[(f64, Judgement)]) {
    for (value, judgement) in expected {
        assert_eq!(bands.judge(*value), *judgement, "{value}");
    }
}

/// Vector A12 of the reference on throttles, alerts and queues, section 3.2: BAND 1 35 38
/// BAND 2 34 39.5 HYST 0.3.
#[test]
fn a12_bands_and_hysteresis() {
    let temperature = bands(
        json!([{"severity": 1, "low": 35, "high": 38}, {"severity": 2, "low": 34, "high": 39.5}]),
        0.3,
    );
    check(
        &temperature,
        &[
            (37.0, Inside),
            (38.2, Outside { severity: 1 }),
            (38.4, Outside { severity: 1 }),
            (39.6, Outside { severity: 2 }),
            (38.5, Outside { severity: 1 }),
            (37.9, Within),
            (37.6, Inside),
            (38.1, Outside { severity: 1 }),
        ],
    );
    check(
        &temperature,
        &[
            (34.9, Outside { severity: 1 }),
            (33.9, Outside { severity: 2 }),
            (35.2, Within),
            (35.4, Inside),
        ],
    );
}

#[test]
fn a_bound_is_inside() {
    let range = bands(json!([{"severity": 7, "low": -5, "high": 5}]), 0.0);
    check(
        &range,
        &[
            (-5.0, Inside),
            ((-5.0f64).next_down(), Outside { severity: 7 }),
            (5.0, Inside),
            (5.0f64.next_up(), Outside { severity: 7 }),
            (f64::MAX, Outside { severity: 7 }),
            (f64::MIN, Outside { severity: 7 }),
        ],
    );
    let wide = bands(json!([{"severity": 7, "low": -5, "high": 5}]), 2.0);
    check(
        &wide,
        &[
            (-5.0, Within),
            ((-3.0f64).next_down(), Within),
            (-3.0, Inside),
            (3.0, Inside),
            (3.0f64.next_up(), Within),
            (5.0, Within),
        ],
    );
}

#[test]
fn a_side_without_a_bound_is_open() {
    let high = bands(json!([{"severity": 0, "high": 70}]), 1.0);
    check(
        &high,
        &[
            (f64::MIN, Inside),
            (69.0, Inside),
            (70.1, Outside { severity: 0 }),
        ],
    );
    let low = bands(json!([{"severity": 0, "low": 70}]), 1.0);
    check(
        &low,
        &[
            (f64::MAX, Inside),
            (71.0, Inside),
            (69.9, Outside { severity: 0 }),
        ],
    );
}

#[test]
fn what_is_no_number_changes_nothing() {
    let range = bands(json!([{"severity": 1, "low": 0, "high": 9}]), 0.0);
    check(&range, &[(f64::NAN, Within)]);
}

#[test]
fn the_order_given_does_not_matter() {
    let mild = json!({"severity": 1, "high": 70});
    let worse = json!({"severity": 2, "low": 0, "high": 80});
    let worst = json!({"severity": 9, "high": 90});
    let sorted = bands(json!([mild, worse, worst]), 1.0);
    assert_eq!(bands(json!([worst, mild, worse]), 1.0), sorted);
    check(
        &sorted,
        &[
            (-1.0, Outside { severity: 2 }),
            (95.0, Outside { severity: 9 }),
        ],
    );
}

#[test]
fn where_bands_begin_together_the_worse_one_wins() {
    let one_side = bands(
        json!([{"severity": 1, "low": 5, "high": 70}, {"severity": 2, "low": 5, "high": 80}]),
        0.0,
    );
    check(
        &one_side,
        &[
            (4.0, Outside { severity: 2 }),
            (75.0, Outside { severity: 1 }),
            (81.0, Outside { severity: 2 }),
        ],
    );
    let no_other_side = bands(
        json!([{"severity": 1, "low": 5, "high": 70}, {"severity": 2, "low": 5}]),
        0.0,
    );
    check(
        &no_other_side,
        &[
            (4.0, Outside { severity: 2 }),
            (75.0, Outside { severity: 1 }),
        ],
    );
}

#[test]
fn an_empty_band_is_refused() {
    for (low, error) in [
        (json!(70), "/bands/0/high: 70 is not above 'low', 70"),
        (json!(70.5), "/bands/0/high: 70 is not above 'low', 70.5"),
    ] {
        assert_eq!(
            refused(json!([{"severity": 1, "low": low, "high": 70}])),
            error
        );
    }
}

#[test]
fn bands_that_contradict_each_other_are_refused() {
    for (bands, error) in [
        (
            json!([{"severity": 1, "high": 70}, {"severity": 3, "high": 60}]),
            "/bands/1/high: 60 is nearer than that of the band of severity 1, 70",
        ),
        (
            json!([{"severity": 3, "high": 60.5}, {"severity": 1, "high": 1e20}]),
            "/bands/0/high: 60.5 is nearer than that of the band of severity 1, 1e+20",
        ),
        (
            json!([{"severity": 1, "low": 5, "high": 70}, {"severity": 2, "low": 6}]),
            "/bands/1/low: 6 is nearer than that of the band of severity 1, 5",
        ),
        (
            json!([{"severity": 1, "low": -5}, {"severity": 2, "high": 9}, {"severity": 3, "low": -4}]),
            "/bands/2/low: -4 is nearer than that of the band of severity 1, -5",
        ),
        (
            json!([{"severity": 1, "low": 5}, {"severity": 2, "high": 70}, {"severity": 3, "low": 5.0}]),
            "/bands/2: has the bounds of the band of severity 1",
        ),
        (
            json!([{"severity": 2, "low": 5, "high": 7}, {"severity": 1, "low": 5, "high": 7}]),
            "/bands/0: has the bounds of the band of severity 1",
        ),
        (
            json!([{"severity": 3, "high": 70}, {"severity": 1, "high": 60}, {"severity": 3, "high": 80}]),
            "/bands/2/severity: 3 is that of /bands/0 too",
        ),
    ] {
        assert_eq!(refused(bands), error);
    }
}

#[test]
fn bands_that_nothing_can_clear_are_refused() {
    let apart = json!([{"severity": 1, "high": 70}, {"severity": 2, "low": 71}]);
    assert_eq!(
        refused(apart),
        "/bands: no value is inside all of them: 'low' is 71 in one, 'high' 70 in another"
    );
    let together = json!([{"severity": 1, "high": 70}, {"severity": 2, "low": 70}]);
    check(&bands(together.clone(), 0.0), &[(70.0, Inside)]);
    assert_eq!(
        read(&together, &json!(0.5)).unwrap_err(),
        "/hysteresis: no value is inside 70 and 70 by 0.5, so that it could clear"
    );
    let range = json!([{"severity": 1, "low": 10, "high": 20}, {"severity": 2, "low": 0}]);
    check(
        &bands(range.clone(), 5.0),
        &[(15.0, Inside), (15.1, Within)],
    );
    assert_eq!(
        read(&range, &json!(5.1)).unwrap_err(),
        "/hysteresis: no value is inside 10 and 20 by 5.1, so that it could clear"
    );
    for (side, bound, shown) in [
        ("low", 1.5e308, "1.5e+308"),
        ("high", -1.5e308, "-1.5e+308"),
    ] {
        let far = json!([{"severity": 1, side: bound}]);
        assert_eq!(
            read(&far, &json!(1e308)).unwrap_err(),
            format!("/hysteresis: no value is inside {shown} by 1e+308, so that it could clear")
        );
    }
}

#[test]
fn a_hysteresis_is_a_number_from_0_on() {
    let high = json!([{"severity": 1, "high": 70}]);
    for (hysteresis, shown) in [
        (json!(-0.1), "-0.1"),
        (json!("2"), "'2'"),
        (json!(null), "null"),
        (json!([]), "an array"),
    ] {
        assert_eq!(
            read(&high, &hysteresis).unwrap_err(),
            format!("/hysteresis: {shown} is not a number from 0 on")
        );
    }
}
