//! Writes of many devices in one go: a shared key is looked up once for all of them, and replicated in
//! one command.
//!
//! They are for the timer, after it asked whether this server takes writes
//! ([`Ctx::probe_writable`]) in the same callback, and ask for no further checks: what they write
//! belongs together, and may not end in the middle. They send no notification either, except
//! [`Ctx::srem_all`]: the caller does that when all is written, so that whoever reads because of one
//! sees a whole step.

use devicestate_core::queue::Id;

use super::call::ArgV;
use super::effects::WRITE;
use super::followers::is_followed;
use super::{api, Arg, CallError, Ctx, KeyType, RString};

/// What became of entries that were to be appended to a stream.
pub struct Appended {
    pub count: usize,
    /// The id of the last one of them.
    pub last: Id,
    /// Older ones went.
    pub is_trimmed: bool,
    /// Why the others were not.
    pub error: Option<CallError>,
}

impl Ctx<'_> {
    /// Appends entries to a stream that keeps about `maxlen` of them, each with the next id that
    /// `next_id` gives unless the stream is ahead of it; the result says how many were
    /// appended.
    pub fn append_all(
        &self,
        key: &RString,
        maxlen: u64,
        mut next_id: impl FnMut() -> Id,
        entries: &[Vec<Arg<'_>>],
    ) -> Appended {
        let entries: Vec<ArgV> = entries.iter().map(|fields| ArgV::new(fields)).collect();
        let stream = match self.open_to_append(key) {
            Ok(stream) => stream,
            Err(_) => {
                return Appended {
                    count: 0,
                    last: Id::ZERO,
                    is_trimmed: false,
                    error: Some(CallError::wrong_type()),
                }
            }
        };
        let ids: Vec<Id> = entries
            .iter()
            .map_while(|fields| stream.add(next_id(), fields))
            .collect();
        let kept = stream.trim(maxlen);
        drop(stream);
        for (id, fields) in ids.iter().zip(&entries) {
            self.replicate_xadd(key, *id, None, fields);
        }
        if let Some(kept) = kept {
            self.replicate(
                c"XTRIM",
                &[Arg::Str(key), "MAXLEN".into(), "=".into(), kept.into()],
            );
        }
        self.touched(key);
        Appended {
            count: ids.len(),
            last: ids.last().copied().unwrap_or(Id::ZERO),
            is_trimmed: kept.is_some(),
            error: (ids.len() < entries.len()).then(CallError::no_more_ids),
        }
    }

    /// Sets fields of a hash: fields and values.
    pub fn set_fields(&self, key: &RString, fields: &[Arg<'_>]) -> Result<(), CallError> {
        self.set_changed_fields(key, fields, &[])
    }

    /// Sets fields of a hash, and tells followers of others too: those are here already as they shall
    /// be, and followers may not know it.
    pub fn set_changed_fields(
        &self,
        key: &RString,
        changed: &[Arg<'_>],
        unchanged: &[Arg<'_>],
    ) -> Result<(), CallError> {
        let changed = ArgV::new(changed);
        // SAFETY: live context and strings.
        unsafe { self.write_fields(key, changed.raw()) }?;
        if !is_followed() {
            self.count_change();
            return Ok(());
        }
        let unchanged = ArgV::new(unchanged);
        let args = [&[key.as_ptr()], changed.raw(), unchanged.raw()].concat();
        // SAFETY: all of them live.
        unsafe { self.replicate_argv(c"HSET", &args) };
        Ok(())
    }

    /// Deletes keys; which of them were there.
    pub fn delete_all(&self, keys: &[&RString]) -> Vec<bool> {
        let delete = |key: &&RString| {
            // SAFETY: live context and string; the handle is closed at once. It is of a missing key
            // if it has no value.
            unsafe {
                let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
                let is_there = KeyType::of(handle) != KeyType::Missing;
                if is_there {
                    api!(RedisModule_DeleteKey)(handle);
                }
                api!(RedisModule_CloseKey)(handle);
                is_there
            }
        };
        let were_there: Vec<bool> = keys.iter().map(delete).collect();
        let deleted = keys.iter().zip(&were_there).filter(|(_, there)| **there);
        let args: Vec<Arg<'_>> = deleted.map(|(key, _)| Arg::Str(key)).collect();
        if !args.is_empty() {
            self.replicate(c"DEL", &args);
        }
        were_there
    }

    /// Adds members with their scores to a sorted set.
    pub fn zadd_all(&self, key: &RString, members: &[(u64, &RString)]) -> Result<(), CallError> {
        // SAFETY: live context and strings; the type is checked; nothing else happens before the
        // handle is closed.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
            if !matches!(KeyType::of(handle), KeyType::SortedSet | KeyType::Missing) {
                api!(RedisModule_CloseKey)(handle);
                return Err(CallError::wrong_type());
            }
            for (score, member) in members {
                let no_flags = std::ptr::null_mut();
                api!(RedisModule_ZsetAdd)(handle, *score as f64, member.as_ptr(), no_flags);
            }
            api!(RedisModule_CloseKey)(handle);
        }
        let mut args = vec![Arg::Str(key)];
        args.extend(
            members
                .iter()
                .flat_map(|(score, member)| [(*score).into(), Arg::Str(member)]),
        );
        self.replicate(c"ZADD", &args);
        self.touched(key);
        Ok(())
    }

    /// Takes members out of a set. The key API has no sets, so this is a call.
    pub fn srem_all<'m>(
        &self,
        key: &'m RString,
        members: impl Iterator<Item = &'m RString>,
    ) -> Result<(), CallError> {
        let args: Vec<Arg<'_>> = std::iter::once(key).chain(members).map(Arg::Str).collect();
        self.write_unchecked(c"SREM", &args).map(drop)
    }
}
