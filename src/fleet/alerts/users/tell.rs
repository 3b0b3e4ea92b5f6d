//! Putting something into a user's next batch.

use devicestate_core::alert::item::{Item, Told};
use devicestate_core::alert::Record;
use serde_json::value::RawValue;

use super::{field, item, User, LEASED, PENDING};
use crate::fleet::alerts::wait_for;
use crate::fleet::presence::expect;
use crate::fleet::{Fleet, Result};
use crate::store::{pair, Ctx, KeyType};

/// An alert of a device.
pub struct About<'a> {
    pub id: &'a str,
    pub alert: &'a str,
    pub record: &'a Record,
}

/// A user is to be told of an alert of a device.
pub fn tell(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    user: &str,
    about: &About<'_>,
    state: Told,
    now: u64,
) -> Result<()> {
    let record = about.record;
    let place = field(PENDING, about.id, about.alert);
    let user = User::of(fleet.keys.of(about.id), user);
    let (pending, leased) = match user.open(ctx)? {
        Some(hash) => {
            let leased = field(LEASED, about.id, about.alert);
            (item(&hash, &place), item(&hash, &leased))
        }
        None => (None, None),
    };
    let told_of = || {
        let in_batch = leased.as_ref().and_then(|item| item.taken_of(record));
        let reported = record.reported.get(user.name).copied();
        in_batch.or(reported).unwrap_or(0)
    };
    let item = match pending {
        None => Item::of(record, state, told_of(), now),
        Some(mut item) => {
            let taken = item.taken_of(record).unwrap_or_else(told_of);
            item.merge(Item::of(record, state, taken, now));
            item
        }
    };
    let wait = record.told.map_or(0, |told| told.wait);
    user.put(ctx, fleet, &place, &item, wait, now)
}

/// A clear that was not told, because nobody was told that the alert fires. A user may know it all the
/// same, from a batch that took over what was suppressed: then he hears that it is over.
pub fn clear(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    user: &str,
    about: &About<'_>,
    knows: bool,
    now: u64,
) -> Result<()> {
    let of_user = User::of(fleet.keys.of(about.id), user);
    let (is_pending, is_out) = match of_user.open(ctx)? {
        Some(hash) => {
            let pending = item(&hash, &field(PENDING, about.id, about.alert));
            let leased = item(&hash, &field(LEASED, about.id, about.alert));
            let leased = leased.filter(|item| item.taken_of(about.record).is_some());
            let is_firing = |item: Item| item.state == Told::Firing;
            (pending.is_some(), leased.is_some_and(is_firing))
        }
        None => (false, false),
    };
    match knows || is_out {
        true if !is_pending => tell(ctx, fleet, user, about, Told::Resolved, now),
        _ => refresh(ctx, fleet, user, about),
    }
}

/// A clear that nobody is told of, or the end of the device: what a user has still to be told of the
/// alert takes it over.
pub fn refresh(ctx: &Ctx<'_>, fleet: &Fleet, user: &str, about: &About<'_>) -> Result<()> {
    let place = field(PENDING, about.id, about.alert);
    let user = User::of(fleet.keys.of(about.id), user);
    let hash = user.open(ctx)?;
    let Some(mut item) = hash.and_then(|hash| item(&hash, &place)) else {
        return Ok(());
    };
    item.refresh(about.record);
    let text = item.encode();
    ctx.hset(&user.key, &pair(&place, text.as_str()))?;
    Ok(())
}

/// A notification of no device's.
pub struct Notice<'a> {
    pub alert: &'a str,
    pub severity: u32,
    pub data: Box<RawValue>,
    /// How long it may wait for company; `None`: as the settings say.
    pub wait: Option<u64>,
}

/// Puts a notification into the user's next batch; returns how many items wait there.
pub fn notify(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    user: &str,
    notice: Notice<'_>,
    now: u64,
) -> Result<u64> {
    let indexes = fleet.keys.of(user);
    let user = User::of(indexes, user);
    expect(ctx, &indexes.alerts_due, KeyType::SortedSet)?;
    let place = field(PENDING, "", notice.alert);
    let pending = user.open(ctx)?.and_then(|hash| item(&hash, &place));
    let wait = notice.wait.unwrap_or_else(|| wait_for(notice.severity));
    let new = Item::notice(notice.severity, notice.data, now);
    let item = match pending {
        None => new,
        Some(mut item) => {
            item.merge(new);
            item
        }
    };
    user.put(ctx, fleet, &place, &item, wait, now)?;
    fleet.stats.notified.add(1);
    user.pending(ctx)
}
