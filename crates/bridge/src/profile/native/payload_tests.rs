use super::*;
use proptest::prelude::*;

fn words(kind: Kind, payload: impl AsRef<[u8]>) -> Result<String, String> {
    let command = parse(kind, "d1".into(), payload.as_ref(), false)?;
    Ok(command.words().join(" "))
}

fn refusal(kind: Kind, payload: impl AsRef<[u8]>) -> String {
    match words(kind, payload.as_ref()) {
        Err(reason) => reason,
        Ok(command) => panic!(
            "{:?} was accepted as {command}",
            String::from_utf8_lossy(payload.as_ref())
        ),
    }
}

#[test]
fn heartbeats() {
    for (payload, command) in [
        ("", "DEVICE.HEARTBEAT d1"),
        ("{}", "DEVICE.HEARTBEAT d1"),
        (" \r\n\t{ }\n", "DEVICE.HEARTBEAT d1"),
        (r#"{"timeout":90000}"#, "DEVICE.HEARTBEAT d1 TIMEOUT 90000"),
        (r#"{"timeout":0}"#, "DEVICE.HEARTBEAT d1 TIMEOUT 0"),
        (r#"{"timeout":"90s"}"#, "DEVICE.HEARTBEAT d1 TIMEOUT 90s"),
        (r#"{"session":7}"#, "DEVICE.HEARTBEAT d1 SESSION 7"),
        (
            r#"{"seq":9,"timeout":"1h","session":18446744073709551615}"#,
            "DEVICE.HEARTBEAT d1 TIMEOUT 1h SESSION 18446744073709551615 SEQ 9",
        ),
        (r#"{"session":null}"#, "DEVICE.HEARTBEAT d1"),
    ] {
        assert_eq!(
            words(Kind::Heartbeat, payload).as_deref(),
            Ok(command),
            "{payload}"
        );
    }
}

#[test]
fn reports() {
    for (payload, command) in [
        (
            r#"{"reported":{"t":21.5}}"#,
            r#"DEVICE.HEARTBEAT d1 REPORTED {"t":21.5}"#,
        ),
        (
            r#"{"replace":true,"reported":{},"session":1,"seq":2,"timeout":"5m"}"#,
            "DEVICE.HEARTBEAT d1 REPORTED {} REPLACE TIMEOUT 5m SESSION 1 SEQ 2",
        ),
        (
            r#"{"reported":{"a":null},"replace":false}"#,
            r#"DEVICE.HEARTBEAT d1 REPORTED {"a":null}"#,
        ),
    ] {
        assert_eq!(
            words(Kind::Reported, payload).as_deref(),
            Ok(command),
            "{payload}"
        );
    }
}

#[test]
fn a_report_is_passed_on_byte_for_byte() {
    // None of these survives a parse and a print: digits beyond f64, -0, exponents, order,
    // duplicate keys, escapes, inner white space. The module judges them, not the bridge.
    let json = "{\"z\":1.10, \"a\" : 12345678901234567890123, \"e\":1E+2,\n\"n\":-0,\
                \"a\":\"\\u00fc\\/\", \"p\":0.1000000000000000055511151231257827}";
    let payload = format!("{{\"reported\":\t{json} ,\"session\":1}}");
    let command = parse(Kind::Reported, "d1".into(), payload.as_bytes(), false);
    assert_eq!(
        command.map(|c| c.words()[3].to_string()).as_deref(),
        Ok(json)
    );
}

#[test]
fn wills() {
    for (payload, command) in [
        ("", "DEVICE.OFFLINE d1 REASON will"),
        ("{}", "DEVICE.OFFLINE d1 REASON will"),
        (
            r#"{"session":3}"#,
            "DEVICE.OFFLINE d1 REASON will SESSION 3",
        ),
        (
            r#"{"reason":"going to sleep","session":3}"#,
            "DEVICE.OFFLINE d1 REASON going to sleep SESSION 3",
        ),
    ] {
        assert_eq!(
            words(Kind::Will, payload).as_deref(),
            Ok(command),
            "{payload}"
        );
    }
}

#[test]
fn an_argument_stays_one_argument() {
    let payload = r#"{"reason":"x SESSION 9\r\n*1\r\n$8\r\nFLUSHALL"}"#;
    let command = parse(Kind::Will, "d1".into(), payload.as_bytes(), false);
    assert_eq!(command.map(|c| c.words().len()), Ok(4));
}

#[test]
fn members_that_are_not_known_are_refused() {
    assert!(refusal(Kind::Heartbeat, r#"{"sesion":1}"#).contains("unknown field `sesion`"));
    assert!(refusal(Kind::Heartbeat, r#"{"reported":{}}"#).contains("unknown field `reported`"));
    assert!(refusal(Kind::Reported, r#"{"reported":{},"t":1}"#).contains("unknown field `t`"));
    assert!(refusal(Kind::Will, r#"{"seq":1}"#).contains("unknown field `seq`"));
}

#[test]
fn members_of_the_wrong_kind_are_refused() {
    for payload in [
        r#"{"session":-1}"#,
        r#"{"session":1.5}"#,
        r#"{"session":1e3}"#,
        r#"{"session":"1"}"#,
        r#"{"session":18446744073709551616}"#,
        r#"{"session":1,"seq":true}"#,
        r#"{"session":1,"session":2}"#,
        r#"{"timeout":-1}"#,
        r#"{"timeout":1.5}"#,
        r#"{"timeout":"soon"}"#,
        r#"{"timeout":"1 h"}"#,
        r#"{"timeout":[1]}"#,
        r#"{"replace":true}"#,
    ] {
        refusal(Kind::Heartbeat, payload);
    }
    for payload in [
        r#"{"reported":[1]}"#,
        r#"{"reported":null}"#,
        r#"{"reported":"{}"}"#,
        r#"{"reported":{},"replace":1}"#,
        r#"{"reported":{},"reported":{}}"#,
        r#"{"session":1}"#,
        "",
    ] {
        refusal(Kind::Reported, payload);
    }
    refusal(Kind::Will, r#"{"reason":5}"#);
}

#[test]
fn seq_needs_session() {
    for kind in [Kind::Heartbeat, Kind::Reported] {
        let payload = match kind {
            Kind::Reported => r#"{"reported":{},"seq":1}"#,
            _ => r#"{"seq":1}"#,
        };
        assert_eq!(refusal(kind, payload), "\"seq\" needs \"session\"");
    }
}

#[test]
fn questions() {
    for payload in ["", "{}", " {} "] {
        let asked = words(Kind::Get, payload);
        assert_eq!(asked.as_deref(), Ok("DEVICE.GET d1 status"), "{payload}");
    }
    assert!(refusal(Kind::Get, r#"{"shadow":"a"}"#).contains("unknown field"));
}

fn result_words(payload: &str) -> Result<String, String> {
    let command = parse_result("17-0".into(), "d1".into(), payload.as_bytes(), false)?;
    Ok(command.words().join(" "))
}

#[test]
fn results() {
    for (payload, words) in [
        ("", "OK"),
        ("{}", "OK"),
        (r#"{"result":null}"#, "OK"),
        (r#"{"outcome":"FAILED"}"#, "FAILED"),
        (
            r#"{"outcome":"REJECTED","result":"no"}"#,
            r#"REJECTED "no""#,
        ),
        (r#"{"result":{"a": 1.0}}"#, r#"OK {"a": 1.0}"#),
    ] {
        let expected = format!("DEVICE.COMMAND.DONE d1 17-0 {words}");
        assert_eq!(result_words(payload), Ok(expected), "{payload}");
    }
    for payload in [
        "OK",
        "[]",
        r#"{"outcome":"DONE"}"#,
        r#"{"outcome":"ok"}"#,
        r#"{"outcome":null}"#,
        r#"{"reslut":1}"#,
    ] {
        assert!(result_words(payload).is_err(), "{payload}");
    }
    let retained = parse_result("17-0".into(), "d1".into(), b"", true);
    assert!(retained.is_err_and(|reason| reason.contains("retained")));
}

#[test]
fn what_is_not_one_object_is_refused() {
    for payload in [
        "[]", "[1,2,3]", "1", "null", "\"x\"", "online", "{", "{}x", "{} {}", " ",
    ] {
        for kind in Kind::ALL {
            refusal(kind, payload);
        }
    }
    refusal(Kind::Heartbeat, "\u{feff}{}");
    refusal(Kind::Heartbeat, b"{}\0");
    assert_eq!(
        refusal(Kind::Heartbeat, b"{\"session\":\xff}"),
        "the payload is not UTF-8 at byte 11"
    );
}

#[test]
fn retained_messages_are_no_sign_of_life() {
    for kind in Kind::ALL {
        let payload: &[u8] = match kind {
            Kind::Reported => b"{\"reported\":{}}",
            _ => b"",
        };
        let refused = parse(kind, "d1".into(), payload, true);
        assert!(refused.is_err_and(|reason| reason.contains("retained")));
    }
}

/// Deep documents cost neither stack nor much time here; their limit is the module's.
#[test]
fn deep_json_is_no_danger() {
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let payload = format!("{{\"reported\":{deep}}}");
    let command = parse(Kind::Reported, "d1".into(), payload.as_bytes(), false);
    assert_eq!(command.map(|c| c.words()[3].len()), Ok(deep.len()));
    refusal(
        Kind::Reported,
        format!("{{\"reported\":{}", "{\"a\":".repeat(100_000)),
    );
    refusal(Kind::Heartbeat, "[".repeat(100_000));
    refusal(
        Kind::Heartbeat,
        format!("{{\"session\":{}", "[".repeat(100_000)),
    );
}

proptest! {
    #[test]
    fn hostile_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..256)) {
        for kind in Kind::ALL {
            let _ = parse(kind, "d1".into(), &payload, false);
        }
    }

    #[test]
    fn cut_payloads_are_refused(cut in 1usize..70) {
        let whole = r#"{"reported":{"a":{"b":[1,2,{"c":"\u0041"}]}},"session":12,"seq":3}"#;
        prop_assume!(cut < whole.len());
        prop_assert!(words(Kind::Reported, &whole[..cut]).is_err());
    }
}

#[test]
fn the_session_is_found_in_any_json() {
    for (payload, found) in [
        (r#"{"session":7}"#, Some(7)),
        (
            r#"{"reported":{"session":1},"seq":2,"session":18446744073709551615}"#,
            Some(u64::MAX),
        ),
        (r#"{"reported":{"session":1}}"#, None),
        (r#"{"session":"7"}"#, None),
        (r#"{"session":7"#, None),
        ("", None),
        ("\u{0}\u{ff}", None),
    ] {
        assert_eq!(session(payload.as_bytes()), found, "{payload}");
    }
}
