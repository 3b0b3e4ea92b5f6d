//! Which devices there are: registering, adopting, removing.

use devicestate_core::recipe;

use super::device::UNKNOWN_TYPE;
use super::keys::Indexes;
use super::listing::{self, Filter};
use super::presence::expect;
use super::{alerts, events, presence, settings, shadow, Device, Error, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType};

/// Registers a device, or moves a known one to another type. `metadata` is JSON text and replaces
/// what is stored. Returns whether the device is new.
pub fn register(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    device_type: &str,
    metadata: Option<&str>,
    now: u64,
) -> Result<bool> {
    match Device::load(ctx, fleet, id)? {
        None => {
            create(ctx, fleet, id, device_type, metadata, now)?;
            ctx.write(c"DEL", &[Arg::Str(&fleet.keys.blocked(id))])?;
            Ok(true)
        }
        Some(mut device) => {
            if device.device_type != device_type {
                let indexes = fleet.keys.of(id);
                check_type_keys(ctx, indexes, &device.device_type)?;
                check_type_keys(ctx, indexes, device_type)?;
                expect(ctx, &fleet.keys.heartbeat(id), KeyType::String)?;
            }
            adopt_if_needed(ctx, fleet, &mut device, now)?;
            change_type(ctx, fleet, &mut device, device_type, now)?;
            let field = &fleet.fields.metadata;
            let stored = device.field(ctx, field);
            let is_stored = |new: &str| stored.is_some_and(|old| old.bytes() == new.as_bytes());
            if let Some(metadata) = metadata.filter(|new| !is_stored(new)) {
                let pair = [Arg::Str(&device.key), Arg::Str(field), metadata.into()];
                ctx.write(c"HSET", &pair)?;
                ctx.touched(&device.id_key);
            }
            Ok(false)
        }
    }
}

/// Whether an unknown device may register by speaking up, and what is in the way.
pub fn may_auto_register(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<()> {
    if !settings::AUTO_REGISTER.is_on() {
        return Err(Error::no_device(
            id,
            "is not registered, and devicestate.auto-register is no",
        ));
    }
    if let Some(left) = ctx.key_life(&fleet.keys.blocked(id)) {
        let left = left.unwrap_or(0);
        return Err(Error::no_device(
            id,
            format_args!("was removed and is blocked for {left} ms"),
        ));
    }
    if ctx.flags().is_out_of_memory() {
        return Err(Error::out_of_memory());
    }
    check_room(ctx, fleet)
}

fn check_room(ctx: &Ctx<'_>, fleet: &Fleet) -> Result<()> {
    match settings::MAX_DEVICES.value() {
        0 => Ok(()),
        max => {
            if listing::count(ctx, fleet, &Filter::default(), 0)? < max {
                Ok(())
            } else {
                Err(Error::limit(max))
            }
        }
    }
}

fn check_type_keys(ctx: &Ctx<'_>, indexes: &Indexes, device_type: &str) -> Result<()> {
    expect(ctx, &indexes.of_type(device_type), KeyType::Set)?;
    expect(ctx, &indexes.online_of_type(device_type), KeyType::Set)
}

/// A new device: offline, never seen.
pub fn create(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    device_type: &str,
    metadata: Option<&str>,
    now: u64,
) -> Result<Device> {
    check_room(ctx, fleet)?;
    let (indexes, f) = (fleet.keys.of(id), &fleet.fields);
    let device = Device::new(fleet, id, device_type, now);
    expect(ctx, &indexes.registered, KeyType::Set)?;
    check_type_keys(ctx, indexes, device_type)?;
    presence::check_keys(ctx, fleet, &device)?;
    events::append(
        ctx,
        fleet,
        "registered",
        id,
        now,
        &[("device_type", device_type.into())],
    )?;

    let mut hset: Vec<Arg<'_>> = vec![
        Arg::Str(&device.key),
        Arg::Str(&f.shadow.version),
        0.into(),
        Arg::Str(&f.last_seen),
        0.into(),
        Arg::Str(&f.status),
        "offline".into(),
        Arg::Str(&f.device_id),
        id.into(),
        Arg::Str(&f.device_type),
        device_type.into(),
        Arg::Str(&f.status_since),
        now.into(),
        Arg::Str(&f.registered_at),
        now.into(),
    ];
    if let Some(metadata) = metadata {
        hset.extend([Arg::Str(&f.metadata), metadata.into()]);
    }
    ctx.write(c"HSET", &hset)?;
    let member = Arg::Str(&device.id_key);
    ctx.write(c"SADD", &[Arg::Str(&indexes.registered), member])?;
    ctx.write(c"SADD", &[Arg::Str(&indexes.of_type(device_type)), member])?;
    ctx.write(c"ZADD", &[Arg::Str(&indexes.offline), 0.into(), member])?;
    fleet.stats.registered.add(1);
    events::signal(ctx, &device, c"device.registered");
    Ok(device)
}

