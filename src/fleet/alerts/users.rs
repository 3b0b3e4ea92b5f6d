//! What users have still to be told: the hash `alerts:user:<user>`, and in `alerts:due` when each
//! user's next batch may be fetched.
//!
//! The hash holds an item per alert, `pending:<device> <alert>` (no device: a notification by
//! `ALERT.NOTIFY`), when the earliest of them is `due`, and while a batch is out its `lease` and its
//! items as `leased:<device> <alert>`. A user is in the sorted set exactly while there is a batch to
//! fetch, now or later; its score is the due time, or the end of the lease.

use devicestate_core::alert::item::{Item, Told};
use devicestate_core::alert::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::records::{Records, Stored};
use crate::fleet::presence::expect;
use crate::fleet::{Error, Fleet, Result};
use crate::store::{next_sequence, pair, Arg, Ctx, HashKey, KeyType, RString};

const PENDING: &str = "pending:";
const LEASED: &str = "leased:";
const DUE: &str = "due";
const LEASE: &str = "lease";

/// A batch that is out.
#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    token: String,
    /// Until when, and how long that is, in milliseconds.
    until: u64,
    ms: u64,
    items: u64,
}

impl Lease {
    /// Whether the batch has come back. (One that ends later than it could was made before the clock
    /// was set back.)
    fn has_lapsed(&self, now: u64) -> bool {
        now >= self.until || self.until > now.saturating_add(self.ms)
    }
}

/// A user's hash, open.
struct User<'u> {
    name: &'u str,
    key: RString,
}

/// An alert of a device.
pub struct About<'a> {
    pub id: &'a str,
    pub alert: &'a str,
    pub record: &'a Record,
}

/// The field of an alert's item; without a device: of a notification by hand.
fn field(part: &str, id: &str, alert: &str) -> RString {
    RString::new(format!("{part}{id} {alert}").as_bytes())
}

