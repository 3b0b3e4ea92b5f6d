//! Fleet queries: which devices fit a filter, page by page, and how many.
//!
//! Each query walks the smallest index that holds all answers, and looks every candidate up in its
//! hash: ids without one are skipped, and the answer is exact at the moment of the call.

use super::device::status_name;
use super::pages::{self, Position};
use super::presence::expect;
use super::{settings, Device, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

/// What is asked for; filters combine.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    pub online: Option<bool>,
    pub device_type: Option<String>,
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
    let (mut next, mut ids) = one_page(ctx, fleet, filter, position, count, now)?;
    for _ in 0..(LOOKS / count).min(64) {
        if !ids.is_empty() || next == Position::End {
            break;
        }
        (next, ids) = one_page(ctx, fleet, filter, next, count, now)?;
    }
    Ok((next, ids))
}

fn one_page(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    filter: &Filter,
    position: Position,
    count: u64,
    now: u64,
) -> Result<(Position, Vec<String>)> {
    let keys = &fleet.keys;
    let seen_by = filter.stale.map(|stale| now.saturating_sub(stale));
    let wants_offline = filter.online != Some(true);
    let wants_online = filter.online != Some(false);
    let by_time =
        filter.stale.is_some() || (filter.online == Some(false) && filter.device_type.is_none());

    let (next, candidates) = match (position, by_time) {
        (Position::End, _) => return Ok((Position::End, Vec::new())),
        (position @ (Position::Start | Position::Offline(_)), true) if wants_offline => {
            let after = match position {
                Position::Offline(entry) => Some(entry),
                _ => None,
            };
            let (last, ids) = pages::of_offline(ctx, fleet, after, seen_by, count)?;
            let next = match last {
                Some(last) => Position::Offline(last),
                None if wants_online => Position::Online(0),
                None => Position::End,
            };
            (next, ids)
        }
        (position, true) => {
            let cursor = match position {
                Position::Online(cursor) | Position::Set(cursor) => cursor,
                _ => 0,
            };
            let set = match &filter.device_type {
                Some(device_type) => &keys.online_of_type(device_type),
                None => &keys.online,
            };
            let (cursor, ids) = pages::of_set(ctx, set, cursor, count)?;
            (
                if cursor == 0 {
                    Position::End
                } else {
                    Position::Online(cursor)
                },
                ids,
            )
        }
        (position, false) => {
            let cursor = if let Position::Set(cursor) = position {
                cursor
            } else {
                0
            };
            let (cursor, ids) = match (&filter.device_type, filter.online) {
                (Some(t), Some(true)) => {
                    pages::of_set(ctx, &keys.online_of_type(t), cursor, count)?
                }
                (Some(t), _) => pages::of_set(ctx, &keys.of_type(t), cursor, count)?,
                (None, Some(true)) => pages::of_set(ctx, &keys.online, cursor, count)?,
                (None, _) => pages::of_set(ctx, &keys.registered, cursor, count)?,
            };
            (
                if cursor == 0 {
                    Position::End
                } else {
                    Position::Set(cursor)
                },
                ids,
            )
        }
    };
    let ids = candidates
        .into_iter()
        .filter(|id| fits(ctx, fleet, filter, seen_by, id))
        .collect();
    Ok((next, ids))
}

/// How many devices fit: from the sizes of the indexes where that is exact, else by walking.
pub fn count(ctx: &Ctx<'_>, fleet: &Fleet, filter: &Filter, now: u64) -> Result<u64> {
    let keys = &fleet.keys;
    if filter.online == Some(false) || filter.stale.is_some() {
        expect(ctx, &keys.offline, KeyType::SortedSet)?;
    }
    let size = |set: &RString| -> Result<u64> {
        expect(ctx, set, KeyType::Set)?;
        Ok(ctx.read(c"SCARD", &[Arg::Str(set)])?.int())
    };
    match (&filter.device_type, filter.online, filter.stale) {
        (None, None, None) => Ok(size(&keys.registered)?),
        (None, Some(true), None) => Ok(size(&keys.online)?),
        (None, Some(false), None) => Ok(ctx.read(c"ZCARD", &[Arg::Str(&keys.offline)])?.int()),
        (Some(t), None, None) => Ok(size(&keys.of_type(t))?),
        (Some(t), Some(true), None) => Ok(size(&keys.online_of_type(t))?),
        (Some(t), Some(false), None) => {
            Ok(size(&keys.of_type(t))?.saturating_sub(size(&keys.online_of_type(t))?))
        }
        (None, online, Some(stale)) => {
            let seen_by = now.saturating_sub(stale);
            let offline = match online {
                Some(true) => 0,
                _ => ctx
                    .read(
                        c"ZCOUNT",
                        &[Arg::Str(&keys.offline), "-inf".into(), seen_by.into()],
                    )?
                    .int(),
            };
            let online = match online {
                Some(false) => 0,
                _ => walk(
                    ctx,
                    fleet,
                    &Filter {
                        online: Some(true),
                        ..filter.clone()
                    },
                    now,
                )?,
            };
            Ok(offline + online)
        }
        (Some(_), _, Some(_)) => walk(ctx, fleet, filter, now),
    }
}

fn walk(ctx: &Ctx<'_>, fleet: &Fleet, filter: &Filter, now: u64) -> Result<u64> {
    let mut position = Position::Start;
    let mut total = 0;
    while position != Position::End {
        let (next, ids) = page(ctx, fleet, filter, position, 1_000, now)?;
        total += ids.len() as u64;
        position = next;
    }
    Ok(total)
}

fn fits(ctx: &Ctx<'_>, fleet: &Fleet, filter: &Filter, seen_by: Option<u64>, id: &str) -> bool {
    if devicestate_core::name::check(id.as_bytes()).is_err() {
        return false;
    }
    let f = &fleet.fields;
    let key = fleet.keys.state(id);
    let Ok(Some(hash)) = ctx.open_hash(&key) else {
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
    is(&f.device_id, id)
        && filter
            .online
            .is_none_or(|online| is(&f.status, status_name(online)))
        && filter
            .device_type
            .as_ref()
            .is_none_or(|t| is(&f.device_type, t))
        && seen_by.is_none_or(|limit| last_seen() <= limit)
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
            device.registered_at.to_string().into_bytes()
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
    online.deadline(now, &fleet.hearing(), grace)
}
