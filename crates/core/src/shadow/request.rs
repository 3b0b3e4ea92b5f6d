//! The request document of a shadow update, as AWS IoT defines it:
//! `{"state":{"desired":{},"reported":{}},"version":n,"clientToken":"..."}`.
//!
//! Texts and numbers of the refusals are those of the AWS IoT developer guide, "Device Shadow error
//! messages", and of the Greengrass shadow manager where it says more.

use std::fmt;

use serde_json::Value;

use super::document::{write_key, Document};
use super::times::metadata_at;
use crate::json::{self, JsonError, Object};

/// The longest client token, in bytes.
const MAX_CLIENT_TOKEN: usize = 64;

/// What is to become of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Section {
    /// `null`: all of it goes.
    Clear,
    Merge(Object),
}

/// A request that is well formed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    pub desired: Option<Section>,
    pub reported: Option<Section>,
    /// The version that the shadow must have.
    pub version: Option<u64>,
    pub client_token: Option<String>,
    /// `"state":null`, which clears both sections.
    clears_all: bool,
}

/// Why a document is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No JSON, or more deeply nested than allowed.
    Json(JsonError),
    MissingState,
    NotAnObject(&'static str),
    InvalidNode(String),
    InvalidVersion,
    InvalidClientToken,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Json(error) if error.is_depth() => write!(f, "{error}"),
            Refusal::Json(error) => write!(f, "Invalid JSON: {error}"),
            Refusal::MissingState => f.write_str("Missing required node: state"),
            Refusal::NotAnObject(node) => write!(f, "{node} node must be an object"),
            Refusal::InvalidNode(node) => {
                let node = crate::escape::Quoted(node.as_bytes());
                write!(f, "State contains an invalid node: {node}")
            }
            Refusal::InvalidVersion => f.write_str("Invalid version"),
            Refusal::InvalidClientToken => f.write_str("Invalid clientToken"),
        }
    }
}

/// Reads a request; sections may nest `max_depth` deep, themselves included.
pub fn parse(text: &[u8], max_depth: usize) -> Result<Request, Refusal> {
    let mut document = json::parse_object_around(text, max_depth, 2).map_err(Refusal::Json)?;
    let state = document.remove("state").ok_or(Refusal::MissingState)?;
    let version = match document.remove("version") {
        None => None,
        Some(version) => Some(version.as_u64().ok_or(Refusal::InvalidVersion)?),
    };
    let client_token = match document.remove("clientToken") {
        None => None,
        Some(Value::String(token)) if token.len() <= MAX_CLIENT_TOKEN => Some(token),
        Some(_) => return Err(Refusal::InvalidClientToken),
    };
    let request = Request {
        version,
        client_token,
        ..Request::default()
    };
    let mut state = match state {
        Value::Object(state) => state,
        Value::Null => {
            return Ok(Request {
                desired: Some(Section::Clear),
                reported: Some(Section::Clear),
                clears_all: true,
                ..request
            })
        }
        _ => return Err(Refusal::NotAnObject("State")),
    };
    let desired = section(state.remove("desired"), "Desired")?;
    let reported = section(state.remove("reported"), "Reported")?;
    match state.into_iter().next() {
        Some((node, _)) => Err(Refusal::InvalidNode(node)),
        None => Ok(Request {
            desired,
            reported,
            ..request
        }),
    }
}

fn section(value: Option<Value>, name: &'static str) -> Result<Option<Section>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Section::Clear)),
        Some(Value::Object(patch)) => Ok(Some(Section::Merge(patch))),
        Some(_) => Err(Refusal::NotAnObject(name)),
    }
}