impl<'u> User<'u> {
    fn of(fleet: &Fleet, name: &'u str) -> User<'u> {
        User {
            name,
            key: fleet.keys.user(name),
        }
    }

    fn open<'c>(&self, ctx: &'c Ctx<'_>) -> Result<Option<HashKey<'c>>> {
        ctx.open_hash(&self.key)
            .map_err(|found| Error::wrong_type(self.key.bytes(), found, KeyType::Hash))
    }

    /// How many items wait, beside those of a batch that is out.
    fn pending(&self, ctx: &Ctx<'_>) -> Result<u64> {
        let fields = ctx.read(c"HLEN", &[Arg::Str(&self.key)])?.int();
        let hash = self.open(ctx)?;
        let lease = hash.as_ref().and_then(lease);
        let due = hash.as_ref().and_then(due);
        let leased = lease.map_or(0, |lease| lease.items.saturating_add(1));
        Ok(fields
            .saturating_sub(leased)
            .saturating_sub(due.is_some().into()))
    }

    /// Puts an item among the pending ones; the user is due within `wait`.
    fn put(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        field: &RString,
        item: &Item,
        wait: u64,
        now: u64,
    ) -> Result<()> {
        let (before, is_out) = match self.open(ctx)? {
            Some(hash) => (due(&hash), lease(&hash).is_some()),
            None => (None, false),
        };
        let at = now.saturating_add(wait);
        let at = before.map_or(at, |before| before.min(at));
        let text = item.encode();
        let mut fields = pair(field, text.as_str()).to_vec();
        if before != Some(at) {
            fields.extend(pair(DUE, at));
        }
        ctx.hset(&self.key, &fields)?;
        if !is_out {
            // Also where it is known: other hands may have taken the user out.
            self.set_due(ctx, fleet, at)?;
        }
        ctx.touched(&RString::new(self.name.as_bytes()));
        Ok(())
    }

    fn set_due(&self, ctx: &Ctx<'_>, fleet: &Fleet, at: u64) -> Result<()> {
        let due = Arg::Str(&fleet.keys.alerts_due);
        ctx.write(c"ZADD", &[due, at.into(), self.name.into()])?;
        Ok(())
    }

    fn drop_due(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> Result<()> {
        let due = Arg::Str(&fleet.keys.alerts_due);
        ctx.write(c"ZREM", &[due, self.name.into()])?;
        Ok(())
    }

    /// All items, pending and leased, by device and alert.
    fn items(&self, ctx: &Ctx<'_>) -> Result<Items> {
        let mut items = Items::default();
        let reply = ctx.read(c"HGETALL", &[Arg::Str(&self.key)])?;
        for (field, text) in reply.pairs() {
            let Ok(field) = std::str::from_utf8(field) else {
                continue;
            };
            let (list, name) = match (field.strip_prefix(PENDING), field.strip_prefix(LEASED)) {
                (Some(name), _) => (&mut items.pending, name),
                (_, Some(name)) => (&mut items.leased, name),
                _ => continue,
            };
            // What other hands wrote is no item; it stays where it is.
            if let Some(item) = Item::decode(text) {
                list.push((name.to_owned(), item));
            }
        }
        Ok(items)
    }
}

#[derive(Default)]
struct Items {
    pending: Vec<(String, Item)>,
    leased: Vec<(String, Item)>,
}

fn due(hash: &HashKey<'_>) -> Option<u64> {
    hash.get(&RString::new(DUE.as_bytes()))?.to_u64()
}

fn lease(hash: &HashKey<'_>) -> Option<Lease> {
    serde_json::from_slice(hash.get(&RString::new(LEASE.as_bytes()))?.bytes()).ok()
}

fn item(hash: &HashKey<'_>, field: &RString) -> Option<Item> {
    Item::decode(hash.get(field)?.bytes())
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
    let user = User::of(fleet, user);
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
    let of_user = User::of(fleet, user);
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
    let user = User::of(fleet, user);
    let pending = user.open(ctx)?.and_then(|hash| item(&hash, &place));
    let Some(mut item) = pending else {
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
    let user = User::of(fleet, user);
    expect(ctx, &fleet.keys.alerts_due, KeyType::SortedSet)?;
    let place = field(PENDING, "", notice.alert);
    let pending = user.open(ctx)?.and_then(|hash| item(&hash, &place));
    let wait = notice
        .wait
        .unwrap_or_else(|| super::wait_for(notice.severity));
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

/// A batch as it is handed out.
pub struct Batch {
    pub token: String,
    pub items: Vec<BatchItem>,
}

pub struct BatchItem {
    /// `None`: a notification of no device's.
    pub device: Option<String>,
    pub alert: String,
    pub item: Item,
}

/// How a batch is fetched.
pub struct Fetch {
    /// At most so many items.
    pub count: usize,
    /// It comes back after that many milliseconds, unless it is done.
    pub lease_ms: u64,
    /// Also before it is due.
    pub now: bool,
}

/// Hands out what a user has to be told, worst first, then oldest; `None` when there is nothing,
/// when it is not due yet, or while a batch is out.
pub fn batch(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    user: &str,
    fetch: &Fetch,
    now: u64,
) -> Result<Option<Batch>> {
    let user = User::of(fleet, user);
    expect(ctx, &fleet.keys.alerts_due, KeyType::SortedSet)?;
    let (due, lapsed) = match user.open(ctx)? {
        None => {
            // Somebody deleted the hash.
            user.drop_due(ctx, fleet)?;
            return Ok(None);
        }
        Some(hash) => match lease(&hash) {
            Some(lease) if !lease.has_lapsed(now) => return Ok(None),
            Some(_) => (due(&hash), true),
            None => (due(&hash), false),
        },
    };
    if !lapsed && !fetch.now && due.is_some_and(|due| now < due) {
        return Ok(None);
    }
    let Items {
        mut pending,
        leased,
    } = user.items(ctx)?;
    let returned: Vec<String> = leased.iter().map(|(name, _)| name.clone()).collect();
    for (name, mut item) in leased {
        match pending.iter_mut().find(|(other, _)| *other == name) {
            Some((_, later)) => {
                item.merge(later.clone());
                *later = item;
            }
            None => pending.push((name, item)),
        }
    }
    if pending.is_empty() {
        // Other hands took the items away; what is left must not keep later ones back.
        ctx.write(c"HDEL", &[Arg::Str(&user.key), LEASE.into(), DUE.into()])?;
        user.drop_due(ctx, fleet)?;
        return Ok(None);
    }
    pending.sort_by(|(a_name, a), (b_name, b)| {
        (b.severity, a.first, a_name).cmp(&(a.severity, b.first, b_name))
    });
    let rest = pending.split_off(fetch.count.min(pending.len()));
    // Neither the severity nor the first fact changes by that: a raise that is worse is told.
    for (name, item) in &mut pending {
        refresh_from_record(ctx, fleet, name, item);
    }
    let lease = Lease {
        token: format!("{now}-{}", next_sequence(now)),
        until: now.saturating_add(fetch.lease_ms),
        ms: fetch.lease_ms,
        items: pending.len() as u64,
    };
    let going = Going {
        taken: &pending,
        rest: &rest,
        returned: &returned,
    };
    user.lease(ctx, fleet, &lease, &going, now)?;
    fleet.stats.batches.add(1);
    Ok(Some(Batch {
        token: lease.token,
        items: pending.into_iter().filter_map(BatchItem::new).collect(),
    }))
}

impl BatchItem {
    fn new((name, item): (String, Item)) -> Option<BatchItem> {
        let (device, alert) = name.split_once(' ')?;
        Some(BatchItem {
            device: (!device.is_empty()).then(|| device.to_owned()),
            alert: alert.to_owned(),
            item,
        })
    }
}

/// Takes over raises that were counted in the alert's record alone.
fn refresh_from_record(ctx: &Ctx<'_>, fleet: &Fleet, name: &str, item: &mut Item) {
    if let Some(record) = record_of(ctx, fleet, name, item) {
        item.refresh(&record);
    }
}

/// The record that an item is of, if there still is one.
fn record_of(ctx: &Ctx<'_>, fleet: &Fleet, name: &str, item: &Item) -> Option<Record> {
    item.source?;
    let (id, alert) = name.split_once(' ')?;
    match Records::of(fleet, id).get(ctx, alert) {
        Ok(Stored::Record(record)) => Some(record),
        _ => None,
    }
}

/// A batch that goes out, what stays, and the names of what came back from the one before.
struct Going<'a> {
    taken: &'a [(String, Item)],
    rest: &'a [(String, Item)],
    returned: &'a [String],
}

impl User<'_> {
    /// Writes a batch that goes out.
    fn lease(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        lease: &Lease,
        going: &Going<'_>,
        now: u64,
    ) -> Result<()> {
        let Going {
            taken,
            rest,
            returned,
        } = going;
        let text = serde_json::to_string(lease).unwrap_or_default();
        let mut set = vec![(LEASE.to_owned(), text)];
        let mut drop = Vec::new();
        for (name, item) in *taken {
            set.push((format!("{LEASED}{name}"), item.encode()));
            drop.push(format!("{PENDING}{name}"));
        }
        for (name, item) in rest.iter().filter(|(name, _)| returned.contains(name)) {
            set.push((format!("{PENDING}{name}"), item.encode()));
            drop.push(format!("{LEASED}{name}"));
        }
        // What is left is due as soon as this batch is done.
        match rest.is_empty() {
            true => drop.push(DUE.to_owned()),
            false => set.push((DUE.to_owned(), now.to_string())),
        }
        let fields: Vec<Arg<'_>> = set
            .iter()
            .flat_map(|(field, value)| pair(field.as_str(), value.as_str()))
            .collect();
        ctx.hset(&self.key, &fields)?;
        let mut hdel = vec![Arg::Str(&self.key)];
        hdel.extend(drop.iter().map(|field| Arg::from(field.as_str())));
        ctx.write(c"HDEL", &hdel)?;
        self.set_due(ctx, fleet, lease.until)?;
        ctx.touched(&RString::new(self.name.as_bytes()));
        Ok(())
    }
}

/// A user has been told what was in a batch; returns how many items that were, 0 when the token is
/// not that of the batch that went out last.
pub fn done(ctx: &Ctx<'_>, fleet: &Fleet, user: &str, token: &[u8]) -> Result<u64> {
    let user = User::of(fleet, user);
    expect(ctx, &fleet.keys.alerts_due, KeyType::SortedSet)?;
    let due = match user.open(ctx)? {
        Some(hash) if lease(&hash).is_some_and(|l| l.token.as_bytes() == token) => due(&hash),
        _ => return Ok(0),
    };
    let leased = user.items(ctx)?.leased;
    let mut hdel = vec![Arg::Str(&user.key), LEASE.into()];
    let fields: Vec<String> = leased
        .iter()
        .map(|(name, _)| format!("{LEASED}{name}"))
        .collect();
    hdel.extend(fields.iter().map(|field| Arg::from(field.as_str())));
    ctx.write(c"HDEL", &hdel)?;
    match due {
        Some(due) => user.set_due(ctx, fleet, due)?,
        None => user.drop_due(ctx, fleet)?,
    }
    for (name, item) in &leased {
        user.note_reported(ctx, fleet, name, item)?;
    }
    ctx.touched(&RString::new(user.name.as_bytes()));
    fleet.stats.batches_done.add(1);
    Ok(leased.len() as u64)
}

impl User<'_> {
    /// The alert's record learns what this user knows by now.
    fn note_reported(&self, ctx: &Ctx<'_>, fleet: &Fleet, name: &str, item: &Item) -> Result<()> {
        let Some(mut record) = record_of(ctx, fleet, name, item) else {
            return Ok(());
        };
        let (Some(count), Some((id, alert))) = (item.taken_of(&record), name.split_once(' '))
        else {
            return Ok(());
        };
        record.reported.insert(self.name.to_owned(), count);
        let text = record.encode();
        ctx.hset(&fleet.keys.alerts(id), &pair(alert, text.as_str()))?;
        Ok(())
    }
}

/// Users whose batch can be fetched now, the longest due first.
pub fn due_now(ctx: &Ctx<'_>, fleet: &Fleet, count: u64, now: u64) -> Result<Vec<Vec<u8>>> {
    let key = &fleet.keys.alerts_due;
    expect(ctx, key, KeyType::SortedSet)?;
    let reply = ctx.read(
        c"ZRANGEBYSCORE",
        &[
            Arg::Str(key),
            "-inf".into(),
            now.into(),
            "LIMIT".into(),
            0.into(),
            count.into(),
        ],
    )?;
    Ok(reply.iter().map(<[u8]>::to_vec).collect())
}
