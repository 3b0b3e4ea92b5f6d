//! The two transitions of a device, and its heartbeat key.
//!
//! A transition is one step: hash, indexes, heartbeat key, events stream, channel, notifications.
//! It checks the type of every key it will write first, so a key in the wrong shape leaves
//! everything as it was. Each outage is told once, because only the stored status decides.

use super::device::status_name;
use super::{alerts, events, heartbeat, history, registry, settings, Device, Error, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

/// The heartbeat key outlives the timeout by a day: it is a mirror of the status, deleted by the
/// offline step, and its own expiry only a safety net.
const HEARTBEAT_MARGIN_MS: u64 = 86_400_000;

/// Refuses a key that exists with another type.
pub fn expect(ctx: &Ctx<'_>, key: &RString, wanted: KeyType) -> Result<()> {
    size_of(ctx, key, wanted).map(drop)
}

/// How many elements a key has; refuses one that exists with another type.
pub fn size_of(ctx: &Ctx<'_>, key: &RString, wanted: KeyType) -> Result<u64> {
    match ctx.key_size(key) {
        (KeyType::Missing, _) => Ok(0),
        (found, size) if found == wanted => Ok(size),
        (found, _) => Err(Error::wrong_type(key.bytes(), found, wanted)),
    }
}

/// The keys of a device that both transitions write, beside its hash.
struct Touched {
    heartbeat: RString,
    online_of_type: RString,
}

fn checked_keys(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<Touched> {
    let (keys, indexes) = (&fleet.keys, fleet.keys.of(&device.id));
    let touched = Touched {
        heartbeat: keys.heartbeat(&device.id),
        online_of_type: indexes.online_of_type(&device.device_type),
    };
    expect(ctx, &device.key, KeyType::Hash)?;
    expect(ctx, &touched.heartbeat, KeyType::String)?;
    expect(ctx, &indexes.online, KeyType::Set)?;
    expect(ctx, &touched.online_of_type, KeyType::Set)?;
    expect(ctx, &indexes.offline, KeyType::SortedSet)?;
    expect(ctx, &indexes.events, KeyType::Stream)?;
    expect(ctx, &keys.alerts(&device.id), KeyType::Hash)?;
    if settings::HISTORY_PRESENCE.is_on() {
        expect(ctx, &keys.history(&device.id), KeyType::Stream)?;
    }
    Ok(touched)
}

/// Whether a transition of this device could be written now.
pub fn check_keys(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<()> {
    checked_keys(ctx, fleet, device).map(drop)
}

/// Offline to online. `device` already carries its new timeout and session; `more` goes into the
/// hash in the same write.
pub fn go_online(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
    now: u64,
    reason: &str,
    more: &[Arg<'_>],
) -> Result<()> {
    let touched = checked_keys(ctx, fleet, device)?;
    let cleared = alerts::back_online(ctx, fleet, device, now)?;
    let (indexes, f) = (fleet.keys.of(&device.id), &fleet.fields);
    device.online = true;
    if let Err(error) = events::append(
        ctx,
        fleet,
        "online",
        &device.id,
        now,
        &events::of_transition(device, device.status().into(), reason.into()).collect::<Vec<_>>(),
    ) {
        device.online = false;
        return Err(error);
    }
    device.since = now;
    device.last_seen = now;

    let mut hset: Vec<Arg<'_>> = vec![
        Arg::Str(&device.key),
        Arg::Str(&f.status),
        "online".into(),
        Arg::Str(&f.last_seen),
        now.into(),
        Arg::Str(&f.status_since),
        now.into(),
    ];
    hset.extend_from_slice(more);
    ctx.write(c"HSET", &hset)?;
    if device.field(ctx, &f.status_reason).is_some() {
        ctx.write(
            c"HDEL",
            &[Arg::Str(&device.key), Arg::Str(&f.status_reason)],
        )?;
    }
    let id = Arg::Str(&device.id_key);
    ctx.write(c"ZREM", &[Arg::Str(&indexes.offline), id])?;
    ctx.write(c"SADD", &[Arg::Str(&indexes.online), id])?;
    ctx.write(c"SADD", &[Arg::Str(&touched.online_of_type), id])?;
    set_heartbeat_key(ctx, fleet, device, &touched.heartbeat)?;
    fleet.schedule(ctx, device, now);

    fleet.stats.came_online.add(1);
    record(ctx, fleet, device, reason, now);
    events::PresenceMessages::new(device.status(), now, reason).publish(ctx, device);
    events::signal(ctx, device, c"device.online");
    alerts::follow(ctx, fleet, device, cleared, now)
}

/// Online to offline.
pub fn go_offline(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
    now: u64,
    reason: &str,
) -> Result<()> {
    let touched = checked_keys(ctx, fleet, device)?;
    let raised = alerts::gone_offline(ctx, fleet, device, reason, now)?;
    let (indexes, f) = (fleet.keys.of(&device.id), &fleet.fields);
    device.online = false;
    if let Err(error) = events::append(
        ctx,
        fleet,
        "offline",
        &device.id,
        now,
        &events::of_transition(device, device.status().into(), reason.into()).collect::<Vec<_>>(),
    ) {
        device.online = true;
        return Err(error);
    }
    device.since = now;

    ctx.write(
        c"HSET",
        &[
            Arg::Str(&device.key),
            Arg::Str(&f.status),
            "offline".into(),
            // Replicas may not know it yet, and the index of offline devices is sorted by it.
            Arg::Str(&f.last_seen),
            device.last_seen.into(),
            Arg::Str(&f.status_since),
            now.into(),
            Arg::Str(&f.status_reason),
            reason.into(),
        ],
    )?;
    let id = Arg::Str(&device.id_key);
    ctx.write(c"SREM", &[Arg::Str(&indexes.online), id])?;
    ctx.write(c"SREM", &[Arg::Str(&touched.online_of_type), id])?;
    ctx.write(
        c"ZADD",
        &[Arg::Str(&indexes.offline), device.last_seen.into(), id],
    )?;
    ctx.write(c"DEL", &[Arg::Str(&touched.heartbeat)])?;
    fleet.forget_deadline(&device.id);

    fleet.stats.went_offline.add(1);
    record(ctx, fleet, device, reason, now);
    let mut messages = events::PresenceMessages::new(device.status(), now, reason);
    tell_offline(ctx, fleet, device, &touched.heartbeat, &mut messages);
    alerts::follow(ctx, fleet, device, raised, now)
}

/// Tells the world that a device went offline, when that is written.
pub(super) fn tell_offline(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    heartbeat: &RString,
    messages: &mut events::PresenceMessages,
) {
    let told_already = fleet.forget_expiry(&device.id);
    if settings::HEARTBEAT_KEYS.is_on() && !told_already {
        ctx.notify_expired(heartbeat);
    }
    messages.publish(ctx, device);
    events::signal(ctx, device, c"device.offline");
}

/// Puts a transition that just happened into the history, where that is wanted.
pub(super) fn record(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, reason: &str, now: u64) {
    if settings::HISTORY_PRESENCE.is_on() {
        let entry = history::Entry::Presence {
            old: status_name(!device.online),
            new: device.status(),
            reason,
            session: device.session.session,
        };
        history::append(ctx, fleet, device, &entry, now);
    }
}

/// A device says goodbye, or its will or an operator does; false when it was offline already or the
/// message comes from an older session.
pub fn say_goodbye(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    reason: &str,
    session: Option<u64>,
    now: u64,
) -> Result<bool> {
    let mut device = Device::registered(ctx, fleet, id)?;
    if let Err(stale) = device.session.admits(session) {
        heartbeat::ignore(ctx, fleet, &device, stale, now)?;
        return Ok(false);
    }
    check_keys(ctx, fleet, &device)?;
    registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
    let before = device.session;
    device.session = before.enter(session);
    let went_offline = device.online;
    if went_offline {
        go_offline(ctx, fleet, &mut device, now, reason)?;
    }
    let f = &fleet.fields;
    let key = Arg::Str(&device.key);
    match session {
        // Without a session the goodbye counts always, and fencing starts anew.
        None if before.session.is_some() => {
            ctx.write(c"HDEL", &[key, Arg::Str(&f.session), Arg::Str(&f.seq)])?;
            ctx.touched(&device.id_key);
        }
        Some(newer) if before.session != session => {
            ctx.write(c"HSET", &[key, Arg::Str(&f.session), newer.into()])?;
            ctx.write(c"HDEL", &[key, Arg::Str(&f.seq)])?;
            ctx.touched(&device.id_key);
        }
        _ => {}
    }
    Ok(went_offline)
}

/// Writes the heartbeat key of a device that is online. Without a timeout it does not expire.
pub fn set_heartbeat_key(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    key: &RString,
) -> Result<()> {
    if !settings::HEARTBEAT_KEYS.is_on() {
        return Ok(());
    }
    fleet.forget_expiry(&device.id);
    let life = match device.effective_timeout(ctx, fleet).0 {
        0 => None,
        timeout => Some(timeout + HEARTBEAT_MARGIN_MS),
    };
    Ok(ctx.set_flag(key, life)?)
}

/// Renews a heartbeat key that is missing or past half of its life, or lives for ever though the
/// device has a timeout now. One that is not wanted any more goes: nobody would keep it from expiring.
pub fn renew_heartbeat_key(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<()> {
    let key = fleet.keys.heartbeat(&device.id);
    if !settings::HEARTBEAT_KEYS.is_on() {
        if let (KeyType::String, _) = ctx.key_size(&key) {
            ctx.write(c"DEL", &[Arg::Str(&key)])?;
        }
        return Ok(());
    }
    let life = match device.effective_timeout(ctx, fleet).0 {
        0 => None,
        timeout => Some(timeout + HEARTBEAT_MARGIN_MS),
    };
    let fresh = match (ctx.key_life(&key), life) {
        (None, _) => false,
        (Some(None), None) => true,
        (Some(left), Some(life)) => left.is_some_and(|left| left >= life / 2),
        (Some(Some(_)), None) => false,
    };
    if fresh {
        return Ok(());
    }
    expect(ctx, &key, KeyType::String)?;
    set_heartbeat_key(ctx, fleet, device, &key)
}

impl Fleet {
    /// Puts an online device into the deadline index.
    pub fn schedule(&self, ctx: &Ctx<'_>, device: &Device, now: u64) {
        self.clock_reads(now);
        let deadline = device.as_online(ctx, self).deadline(
            now,
            &self.hearing_of(&device.id),
            settings::RESTART_GRACE.value(),
        );
        self.note_deadline(device, deadline);
    }

    /// The same when the deadline is known. `device` is as its hash says.
    pub(super) fn note_deadline(&self, device: &Device, deadline: Option<u64>) {
        // What other hands did to the hash has still to be looked at.
        let deadline = if self.is_suspect(&device.id) {
            Some(0)
        } else {
            deadline
        };
        let mut deadlines = self.deadlines.borrow_mut();
        deadlines.schedule_seen(&device.id, deadline, device.last_seen);
    }

    /// A device is not online, or is no more.
    pub(super) fn forget_deadline(&self, id: &str) {
        let mut deadlines = self.deadlines.borrow_mut();
        match self.is_suspect(id) {
            // As above.
            true => deadlines.schedule(id, Some(0)),
            false => _ = deadlines.remove(id),
        }
    }

    /// Whether an online device is past its deadline, and the server was there to hear it.
    pub fn is_overdue(&self, ctx: &Ctx<'_>, device: &Device, now: u64) -> bool {
        let online = device.as_online(ctx, self);
        let grace = settings::RESTART_GRACE.value();
        if !online.is_due(now, &self.hearing_of(&device.id), grace) {
            return false;
        }
        self.notice_deaf_time(now);
        online.is_due(now, &self.hearing_of(&device.id), grace)
    }
}