impl Request {
    /// The `accepted` document that answers the request: only what it carried, nulls included.
    pub fn accepted(&self, version: u64, now: u64) -> String {
        let at_once = || format!("{{\"timestamp\":{now}}}");
        let (mut state, mut metadata) = ("{".to_owned(), "{".to_owned());
        for (name, section) in [("desired", &self.desired), ("reported", &self.reported)] {
            let (value, times) = match section {
                None => continue,
                Some(Section::Clear) => ("null".to_owned(), at_once()),
                Some(Section::Merge(patch)) => {
                    (Document::of(patch).text(), metadata_at(patch, now))
                }
            };
            write_key(&mut state, name);
            state.push_str(&value);
            write_key(&mut metadata, name);
            metadata.push_str(&times);
        }
        state.push('}');
        metadata.push('}');
        if self.clears_all {
            (state, metadata) = ("null".to_owned(), at_once());
        }
        let mut document = format!(
            "{{\"state\":{state},\"metadata\":{metadata},\"version\":{version},\"timestamp\":{now}"
        );
        if let Some(token) = &self.client_token {
            write_key(&mut document, "clientToken");
            // Text always can be written as JSON.
            document.push_str(&serde_json::to_string(token).unwrap_or_default());
        }
        document.push('}');
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::testing::object;
    use serde_json::json;

    fn refused(text: &str) -> String {
        parse(text.as_bytes(), 6).unwrap_err().to_string()
    }

    fn accepted(text: &str) -> Value {
        let request = parse(text.as_bytes(), 6).unwrap();
        serde_json::from_str(&request.accepted(7, 1_000)).unwrap()
    }

    /// M15, Greengrass JsonUtilTest and the AWS developer guide.
    #[test]
    fn m15_what_is_no_request() {
        for (text, why) in [
            ("{}", "Missing required node: state"),
            (r#"{"version":1}"#, "Missing required node: state"),
            (r#"{"state":1}"#, "State node must be an object"),
            (
                r#"{"state":{"reported":1}}"#,
                "Reported node must be an object",
            ),
            (
                r#"{"state":{"desired":[]}}"#,
                "Desired node must be an object",
            ),
            (
                r#"{"state":{"foo":{}}}"#,
                "State contains an invalid node: 'foo'",
            ),
            (
                r#"{"state":{"delta":{}}}"#,
                "State contains an invalid node: 'delta'",
            ),
            (r#"{"state":{},"version":-1}"#, "Invalid version"),
            (r#"{"state":{},"version":"1"}"#, "Invalid version"),
            (r#"{"state":{},"version":1.5}"#, "Invalid version"),
            (r#"{"state":{},"version":null}"#, "Invalid version"),
            (r#"{"state":{},"clientToken":1}"#, "Invalid clientToken"),
            ("[]", "Invalid JSON: not a JSON object at line 1 column 1"),
            (
                r#"{"state":{"desired":{"a":[null]}}}"#,
                "Invalid JSON: null inside an array at line 1 column 30",
            ),
        ] {
            assert_eq!(refused(text), why, "{text}");
        }
        let token = |n| format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "x".repeat(n));
        assert!(parse(token(64).as_bytes(), 6).is_ok());
        assert_eq!(refused(&token(65)), "Invalid clientToken");
    }

    /// M14, Greengrass JsonUtilTest: six levels under desired, not seven.
    #[test]
    fn m14_depth_counts_from_the_section() {
        let nested = |n: usize| {
            let (open, close) = ("{\"a\":".repeat(n), "}".repeat(n));
            format!(r#"{{"state":{{"desired":{open}1{close}}}}}"#)
        };
        assert!(parse(nested(6).as_bytes(), 6).is_ok());
        let why = refused(&nested(7));
        assert!(
            why.starts_with("JSON contains too many levels of nesting; maximum is 6 at line 1"),
            "{why}"
        );
    }

    #[test]
    fn only_what_was_sent_comes_back() {
        assert_eq!(
            accepted(r#"{"state":{"desired":{"a":{"b":null},"l":[1]}},"clientToken":"t"}"#),
            json!({
                "state":{"desired":{"a":{"b":null},"l":[1]}},
                "metadata":{"desired":{"a":{"b":{"timestamp":1000}},"l":[{"timestamp":1000}]}},
                "version":7,"timestamp":1000,"clientToken":"t",
            })
        );
        assert_eq!(
            accepted(r#"{"state":{}}"#),
            json!({"state":{},"metadata":{},"version":7,"timestamp":1000})
        );
    }

    /// M6 and M7, AWS developer guide and moto test_update_empty_state.
    #[test]
    fn m6_m7_null_clears() {
        let request = parse(
            br#"{"state":{"reported":{"color":"red"},"desired":null}}"#,
            6,
        )
        .unwrap();
        assert_eq!(request.desired, Some(Section::Clear));
        assert_eq!(
            request.reported,
            Some(Section::Merge(object(json!({"color":"red"}))))
        );
        assert_eq!(
            accepted(r#"{"state":null}"#),
            json!({"state":null,"metadata":{"timestamp":1000},"version":7,"timestamp":1000})
        );
    }

    /// M10, Greengrass: a member that is named `state` is a member as any other.
    #[test]
    fn m10_a_member_named_state() {
        let request = parse(br#"{"state":{"desired":{"state":{"state":null}}}}"#, 6).unwrap();
        assert_eq!(
            request.desired,
            Some(Section::Merge(object(json!({"state":{"state":null}}))))
        );
    }
}
