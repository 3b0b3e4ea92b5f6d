//! Rules: when a device's alert is raised and cleared without anybody asking for it.
//!
//! A rule is one JSON object, stored per device type. It looks at one value of a report,
//! `{"path":"temperature","bands":[{"severity":1,"low":5,"high":70},{"severity":3,"high":85}],
//! "hysteresis":2,"for":0,"every":"1h","keep":"10m","wait":"3h","notify":["ops"]}`, or at presence,
//! `{"on":"offline","for":"5m","severity":2,"notify":["ops"]}`.
//!
//! A rule that can't do what it says is refused when it is set, because nobody is there to be told
//! when it is applied.

use std::fmt;

use serde_json::Value;

use super::MAX_SEVERITY;
use crate::escape::Quoted;
use crate::json::{self, JsonError, Object};
use crate::{duration, name};

mod bands;
pub use bands::{Bands, Judgement};

/// The longest duration in a rule, in milliseconds: ten years, as that of a timeout.
const MAX_DURATION_MS: u64 = 10 * 365 * 86_400_000;
/// The most users that a rule names.
const MAX_USERS: usize = 64;
/// How deeply a text may nest that is read to the end, so that what is wrong with it can be told.
const MAX_DEPTH: usize = 16;

const COMMON_FIELDS: [&str; 4] = ["for", "every", "wait", "notify"];
const VALUE_FIELDS: [&str; 4] = ["path", "bands", "hysteresis", "keep"];
const OFFLINE_FIELDS: [&str; 2] = ["on", "severity"];

/// A rule that is well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub condition: Condition,
    /// `for`: how long the condition must hold before anybody is told; 0: not at all.
    pub hold_ms: u64,
    /// `every`: at most one notification in this time; `None`: as the module's default says.
    pub every_ms: Option<u64>,
    /// `keep`: the alert clears by itself when it is not raised for this long; 0: never.
    pub keep_ms: u64,
    /// `wait`: how long a notification may wait for company; `None`: as the settings say.
    pub wait_ms: Option<u64>,
    /// Each user once, in the order given.
    pub notify: Vec<String>,
}

/// What raises the alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Value(Bands),
    Offline { severity: u32 },
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleError {
    Json(JsonError),
    /// The place is a JSON Pointer to what is at fault, empty for the rule as a whole.
    Invalid {
        place: String,
        message: String,
    },
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::Json(error) => write!(f, "{error}"),
            RuleError::Invalid { place, message } if place.is_empty() => f.write_str(message),
            RuleError::Invalid { place, message } => write!(f, "{place}: {message}"),
        }
    }
}

impl Rule {
    /// Reads a rule. With it comes its text without white space, which is what is stored and reads
    /// as the same rule.
    pub fn parse(text: &[u8]) -> Result<(Rule, String), RuleError> {
        let object = json::parse_object(text, MAX_DEPTH).map_err(RuleError::Json)?;
        let rule = Rule::read(&object)?;
        Ok((rule, Value::Object(object).to_string()))
    }

    fn read(object: &Object) -> Result<Rule, RuleError> {
        let (mine, others, kind) = match (object.get("path"), object.get("on")) {
            (Some(_), None) => (&VALUE_FIELDS[..], &OFFLINE_FIELDS[..], "a value"),
            (None, Some(_)) => (&OFFLINE_FIELDS[..], &VALUE_FIELDS[..], "presence"),
            (Some(_), Some(_)) => return invalid("/on", "a rule with a 'path' has no 'on'"),
            (None, None) => return invalid("", "has neither 'path' nor 'on'"),
        };
        for field in object.keys().map(String::as_str) {
            if others.contains(&field) {
                return invalid(format!("/{field}"), format!("not for a rule on {kind}"));
            }
            if !mine.contains(&field) && !COMMON_FIELDS.contains(&field) {
                return unknown_field("", field);
            }
        }
        let condition = match (object.get("path"), object.get("on")) {
            (Some(path), _) => Condition::Value(Bands::read(path, object)?),
            (None, on) => offline(on, object.get("severity"))?,
        };
        Ok(Rule {
            condition,
            hold_ms: duration_ms(object, "for")?.unwrap_or(0),
            every_ms: duration_ms(object, "every")?,
            keep_ms: duration_ms(object, "keep")?.unwrap_or(0),
            wait_ms: duration_ms(object, "wait")?,
            notify: users(object.get("notify"))?,
        })
    }
}

fn offline(on: Option<&Value>, given: Option<&Value>) -> Result<Condition, RuleError> {
    match on.and_then(Value::as_str) {
        Some("offline") => Ok(Condition::Offline {
            severity: match given {
                Some(given) => severity("/severity", given)?,
                None => 1,
            },
        }),
        _ => {
            let on = on.map(shown).unwrap_or_default();
            invalid("/on", format!("{on} is not 'offline'"))
        }
    }
}

fn severity(place: &str, given: &Value) -> Result<u32, RuleError> {
    let number = whole(given).and_then(|number| u32::try_from(number).ok());
    match number.filter(|number| *number <= MAX_SEVERITY) {
        Some(number) => Ok(number),
        None => {
            let given = shown(given);
            invalid(
                place,
                format!("{given} is not a whole number from 0 to {MAX_SEVERITY}"),
            )
        }
    }
}

/// A number of milliseconds, or a text such as `5m`.
fn duration_ms(object: &Object, field: &str) -> Result<Option<u64>, RuleError> {
    use duration::InvalidDuration::{NotADuration, TooLarge};
    let Some(given) = object.get(field) else {
        return Ok(None);
    };
    let ms = match given {
        Value::String(text) => duration::parse(text.as_bytes()),
        given => whole(given).ok_or(NotADuration),
    };
    let why = match ms {
        Ok(ms) if ms <= MAX_DURATION_MS => return Ok(Some(ms)),
        Ok(_) | Err(TooLarge) => "is more than ten years".to_owned(),
        Err(why) => why.to_string(),
    };
    invalid(format!("/{field}"), format!("{} {why}", shown(given)))
}

fn users(given: Option<&Value>) -> Result<Vec<String>, RuleError> {
    let items = match given {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MAX_USERS => items,
        Some(Value::Array(items)) => {
            let count = items.len();
            return invalid(
                "/notify",
                format!("{count} users are more than {MAX_USERS}"),
            );
        }
        Some(other) => {
            let other = shown(other);
            return invalid("/notify", format!("{other} is not an array of users"));
        }
    };
    let mut users: Vec<String> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let place = format!("/notify/{at}");
        let Value::String(user) = item else {
            return invalid(place, format!("{} is not the name of a user", shown(item)));
        };
        if let Err(why) = name::check(user.as_bytes()) {
            return invalid(place, format!("invalid user {}: {why}", shown(item)));
        }
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    Ok(users)
}

/// A number without a fraction and a sign, also where it is written `2.0` or `1e3`; what is too
/// large is the largest.
fn whole(value: &Value) -> Option<u64> {
    let double = || value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0);
    value.as_u64().or_else(|| double().map(|n| n as u64))
}

/// A value as an error shows it, however large it is.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => Quoted(text.as_bytes()).to_string(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string(),
    }
}

fn invalid<T>(place: impl Into<String>, message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError::Invalid {
        place: place.into(),
        message: message.into(),
    })
}

/// The place is that of the object: the name may hold anything.
fn unknown_field<T>(place: impl Into<String>, field: &str) -> Result<T, RuleError> {
    let field = Quoted(field.as_bytes());
    invalid(place, format!("unknown field {field}"))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
