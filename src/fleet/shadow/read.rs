//! Reading a shadow: the whole document, both sides of what is outstanding, the names there are.

use std::borrow::Cow;

use serde::Serialize;

use devicestate_core::json::Object;
use devicestate_core::shadow::delta::{both_sides, delta};

use super::{Device, Error, Fleet, Result};
use super::{Name, Place, Section, Stored};
use crate::fleet::keys::VERSION_OF;
use crate::fleet::presence::expect;
use crate::store::{Arg, Ctx, KeyType};

/// A shadow as AWS IoT shows it, with times in milliseconds.
#[derive(Serialize)]
struct Document<'a> {
    state: State<'a>,
    metadata: State<'a>,
    version: u64,
    timestamp: u64,
}

/// Without what is empty.
#[derive(Default, Serialize)]
struct State<'a> {
    #[serde(skip_serializing_if = "is_empty")]
    desired: Cow<'a, Object>,
    #[serde(skip_serializing_if = "is_empty")]
    reported: Cow<'a, Object>,
    #[serde(skip_serializing_if = "is_empty")]
    delta: Cow<'a, Object>,
}

fn is_empty(document: &Object) -> bool {
    document.is_empty()
}

/// What `DEVICE.DELTA` answers.
#[derive(Serialize)]
struct Sides<'a> {
    device_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Name<'a>,
    in_sync: bool,
    version: u64,
    delta: Object,
}

/// The whole shadow as JSON; `None` when there is none.
pub fn document(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    name: Name<'_>,
    now: u64,
) -> Result<Option<String>> {
    let Some(device) = Device::load(ctx, fleet, id)? else {
        return Ok(None);
    };
    let stored = Stored::read(ctx, Some(&device), &Place::new(fleet, id, name))?;
    if !stored.exists {
        return Ok(None);
    }
    let (desired, reported) = (&stored.desired.document, &stored.reported.document);
    let document = Document {
        state: State {
            desired: Cow::Borrowed(desired),
            reported: Cow::Borrowed(reported),
            delta: Cow::Owned(delta(desired, reported)),
        },
        metadata: State {
            desired: Cow::Owned(metadata_of(&stored.desired)),
            reported: Cow::Owned(metadata_of(&stored.reported)),
            ..State::default()
        },
        version: stored.version,
        timestamp: now,
    };
    json(&document).map(Some)
}

/// Empty where no times are kept.
fn metadata_of(section: &Section) -> Object {
    match section.meta {
        Some(_) => section.times().metadata(&section.document),
        None => Object::new(),
    }
}

fn json(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(Error::usage)
}

/// Desired and reported value of every top-level member that differs.
pub fn sides(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, name: Name<'_>) -> Result<String> {
    let device = registered(ctx, fleet, id)?;
    let stored = Stored::read(ctx, Some(&device), &Place::new(fleet, id, name))?;
    if let Some(name) = name.filter(|_| !stored.exists) {
        return Err(Error::no_shadow(name));
    }
    let (desired, reported) = (&stored.desired.document, &stored.reported.document);
    let outstanding = delta(desired, reported);
    json(&Sides {
        device_id: id,
        name,
        in_sync: outstanding.is_empty(),
        version: stored.version,
        delta: both_sides(&outstanding, desired, reported),
    })
}

/// The named shadows that exist, sorted.
pub fn names(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Vec<Vec<u8>>> {
    registered(ctx, fleet, id)?;
    let key = fleet.keys.shadows(id);
    expect(ctx, &key, KeyType::Hash)?;
    let fields = ctx.read(c"HKEYS", &[Arg::Str(&key)])?;
    let mut names: Vec<Vec<u8>> = fields
        .iter()
        .filter_map(|field| field.strip_prefix(VERSION_OF.as_bytes()))
        .map(<[u8]>::to_vec)
        .collect();
    names.sort();
    Ok(names)
}

pub(super) fn registered(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Device> {
    Device::load(ctx, fleet, id)?.ok_or_else(|| Error::no_device(id, "is not registered"))
}
