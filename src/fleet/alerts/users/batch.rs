//! Batches: fetched under a lease, and gone when they are done.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use devicestate_core::alert::{Item, Record};

use super::{due, lease, Due, Items, Lease, User, DUE, LEASE, LEASED, PENDING, WAIT};
use crate::fleet::alerts::records::{Records, Stored};
use crate::fleet::presence::{expect, size_of};
use crate::fleet::{Error, Fleet, Result};
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
    let Some(mut parts) = parts_due(ctx, fleet, user, fetch, now)? else {
        return Ok(None);
    };
    share(&mut parts, fetch.count);
    let token = format!("{now}-{}{}", next_sequence(now), fleet.token_place());
    let mut items = Vec::new();
    for part in &mut parts {
        // Neither the severity nor the first fact changes by that: a raise that is worse is told.
        for (name, item) in &mut part.taken {
            part.user.take_over(ctx, fleet, name, item);
        }
        let lease = (!part.taken.is_empty()).then(|| Lease {
            token: token.clone(),
            until: now.saturating_add(fetch.lease_ms),
            ms: fetch.lease_ms,
            items: part.taken.len() as u64,
        });
        part.hand_out(ctx, lease.as_ref(), now)?;
        items.append(&mut part.taken);
    }
    if items.is_empty() {
        return Ok(None);
    }
    items.sort_by(worst_first);
    fleet.stats.batches.add(1);
    Ok(Some(Batch {
        token,
        items: items.into_iter().filter_map(BatchItem::new).collect(),
    }))
}

/// What one hash of a user holds: there is one for each slot of a cluster with something to tell.
struct Part<'u> {
    user: User<'u>,
    /// What goes out in this batch, and what stays.
    taken: Vec<(String, Item)>,
    rest: Vec<(String, Item)>,
    /// The names of what came back from the batch before.
    returned: HashSet<String>,
}

/// Everything that a user has pending, unless a batch is out or nothing of it is due.
fn parts_due<'u>(
    ctx: &Ctx<'_>,
    fleet: &'u Fleet,
    name: &'u str,
    fetch: &Fetch,
    now: u64,
) -> Result<Option<Vec<Part<'u>>>> {
    let mut users = Vec::new();
    let mut is_due = fetch.now;
    for indexes in fleet.indexes_of_user(ctx, name) {
        if !fleet.are_settled(ctx, indexes) {
            // It is fetched where the slot arrives, or here when it stays.
            continue;
        }
        let user = User::of(indexes, name);
        let users_due = size_of(ctx, user.due, KeyType::SortedSet)?;
        let Some(hash) = user.open(ctx)? else {
            if users_due > 0 {
                // Somebody may have deleted the hash.
                user.drop_due(ctx)?;
            }
            user.forget_place(fleet);
            continue;
        };
        let lease = lease(&hash);
        if lease.as_ref().is_some_and(|lease| !lease.has_lapsed(now)) {
            return Ok(None);
        }
        is_due |= lease.is_some() || due(&hash).is_none_or(|due| due.has_come(now));
        drop(hash);
        users.push(user);
    }
    if !is_due {
        return Ok(None);
    }
    let parts = users.into_iter().map(|user| Part::read(ctx, user));
    let (empty, parts): (Vec<Part<'_>>, Vec<Part<'_>>) = parts
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .partition(|part| part.rest.is_empty());
    for Part { user, .. } in empty {
        // Other hands took the items away; what is left must not keep later ones back.
        let fields = [LEASE, DUE, WAIT].map(Arg::from);
        ctx.write(c"HDEL", &[&[Arg::Str(&user.key)], &fields[..]].concat())?;
        user.drop_due(ctx)?;
    }
    Ok(Some(parts))
}

