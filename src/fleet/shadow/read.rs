//! Reading a shadow: the whole document, both sides of what is outstanding, the names there are.

use serde_json::{json, Map, Value};

use devicestate_core::shadow::delta::{both_sides, delta};

use super::{Device, Error, Fleet, Result};
use super::{Name, Place, Section, Stored};
use crate::fleet::keys::VERSION_OF;
use crate::fleet::presence::expect;
use crate::store::{Arg, Ctx, KeyType};

/// The whole shadow as AWS IoT shows it, with times in milliseconds; `None` when there is none.
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
    let (mut state, mut metadata) = (Map::new(), Map::new());
    for (section, name) in [(&stored.desired, "desired"), (&stored.reported, "reported")] {
        if section.document.is_empty() {
            continue;
        }
        if section.meta.is_some() {
            metadata.insert(name.to_owned(), metadata_of(section));
        }
        state.insert(name.to_owned(), section.document.clone().into());
    }
    let outstanding = delta(&stored.desired.document, &stored.reported.document);
    if !outstanding.is_empty() {
        state.insert("delta".to_owned(), outstanding.into());
    }
    let document = json!({
        "state": state,
        "metadata": metadata,
        "version": stored.version,
        "timestamp": now,
    });
    Ok(Some(document.to_string()))
}

fn metadata_of(section: &Section) -> Value {
    section.times().metadata(&section.document).into()
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
    let mut document = json!({
        "device_id": id,
        "in_sync": outstanding.is_empty(),
        "version": stored.version,
        "delta": both_sides(&outstanding, desired, reported),
    });
    if let Some(name) = name {
        document["name"] = name.into();
    }
    Ok(document.to_string())
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
