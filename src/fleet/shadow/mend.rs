//! The stored delta against the documents it is made from: other hands may change one of them (the
//! plain recipe writes `desired_state` by itself), and the documents are the truth.

use super::tell::{self, Outstanding};
use super::{Device, Fleet, Place, Result, Stored};
use crate::fleet::presence::expect;
use crate::store::{Arg, Ctx, KeyType};

/// Whether the classic shadow's delta is what its documents amount to, and indexed.
pub fn is_mended(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<bool> {
    let stored = Stored::read(ctx, Some(device), &Place::new(fleet, &device.id, None))?;
    Ok(stored.delta == stored.delta_of_documents()
        && is_indexed(ctx, fleet, device)? != stored.delta.is_empty())
}

fn is_indexed(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<bool> {
    let set = Arg::Str(&fleet.keys.out_of_sync);
    let reply = ctx.read(c"SISMEMBER", &[set, Arg::Str(&device.id_key)])?;
    Ok(reply.int() == 1)
}

/// Makes it so, and tells the device when something else is outstanding now; with `silently` it is
/// not told (adoption tells nobody anything). Returns whether there was anything to mend.
pub fn mend(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    silently: bool,
    now: u64,
) -> Result<bool> {
    let place = Place::new(fleet, &device.id, None);
    let stored = Stored::read(ctx, Some(device), &place)?;
    let delta = stored.delta_of_documents();
    let is_same = delta == stored.delta;
    if is_same && is_indexed(ctx, fleet, device)? != delta.is_empty() {
        return Ok(false);
    }
    expect(ctx, &fleet.keys.out_of_sync, KeyType::Set)?;
    let desired = String::from_utf8_lossy(stored.desired.bytes());
    let outstanding = Outstanding {
        name: None,
        version: device.version,
        delta: &delta,
        desired: &desired,
    };
    let tells = !silently && !is_same;
    if tells {
        expect(ctx, &fleet.keys.events, KeyType::Stream)?;
        outstanding.append(ctx, fleet, &device.id, now)?;
    }
    let (key, field) = (Arg::Str(&place.key), Arg::Str(&place.fields().delta));
    match (is_same, delta.is_empty()) {
        (true, _) => {}
        (false, false) => drop(ctx.write(c"HSET", &[key, field, delta.as_str().into()])?),
        (false, true) => drop(ctx.write(c"HDEL", &[key, field])?),
    }
    tell::index(ctx, fleet, device, delta.is_empty())?;
    if tells {
        outstanding.publish(ctx, fleet, &device.id, now);
    }
    ctx.touched(&device.id_key);
    Ok(true)
}
