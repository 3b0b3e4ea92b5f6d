//! Writes of many devices in one go: a shared key is looked up once for all of them, and replicated in
//! one command.
//!
//! They are for the timer, after it asked whether this server takes writes
//! ([`Ctx::probe_writable`]) in the same callback, and ask for no further checks: what they write
//! belongs together, and may not end in the middle. They send no notification either, except
//! [`Ctx::srem_all`]: the caller does that when all is written, so that whoever reads because of one
//! sees a whole step.

use std::marker::PhantomData;

use devicestate_core::queue::Id;
use redis_module::raw;

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

/// Fields and values that many hashes get.
pub struct Fields<'a> {
    argv: ArgV,
    _args: PhantomData<&'a ()>,
}

impl<'a> Fields<'a> {
    pub fn new(args: &[Arg<'a>]) -> Fields<'a> {
        Fields {
            argv: ArgV::new(args),
            _args: PhantomData,
        }
    }
}

/// A key that is open to be deleted. No command may run while it is open.
pub struct Doomed<'a> {
    raw: *mut raw::RedisModuleKey,
    is_there: bool,
    _ctx: PhantomData<&'a ()>,
}

impl Doomed<'_> {
    /// Deletes it; whether it was there. Neither replicated nor notified: the caller does both.
    pub fn delete(self) -> bool {
        if self.is_there {
            // SAFETY: a handle opened for writing.
            unsafe { api!(RedisModule_DeleteKey)(self.raw) };
        }
        self.is_there
    }
}

impl Drop for Doomed<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle, closed once.
        unsafe { api!(RedisModule_CloseKey)(self.raw) }
    }
}

impl Ctx<'_> {
    /// Appends `count` entries to a stream that keeps about `maxlen` of them, each with the next id that
    /// `next_id` gives unless the stream is ahead of it; `fill` makes the fields and values of each. The
    /// result says how many were appended.
    pub fn append_all<'e>(
        &self,
        key: &RString,
        maxlen: u64,
        mut next_id: impl FnMut() -> Id,
        count: usize,
        mut fill: impl FnMut(usize, &mut Vec<Arg<'e>>),
    ) -> Appended {
        let Ok(stream) = self.open_to_append(key) else {
            return Appended {
                count: 0,
                last: Id::ZERO,
                is_trimmed: false,
                error: Some(CallError::wrong_type()),
            };
        };
        let (mut args, mut fields) = (Vec::new(), ArgV::new(&[]));
        let (mut appended, mut last) = (0, Id::ZERO);
        while appended < count {
            args.clear();
            fill(appended, &mut args);
            fields.refill(&args);
            let Some(id) = stream.add(next_id(), &mut fields) else {
                break;
            };
            self.replicate_xadd(key, id, None, &fields);
            (appended, last) = (appended + 1, id);
        }
        let kept = stream.trim(maxlen);
        drop(stream);
        if let Some(kept) = kept {
            self.replicate(
                c"XTRIM",
                &[Arg::Str(key), "MAXLEN".into(), "=".into(), kept.into()],
            );
        }
        self.touched(key);
        Appended {
            count: appended,
            last,
            is_trimmed: kept.is_some(),
            error: (appended < count).then(CallError::no_more_ids),
        }
    }

    /// Sets fields of a hash: fields and values.
    pub fn set_fields(&self, key: &RString, fields: &[Arg<'_>]) -> Result<(), CallError> {
        self.set_changed_fields(key, &Fields::new(fields), &[])
    }

    /// Sets fields of a hash, and tells followers of others too: those are here already as they shall
    /// be, and followers may not know it.
    pub fn set_changed_fields(
        &self,
        key: &RString,
        changed: &Fields<'_>,
        unchanged: &[Arg<'_>],
    ) -> Result<(), CallError> {
        let changed = changed.argv.raw();
        // SAFETY: live context and strings.
        unsafe { self.write_fields(key, changed) }?;
        if !is_followed() {
            self.count_change();
            return Ok(());
        }
        let unchanged = ArgV::new(unchanged);
        let args = [&[key.as_ptr()], changed, unchanged.raw()].concat();
        // SAFETY: all of them live.
        unsafe { self.replicate_argv(c"HSET", &args) };
        Ok(())
    }

    /// Opens a key that may be deleted soon; the type when it holds another than `wanted`.
    pub fn open_to_delete(&self, key: &RString, wanted: KeyType) -> Result<Doomed<'_>, KeyType> {
        // SAFETY: live context and string. The handle is of a missing key if it has no value.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
            let kind = KeyType::of(handle);
            let open = Doomed {
                raw: handle,
                is_there: kind != KeyType::Missing,
                _ctx: PhantomData,
            };
            match kind == wanted || !open.is_there {
                true => Ok(open),
                false => Err(kind),
            }
        }
    }

    /// Replicates that keys were deleted.
    pub fn replicate_deleted<'k>(&self, keys: impl Iterator<Item = &'k RString>) {
        let args: Vec<Arg<'_>> = keys.map(Arg::Str).collect();
        if !args.is_empty() {
            self.replicate(c"DEL", &args);
        }
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