fn change_type(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
    device_type: &str,
    now: u64,
) -> Result<()> {
    if device.device_type == device_type {
        return Ok(());
    }
    let (indexes, member) = (fleet.keys.of(&device.id), Arg::Str(&device.id_key));
    let field = Arg::Str(&fleet.fields.device_type);
    ctx.write(c"HSET", &[Arg::Str(&device.key), field, device_type.into()])?;
    ctx.write(
        c"SREM",
        &[Arg::Str(&indexes.of_type(&device.device_type)), member],
    )?;
    ctx.write(c"SADD", &[Arg::Str(&indexes.of_type(device_type)), member])?;
    if device.online {
        ctx.write(
            c"SREM",
            &[
                Arg::Str(&indexes.online_of_type(&device.device_type)),
                member,
            ],
        )?;
        ctx.write(
            c"SADD",
            &[Arg::Str(&indexes.online_of_type(device_type)), member],
        )?;
    }
    device_type.clone_into(&mut device.device_type);
    ctx.touched(&device.id_key);
    if device.online {
        // The new type may have another timeout.
        fleet.schedule(ctx, device, now);
        presence::renew_heartbeat_key(ctx, fleet, device)?;
    }
    Ok(())
}

/// Takes over a device that the plain recipe wrote. Its status stays, nobody is told anything, and
/// if it is online it gets one full timeout from now to speak up.
pub fn adopt_if_needed(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
    now: u64,
) -> Result<bool> {
    if !device.from_recipe {
        return Ok(false);
    }
    let (indexes, f) = (fleet.keys.of(&device.id), &fleet.fields);
    expect(ctx, &indexes.registered, KeyType::Set)?;
    expect(ctx, &indexes.out_of_sync, KeyType::Set)?;
    check_type_keys(ctx, indexes, &device.device_type)?;
    presence::check_keys(ctx, fleet, device)?;

    device.version = shadow::version(ctx, fleet, device)?;
    let registered_at = device
        .field(ctx, &f.registered_at)
        .and_then(|value| recipe::time_ms(value.bytes()))
        .unwrap_or(0);
    device.since = now;
    device.from_recipe = false;
    ctx.write(
        c"HSET",
        &[
            Arg::Str(&device.key),
            Arg::Str(&f.status),
            device.status().into(),
            Arg::Str(&f.last_seen),
            device.last_seen.into(),
            Arg::Str(&f.shadow.version),
            device.version.into(),
            Arg::Str(&f.device_type),
            device.device_type.as_str().into(),
            Arg::Str(&f.status_since),
            now.into(),
            Arg::Str(&f.registered_at),
            registered_at.into(),
        ],
    )?;
    index(ctx, fleet, device, now)?;
    shadow::mend(ctx, fleet, device, true, now)?;
    fleet.stats.adopted.add(1);
    ctx.touched(&device.id_key);
    Ok(true)
}

/// Writes every index entry that a device should have and drops those it should not have.
pub fn index(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, now: u64) -> Result<()> {
    let indexes = fleet.keys.of(&device.id);
    let member = Arg::Str(&device.id_key);
    let of_type = indexes.of_type(&device.device_type);
    let online_of_type = indexes.online_of_type(&device.device_type);
    let heartbeat = fleet.keys.heartbeat(&device.id);
    ctx.write(c"SADD", &[Arg::Str(&indexes.registered), member])?;
    ctx.write(c"SADD", &[Arg::Str(&of_type), member])?;
    if device.online {
        ctx.write(c"SADD", &[Arg::Str(&indexes.online), member])?;
        ctx.write(c"SADD", &[Arg::Str(&online_of_type), member])?;
        ctx.write(c"ZREM", &[Arg::Str(&indexes.offline), member])?;
        presence::set_heartbeat_key(ctx, fleet, device, &heartbeat)?;
        fleet.schedule(ctx, device, now);
    } else {
        ctx.write(c"SREM", &[Arg::Str(&indexes.online), member])?;
        ctx.write(c"SREM", &[Arg::Str(&online_of_type), member])?;
        ctx.write(
            c"ZADD",
            &[Arg::Str(&indexes.offline), device.last_seen.into(), member],
        )?;
        ctx.write(c"DEL", &[Arg::Str(&heartbeat)])?;
        fleet.forget_deadline(&device.id);
    }
    Ok(())
}

