//! What the bridge itself has to know of a request: its token, and whether the device reports.
//! What an update asks for is for the server to judge.

use super::rejection::Rejection;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest client token, in bytes.
const MAX_CLIENT_TOKEN: usize = 64;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// To be sent back with the answer. `None` also for one that is not valid.
    pub client_token: Option<String>,
    /// There is a reported document in it.
    pub reports: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "clientToken")]
    client_token: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Sections<'a> {
    #[serde(borrow, default)]
    reported: Option<&'a RawValue>,
}

/// What can be told of an update, be it valid or not.
pub fn glance(payload: &str) -> Glance {
    let Ok(body) = serde_json::from_str::<Body<'_>>(payload) else {
        return Glance::default();
    };
    Glance {
        client_token: body.client_token.and_then(token),
        reports: body.state.is_some_and(reports),
    }
}

fn reports(state: &RawValue) -> bool {
    let sections: serde_json::Result<Sections<'_>> = serde_json::from_str(state.get());
    sections.is_ok_and(|sections| sections.reported.is_some())
}

/// The token of a request that has nothing else to say: the payload is an object, or empty.
pub fn token_only(payload: &str) -> Result<Option<String>, Rejection> {
    if payload.trim_ascii().is_empty() {
        return Ok(None);
    }
    let bad_json = |why| Rejection::new(400, format!("Invalid JSON: {why}"));
    if !payload.trim_ascii_start().starts_with('{') {
        return Err(bad_json("not a JSON object".to_owned()));
    }
    let body: Body<'_> = serde_json::from_str(payload).map_err(|e| bad_json(e.to_string()))?;
    let invalid = || Rejection::new(400, "Invalid clientToken");
    let read = |text| token(text).ok_or_else(invalid);
    body.client_token.map(read).transpose()
}

fn token(text: &RawValue) -> Option<String> {
    let token: String = serde_json::from_str(text.get()).ok()?;
    (token.len() <= MAX_CLIENT_TOKEN).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(payload: &str) -> (Option<String>, bool) {
        let Glance {
            client_token,
            reports,
        } = glance(payload);
        (client_token, reports)
    }

    #[test]
    fn token_and_report_of_an_update() {
        let token = |text: &str| Some(text.to_owned());
        for (payload, expected) in [
            (
                r#"{"state":{"reported":{"on":true}},"clientToken":"t\u00e9"}"#,
                (token("t\u{e9}"), true),
            ),
            (r#"{"state":{"reported":{}}}"#, (None, true)),
            (r#"{"state":{"desired":{"reported":1}}}"#, (None, false)),
            // It clears what was reported, which an application may do.
            (r#"{"state":{"reported":null}}"#, (None, false)),
            (r#"{"state":null,"clientToken":"t"}"#, (token("t"), false)),
            // Not valid, and answered with its token even so.
            (r#"{"clientToken":"t"}"#, (token("t"), false)),
            (r#"{"state":7,"clientToken":"t"}"#, (token("t"), false)),
            (r#"{"state":{},"clientToken":7}"#, (None, false)),
            ("", (None, false)),
            ("[]", (None, false)),
            (r#"{"clientToken":"t""#, (None, false)),
        ] {
            assert_eq!(seen(payload), expected, "{payload}");
        }
        let long = |n| format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "x".repeat(n));
        assert_eq!(seen(&long(64)), (Some("x".repeat(64)), false));
        assert_eq!(seen(&long(65)), (None, false));
    }

    #[test]
    fn a_request_without_a_document_has_a_token_or_nothing() {
        for nothing in ["", " \n", "{}", r#"{"clientToken":null}"#, r#"{"x":1}"#] {
            assert_eq!(token_only(nothing), Ok(None), "{nothing:?}");
        }
        assert_eq!(token_only(r#"{"clientToken":"t"}"#), Ok(Some("t".into())));
        for (bad, message) in [
            (r#"{"clientToken":7}"#, "Invalid clientToken"),
            (
                &format!(r#"{{"clientToken":"{}"}}"#, "x".repeat(65)),
                "Invalid clientToken",
            ),
            ("[]", "Invalid JSON: not a JSON object"),
            ("{", "Invalid JSON: "),
        ] {
            let rejection = token_only(bad).unwrap_err();
            assert_eq!(rejection.code, 400, "{bad}");
            assert!(rejection.message.starts_with(message), "{rejection:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_payload_can_be_glanced_at(payload in ".*") {
            glance(&payload);
            let _ = token_only(&payload);
        }
    }
}
