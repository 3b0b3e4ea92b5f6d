//! Fleet queries: which devices fit a filter, page by page, and how many.
//!
//! Each query walks the smallest index that holds all answers, and looks every candidate up in its
//! hash: ids without one are skipped, and the answer is exact at the moment of the call.

use super::device::status_name;
use super::keys::Indexes;
use super::pages::{self, Entry, Place, Position};
use super::presence::{expect, size_of};
use super::state::{in_ms, is};
use super::unseen::Among;
use super::{Fleet, Result};
use crate::store::{Arg, Ctx, HashKey, KeyType, RString};

/// What is asked for; filters combine.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    pub online: Option<bool>,
    pub device_type: Option<String>,
    /// Something of the classic shadow is outstanding.
    pub out_of_sync: bool,
    /// Not seen for at least this many milliseconds.
    pub stale: Option<u64>,
}

/// Reads on while nothing was found, so that few pages are empty (a set that shrank, a filter that
/// few devices fit), until about this many entries were looked at.
const LOOKS: u64 = 10_000;

/// Of so many slots a page is put together at most: most slots of a small fleet hold nothing.
const SLOTS: usize = 1_000;

/// One page of ids and the place after it. A page may be shorter or longer than `count`, even
/// empty, and is the last one only when the place says so.
pub fn page(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    filter: &Filter,
    place: Place,
    count: u64,
    now: u64,
) -> Result<(Place, Vec<String>)> {
    let mut rest = fleet.indexes(ctx).from(place.slot);
    let mut ids = Vec::new();
    for indexes in rest.by_ref().take(SLOTS) {
        let slot = indexes.slot();
        // The slot may have moved away; then the next one begins.
        let position = match slot == place.slot {
            true => place.position.clone(),
            false => Position::Start,
        };
        let wanted = count.saturating_sub(ids.len() as u64);
        if wanted == 0 {
            return Ok((Place { slot, position }, ids));
        }
        let walk = Walk::new(ctx, fleet, indexes, filter, now);
        let (position, mut found) = walk.some(position, wanted)?;
        ids.append(&mut found);
        if position != Position::End {
            return Ok((Place { slot, position }, ids));
        }
    }
    let place = rest.next().map_or(Place::END, |indexes| Place {
        slot: indexes.slot(),
        position: Position::Start,
    });
    Ok((place, ids))
}

