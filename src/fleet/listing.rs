//! Fleet queries: which devices fit a filter, page by page, and how many.
//!
//! Each query walks the smallest index that holds all answers, and looks every candidate up in its
//! hash: ids without one are skipped, and the answer is exact at the moment of the call.

use super::device::status_name;
use super::keys::Indexes;
use super::pages::{self, Entry, Position};
use super::presence::expect;
use super::{settings, Device, Error, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

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

/// One page of ids and the position after it. A page may be shorter or longer than `count`, even
/// empty, and is the last one only when the position says so.
pub fn page(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    filter: &Filter,
    position: Position,
    count: u64,
    now: u64,
) -> Result<(Position, Vec<String>)> {
    let walk = Walk::new(ctx, fleet, fleet.keys.of(""), filter, now);
    let (mut next, mut ids) = walk.page(position, count)?;
    for _ in 0..(LOOKS / count).min(64) {
        if !ids.is_empty() || next == Position::End {
            break;
        }
        (next, ids) = walk.page(next, count)?;
    }
    Ok((next, ids))
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
            None if self.filter.online.is_none() => Position::Online(0),
            None => Position::End,
        };
        Ok((next, ids))
    }

    fn set(&self, by_time: bool, cursor: u64, count: u64) -> Result<(Position, Vec<String>)> {
        let indexes = self.indexes;
        let online = by_time || self.filter.online == Some(true);
        let of_type;
        let set = match (&self.filter.device_type, online) {
            _ if self.filter.out_of_sync && !by_time => &indexes.out_of_sync,
            (Some(device_type), true) => {
                of_type = indexes.online_of_type(device_type);
                &of_type
            }
            (Some(device_type), false) => {
                of_type = indexes.of_type(device_type);
                &of_type
            }
            (None, true) => &indexes.online,
            (None, false) => &indexes.registered,
        };
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

    /// What the hash of a candidate says.
    fn fits(&self, id: &str) -> bool {
        if devicestate_core::name::check(id.as_bytes()).is_err() {
            return false;
        }
        let (f, filter) = (&self.fleet.fields, self.filter);
        let key = self.fleet.keys.state(id);
        let Ok(Some(hash)) = self.ctx.open_hash(&key) else {
            return false;
        };
        let is = |field: &RString, wanted: &str| {
            hash.get(field)
                .is_some_and(|value| value.bytes() == wanted.as_bytes())
        };
        let last_seen = || {
            let value = hash.get(&f.last_seen);
            value
                .and_then(|v| devicestate_core::recipe::time_ms(v.bytes()))
                .unwrap_or(0)
        };
        let device_type = filter.device_type.as_ref();
        is(&f.device_id, id)
            && filter
                .online
                .is_none_or(|online| is(&f.status, status_name(online)))
            && device_type.is_none_or(|t| is(&f.device_type, t))
            && (!filter.out_of_sync || hash.get(&f.shadow.delta).is_some())
            && self.seen_by.is_none_or(|limit| last_seen() <= limit)
    }
}

/// How many devices fit.
pub fn count(ctx: &Ctx<'_>, fleet: &Fleet, filter: &Filter, now: u64) -> Result<u64> {
    let counts = fleet
        .indexes(ctx)
        .into_iter()
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
        (None, online, Some(stale)) => {
            let seen_by = now.saturating_sub(stale);
            let offline = match online {
                Some(true) => 0,
                _ => ctx
                    .read(
                        c"ZCOUNT",
                        &[Arg::Str(&indexes.offline), "-inf".into(), seen_by.into()],
                    )?
                    .int(),
            };
            let online = match online {
                Some(false) => 0,
                _ => {
                    let filter = Filter {
                        online: Some(true),
                        ..filter.clone()
                    };
                    Walk::new(ctx, fleet, indexes, &filter, now).count()?
                }
            };
            Ok(offline + online)
        }
        (Some(_), _, Some(_)) => Walk::new(ctx, fleet, indexes, filter, now).count(),
    }
}

/// How many elements an index has; refuses a key of another type.
fn size_of(ctx: &Ctx<'_>, index: &RString, wanted: KeyType) -> Result<u64> {
    match ctx.key_size(index) {
        (KeyType::Missing, _) => Ok(0),
        (found, size) if found == wanted => Ok(size),
        (found, _) => Err(Error::wrong_type(index.bytes(), found, wanted)),
    }
}

/// Fields and values of a hash.
pub type State = Vec<(Vec<u8>, Vec<u8>)>;

/// The whole hash of a device, field by field, with times in milliseconds even where the plain
/// recipe or its old writers put seconds; `None` when it is unknown.
pub fn state(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Option<State>> {
    let Some(device) = Device::load(ctx, fleet, id)? else {
        return Ok(None);
    };
    let reply = ctx.read(c"HGETALL", &[Arg::Str(&device.key)])?;
    let f = &fleet.fields;
    let fields = reply.pairs().map(|(field, value)| {
        let value = if field == f.last_seen.bytes() {
            device.last_seen.to_string().into_bytes()
        } else if field == f.registered_at.bytes() {
            let ms = devicestate_core::recipe::time_ms(value).unwrap_or(0);
            ms.to_string().into_bytes()
        } else {
            value.to_vec()
        };
        (field.to_vec(), value)
    });
    Ok(Some(fields.collect()))
}

/// When a device that is online will be due, in milliseconds since the Unix epoch. Devices of the
/// plain recipe never are before they are adopted.
pub fn deadline(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, now: u64) -> Option<u64> {
    let grace = settings::RESTART_GRACE.value();
    if !device.online || device.from_recipe {
        return None;
    }
    let online = device.as_online(ctx, fleet);
    online.deadline(now, &fleet.hearing_of(&device.id), grace)
}
