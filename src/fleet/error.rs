//! Every error a client can get: a code, then a sentence that names the argument at fault.

use std::fmt;

use devicestate_core::alert::rule::RuleError;
use devicestate_core::escape::Quoted;
use devicestate_core::json::JsonError;
use devicestate_core::shadow::request::Refusal;

use crate::store::{CallError, KeyType};

/// An error reply. What a client sent is quoted with care: any bytes are safe in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Error {
        Error(error.0)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A command that is not written as it should be.
    pub fn usage(text: impl fmt::Display) -> Error {
        Error(format!("ERR {text}"))
    }

    pub fn no_device(id: &str, why: impl fmt::Display) -> Error {
        Error(format!("NODEVICE device {} {why}", Quoted(id.as_bytes())))
    }

    pub fn bad_json(argument: &str, error: &JsonError) -> Error {
        Error(format!("BADJSON {argument}: {error}"))
    }

    pub fn too_large(argument: &str, bytes: usize, limit: u64) -> Error {
        Error(format!(
            "TOOLARGE {argument}: {bytes} bytes, devicestate.max-document-bytes is {limit}"
        ))
    }

    pub fn shadow_too_large(argument: &str, bytes: usize, limit: u64) -> Error {
        Error(format!(
            "TOOLARGE {argument}: the shadow would have {bytes} bytes, \
             devicestate.max-document-bytes is {limit}"
        ))
    }

    pub fn no_shadow(name: &str) -> Error {
        Error(format!(
            "NOSHADOW No shadow exists with name: {}",
            Quoted(name.as_bytes())
        ))
    }

    pub fn version_conflict(expected: u64, current: u64) -> Error {
        Error(format!(
            "VERSIONCONFLICT VERSION: {expected} is not the current version, which is {current}"
        ))
    }

    /// The same for a version in an update document, in the words of AWS IoT.
    pub fn aws_version_conflict(expected: u64, current: u64) -> Error {
        Error(format!(
            "VERSIONCONFLICT Version conflict: {expected} is not the current version, \
             which is {current}"
        ))
    }

    /// An update document that is none, in the words of AWS IoT.
    pub fn bad_request(refusal: &Refusal) -> Error {
        let code = match refusal {
            Refusal::Json(_) => "BADJSON",
            _ => "ERR",
        };
        Error(format!("{code} {refusal}"))
    }

    /// The same error with the number that AWS IoT gives it, behind the code: what a bridge maps
    /// to the `rejected` document of a shadow update.
    pub fn numbered(self) -> Error {
        let (code, text) = self.0.split_once(' ').unwrap_or((&self.0, ""));
        let (number, text) = match code {
            "VERSIONCONFLICT" => (409, text.to_owned()),
            "TOOLARGE" => (
                413,
                format!("The payload exceeds the maximum size allowed: {text}"),
            ),
            "NODEVICE" | "NOSHADOW" => (404, text.to_owned()),
            "ERR" | "BADJSON" => (400, text.to_owned()),
            _ => return self,
        };
        Error(format!("{code} {number} {text}"))
    }

    /// Nothing is wrong with the command, and it will be right soon.
    pub fn try_again(why: impl fmt::Display) -> Error {
        Error(format!("TRYAGAIN {why}"))
    }

    pub fn limit(limit: u64) -> Error {
        Error(format!(
            "LIMIT {limit} devices are registered, devicestate.max-devices allows no more"
        ))
    }

    pub fn too_many_alerts(id: &str, limit: u64) -> Error {
        Error(format!(
            "LIMIT device {} has {limit} alerts, no more are allowed",
            Quoted(id.as_bytes())
        ))
    }

    pub fn too_many_rules(device_type: &str, limit: u64) -> Error {
        Error(format!(
            "LIMIT type {} has {limit} alert rules, no more are allowed",
            Quoted(device_type.as_bytes())
        ))
    }

    /// A payload that is no message, or can't be done.
    pub fn bad_payload(why: impl fmt::Display) -> Error {
        Error(format!("BADPAYLOAD {why}"))
    }

    /// A rule that can't do what it says, with the place of the fault.
    pub fn bad_rule(error: &RuleError) -> Error {
        match error {
            RuleError::Json(error) => Error::bad_json("rule", error),
            RuleError::Invalid { place, message } if place.is_empty() => {
                Error::usage(format_args!("rule: {message}"))
            }
            RuleError::Invalid { .. } => Error::usage(format_args!("rule at {error}")),
        }
    }

    pub fn out_of_memory() -> Error {
        Error("OOM command not allowed when used memory > 'maxmemory'.".to_owned())
    }

    pub fn wrong_type(key: &[u8], found: KeyType, wanted: KeyType) -> Error {
        Error(format!(
            "WRONGTYPE the key {} holds a {}, not a {}",
            Quoted(key),
            found.name(),
            wanted.name()
        ))
    }

    /// A hash under a device's key that says it is another device.
    pub fn foreign(key: &[u8]) -> Error {
        Error(format!(
            "WRONGTYPE the hash {} has the device_id of another device",
            Quoted(key)
        ))
    }

    /// A stream whose consumer group is not that of a queue.
    pub fn foreign_group(key: &[u8], group: &str, mark: &str) -> Error {
        Error(format!(
            "WRONGTYPE the stream {} is no queue: its group {group} has no consumer {mark}, \
             so it is another program's",
            Quoted(key)
        ))
    }

    pub fn queue_full(key: &[u8], length: u64, maxlen: u64) -> Error {
        Error(format!(
            "QUEUEFULL the queue {} holds {length} messages, MAXLEN {maxlen} allows no more",
            Quoted(key)
        ))
    }

    pub fn no_permission(key: &[u8]) -> Error {
        Error(format!(
            "NOPERM this user has no permission for the key {}",
            Quoted(key)
        ))
    }
}
