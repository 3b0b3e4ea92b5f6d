//! The stored delta against the documents it is made from: other hands may change one of them (the
//! plain recipe writes `desired_state` by itself), and the documents are the truth.

use super::tell::{self, Outstanding};
use super::{Device, Fleet, Place, Result, Stored};
use crate::fleet::presence::expect;
use crate::store::{lossy_text, pair, Arg, Ctx, KeyType};

/// Whether the classic shadow's delta is what its documents amount to, and indexed.
pub fn is_mended(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<bool> {
    let stored = Stored::read(ctx, Some(device), &Place::new(fleet, &device.id, None))?;
    Ok(stored.delta == stored.delta_of_documents()
        && is_indexed(ctx, fleet, device)? != stored.delta.is_empty())
}

fn is_indexed(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<bool> {
    let set = Arg::Str(&fleet.keys.of(&device.id).out_of_sync);
    let reply = ctx.read(c"SISMEMBER", &[set, Arg::Str(&device.id_key)])?;
    Ok(reply.int() == 1)
}

/// Makes it so. Where other hands changed what is outstanding, that counts in the version, and the
/// device is told; with `silently` neither (adoption tells nobody anything). Returns whether there
/// was anything to mend.
pub fn mend(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
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
    let indexes = fleet.keys.of(&device.id);
    expect(ctx, &indexes.out_of_sync, KeyType::Set)?;
    let tells = !silently && !is_same;
    let desired = lossy_text(stored.desired.bytes());
    let outstanding = Outstanding {
        name: None,
        version: device.version.saturating_add(u64::from(tells)),
        delta: &delta,
        desired: &desired,
    };
    if tells {
        expect(ctx, &indexes.events, KeyType::Stream)?;
        outstanding.append(ctx, fleet, &device.id, now)?;
    }
    let (key, f) = (Arg::Str(&place.key), place.fields());
    let mut fields = pair(&f.version, outstanding.version).to_vec();
    if !delta.is_empty() {
        fields.extend(pair(&f.delta, delta.as_str()));
    }
    if !is_same {
        ctx.hset(&place.key, &fields)?;
    }
    if delta.is_empty() && !stored.delta.is_empty() {
        ctx.write(c"HDEL", &[key, Arg::Str(&f.delta)])?;
    }
    device.version = outstanding.version;
    tell::index(ctx, fleet, device, delta.is_empty())?;
    fleet.know(&device.id, device.version, delta.is_empty());
    if tells {
        outstanding.publish(ctx, fleet, &device.id, now);
    }
    ctx.touched(&device.id_key);
    Ok(true)
}
