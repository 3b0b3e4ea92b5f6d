//! A heartbeat: the whole round trip of a device in one step.

use devicestate_core::presence::begins_stretch;
use devicestate_core::session::{Stale, Stored};

use super::device::ONLINE;
use super::shadow::{self, Fence, Patch, Update};
use super::{
    alerts, device_commands, presence, registry, settings, Device, Error, Fleet, Known, Result,
};
use crate::store::{Arg, Ctx, HashKey, KeyType, RString};

/// What came with a heartbeat.
#[derive(Default)]
pub struct Heartbeat {
    pub report: Option<Patch>,
    /// The argument that the report came in.
    pub argument: &'static str,
    /// The device's own timeout from now on, in milliseconds; 0: none.
    pub timeout: Option<u64>,
    pub fence: Fence,
}

/// What the device is told.
pub struct Outcome {
    pub came_online: bool,
    /// False when the report, or the whole message, was ignored as stale.
    pub applied: bool,
    pub version: u64,
    /// What is outstanding, as JSON text.
    pub delta: Option<RString>,
    /// How many commands it could take now.
    pub commands: u64,
}

/// Handles a heartbeat; `id_key` is the id as a key of its own.
pub fn beat(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    heartbeat: Heartbeat,
    now: u64,
) -> Result<Outcome> {
    fleet.stats.heartbeats.add(1);
    if let Some(outcome) = steady(ctx, fleet, id, id_key, &heartbeat, now)? {
        return Ok(outcome);
    }
    let outcome = full(ctx, fleet, id, heartbeat, now)?;
    let noted = fleet.deadlines.borrow().note(id).unwrap_or_default();
    Ok(Outcome {
        commands: commands(ctx, fleet, id, noted, now),
        ..outcome
    })
}

/// The hot path: a device that is online, on time and has nothing new to say costs one hash write,
/// replicated as one `HSET`. Anything else is left to [`full`], with nothing changed.
///
/// What it must know of the device is noted beside the device's deadline since its last full
/// heartbeat, so mostly it reads nothing. As long as no deadline has passed that the sweeper has not
/// seen to, every device that is online is on time; and one that was seen within the shortest of all
/// timeouts is on time, whatever its own timeout is.
fn steady(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    heartbeat: &Heartbeat,
    now: u64,
) -> Result<Option<Outcome>> {
    if heartbeat.report.is_some() || fleet.is_suspect(id) {
        return Ok(None);
    }
    fleet.types.refresh(ctx, fleet);
    let f = &fleet.fields;
    let key = fleet.keys.state(id);
    let hash = match ctx.open_hash_for_write(&key) {
        Ok(Some(hash)) => hash,
        Ok(None) => return Ok(None),
        Err(found) => return Err(Error::wrong_type(key.bytes(), found, KeyType::Hash)),
    };
    let noted = fleet.deadlines.borrow().note(id).unwrap_or_default();
    let Some((version, is_in_sync)) = noted.get().or_else(|| read_known(fleet, id, &hash)) else {
        return Ok(None);
    };
    let own_timeout = || number(&hash, &f.timeout);
    let is_on_time = || {
        let Some(last_seen) = number(&hash, &f.last_seen) else {
            return false;
        };
        let silence = now.saturating_sub(last_seen);
        silence < fleet.shortest_timeout.get() || {
            let timeout = own_timeout()
                .or_else(|| fleet.types.cached_timeout(|| hash.get(&f.device_type)))
                .unwrap_or_else(|| settings::HEARTBEAT_TIMEOUT.value());
            timeout == 0 || silence < timeout
        }
    };
    if !(fleet.nobody_is_due(now) || is_on_time()) {
        return Ok(None);
    }
    if heartbeat.timeout.is_some() && heartbeat.timeout != own_timeout() {
        return Ok(None);
    }
    let session = heartbeat.fence.session;
    if session.is_some() && session != number(&hash, &f.session) {
        return Ok(None);
    }
    let delta = match is_in_sync {
        true => None,
        false => hash.get(&f.shadow.delta),
    };
    let is_replicated = is_replicated(fleet, id, &hash, now);
    fleet.with_stamp(now, |stamp| {
        hash.set(&f.last_seen, stamp);
        drop(hash);
        if is_replicated {
            ctx.replicate_hset(&key, &f.last_seen, stamp);
        }
    });
    ctx.touched(&key);
    ctx.touched(id_key);
    let commands = commands(ctx, fleet, id, noted, now);
    Ok(Some(Outcome {
        came_online: false,
        applied: true,
        version,
        delta,
        commands,
    }))
}