/// Removes a device; false when it is unknown. `block` milliseconds long it can't register by
/// itself.
pub fn remove(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    block: Option<u64>,
    now: u64,
) -> Result<bool> {
    let (keys, indexes) = (&fleet.keys, fleet.keys.of(id));
    let device = Device::load(ctx, fleet, id)?;
    if let Some(mut device) = device {
        expect(ctx, &indexes.registered, KeyType::Set)?;
        expect(ctx, &indexes.out_of_sync, KeyType::Set)?;
        expect(ctx, &keys.shadows(id), KeyType::Hash)?;
        expect(ctx, &keys.history(id), KeyType::Stream)?;
        expect(ctx, &keys.commands(id), KeyType::Stream)?;
        expect(ctx, &keys.outcomes(id), KeyType::Stream)?;
        alerts::may_let_go(ctx, fleet, id)?;
        check_type_keys(ctx, indexes, &device.device_type)?;
        presence::check_keys(ctx, fleet, &device)?;
        adopt_if_needed(ctx, fleet, &mut device, now)?;
        if device.online {
            presence::go_offline(ctx, fleet, &mut device, now, "removed")?;
        }
        let device_type = device.device_type.as_str();
        events::append(
            ctx,
            fleet,
            "removed",
            id,
            now,
            &[("device_type", device_type.into())],
        )?;
        let member = Arg::Str(&device.id_key);
        alerts::let_go(ctx, fleet, id)?;
        ctx.write(
            c"DEL",
            &[
                Arg::Str(&device.key),
                Arg::Str(&keys.heartbeat(id)),
                Arg::Str(&keys.shadows(id)),
                Arg::Str(&keys.history(id)),
                Arg::Str(&keys.alerts(id)),
                Arg::Str(&keys.commands(id)),
                Arg::Str(&keys.outcomes(id)),
            ],
        )?;
        crate::queue::forget(ctx, &keys.commands(id));
        ctx.write(c"SREM", &[Arg::Str(&indexes.out_of_sync), member])?;
        ctx.write(c"SREM", &[Arg::Str(&indexes.registered), member])?;
        ctx.write(c"SREM", &[Arg::Str(&indexes.of_type(device_type)), member])?;
        ctx.write(c"ZREM", &[Arg::Str(&indexes.offline), member])?;
        fleet.forget_deadline(id);
        fleet.stats.removed.add(1);
        events::signal(ctx, &device, c"device.removed");
        block_for(ctx, fleet, id, block)?;
        return Ok(true);
    }
    block_for(ctx, fleet, id, block)?;
    Ok(false)
}

fn block_for(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, block: Option<u64>) -> Result<()> {
    if let Some(ms) = block.filter(|ms| *ms > 0) {
        let key = fleet.keys.blocked(id);
        ctx.write(
            c"SET",
            &[Arg::Str(&key), "1".into(), "PX".into(), ms.into()],
        )?;
    }
    Ok(())
}

/// A device for a message from an unknown id.
pub fn auto_register(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, now: u64) -> Result<Device> {
    may_auto_register(ctx, fleet, id)?;
    create(ctx, fleet, id, UNKNOWN_TYPE, None, now)
}

impl Device {
    fn new(fleet: &Fleet, id: &str, device_type: &str, now: u64) -> Device {
        Device {
            id: id.to_owned(),
            key: fleet.keys.state(id),
            id_key: crate::store::RString::new(id.as_bytes()),
            device_type: device_type.to_owned(),
            online: false,
            last_seen: 0,
            last_seen_is_stored: true,
            since: now,
            timeout: None,
            session: Default::default(),
            version: 0,
            from_recipe: false,
        }
    }
}
