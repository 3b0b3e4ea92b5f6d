//! A `devicestate.v1.DeviceMessage`: what a device says in protobuf, as what a heartbeat takes.
//!
//! The schema (`proto/devicestate/v1/device.proto`) says what each field means; this file says what
//! becomes of it in the reported document. What the schema tells a reader to skip is skipped;
//! whatever else makes no sense is refused, and then nothing of the message counts.

use std::fmt;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::DecodePaddingMode;
use base64::{alphabet, Engine};
use devicestate_proto::v1::{
    metric, CommandResult, CommandStatus, DeviceMessage, Metric, Position, ResetReason, Vitals,
};
use prost::Message;
use serde_json::{Number, Value};

use crate::json::{self, JsonError, Object};

/// What a message says, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beat {
    /// What is reported; `None`: nothing.
    pub report: Option<Object>,
    /// The report takes the place of the whole document.
    pub replace: bool,
    /// Milliseconds; not checked against the bounds of a timeout.
    pub timeout: Option<u64>,
    pub session: Option<u64>,
    /// Only with a session.
    pub seq: Option<u64>,
    pub results: Vec<Outcome>,
}

/// What became of a command that the device took.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub command: String,
    pub status: Status,
    /// JSON text without white space.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    Failed,
    Rejected,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Failed => "FAILED",
            Status::Rejected => "REJECTED",
        }
    }
}

/// Why a payload is no message.
#[derive(Debug, Clone, PartialEq)]
pub enum BadPayload {
    Base64(String),
    Protobuf(String),
    SeqWithoutSession,
    Document(JsonError),
    /// Details of the result of this command.
    Detail(String, JsonError),
    /// Vitals or metrics nest more deeply than so many levels.
    TooDeep(usize),
    /// This metric has more digits than a double.
    TooPrecise(String),
}

impl fmt::Display for BadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPayload::Base64(why) => write!(f, "payload is not base64: {why}"),
            BadPayload::Protobuf(why) => {
                write!(f, "payload is no devicestate.v1.DeviceMessage: {why}")
            }
            BadPayload::SeqWithoutSession => f.write_str("seq goes with session"),
            BadPayload::Document(error) => write!(f, "reported_json: {error}"),
            BadPayload::Detail(command, error) => {
                let command = crate::escape::Quoted(command.as_bytes());
                write!(f, "detail_json of command {command}: {error}")
            }
            BadPayload::TooDeep(max) => {
                write!(
                    f,
                    "the report has too many levels of nesting; maximum is {max}"
                )
            }
            BadPayload::TooPrecise(name) => {
                let name = crate::escape::Quoted(name.as_bytes());
                write!(f, "metric {name} has more digits than a double")
            }
        }
    }
}

/// The alphabet of RFC 4648, section 4, with padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes from base64 text.
pub fn from_base64(text: &[u8]) -> Result<Vec<u8>, BadPayload> {
    LENIENT
        .decode(text)
        .map_err(|why| BadPayload::Base64(why.to_string()))
}

/// Reads a message; its document may nest `max_depth` levels deep.
pub fn decode(bytes: &[u8], max_depth: usize) -> Result<Beat, BadPayload> {
    let message =
        DeviceMessage::decode(bytes).map_err(|why| BadPayload::Protobuf(why.to_string()))?;
    if message.seq.is_some() && message.session.is_none() {
        return Err(BadPayload::SeqWithoutSession);
    }
    let report = message
        .reported_json
        .as_ref()
        .map(|text| json::parse_object(text.as_bytes(), max_depth).map_err(BadPayload::Document));
    let mut report = report.transpose()?;
    if let Some(vitals) = message
        .vitals
        .as_ref()
        .map(vitals)
        .filter(|v| !v.is_empty())
    {
        let report = report.get_or_insert_default();
        match report.get_mut("vitals") {
            Some(Value::Object(before)) => before.extend(vitals),
            _ => drop(report.insert("vitals".to_owned(), Value::Object(vitals))),
        }
    }
    for metric in message.metrics {
        let Metric { name, value, .. } = metric;
        let Some((name, value)) = name.filter(|name| !name.is_empty()).zip(value) else {
            continue;
        };
        if let Some(value) = value_of(&name, value)? {
            report.get_or_insert_default().insert(name, value);
        }
    }
    if report
        .as_ref()
        .is_some_and(|report| depth_of(report) > max_depth)
    {
        return Err(BadPayload::TooDeep(max_depth));
    }
    let results = message.command_results.into_iter();
    let results: Result<Vec<_>, _> = results
        .filter_map(|result| outcome(result, max_depth).transpose())
        .collect();
    Ok(Beat {
        report,
        replace: message.replace.unwrap_or(false),
        timeout: message.timeout_ms,
        session: message.session,
        seq: message.seq,
        results: results?,
    })
}

/// How many containers lie in each other, the object itself included.
fn depth_of(object: &Object) -> usize {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Object(object) => depth_of(object),
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + object.values().map(depth).max().unwrap_or(0)
}