/// Whether replicas and the append-only file are told of this sign of life; see
/// [`settings::LAST_SEEN_INTERVAL`]. What they miss is written with the device's next change.
fn is_replicated(fleet: &Fleet, id: &str, hash: &HashKey<'_>, now: u64) -> bool {
    let interval = settings::LAST_SEEN_INTERVAL.value();
    interval == 0
        || number(hash, &fleet.fields.last_seen)
            .is_none_or(|before| begins_stretch(id, before, now, interval))
}

/// How many commands a device could take; asked for only if it may have any.
fn commands(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, noted: Known, now: u64) -> u64 {
    match noted.has_no_commands() {
        true => 0,
        false => device_commands::waiting(ctx, fleet, id, now),
    }
}

fn number(hash: &HashKey<'_>, field: &RString) -> Option<u64> {
    hash.get(field)?.to_u64()
}

/// The version of a device that is online, and whether nothing is outstanding for it; noted for the
/// next heartbeat. A hash without a version was written by the plain recipe.
fn read_known(fleet: &Fleet, id: &str, hash: &HashKey<'_>) -> Option<(u64, bool)> {
    let f = &fleet.fields;
    let [version, status] = hash.get2([&f.shadow.version, &f.status]);
    if status?.bytes() != ONLINE {
        return None;
    }
    let version = version?.to_u64()?;
    let is_in_sync = hash.get(&f.shadow.delta).is_none();
    fleet.know(id, version, is_in_sync);
    Some((version, is_in_sync))
}

/// Everything that [`steady`] leaves. What can be refused is refused before the first write.
fn full(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, heartbeat: Heartbeat, now: u64) -> Result<Outcome> {
    let fence = heartbeat.fence;
    let found = Device::load(ctx, fleet, id)?;
    let stored = found.as_ref().map(|device| device.session);
    let stored = stored.unwrap_or_default();
    if let (Some(device), Err(stale)) = (&found, stored.admits(fence.session)) {
        ignore(ctx, fleet, device, stale, now)?;
        return Ok(Outcome {
            came_online: false,
            applied: false,
            version: device.version,
            delta: shadow::outstanding(ctx, fleet, device),
            commands: 0,
        });
    }
    let entered = stored.enter(fence.session);
    let (session, report, stale_report) = match heartbeat.report {
        None => (entered, None, None),
        Some(report) => match entered.report(fence.seq) {
            Ok(session) => (session, Some(report), None),
            Err(stale) => (entered, None, Some(stale)),
        },
    };
    let is_online = found.as_ref().is_some_and(|device| device.online);
    let sighted = alerts::sight(ctx, fleet, found.as_ref(), None, report.as_ref())
        .map(|sighted| sighted.returning(!is_online));
    let report = match report {
        Some(patch) => {
            let update = Update {
                reported: Some(patch),
                argument: heartbeat.argument,
                ..Update::default()
            };
            let report = shadow::prepare(ctx, fleet, id, found.as_ref(), None, update, now)?;
            Some(report)
        }
        None => None,
    };
    let raised = alerts::prepare(ctx, fleet, id, found.as_ref(), sighted, now)?;
    let mut device = match found {
        Some(mut device) => {
            registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
            device
        }
        None => registry::auto_register(ctx, fleet, id, now)?,
    };
    if fleet.is_suspect(id) && report.is_none() {
        // Other hands changed the hash, and the sweeper has not looked yet. What is in the way is
        // told by the sweeper, and keeps no device from proving that it lives.
        let _ = shadow::mend(ctx, fleet, &mut device, false, now);
    }
    let is_overdue = device.online && fleet.is_overdue(ctx, &device, now);
    let timeout_changes = heartbeat
        .timeout
        .is_some_and(|new| Some(new) != device.timeout);
    if is_overdue || !device.online || timeout_changes {
        presence::check_keys(ctx, fleet, &device)?;
    }

    if is_overdue {
        fleet.stats.timed_out.add(1);
        presence::go_offline(ctx, fleet, &mut device, now, "timeout")?;
    }
    let timeout_before = device.effective_timeout(ctx, fleet).0;
    device.session = session;
    device.timeout = heartbeat.timeout.or(device.timeout);

    let mut fields = session_fields(fleet, stored, session);
    if let Some(timeout) = device.timeout.filter(|_| timeout_changes) {
        fields.extend([Arg::Str(&fleet.fields.timeout), timeout.into()]);
    }
    if let Some(report) = &report {
        device.version = report.version;
        fields.extend(report.fields());
    }
    let came_online = !device.online;
    if timeout_changes || session != stored {
        fleet.know_fields(&device);
    }
    if came_online {
        presence::go_online(ctx, fleet, &mut device, now, "heartbeat", &fields)?;
    } else {
        stay_online(ctx, fleet, &mut device, now, timeout_before, &fields)?;
    }
    drop_seq_of_older_session(ctx, fleet, &device, stored)?;
    if let Some(stale) = stale_report {
        ignore(ctx, fleet, &device, stale, now)?;
    }
    let delta = match report {
        Some(report) => {
            fleet.stats.reports.add(1);
            report.finish_heartbeat(ctx, fleet, &device, now)?;
            (!report.delta.is_empty()).then(|| RString::new(report.delta.as_bytes()))
        }
        None => shadow::outstanding(ctx, fleet, &device),
    };
    alerts::follow(ctx, fleet, &device, raised, now)?;
    fleet.know_all(&device, delta.is_none());
    Ok(Outcome {
        came_online,
        applied: stale_report.is_none(),
        version: device.version,
        delta,
        commands: 0,
    })
}

