//! `THROTTLE.HIT` on a key: reads its state, asks the algorithm, writes what it says. The state is a
//! plain string with an expiry; a hit that changes nothing writes nothing.

use devicestate_core::digits::parse_i64;
use devicestate_core::escape::Quoted;
use devicestate_core::throttle::gcra::{self, State};
use devicestate_core::throttle::window::{self, Window};
use devicestate_core::throttle::{Answer, Limit};

use crate::fleet::{Error, Result};
use crate::store::{Ctx, KeyType, RString, StringKey};

/// A hit on a fixed window; the counter is a plain number, which `GET` shows.
pub fn hit_window(
    ctx: &Ctx<'_>,
    name: &RString,
    limit: Limit,
    cost: i64,
    now: u64,
) -> Result<Answer> {
    if cost == 0 {
        let key = ctx
            .open_string(name)
            .map_err(|found| wrong_type(name, found))?;
        let stored = key.map_or(Ok(None), |key| read_window(name, &key, now))?;
        return Ok(window::hit(stored, limit, 0).0);
    }
    let mut key = ctx
        .open_string_for_write(name)
        .map_err(|found| wrong_type(name, found))?;
    let stored = read_window(name, &key, now)?;
    let (answer, next) = window::hit(stored, limit, cost);
    let (after, ends_in_ms) = match next {
        window::Next::Keep => return Ok(answer),
        window::Next::Open(after) => (after, Some(limit.period_ms)),
        window::Next::Count(after, ends_in_ms) => (after, ends_in_ms),
    };
    let before = stored.map_or(0, |window| window.count);
    let step = i64::try_from(after)
        .ok()
        .and_then(|after| after.checked_sub(before));
    let mut digits = itoa::Buffer::new();
    match (ends_in_ms, step) {
        // The window goes on as it is.
        (None, Some(step)) if key.overwrite(digits.format(after).as_bytes()) => {
            drop(key);
            ctx.replicate_incrby(name, step);
            ctx.notify_string(c"incrby", name);
        }
        _ => {
            let left = ends_in_ms.or_else(|| stored?.ends_in_ms);
            let at = now.saturating_add(left.unwrap_or(limit.period_ms));
            let value = RString::from_int(after);
            key.set(&value, at);
            ctx.replicate_set(name, value.bytes(), at);
            ctx.notify_string(c"set", name);
        }
    }
    ctx.touched(name);
    Ok(answer)
}

/// A hit on limits that drain evenly.
pub fn hit_gcra(
    ctx: &Ctx<'_>,
    name: &RString,
    limits: &[Limit],
    cost: i64,
    now: u64,
) -> Result<Answer> {
    if cost == 0 {
        let key = ctx
            .open_string(name)
            .map_err(|found| wrong_type(name, found))?;
        let stored = key.map_or(Ok(None), |key| read_gcra(name, &key))?;
        return Ok(gcra::hit(stored.as_ref(), limits, 0, now).0);
    }
    let mut key = ctx
        .open_string_for_write(name)
        .map_err(|found| wrong_type(name, found))?;
    let stored = read_gcra(name, &key)?;
    let (answer, next) = gcra::hit(stored.as_ref(), limits, cost, now);
    match next {
        gcra::Next::Keep => return Ok(answer),
        gcra::Next::Clear => {
            key.delete();
            ctx.replicate_del(name);
            ctx.notify_deleted(name);
        }
        gcra::Next::Store {
            state,
            expires_at,
            expires_anew,
        } => {
            let value = state.encode();
            // As long as before, unless there are more limits or fewer.
            if key.overwrite(value.bytes()) {
                if expires_anew {
                    key.expire_at(expires_at);
                }
                drop(key);
            } else {
                key.set(&RString::new(value.bytes()), expires_at);
            }
            ctx.replicate_set(name, value.bytes(), expires_at);
            ctx.notify_string(c"set", name);
        }
    }
    ctx.touched(name);
    Ok(answer)
}

fn read_window(name: &RString, key: &StringKey<'_>, now: u64) -> Result<Option<Window>> {
    let Some(text) = key.value() else {
        return Ok(None);
    };
    let count = parse_i64(text)
        .ok_or_else(|| not_a_state(name, text, "counter of a window", "without GCRA"))?;
    Ok(Some(Window {
        count,
        ends_in_ms: key.expires_at().map(|at| at.saturating_sub(now)),
    }))
}

fn read_gcra(name: &RString, key: &StringKey<'_>) -> Result<Option<State>> {
    let Some(text) = key.value() else {
        return Ok(None);
    };
    State::decode(text)
        .map(Some)
        .ok_or_else(|| not_a_state(name, text, "state of GCRA", "with GCRA"))
}

fn wrong_type(name: &RString, found: KeyType) -> Error {
    Error::wrong_type(name.bytes(), found, KeyType::String)
}

fn not_a_state(name: &RString, found: &[u8], wanted: &str, form: &str) -> Error {
    let found = &found[..found.len().min(64)];
    Error::usage(format_args!(
        "the key {} holds {}, which is no {wanted}; it can't be hit {form}",
        Quoted(name.bytes()),
        Quoted(found),
    ))
}
