//! The types of google/protobuf: as ProtoJSON has them, except for what it has no word for.

use super::*;

#[test]
fn well_known_types_are_what_they_mean() {
    let known = schema("Known");
    for (json, report) in [
        (
            r#"{"at":"2026-01-02T03:04:05.006Z"}"#,
            r#"{"at":"2026-01-02T03:04:05.006Z"}"#,
        ),
        (
            r#"{"at":"1970-01-01T00:00:00Z"}"#,
            r#"{"at":"1970-01-01T00:00:00Z"}"#,
        ),
        (r#"{"lasts":"-1.500s"}"#, r#"{"lasts":"-1.500s"}"#),
        (
            r#"{"count":"9007199254740993"}"#,
            r#"{"count":9007199254740993}"#,
        ),
        (r#"{"count":"0"}"#, r#"{"count":0}"#),
        (r#"{"flag":false}"#, r#"{"flag":false}"#),
        (r#"{"raw":"AQI="}"#, r#"{"raw":"AQI="}"#),
        (r#"{"mask":"tempC,a.bC"}"#, r#"{"mask":"tempC,a.bC"}"#),
        (r#"{"empty":{}}"#, r#"{"empty":{}}"#),
        (r#"{"list":[1,"a",[true]]}"#, r#"{"list":[1.0,"a",[true]]}"#),
        (r#"{"list":[]}"#, r#"{"list":[]}"#),
        (
            r#"{"extra":{"b":{"c":1},"a":"x"}}"#,
            r#"{"extra":{"a":"x","b":{"c":1.0}}}"#,
        ),
        (r#"{"anyValue":"x"}"#, r#"{"any_value":"x"}"#),
    ] {
        assert_eq!(known.report_of(json), report);
    }
}

/// A null that was said deletes, as in a JSON report.
#[test]
fn null_is_null() {
    let known = schema("Known");
    assert_eq!(
        known.report_of(r#"{"anyValue":null}"#),
        r#"{"any_value":null}"#
    );
    assert_eq!(
        known.report_of(r#"{"extra":{"gone":null}}"#),
        r#"{"extra":{"gone":null}}"#
    );
}

#[test]
fn what_json_has_no_word_for_is_left_out() {
    let known = schema("Known");
    let nan = |tag: u8| {
        let mut bytes = vec![tag];
        bytes.extend(f64::NAN.to_le_bytes());
        bytes
    };
    let within = |tag: u8, inner: Vec<u8>| {
        let mut bytes = vec![tag, inner.len() as u8];
        bytes.extend(inner);
        bytes
    };
    for (what, payload) in [
        ("a wrapped number", within(0x3a, nan(0x09))),
        ("a list of wrapped numbers", within(0x6a, nan(0x09))),
        ("a Value", within(0x22, nan(0x11))),
        ("a Value without a kind", within(0x22, Vec::new())),
        (
            "a list with such a Value",
            within(0x2a, within(0x0a, nan(0x11))),
        ),
    ] {
        let report = known.report(&payload, ROOMY);
        assert_eq!(report.as_deref(), Ok("{}"), "{what}");
    }
    // A Struct is an object: the others of its members stay.
    let entry = [vec![0x0a, 1, b'k'], within(0x12, nan(0x11))].concat();
    let payload = within(0x1a, within(0x0a, entry));
    let report = known.report(&payload, ROOMY);
    assert_eq!(report.as_deref(), Ok(r#"{"extra":{}}"#));
}

#[test]
fn times_out_of_range_are_refused() {
    let known = schema("Known");
    let refused = |payload: &[u8]| known.report(payload, ROOMY).unwrap_err();
    // seconds = 253402300800: the year 10000.
    let told = refused(&[0x0a, 7, 0x08, 0x80, 0x83, 0xd1, 0xff, 0xaf, 0x07]);
    assert!(
        told.starts_with("the acme.v1.Known of the payload cannot be reported: "),
        "{told}"
    );
    // The extremes of seconds (64 bits) and nanos (32 bits), as a Timestamp and as a Duration.
    let mut least = vec![0x80; 9];
    least.push(1);
    let most = [vec![0xff; 8], vec![0x7f]].concat();
    let (least_nanos, most_nanos) = (
        [0x80, 0x80, 0x80, 0x80, 0xf8, 0xff, 0xff, 0xff, 0xff, 1],
        [0xff, 0xff, 0xff, 0xff, 7],
    );
    for tag in [0x0a, 0x12] {
        for seconds in [&least, &most] {
            for nanos in [&least_nanos[..], &most_nanos[..]] {
                let inner = [&[0x08][..], seconds, &[0x10], nanos].concat();
                refused(&[&[tag, inner.len() as u8][..], &inner].concat());
            }
        }
    }
}

#[test]
fn any_says_its_type() {
    let tree = schema("Tree");
    let url = "type.googleapis.com/acme.v1.Thermo";
    let json = format!(r#"{{"any":{{"@type":"{url}","isOn":false,"uptimeMs":"5"}}}}"#);
    assert_eq!(
        tree.report_of(&json),
        format!(r#"{{"any":{{"@type":"{url}","is_on":false,"uptime_ms":5}}}}"#)
    );
    let url = "type.googleapis.com/google.protobuf.Duration";
    let json = format!(r#"{{"any":{{"@type":"{url}","value":"3s"}}}}"#);
    assert_eq!(tree.report_of(&json), json);
    let never_filled = tree.report(&[0x1a, 0], ROOMY);
    assert_eq!(never_filled.as_deref(), Ok(r#"{"any":{}}"#));
}

#[test]
fn an_any_of_a_type_that_is_not_known_is_refused() {
    // type_url = "x/No".
    let payload = [0x1a, 6, 0x0a, 4, b'x', b'/', b'N', b'o'];
    let reason = schema("Tree").report(&payload, ROOMY).unwrap_err();
    assert!(reason.contains("its Any holds 'No'"), "{reason}");
}