/// A walk of the smallest index that holds all answers.
struct Walk<'a> {
    ctx: &'a Ctx<'a>,
    fleet: &'a Fleet,
    indexes: &'a Indexes,
    filter: &'a Filter,
    /// The latest moment at which a stale device was seen.
    seen_by: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(
        ctx: &'a Ctx<'a>,
        fleet: &'a Fleet,
        indexes: &'a Indexes,
        filter: &'a Filter,
        now: u64,
    ) -> Walk<'a> {
        Walk {
            ctx,
            fleet,
            indexes,
            filter,
            seen_by: filter.stale.map(|stale| now.saturating_sub(stale)),
        }
    }

    /// Oldest first: offline devices by their index, then those online.
    fn is_by_time(&self) -> bool {
        let filter = self.filter;
        let is_offline_only = filter.online == Some(false) && filter.device_type.is_none();
        filter.stale.is_some() || (is_offline_only && !filter.out_of_sync)
    }

    /// A page that is not empty, unless that takes long.
    fn some(&self, position: Position, count: u64) -> Result<(Position, Vec<String>)> {
        let (mut next, mut ids) = self.page(position, count)?;
        for _ in 0..(LOOKS / count).min(64) {
            if !ids.is_empty() || next == Position::End {
                break;
            }
            (next, ids) = self.page(next, count)?;
        }
        Ok((next, ids))
    }

    fn page(&self, position: Position, count: u64) -> Result<(Position, Vec<String>)> {
        let by_time = self.is_by_time();
        let (next, candidates) = match position {
            Position::End => return Ok((Position::End, Vec::new())),
            Position::Start if by_time && self.filter.online != Some(true) => {
                self.offline(None, count)?
            }
            Position::Offline(entry) if by_time && self.filter.online != Some(true) => {
                self.offline(Some(entry), count)?
            }
            Position::Set(cursor) | Position::Online(cursor) => self.set(by_time, cursor, count)?,
            Position::Start | Position::Offline(_) => self.set(by_time, 0, count)?,
        };
        let fitting = candidates.into_iter().filter(|id| self.fits(id));
        Ok((next, fitting.collect()))
    }

    fn offline(&self, after: Option<Entry>, count: u64) -> Result<(Position, Vec<String>)> {
        let (last, ids) =
            pages::of_offline(self.ctx, &self.indexes.offline, after, self.seen_by, count)?;
        let next = match last {
            Some(last) => Position::Offline(last),
            None if self.filter.online.is_none() && !self.nobody_online_fits() => {
                Position::Online(0)
            }
            None => Position::End,
        };
        Ok((next, ids))
    }

    /// The set that is walked, all of it or (by time) what comes after the offline devices.
    fn set_key(&self, by_time: bool) -> Set<'a> {
        let indexes = self.indexes;
        let online = by_time || self.filter.online == Some(true);
        match (&self.filter.device_type, online) {
            _ if self.filter.out_of_sync && !by_time => Set::Known(&indexes.out_of_sync),
            (Some(device_type), true) => Set::OfType(indexes.online_of_type(device_type)),
            (Some(device_type), false) => Set::OfType(indexes.of_type(device_type)),
            (None, true) => Set::Known(&indexes.online),
            (None, false) => Set::Known(&indexes.registered),
        }
    }

    /// Among which devices those that are online are looked for.
    fn among(&self) -> Among {
        match self.filter.device_type {
            Some(_) => Among::OnlineOfType,
            None => Among::Online,
        }
    }

    /// Whether it is known without a look that no device that is online is stale.
    fn nobody_online_fits(&self) -> bool {
        self.seen_by.is_some_and(|moment| {
            let (ctx, among) = (self.ctx, self.among());
            self.fleet.all_online_were_seen_after(ctx, among, moment)
        })
    }

    fn set(&self, by_time: bool, cursor: u64, count: u64) -> Result<(Position, Vec<String>)> {
        let set = self.set_key(by_time);
        let set = set.key();
        if by_time && self.nobody_online_fits() {
            expect(self.ctx, set, KeyType::Set)?;
            return Ok((Position::End, Vec::new()));
        }
        let (cursor, ids) = pages::of_set(self.ctx, set, cursor, count)?;
        let next = match (cursor, by_time) {
            (0, _) => Position::End,
            (cursor, true) => Position::Online(cursor),
            (cursor, false) => Position::Set(cursor),
        };
        Ok((next, ids))
    }

    /// How many devices fit.
    fn count(&self) -> Result<u64> {
        let mut position = Position::Start;
        let mut total = 0;
        while position != Position::End {
            let (next, ids) = self.page(position, 1_000)?;
            total += ids.len() as u64;
            position = next;
        }
        Ok(total)
    }

    /// How many devices fit that are online and were not seen after this moment; the filter asks for
    /// nothing but these, and maybe their type.
    fn count_online(&self, moment: u64) -> Result<u64> {
        let set = self.set_key(true);
        expect(self.ctx, set.key(), KeyType::Set)?;
        let mut total = 0;
        let look = |id: &str| {
            let Some(hash) = self.open(id) else {
                return Ok(None);
            };
            let last_seen = self.last_seen(&hash);
            let fits = last_seen <= moment && self.fits_but_for_time(&hash);
            drop(hash);
            let member = [Arg::Str(set.key()), id.into()];
            if fits && self.ctx.read(c"SISMEMBER", &member)?.int() == 1 {
                total += 1;
            }
            Ok(Some(last_seen))
        };
        match self
            .fleet
            .look_at_unseen(self.ctx, self.among(), moment, look)?
        {
            true => Ok(total),
            false => self.count(),
        }
    }

    /// What the hash of a candidate says.
    fn fits(&self, id: &str) -> bool {
        self.open(id).is_some_and(|hash| {
            self.fits_but_for_time(&hash)
                && self
                    .seen_by
                    .is_none_or(|moment| self.last_seen(&hash) <= moment)
        })
    }

    /// The hash of a device, unless it says that it is another's.
    fn open(&self, id: &str) -> Option<HashKey<'a>> {
        devicestate_core::name::check(id.as_bytes()).ok()?;
        let key = self.fleet.keys.state(id);
        let hash = self.ctx.open_hash(&key).ok()??;
        let is_its_own = is(&hash, &self.fleet.fields.device_id, id);
        is_its_own.then_some(hash)
    }

    fn fits_but_for_time(&self, hash: &HashKey<'_>) -> bool {
        let (f, filter) = (&self.fleet.fields, self.filter);
        let device_type = filter.device_type.as_ref();
        filter
            .online
            .is_none_or(|online| is(hash, &f.status, status_name(online)))
            && device_type.is_none_or(|t| is(hash, &f.device_type, t))
            && (!filter.out_of_sync || hash.get(&f.shadow.delta).is_some())
    }

    fn last_seen(&self, hash: &HashKey<'_>) -> u64 {
        let value = hash.get(&self.fleet.fields.last_seen);
        value.map_or(0, |value| in_ms(value.bytes()))
    }
}

