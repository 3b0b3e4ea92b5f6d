//! Batches: fetched under a lease, and gone when they are done.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use devicestate_core::alert::{Item, Record};

use super::{due, lease, Items, Lease, User, DUE, LEASE, LEASED, PENDING};
use crate::fleet::alerts::records::{Records, Stored};
use crate::fleet::presence::expect;
use crate::fleet::{Fleet, Result};
use crate::store::{next_sequence, pair, Arg, Ctx, KeyType, RString};

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
    let Items { pending, leased } = user.items(ctx)?;
    let returned: HashSet<String> = leased.iter().map(|(name, _)| name.clone()).collect();
    // What came back is older than what came meanwhile.
    let mut items: HashMap<String, Item> = leased.into_iter().collect();
    for (name, later) in pending {
        match items.entry(name) {
            Entry::Occupied(mut entry) => entry.get_mut().merge(later),
            Entry::Vacant(entry) => drop(entry.insert(later)),
        }
    }
    let mut pending: Vec<(String, Item)> = items.into_iter().collect();
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
        user.take_over(ctx, fleet, name, item);
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
    returned: &'a HashSet<String>,
}

impl User<'_> {
    /// Takes over raises that were counted in the alert's record alone. What others were told since
    /// is theirs.
    fn take_over(&self, ctx: &Ctx<'_>, fleet: &Fleet, name: &str, item: &mut Item) {
        let record = record_of(ctx, fleet, name, item);
        if let Some(record) = record.filter(|record| record.users.iter().any(|u| u == self.name)) {
            item.refresh(&record);
        }
    }

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
