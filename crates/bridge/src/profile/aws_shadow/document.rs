//! The documents that devices get, made of those that the server answers. What a device or an
//! application wrote is passed on as the server has it, byte for byte; times are in milliseconds
//! there, and in seconds with AWS.

use super::rejection::Rejection;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What `DEVICE.SHADOW.GET` and `DEVICE.SHADOW.UPDATE` answer.
#[derive(Debug, Deserialize)]
pub struct ShadowDocument<'a> {
    /// The sections, or `null`.
    #[serde(borrow)]
    state: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
    version: u64,
    timestamp: u64,
}

/// What `DEVICE.SHADOW.DEL` answers.
#[derive(Debug, Deserialize)]
pub struct Deleted {
    version: u64,
    timestamp: u64,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Sections<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    desired: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reported: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    version: u64,
    timestamp: u64,
    #[serde(rename = "clientToken", skip_serializing_if = "Option::is_none")]
    client_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Rejected<'a> {
    code: u16,
    message: &'a str,
    timestamp: u64,
    #[serde(rename = "clientToken", skip_serializing_if = "Option::is_none")]
    client_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Documents<'a> {
    /// `null` where there was no shadow, as the Greengrass shadow manager has it.
    previous: Option<Moment<'a>>,
    current: Moment<'a>,
    timestamp: u64,
    #[serde(rename = "clientToken", skip_serializing_if = "Option::is_none")]
    client_token: Option<&'a str>,
}

/// A whole shadow at one time.
#[derive(Serialize)]
struct Moment<'a> {
    state: Sections<'a>,
    metadata: Box<RawValue>,
    version: u64,
}

pub type Result<T> = serde_json::Result<T>;

impl<'a> ShadowDocument<'a> {
    pub fn read(text: &'a [u8]) -> Result<ShadowDocument<'a>> {
        serde_json::from_slice(text)
    }

    /// For `update/accepted` and `get/accepted`.
    pub fn accepted(&self, client_token: Option<&str>) -> Result<Vec<u8>> {
        serde_json::to_vec(&Accepted {
            state: Some(self.state),
            metadata: Some(in_seconds(self.metadata.get())?),
            version: self.version,
            timestamp: seconds(self.timestamp),
            client_token,
        })
    }

    fn moment(&self) -> Result<Moment<'a>> {
        Ok(Moment {
            state: serde_json::from_str(self.state.get())?,
            metadata: in_seconds(self.metadata.get())?,
            version: self.version,
        })
    }
}

impl Deleted {
    pub fn read(text: &[u8]) -> Result<Deleted> {
        serde_json::from_slice(text)
    }

    /// For `delete/accepted`.
    pub fn accepted(&self, client_token: Option<&str>) -> Result<Vec<u8>> {
        serde_json::to_vec(&Accepted {
            state: None,
            metadata: None,
            version: self.version,
            timestamp: seconds(self.timestamp),
            client_token,
        })
    }
}

/// For `.../rejected`; `now` is in milliseconds.
pub fn rejected(rejection: &Rejection, client_token: Option<&str>, now: u64) -> Result<Vec<u8>> {
    serde_json::to_vec(&Rejected {
        code: rejection.code,
        message: &rejection.message,
        timestamp: seconds(now),
        client_token,
    })
}

/// For `update/documents`: the shadow before and after the update.
pub fn documents(
    previous: Option<&ShadowDocument<'_>>,
    current: &ShadowDocument<'_>,
    client_token: Option<&str>,
) -> Result<Vec<u8>> {
    serde_json::to_vec(&Documents {
        previous: previous.map(ShadowDocument::moment).transpose()?,
        current: current.moment()?,
        timestamp: seconds(current.timestamp),
        client_token,
    })
}

/// For `update/delta`, from what `DEVICE.SHADOW.GET` answers. `None` when nothing is outstanding.
pub fn delta(shadow: &ShadowDocument<'_>) -> Result<Option<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Outstanding<'a> {
        #[serde(borrow, default)]
        delta: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Times {
        #[serde(default)]
        desired: Map<String, Value>,
    }
    let outstanding: Outstanding<'_> = serde_json::from_str(shadow.state.get())?;
    let Some(delta) = outstanding.delta else {
        return Ok(None);
    };
    let times: Times = serde_json::from_str(shadow.metadata.get())?;
    let times = times_of(&serde_json::from_str(delta.get())?, times.desired.into());
    let document = Accepted {
        state: Some(delta),
        metadata: Some(in_seconds(&times.to_string())?),
        version: shadow.version,
        timestamp: seconds(shadow.timestamp),
        client_token: None,
    };
    serde_json::to_vec(&document).map(Some)
}

/// Those of the times of the desired document that belong to the delta.
fn times_of(delta: &Value, times: Value) -> Value {
    match (delta, times) {
        (Value::Object(delta), Value::Object(mut times)) => delta
            .iter()
            .filter_map(|(name, value)| {
                let below = times.remove(name)?;
                Some((name.clone(), times_of(value, below)))
            })
            .collect(),
        (_, times) => times,
    }
}

fn seconds(milliseconds: u64) -> u64 {
    milliseconds / 1000
}

/// Metadata with its times in seconds. They are its only numbers: whatever stands in quotes is the
/// name of a member, also where it is `timestamp`.
fn in_seconds(metadata: &str) -> Result<Box<RawValue>> {
    let mut text = String::with_capacity(metadata.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut time: Option<u64> = None;
    for c in metadata.chars() {
        match c.to_digit(10) {
            Some(digit) if !quoted => {
                let before = time.unwrap_or_default();
                time = Some(before.saturating_mul(10).saturating_add(digit.into()));
                continue;
            }
            _ => {}
        }
        if let Some(time) = time.take() {
            text.push_str(&seconds(time).to_string());
        }
        text.push(c);
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    RawValue::from_string(text)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
