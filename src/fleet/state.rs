//! What is stored of a device, as it is answered, and when it will be due.

use super::{settings, Device, Error, Fleet, Result};
use crate::store::{Arg, Ctx, HashKey, KeyType, RString};

/// Fields and values of a hash.
pub type State = Vec<(Vec<u8>, Vec<u8>)>;

/// The whole hash of a device, field by field, with times in milliseconds even where the plain
/// recipe or its old writers put seconds; `None` when it is unknown.
pub fn all(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Option<State>> {
    let key = fleet.keys.state(id);
    if own_hash(ctx, fleet, &key, id)?.is_none() {
        return Ok(None);
    }
    let reply = ctx.read(c"HGETALL", &[Arg::Str(&key)])?;
    let fields = reply.pairs().map(|(field, value)| {
        let value = match is_time(fleet, field) {
            true => in_ms(value).to_string().into_bytes(),
            false => value.to_vec(),
        };
        (field.to_vec(), value)
    });
    Ok(Some(fields.collect()))
}

/// Some fields of it, in the order in which they are named.
pub fn fields(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    names: &[&[u8]],
) -> Result<Option<Vec<Option<RString>>>> {
    let key = fleet.keys.state(id);
    let Some(hash) = own_hash(ctx, fleet, &key, id)? else {
        return Ok(None);
    };
    let values = names.iter().map(|name| {
        let value = hash.get(&RString::new(name))?;
        Some(match is_time(fleet, name) {
            true => RString::from_int(in_ms(value.bytes())),
            false => value,
        })
    });
    Ok(Some(values.collect()))
}

/// The hash under a device's key; one that is another device's is an error.
fn own_hash<'a>(
    ctx: &'a Ctx<'_>,
    fleet: &Fleet,
    key: &RString,
    id: &str,
) -> Result<Option<HashKey<'a>>> {
    let hash = ctx
        .open_hash(key)
        .map_err(|found| Error::wrong_type(key.bytes(), found, KeyType::Hash))?;
    match hash {
        Some(hash) if !is(&hash, &fleet.fields.device_id, id) => Err(Error::foreign(key.bytes())),
        hash => Ok(hash),
    }
}

fn is_time(fleet: &Fleet, field: &[u8]) -> bool {
    let f = &fleet.fields;
    field == f.last_seen.bytes() || field == f.registered_at.bytes()
}

/// A time in milliseconds, whoever wrote it.
pub(super) fn in_ms(time: &[u8]) -> u64 {
    devicestate_core::recipe::time_ms(time).unwrap_or(0)
}

/// Whether a field holds just this.
pub(super) fn is(hash: &HashKey<'_>, field: &RString, wanted: &str) -> bool {
    hash.get(field)
        .is_some_and(|value| value.bytes() == wanted.as_bytes())
}

/// When a device that is online will be due, in milliseconds since the Unix epoch. Devices of the
/// plain recipe never are before they are adopted.
pub fn deadline(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, now: u64) -> Option<u64> {
    let grace = settings::RESTART_GRACE.value();
    if !device.online || device.from_recipe {
        return None;
    }
    let online = device.as_online(ctx, fleet);
    online.deadline(now, &fleet.hearing_of(&device.id), grace)
}
