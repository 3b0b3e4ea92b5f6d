//! From a message's payload to the command it stands for. Pure: no clock, no connection.
//!
//! A payload is one JSON object. Members that are not known are refused, because a misspelt
//! `sesion` that is silently ignored would let an old will take a live device offline. The
//! `reported` object is passed on byte for byte: the bridge never rewrites a number.
//!
//! A payload in a user's own protobuf is the reported object itself, see [`crate::protobuf`].

use super::topic::Kind;
use crate::protobuf::Schema;
use crate::work::{Then, Work};
use devicestate_core::duration;
use serde::de::{self, Deserializer, Visitor};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The reason of an offline step when the payload names none.
const DEFAULT_REASON: &str = "will";

/// One command for one device, as `docs/commands` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCommand {
    pub device: String,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `DEVICE.HEARTBEAT id [REPORTED json [REPLACE]] [TIMEOUT t] [SESSION n [SEQ n]]`
    Heartbeat {
        report: Option<Report>,
        /// Milliseconds or a number with a unit, as the device wrote it.
        timeout: Option<String>,
        fence: Fence,
    },
    /// `DEVICE.OFFLINE id REASON text [SESSION n]`
    Offline {
        reason: String,
        session: Option<u64>,
    },
    /// `DEVICE.COMMAND.DONE id cmd OK|FAILED|REJECTED [json]`
    Done {
        command: String,
        outcome: &'static str,
        /// JSON, exactly as the device wrote it.
        result: Option<String>,
    },
    /// `DEVICE.GET id status`: no more than a question. What waits for the device is told by the
    /// downlink.
    Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The text of a JSON object, exactly as the device wrote it where it wrote JSON.
    pub json: String,
    pub replace: bool,
}

/// Which of a device's messages are newer than others. `seq` never stands without `session`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fence {
    pub session: Option<u64>,
    pub seq: Option<u64>,
}

impl DeviceCommand {
    /// The command and its arguments, as they go to the server.
    pub fn words(&self) -> Vec<Cow<'_, str>> {
        let mut words: Vec<Cow<'_, str>> = Vec::with_capacity(10);
        match &self.action {
            Action::Heartbeat {
                report,
                timeout,
                fence,
            } => {
                words.extend(["DEVICE.HEARTBEAT".into(), self.device.as_str().into()]);
                if let Some(report) = report {
                    words.extend(["REPORTED".into(), report.json.as_str().into()]);
                    if report.replace {
                        words.push("REPLACE".into());
                    }
                }
                if let Some(timeout) = timeout {
                    words.extend(["TIMEOUT".into(), timeout.as_str().into()]);
                }
                if let Some(session) = fence.session {
                    words.extend(["SESSION".into(), session.to_string().into()]);
                    if let Some(seq) = fence.seq {
                        words.extend(["SEQ".into(), seq.to_string().into()]);
                    }
                }
            }
            Action::Offline { reason, session } => {
                words.extend(["DEVICE.OFFLINE".into(), self.device.as_str().into()]);
                words.extend(["REASON".into(), reason.as_str().into()]);
                if let Some(session) = session {
                    words.extend(["SESSION".into(), session.to_string().into()]);
                }
            }
            Action::Done {
                command,
                outcome,
                result,
            } => {
                words.extend(["DEVICE.COMMAND.DONE".into(), self.device.as_str().into()]);
                words.extend([command.as_str().into(), (*outcome).into()]);
                words.extend(result.as_deref().map(Into::into));
            }
            Action::Ask => {
                words.extend(["DEVICE.GET".into(), self.device.as_str().into()]);
                words.push("status".into());
            }
        }
        words
    }
}

impl From<DeviceCommand> for Work {
    fn from(command: DeviceCommand) -> Work {
        let mut cmd = redis::Cmd::new();
        for word in command.words() {
            cmd.arg(word.as_bytes());
        }
        let then = match command.action {
            Action::Heartbeat { .. } => Then::Heartbeat,
            Action::Ask => Then::Ask,
            Action::Offline { .. } | Action::Done { .. } => Then::Settle,
        };
        Work {
            then,
            ..Work::one(command.device, cmd)
        }
    }
}

/// Reads a payload. The error is a sentence for a log line; it may quote the payload.
pub fn parse(
    kind: Kind,
    device: String,
    payload: &[u8],
    retained: bool,
) -> Result<DeviceCommand, String> {
    check_live(retained)?;
    let action = match kind {
        Kind::Heartbeat => heartbeat(payload)?,
        Kind::Reported => reported(payload)?,
        Kind::Will => will(payload)?,
        Kind::Get => get(payload)?,
    };
    Ok(DeviceCommand { device, action })
}