/// The JSON of a metric's value; `None`: JSON has none.
fn value_of(name: &str, value: metric::Value) -> Result<Option<Value>, BadPayload> {
    use metric::Value as V;
    let too_precise = || BadPayload::TooPrecise(name.to_owned());
    Ok(Some(match value {
        V::Milli(milli) => Value::Number(thousandths(milli).ok_or_else(too_precise)?),
        V::Integer(integer) => integer.into(),
        V::Number(number) => return Ok(Number::from_f64(number).map(Value::Number)),
        V::Flag(flag) => flag.into(),
        V::Text(text) => text.into(),
        V::Data(data) => STANDARD.encode(data).into(),
        V::Integers(list) => list.values.into(),
        V::Millis(list) => {
            let numbers = list.values.into_iter().map(thousandths);
            let numbers: Option<Vec<Number>> = numbers.collect();
            Value::Array(
                numbers
                    .ok_or_else(too_precise)?
                    .into_iter()
                    .map(Value::Number)
                    .collect(),
            )
        }
    }))
}

/// A number in thousandths; `None` when a double can't hold it to the last digit.
fn thousandths(milli: i64) -> Option<Number> {
    /// Up to here every number of thousandths is told from its neighbours by a double.
    const EXACT: i64 = 1 << 53;
    match milli {
        whole if whole % 1_000 == 0 => Some((whole / 1_000).into()),
        milli if milli.abs_diff(0) <= EXACT.abs_diff(0) => decimal(milli, 1_000),
        _ => None,
    }
}

/// A fixed-point number of at most 53 bits: the double nearest to it, which reads as it was meant.
fn decimal(value: i64, scale: i64) -> Option<Number> {
    match value % scale {
        0 => Some((value / scale).into()),
        _ => Number::from_f64(value as f64 / scale as f64),
    }
}

fn vitals(vitals: &Vitals) -> Object {
    let mut object = Object::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let hundredths = |value: i32| decimal(value.into(), 100).map(Value::Number);
    put("battery_percent", vitals.battery_percent.map(Value::from));
    put("rssi_dbm", vitals.rssi_dbm.map(Value::from));
    put(
        "temperature_c",
        vitals.temperature_centi_c.and_then(hundredths),
    );
    put("uptime_s", vitals.uptime_s.map(Value::from));
    put(
        "free_memory_bytes",
        vitals.free_memory_bytes.map(Value::from),
    );
    put(
        "firmware_version",
        vitals.firmware_version.clone().map(Value::from),
    );
    put("supply_mv", vitals.supply_mv.map(Value::from));
    put("charging", vitals.charging.map(Value::from));
    put("cpu_percent", vitals.cpu_percent.map(Value::from));
    put(
        "free_storage_bytes",
        vitals.free_storage_bytes.map(Value::from),
    );
    put(
        "position",
        vitals
            .position
            .as_ref()
            .map(position)
            .filter(|position| !position.is_empty())
            .map(Value::Object),
    );
    let reason = vitals
        .reset_reason
        .and_then(|n| ResetReason::try_from(n).ok());
    put(
        "reset_reason",
        reason.and_then(reset_reason).map(Value::from),
    );
    object
}

fn position(position: &Position) -> Object {
    let mut object = Object::new();
    for (name, value, scale) in [
        ("lat", position.lat_e7, 10_000_000),
        ("lon", position.lon_e7, 10_000_000),
        ("altitude_m", position.altitude_dm, 10),
    ] {
        if let Some(number) = value.and_then(|value| decimal(value.into(), scale)) {
            object.insert(name.to_owned(), Value::Number(number));
        }
    }
    object
}

fn reset_reason(reason: ResetReason) -> Option<&'static str> {
    Some(match reason {
        ResetReason::Unspecified => return None,
        ResetReason::PowerOn => "power_on",
        ResetReason::Software => "software",
        ResetReason::Watchdog => "watchdog",
        ResetReason::Brownout => "brownout",
        ResetReason::Crash => "crash",
        ResetReason::DeepSleep => "deep_sleep",
    })
}

/// `None`: without a command or an outcome that is known.
fn outcome(result: CommandResult, max_depth: usize) -> Result<Option<Outcome>, BadPayload> {
    let status = result.status.and_then(|n| CommandStatus::try_from(n).ok());
    let status = match status {
        Some(CommandStatus::Ok) => Status::Ok,
        Some(CommandStatus::Failed) => Status::Failed,
        Some(CommandStatus::Rejected) => Status::Rejected,
        Some(CommandStatus::Unspecified) | None => return Ok(None),
    };
    let Some(command) = result.command_id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let detail = result.detail_json.map(|detail| {
        json::parse_value(detail.as_bytes(), max_depth)
            .map(|value| value.to_string())
            .map_err(|error| BadPayload::Detail(command.clone(), error))
    });
    let detail = detail.transpose()?;
    Ok(Some(Outcome {
        command,
        status,
        detail,
    }))
}

#[cfg(test)]
mod tests;