/// Takes the worst and oldest of all parts, so many.
fn share(parts: &mut [Part<'_>], count: usize) {
    for part in parts.iter_mut() {
        part.rest.sort_by(worst_first);
    }
    let all: usize = parts.iter().map(|part| part.rest.len()).sum();
    if all <= count {
        for part in parts {
            part.taken = std::mem::take(&mut part.rest);
        }
        return;
    }
    let mut order: Vec<(usize, (String, Item))> = Vec::with_capacity(all);
    for (at, part) in parts.iter_mut().enumerate() {
        order.extend(part.rest.drain(..).map(|item| (at, item)));
    }
    order.sort_by(|(_, a), (_, b)| worst_first(a, b));
    for (place, (at, item)) in order.into_iter().enumerate() {
        match place < count {
            true => parts[at].taken.push(item),
            false => parts[at].rest.push(item),
        }
    }
}

fn worst_first((a_name, a): &(String, Item), (b_name, b): &(String, Item)) -> Ordering {
    (b.severity, a.first, a_name).cmp(&(a.severity, b.first, b_name))
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

impl User<'_> {
    /// Takes over raises that were counted in the alert's record alone. What others were told since
    /// is theirs.
    fn take_over(&self, ctx: &Ctx<'_>, fleet: &Fleet, name: &str, item: &mut Item) {
        let record = record_of(ctx, fleet, name, item);
        if let Some(record) = record.filter(|record| record.users.iter().any(|u| u == self.name)) {
            item.refresh(&record);
        }
    }
}

impl<'u> Part<'u> {
    /// All items, as if none were taken.
    fn read(ctx: &Ctx<'_>, user: User<'u>) -> Result<Part<'u>> {
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
        Ok(Part {
            user,
            taken: Vec::new(),
            rest: items.into_iter().collect(),
            returned,
        })
    }

    /// Writes what goes out, which has a lease, and what came back and stays.
    fn hand_out(&self, ctx: &Ctx<'_>, lease: Option<&Lease>, now: u64) -> Result<()> {
        let mut set = Vec::new();
        let mut drop = Vec::new();
        match lease {
            Some(lease) => {
                let text = serde_json::to_string(lease).unwrap_or_default();
                set.push((LEASE.to_owned(), text));
            }
            None if self.returned.is_empty() => return Ok(()),
            None => drop.push(LEASE.to_owned()),
        }
        for (name, item) in &self.taken {
            set.push((format!("{LEASED}{name}"), item.encode()));
            drop.push(format!("{PENDING}{name}"));
        }
        let stays = |(name, _): &&(String, Item)| self.returned.contains(name);
        for (name, item) in self.rest.iter().filter(stays) {
            set.push((format!("{PENDING}{name}"), item.encode()));
            drop.push(format!("{LEASED}{name}"));
        }
        // What is left is due as soon as this batch is done.
        let is_all = self.rest.is_empty();
        if is_all {
            drop.extend([DUE, WAIT].map(str::to_owned));
        }
        let mut fields: Vec<Arg<'_>> = set
            .iter()
            .flat_map(|(field, value)| pair(field.as_str(), value.as_str()))
            .collect();
        if !is_all {
            fields.extend(Due::fields(now, now));
        }
        let user = &self.user;
        ctx.hset(&user.key, &fields)?;
        let mut hdel = vec![Arg::Str(&user.key)];
        hdel.extend(drop.iter().map(|field| Arg::from(field.as_str())));
        ctx.write(c"HDEL", &hdel)?;
        user.set_due(ctx, lease.map_or(now, |lease| lease.until))?;
        ctx.touched(&RString::new(user.name.as_bytes()));
        Ok(())
    }
}

/// A user has been told what was in a batch; returns how many items that were, 0 when the token is
/// not that of the batch that went out last. While some of them may be on their way to another node, none
/// is removed.
pub fn done(ctx: &Ctx<'_>, fleet: &Fleet, user: &str, token: &[u8], now: u64) -> Result<u64> {
    let places = fleet.indexes_of_user(ctx, user);
    if !places.iter().all(|place| fleet.are_settled(ctx, place)) {
        let why = "a slot with items of this user is on its way to another node";
        return Err(Error::try_again(why));
    }
    let mut removed = 0;
    for indexes in places {
        let user = User::of(indexes, user);
        removed += user.done(ctx, fleet, token, now)?;
        user.forget_place_if_gone(ctx, fleet)?;
    }
    if removed > 0 {
        fleet.stats.batches_done.add(1);
    }
    Ok(removed)
}

impl User<'_> {
    /// The same for what is in one hash.
    fn done(&self, ctx: &Ctx<'_>, fleet: &Fleet, token: &[u8], now: u64) -> Result<u64> {
        expect(ctx, self.due, KeyType::SortedSet)?;
        let due = match self.open(ctx)? {
            Some(hash) if lease(&hash).is_some_and(|l| l.token.as_bytes() == token) => due(&hash),
            _ => return Ok(0),
        };
        let leased = self.items(ctx)?.leased;
        let mut hdel = vec![Arg::Str(&self.key), LEASE.into()];
        let fields: Vec<String> = leased
            .iter()
            .map(|(name, _)| format!("{LEASED}{name}"))
            .collect();
        hdel.extend(fields.iter().map(|field| Arg::from(field.as_str())));
        ctx.write(c"HDEL", &hdel)?;
        match due {
            Some(due) => self.set_due(ctx, due.from(now))?,
            None => self.drop_due(ctx)?,
        }
        for (name, item) in &leased {
            self.note_reported(ctx, fleet, name, item)?;
        }
        ctx.touched(&RString::new(self.name.as_bytes()));
        Ok(leased.len() as u64)
    }

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