/// What a message changes of the stored session: fields and values.
pub fn session_fields(fleet: &Fleet, before: Stored, after: Stored) -> Vec<Arg<'_>> {
    let f = &fleet.fields;
    let mut fields = Vec::new();
    for (field, before, after) in [
        (&f.session, before.session, after.session),
        (&f.seq, before.seq, after.seq),
    ] {
        if let Some(after) = after.filter(|_| before != after) {
            fields.extend([Arg::Str(field), after.into()]);
        }
    }
    fields
}

/// A higher session starts its sequence numbers afresh.
pub fn drop_seq_of_older_session(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    before: Stored,
) -> Result<()> {
    if before.seq.is_some() && device.session.seq.is_none() {
        let seq = Arg::Str(&fleet.fields.seq);
        ctx.write(c"HDEL", &[Arg::Str(&device.key), seq])?;
    }
    Ok(())
}

/// A sign of life of a device that is online; `fields` go into the hash in the same write.
fn stay_online(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &mut Device,
    now: u64,
    timeout_before: u64,
    fields: &[Arg<'_>],
) -> Result<()> {
    let mut hset = vec![Arg::Str(&fleet.fields.last_seen), now.into()];
    hset.extend_from_slice(fields);
    ctx.hset(&device.key, &hset)?;
    device.last_seen = now;
    fleet.clock_reads(now);
    let timeout_changed = device.effective_timeout(ctx, fleet).0 != timeout_before;
    if timeout_changed {
        presence::renew_heartbeat_key(ctx, fleet, device)?;
    }
    if timeout_changed || !fleet.deadlines.borrow().contains(&device.id) {
        fleet.schedule(ctx, device, now);
    }
    ctx.touched(&device.id_key);
    Ok(())
}

/// A stale message: it is counted, and `DEVICE.WHY` tells it.
pub fn ignore(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, why: Stale, now: u64) -> Result<()> {
    fleet.stats.ignored.add(1);
    let f = &fleet.fields;
    let before = device.number(ctx, &f.ignored).unwrap_or(0);
    ctx.write(
        c"HSET",
        &[
            Arg::Str(&device.key),
            Arg::Str(&f.ignored),
            before.saturating_add(1).into(),
            Arg::Str(&f.ignored_reason),
            why.to_string().as_str().into(),
            Arg::Str(&f.ignored_at),
            now.into(),
        ],
    )?;
    ctx.touched(&device.id_key);
    Ok(())
}