/// Reads a payload that is a message of this type. The error is a sentence for a log line.
pub fn decode(
    schema: &Schema,
    device: String,
    payload: &[u8],
    retained: bool,
    max_payload: usize,
) -> Result<DeviceCommand, String> {
    check_live(retained)?;
    let report = Report {
        json: schema.report(payload, max_payload)?,
        replace: false,
    };
    let action = Action::Heartbeat {
        report: Some(report),
        timeout: None,
        fence: Fence::default(),
    };
    Ok(DeviceCommand { device, action })
}

/// Reads the result of a command.
pub fn parse_result(
    command: String,
    device: String,
    payload: &[u8],
    retained: bool,
) -> Result<DeviceCommand, String> {
    check_live(retained)?;
    let ResultPayload { outcome, result } = object_or_empty(payload)?;
    let action = Action::Done {
        command,
        outcome: outcome.word(),
        result: result.map(|json| json.get().to_owned()),
    };
    Ok(DeviceCommand { device, action })
}

/// The session that a payload names, if it is JSON and does. Whatever else is right or wrong with it is
/// for whoever reads the message.
pub fn session(payload: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Named {
        session: Option<u64>,
    }
    let named: Option<Named> = serde_json::from_slice(payload).ok();
    named?.session
}

fn check_live(retained: bool) -> Result<(), String> {
    if retained {
        return Err("a retained message is not a sign of life; publish without retain".into());
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartbeatPayload {
    session: Option<u64>,
    seq: Option<u64>,
    timeout: Option<Timeout>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportedPayload<'a> {
    #[serde(borrow)]
    reported: &'a RawValue,
    #[serde(default)]
    replace: bool,
    session: Option<u64>,
    seq: Option<u64>,
    timeout: Option<Timeout>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WillPayload {
    session: Option<u64>,
    reason: Option<String>,
}

/// Nothing can be said yet; an empty object is nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetPayload {}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResultPayload<'a> {
    outcome: Outcome,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Outcome {
    #[default]
    Ok,
    Failed,
    Rejected,
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Ok => "OK",
            Outcome::Failed => "FAILED",
            Outcome::Rejected => "REJECTED",
        }
    }
}

fn heartbeat(payload: &[u8]) -> Result<Action, String> {
    let payload: HeartbeatPayload = object_or_empty(payload)?;
    Ok(Action::Heartbeat {
        report: None,
        timeout: payload.timeout.map(|t| t.0),
        fence: fence(payload.session, payload.seq)?,
    })
}

fn reported(payload: &[u8]) -> Result<Action, String> {
    let payload: ReportedPayload = object(payload)?;
    let json = payload.reported.get();
    if !json.starts_with('{') {
        return Err("\"reported\" is not an object".into());
    }
    Ok(Action::Heartbeat {
        report: Some(Report {
            json: json.to_owned(),
            replace: payload.replace,
        }),
        timeout: payload.timeout.map(|t| t.0),
        fence: fence(payload.session, payload.seq)?,
    })
}

fn will(payload: &[u8]) -> Result<Action, String> {
    let payload: WillPayload = object_or_empty(payload)?;
    Ok(Action::Offline {
        reason: payload.reason.unwrap_or_else(|| DEFAULT_REASON.into()),
        session: payload.session,
    })
}

fn get(payload: &[u8]) -> Result<Action, String> {
    object_or_empty::<GetPayload>(payload).map(|GetPayload {}| Action::Ask)
}

fn fence(session: Option<u64>, seq: Option<u64>) -> Result<Fence, String> {
    if seq.is_some() && session.is_none() {
        return Err("\"seq\" needs \"session\"".into());
    }
    Ok(Fence { session, seq })
}

fn object_or_empty<'a, T: Default + Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
    if payload.is_empty() {
        return Ok(T::default());
    }
    object(payload)
}

/// One JSON object, and nothing after it. serde would also fill the fields in order from an array.
fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
    let text = std::str::from_utf8(payload)
        .map_err(|e| format!("the payload is not UTF-8 at byte {}", e.valid_up_to()))?;
    if text.is_empty() {
        return Err("the payload is empty".into());
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the payload is not a JSON object".into());
    }
    serde_json::from_str(text).map_err(|e| format!("the payload is not accepted: {e}"))
}

/// A duration, kept as it was written: whole milliseconds, or a text such as `"90s"`.
struct Timeout(String);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Timeout;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole milliseconds or a duration such as \"90s\" for timeout")
            }

            fn visit_u64<E: de::Error>(self, milliseconds: u64) -> Result<Timeout, E> {
                Ok(Timeout(milliseconds.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeout, E> {
                match duration::parse(text.as_bytes()) {
                    Ok(_) => Ok(Timeout(text.to_owned())),
                    Err(reason) => Err(E::custom(format_args!("timeout {reason}"))),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
