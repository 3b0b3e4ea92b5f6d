//! Deleting a shadow. Its version stays behind, and counts the deletion too: whoever knows an older
//! state of the shadow can tell, and one that is made anew goes on from there.

use devicestate_core::json::Object;
use devicestate_core::shadow::merge;

use super::tell::{self, Outstanding};
use super::{deleted_field, Device, Name, Place, Stored};
use super::{Error, Fleet, Result};
use crate::fleet::presence::expect;
use crate::fleet::{history, registry};
use crate::store::{Arg, Ctx, KeyType};

/// Deletes a shadow; returns the version that it leaves behind.
pub fn delete(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, name: Name<'_>, now: u64) -> Result<u64> {
    let mut device = Device::registered(ctx, fleet, id)?;
    let place = Place::new(fleet, id, name);
    let stored = Stored::read(ctx, Some(&device), &place)?;
    if !stored.exists {
        return Err(Error::no_shadow(name.unwrap_or(id)));
    }
    let (keys, indexes) = (&fleet.keys, fleet.keys.of(id));
    expect(ctx, &indexes.events, KeyType::Stream)?;
    expect(ctx, &indexes.out_of_sync, KeyType::Set)?;
    expect(ctx, &keys.history(id), KeyType::Stream)?;
    registry::adopt_if_needed(ctx, fleet, &mut device, now)?;

    let version = stored.version.saturating_add(1);
    let outstanding = Outstanding {
        name,
        version,
        delta: "",
        desired: "",
    };
    if !stored.delta.is_empty() {
        outstanding.append(ctx, fleet, id, now)?;
    }
    let (key, f) = (Arg::Str(&place.key), place.fields());
    let mut hdel = vec![key];
    hdel.extend(
        [
            &f.reported,
            &f.reported_meta,
            &f.desired,
            &f.desired_meta,
            &f.delta,
        ]
        .map(Arg::Str),
    );
    match name {
        None => {
            ctx.write(c"HSET", &[key, Arg::Str(&f.version), version.into()])?;
            device.version = version;
            tell::index(ctx, fleet, &device, true)?;
            fleet.know(id, version, true);
        }
        Some(name) => {
            let deleted = deleted_field(name);
            ctx.write(c"HSET", &[key, Arg::Str(&deleted), version.into()])?;
            hdel.push(Arg::Str(&f.version));
        }
    }
    ctx.write(c"HDEL", &hdel)?;
    let sections = [
        ("desired", &stored.desired, c"device.desired"),
        ("reported", &stored.reported, c"device.reported"),
    ];
    for (kind, section, event) in sections {
        let all_gone = merge::replace(&section.document(), Object::new(), now);
        let Some(change) = &all_gone.change else {
            continue;
        };
        let entry = history::Entry::Change {
            kind,
            name,
            version,
            change,
        };
        history::append(ctx, fleet, &device, &entry, now);
        ctx.notify(event, &device.key);
    }
    if !stored.delta.is_empty() {
        outstanding.publish(ctx, fleet, id, now);
    }
    ctx.touched(&device.id_key);
    Ok(version)
}
