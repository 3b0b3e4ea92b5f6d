//! Alerts of a device, what rules make of its reports and transitions, and what users are told.
//!
//! The hash `device:alerts:<id>` holds one field per alert with its record
//! (`devicestate_core::alert::record`). A change is worked out and checked whole in a [`step`], then
//! written and told; what an alert does by itself when its time comes is in [`timers`]. The half of
//! the users is in [`users`].

mod presence;
mod records;
pub mod rules;
mod step;
mod timers;
pub mod users;
mod values;

use devicestate_core::alert::again::raise_again;
use devicestate_core::alert::record::{Outcome, Raise, State};
use devicestate_core::alert::Record;

use super::presence::expect;
use super::{registry, settings, Device, Error, Fleet, Result};
use crate::store::{Ctx, KeyType, RString};

use records::{Records, Stored};
use step::{Notify, Raised, Step};

pub use presence::{back_online, gone_offline};
pub use step::follow;
pub use values::{prepare, sight};

/// How many alerts a device may have.
pub const MAX_ALERTS: u64 = 1_000;

/// How long nothing is told of an alert after something was, unless the raise says otherwise, in
/// milliseconds.
pub const EVERY_MS: u64 = 3_600_000;

/// Whether users are told of this severity at once, unless the raise says otherwise.
fn is_urgent(severity: u32) -> bool {
    u64::from(severity) >= settings::ALERT_URGENT_SEVERITY.value()
}

/// How long a user may be kept waiting for company, unless the raise says otherwise.
fn wait_for(severity: u32) -> u64 {
    match is_urgent(severity) {
        true => 0,
        false => settings::ALERT_WAIT.value(),
    }
}

/// A raise as a client asks for it.
pub struct Asked<'a> {
    pub alert: &'a str,
    /// The same, as the field of the device's alerts.
    pub field: &'a RString,
    pub raise: Raise,
    /// To be told beside the owners of the device: names that were checked.
    pub users: &'a [&'a RString],
    pub wait: Option<u64>,
}

/// Raises an alert; returns what came of it and how often it was raised.
pub fn raise(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    asked: &Asked<'_>,
    now: u64,
) -> Result<(Outcome, u64)> {
    let alert = asked.alert;
    let text = match again(ctx, fleet, id, id_key, asked, now)? {
        Again::Counted(count) => return Ok((Outcome::Suppressed, count)),
        Again::Left(text) => text,
    };
    let records = Records::of(fleet, id);
    let stored = match Stored::read(text.as_ref()) {
        Stored::Record(record) => Some(record),
        Stored::Nothing => None,
        Stored::Broken => return Err(broken(id, alert)),
    };
    let was_known = stored.is_some();
    let (record, outcome) = Record::raise(stored, &asked.raise, now);
    let count = record.count;
    if was_known && !outcome.is_told() {
        // Whoever has an alert is registered.
        records.put(ctx, fleet, alert, &record)?;
        ctx.touched(id_key);
        fleet.stats.alert_raised(outcome);
        return Ok((outcome, count));
    }
    let mut device = Device::registered(ctx, fleet, id)?;
    if !was_known && records.len(ctx)? >= MAX_ALERTS {
        return Err(Error::too_many_alerts(id, MAX_ALERTS));
    }
    let mut step = Step::new(records);
    let users = asked.users.iter().map(|user| user.bytes());
    let users: Vec<String> = users
        .map(|user| String::from_utf8_lossy(user).into_owned())
        .collect();
    let raised = Raised {
        alert,
        record,
        outcome,
        notify: Notify {
            users: &users,
            wait: asked.wait,
        },
    };
    step.raised(ctx, fleet, Some(&device), raised, now);
    step.check(ctx, fleet, Some(&device))?;
    registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
    step.announce(ctx, fleet, now)?;
    step.write(ctx, fleet, &device, now)?;
    Ok((outcome, count))
}

/// What became of a raise in [`again`].
enum Again {
    /// It was suppressed, and is so often now.
    Counted(u64),
    /// Nothing: it may be another kind of raise. The text of the alert's record, if there is one.
    Left(Option<RString>),
}

