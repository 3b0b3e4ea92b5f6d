//! A heartbeat: the whole round trip of a device in one step.

use devicestate_core::session::Stale;

use super::device::ONLINE;
use super::report::Report;
use super::{events, presence, registry, settings, Device, Error, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

/// What came with a heartbeat.
#[derive(Default)]
pub struct Heartbeat {
    pub report: Option<Report>,
    /// The device's own timeout from now on, in milliseconds; 0: none.
    pub timeout: Option<u64>,
    pub session: Option<u64>,
    /// Of the report; only with a session.
    pub seq: Option<u64>,
}

/// What the device is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub came_online: bool,
    /// False when the report, or the whole message, was ignored as stale.
    pub applied: bool,
    pub version: u64,
}

/// Handles a heartbeat; `id_key` is the id as a key of its own.
pub fn beat(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    heartbeat: &Heartbeat,
    now: u64,
) -> Result<Outcome> {
    fleet.stats.heartbeats.add(1);
    if let Some(outcome) = steady(ctx, fleet, id, id_key, heartbeat, now)? {
        return Ok(outcome);
    }
    full(ctx, fleet, id, heartbeat, now)
}

/// The hot path: a device that is online, on time and has nothing new to say costs one hash write,
/// replicated as one `HSET`. Anything else is left to [`full`], with nothing changed.
///
/// It reads two fields of the hash, and mostly nothing else. As long as no deadline has passed that
/// the sweeper has not seen to, every device that is online is on time; and one that was seen
/// within the shortest of all timeouts is on time, whatever its own timeout is.
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
    let [version, status] = hash.get2([&f.version, &f.status]);
    let parse = |value: Option<RString>| value.and_then(|value| value.to_u64());
    // A hash without a version was written by the plain recipe.
    let Some(version) = parse(version) else {
        return Ok(None);
    };
    let own_timeout = || parse(hash.get(&f.timeout));
    let is_on_time = || {
        let Some(last_seen) = parse(hash.get(&f.last_seen)) else {
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
    if status.is_none_or(|status| status.bytes() != ONLINE)
        || !(fleet.nobody_is_due(now) || is_on_time())
    {
        return Ok(None);
    }
    if heartbeat.timeout.is_some() && heartbeat.timeout != own_timeout() {
        return Ok(None);
    }
    if heartbeat.session.is_some() && heartbeat.session != parse(hash.get(&f.session)) {
        return Ok(None);
    }
    fleet.with_stamp(now, |stamp| {
        hash.set(&f.last_seen, stamp);
        drop(hash);
        ctx.replicate_hset(&key, &f.last_seen, stamp);
    });
    ctx.touched(&key);
    ctx.touched(id_key);
    Ok(Some(Outcome {
        came_online: false,
        applied: true,
        version,
    }))
}

/// Everything that [`steady`] leaves. What can be refused is refused before the first write.
fn full(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    heartbeat: &Heartbeat,
    now: u64,
) -> Result<Outcome> {
    let found = Device::load(ctx, fleet, id)?;
    let stored = found
        .as_ref()
        .map(|device| device.session)
        .unwrap_or_default();
    if let (Some(device), Err(stale)) = (&found, stored.admits(heartbeat.session)) {
        ignore(ctx, fleet, device, stale, now)?;
        return Ok(Outcome {
            came_online: false,
            applied: false,
            version: device.version,
        });
    }
    let entered = stored.enter(heartbeat.session);
    let (session, report, stale_report) = match &heartbeat.report {
        None => (entered, None, None),
        Some(report) => match entered.report(heartbeat.seq) {
            Ok(session) => (session, Some(report), None),
            Err(stale) => (entered, None, Some(stale)),
        },
    };
    let merged = match report {
        Some(report) => Some((report, report.merge(ctx, fleet, found.as_ref())?)),
        None => None,
    };
    let mut device = match found {
        Some(mut device) => {
            registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
            device
        }
        None => registry::auto_register(ctx, fleet, id, now)?,
    };
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
    device.version = device.version.saturating_add(u64::from(merged.is_some()));

    let f = &fleet.fields;
    let mut fields: Vec<Arg<'_>> = Vec::new();
    let mut set = |field, value: Option<u64>, is_new: bool| {
        if let Some(value) = value.filter(|_| is_new) {
            fields.extend([Arg::Str(field), value.into()]);
        }
    };
    set(&f.timeout, device.timeout, timeout_changes);
    set(
        &f.session,
        session.session,
        session.session != stored.session,
    );
    set(&f.seq, session.seq, session.seq != stored.seq);
    set(&f.version, Some(device.version), merged.is_some());
    if let Some((_, merged)) = &merged {
        fields.extend([Arg::Str(&f.reported_state), merged.document.as_str().into()]);
    }
    let came_online = !device.online;
    if came_online {
        presence::go_online(ctx, fleet, &mut device, now, "heartbeat", &fields)?;
    } else {
        stay_online(ctx, fleet, &mut device, now, timeout_before, &fields)?;
    }
    if stored.seq.is_some() && session.seq.is_none() {
        ctx.write(c"HDEL", &[Arg::Str(&device.key), Arg::Str(&f.seq)])?;
    }
    if let Some(stale) = stale_report {
        ignore(ctx, fleet, &device, stale, now)?;
    }
    if let Some((report, _)) = &merged {
        fleet.stats.reports.add(1);
        events::publish_status(ctx, &device, &report.patch, now);
        ctx.notify(c"device.reported", &device.key);
    }
    Ok(Outcome {
        came_online,
        applied: stale_report.is_none(),
        version: device.version,
    })
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
    let mut hset = vec![
        Arg::Str(&device.key),
        Arg::Str(&fleet.fields.last_seen),
        now.into(),
    ];
    hset.extend_from_slice(fields);
    ctx.write(c"HSET", &hset)?;
    device.last_seen = now;
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
    ctx.write(
        c"HSET",
        &[
            Arg::Str(&device.key),
            Arg::Str(&f.ignored),
            device.ignored.saturating_add(1).into(),
            Arg::Str(&f.ignored_reason),
            why.to_string().as_str().into(),
            Arg::Str(&f.ignored_at),
            now.into(),
        ],
    )?;
    ctx.touched(&device.id_key);
    Ok(())
}