/// The key of an index.
enum Set<'a> {
    Known(&'a RString),
    OfType(RString),
}

impl Set<'_> {
    fn key(&self) -> &RString {
        match self {
            Set::Known(key) => key,
            Set::OfType(key) => key,
        }
    }
}

/// How many devices fit.
pub fn count(ctx: &Ctx<'_>, fleet: &Fleet, filter: &Filter, now: u64) -> Result<u64> {
    let counts = fleet
        .indexes(ctx)
        .map(|indexes| count_in(ctx, fleet, indexes, filter, now));
    counts.sum()
}

/// The same in one set of indexes: from their sizes where that is exact, else by walking.
fn count_in(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    indexes: &Indexes,
    filter: &Filter,
    now: u64,
) -> Result<u64> {
    if filter.online == Some(false) || filter.stale.is_some() {
        expect(ctx, &indexes.offline, KeyType::SortedSet)?;
    }
    let size = |set: &RString| size_of(ctx, set, KeyType::Set);
    if filter.out_of_sync {
        let is_alone = filter.online.is_none() && filter.device_type.is_none();
        return if is_alone && filter.stale.is_none() {
            size(&indexes.out_of_sync)
        } else {
            Walk::new(ctx, fleet, indexes, filter, now).count()
        };
    }
    match (&filter.device_type, filter.online, filter.stale) {
        (None, None, None) => Ok(size(&indexes.registered)?),
        (None, Some(true), None) => Ok(size(&indexes.online)?),
        (None, Some(false), None) => size_of(ctx, &indexes.offline, KeyType::SortedSet),
        (Some(t), None, None) => Ok(size(&indexes.of_type(t))?),
        (Some(t), Some(true), None) => Ok(size(&indexes.online_of_type(t))?),
        (Some(t), Some(false), None) => {
            Ok(size(&indexes.of_type(t))?.saturating_sub(size(&indexes.online_of_type(t))?))
        }
        (_, online, Some(stale)) => {
            let of_status = |online| Filter {
                online: Some(online),
                ..filter.clone()
            };
            let seen_by = now.saturating_sub(stale);
            let mut total = 0;
            if online != Some(true) {
                total += match filter.device_type {
                    None => count_offline(ctx, &indexes.offline, seen_by)?,
                    Some(_) => Walk::new(ctx, fleet, indexes, &of_status(false), now).count()?,
                };
            }
            if online != Some(false) {
                total +=
                    Walk::new(ctx, fleet, indexes, &of_status(true), now).count_online(seen_by)?;
            }
            Ok(total)
        }
    }
}

/// How many offline devices were seen at `seen_by` at the latest.
fn count_offline(ctx: &Ctx<'_>, offline: &RString, seen_by: u64) -> Result<u64> {
    let range = [offline.into(), "-inf".into(), seen_by.into()];
    Ok(ctx.read(c"ZCOUNT", &range)?.int())
}