/// The hot path: a raise that changes nothing but the count costs one field of one hash, read and
/// written, and is replicated as one `HSET`.
fn again(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    asked: &Asked<'_>,
    now: u64,
) -> Result<Again> {
    let key = fleet.keys.alerts(id);
    let hash = ctx
        .open_hash_for_write(&key)
        .map_err(|found| Error::wrong_type(key.bytes(), found, KeyType::Hash))?;
    let Some(hash) = hash else {
        return Ok(Again::Left(None));
    };
    let Some(mut text) = hash.get(asked.field) else {
        return Ok(Again::Left(None));
    };
    let bytes = text.bytes_mut();
    let Some(again) = bytes.and_then(|text| raise_again(text, &asked.raise, now)) else {
        return Ok(Again::Left(Some(text)));
    };
    if let Some(longer) = again.longer {
        text = RString::new(&longer);
    }
    hash.set(asked.field, &text);
    drop(hash);
    ctx.replicate_hset(&key, asked.field, &text);
    ctx.notify_hset_if_asked(&key);
    ctx.touched(&key);
    ctx.touched(id_key);
    let keep = asked.raise.keep;
    if keep > 0 {
        let lapses = now.saturating_add(keep).max(fleet.not_before(id, keep));
        fleet.look_at_alerts_by(id, lapses);
    }
    fleet.stats.alert_raised(Outcome::Suppressed);
    Ok(Again::Counted(again.count))
}

/// Clears an alert; false when it did not fire.
pub fn clear(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, alert: &str, now: u64) -> Result<bool> {
    let mut device = Device::registered(ctx, fleet, id)?;
    let records = Records::of(fleet, id);
    let record = match records.get(ctx, alert)? {
        Stored::Record(record) if record.state != State::Cleared => record,
        Stored::Broken => return Err(broken(id, alert)),
        Stored::Record(_) | Stored::Nothing => return Ok(false),
    };
    let was_firing = record.state == State::Firing;
    let mut step = Step::new(records);
    step.clear(alert, record, now);
    step.check(ctx, fleet, Some(&device))?;
    registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
    step.announce(ctx, fleet, now)?;
    step.write(ctx, fleet, &device, now)?;
    Ok(was_firing)
}

/// Somebody takes care of an alert; false when it does not fire, or somebody does already.
pub fn ack(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, alert: &str) -> Result<bool> {
    let device = Device::registered(ctx, fleet, id)?;
    let records = Records::of(fleet, id);
    let mut record = match records.get(ctx, alert)? {
        Stored::Record(record) => record,
        Stored::Nothing => return Ok(false),
        Stored::Broken => return Err(broken(id, alert)),
    };
    if !record.ack() {
        return Ok(false);
    }
    records.put(ctx, fleet, alert, &record)?;
    ctx.touched(&device.id_key);
    fleet.stats.alerts_acked.add(1);
    Ok(true)
}

/// The alerts of a device that are held or fire, by name.
pub fn list(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Vec<(String, Record)>> {
    Device::registered(ctx, fleet, id)?;
    let mut active = Records::of(fleet, id).all(ctx)?;
    active.retain(|(_, record)| record.state != State::Cleared);
    active.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(active)
}

/// Whether a device could be removed now: refuses keys of another type among those that
/// [`let_go`] writes.
pub fn may_let_go(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<()> {
    for (_, record) in Records::of(fleet, id).all(ctx)? {
        for user in &record.users {
            expect(ctx, &fleet.keys.of(id).user(user), KeyType::Hash)?;
        }
    }
    Ok(())
}

/// Before a device is removed: what its users have still to be told stands by itself from now on.
pub fn let_go(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<()> {
    for (alert, record) in Records::of(fleet, id).all(ctx)? {
        for user in &record.users {
            let about = users::About {
                id,
                alert: &alert,
                record: &record,
            };
            users::refresh(ctx, fleet, user, &about)?;
        }
    }
    fleet.alert_deadlines.borrow_mut().remove(id);
    Ok(())
}

fn broken(id: &str, alert: &str) -> Error {
    Error::usage(format_args!(
        "the record of alert '{alert}' of device '{id}' can't be read, \
         delete its field in the hash of the device's alerts"
    ))
}
