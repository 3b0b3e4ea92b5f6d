//! Streams through the key API: reading entries one by one, appending one, and deleting some.

use std::cell::Cell;
use std::ffi::c_long;
use std::marker::PhantomData;
use std::ptr;

use devicestate_core::queue::Id;
use redis_module::raw;

use super::call::ArgV;
use super::{api, Arg, CallError, Ctx, Entry, KeyType, RString};

/// A stream that is open to be read. No other command may run while it is open.
pub struct StreamKey<'a> {
    raw: *mut raw::RedisModuleKey,
    _ctx: PhantomData<&'a ()>,
}

impl Drop for StreamKey<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle, closed once.
        unsafe { api!(RedisModule_CloseKey)(self.raw) }
    }
}

/// A key that is open for an entry to be appended: it holds a stream or nothing.
pub struct StreamToAppend<'a> {
    raw: *mut raw::RedisModuleKey,
    ctx: &'a Ctx<'a>,
    key: &'a RString,
}

impl Drop for StreamToAppend<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle, closed once.
        unsafe { api!(RedisModule_CloseKey)(self.raw) }
    }
}

impl Ctx<'_> {
    /// Opens a stream to read it; `Ok(None)` when the key is missing, the type when it is another.
    pub fn open_stream(&self, key: &RString) -> Result<Option<StreamKey<'_>>, KeyType> {
        let mode = raw::REDISMODULE_READ as i32;
        let open = StreamKey {
            // SAFETY: live context and string.
            raw: unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode) },
            _ctx: PhantomData,
        };
        // SAFETY: the handle just opened; null reads as missing.
        match unsafe { KeyType::of(open.raw) } {
            KeyType::Stream => Ok(Some(open)),
            KeyType::Missing => Ok(None),
            other => Err(other),
        }
    }

    /// How many entries a stream has; `Ok(None)` when the key is missing, the type when it is another.
    /// The key is only looked at: no statistics, no LRU touch.
    pub fn stream_length(&self, key: &RString) -> Result<Option<u64>, KeyType> {
        match self.key_size(key) {
            (KeyType::Stream, length) => Ok(Some(length)),
            (KeyType::Missing, _) => Ok(None),
            (other, _) => Err(other),
        }
    }

    /// Opens a stream, or the key of one that is to be, to append an entry; the type when it holds
    /// another.
    pub fn open_to_append<'a>(&'a self, key: &'a RString) -> Result<StreamToAppend<'a>, KeyType> {
        let mode = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;
        let open = StreamToAppend {
            // SAFETY: live context and string.
            raw: unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode) },
            ctx: self,
            key,
        };
        // SAFETY: the handle just opened.
        match unsafe { KeyType::of(open.raw) } {
            KeyType::Stream | KeyType::Missing => Ok(open),
            other => Err(other),
        }
    }
}

impl StreamToAppend<'_> {
    /// Appends an entry of fields and values under the next id, replicates and notifies that.
    pub fn append(self, fields: &[Arg<'_>]) -> Result<Id, CallError> {
        let mut args = ArgV::new(fields);
        let Some(id) = self.add_next(&mut args) else {
            let is_too_large = std::io::Error::last_os_error().raw_os_error() == Some(ERANGE);
            return Err(match is_too_large {
                true => CallError("TOOLARGE body: too large for a stream".to_owned()),
                false => CallError::no_more_ids(),
            });
        };
        let (ctx, key) = (self.ctx, self.key);
        drop(self);
        ctx.replicate_xadd(key, id, None, &args);
        ctx.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xadd", key);
        ctx.touched(key);
        Ok(id)
    }

    /// Appends an entry with this id, unless the stream is ahead of that: the clock was set back, or
    /// others append to it. `None` when the stream's ids are used up.
    pub(super) fn add(&self, first_choice: Id, fields: &mut ArgV) -> Option<Id> {
        let wanted = (first_choice.ms > 0).then_some(first_choice);
        wanted
            .and_then(|id| self.add_as(id, 0, fields))
            .or_else(|| self.add_next(fields))
    }

    fn add_next(&self, fields: &mut ArgV) -> Option<Id> {
        let next = raw::REDISMODULE_STREAM_ADD_AUTOID;
        self.add_as(Id { ms: 0, seq: 0 }, next, fields)
    }

    fn add_as(&self, id: Id, flags: u32, fields: &mut ArgV) -> Option<Id> {
        let mut id = raw_id(id);
        let argv = fields.raw_mut();
        let pairs = (argv.len() / 2) as i64;
        // SAFETY: a handle opened for writing, of a stream or a missing key; live strings, which are
        // pairs of field and value.
        let added = unsafe {
            let add = api!(RedisModule_StreamAdd);
            add(self.raw, flags as i32, &mut id, argv.as_mut_ptr(), pairs)
        };
        (added == raw::REDISMODULE_OK as i32).then_some(Id {
            ms: id.ms,
            seq: id.seq,
        })
    }

    /// Trims the stream to about `maxlen` entries; how many are left if any went.
    pub(super) fn trim(&self, maxlen: u64) -> Option<u64> {
        let maxlen = i64::try_from(maxlen).unwrap_or(i64::MAX);
        let flags = raw::REDISMODULE_STREAM_TRIM_APPROX as i32;
        // SAFETY: a handle opened for writing, of a stream by now.
        unsafe {
            let trimmed = api!(RedisModule_StreamTrimByLength)(self.raw, flags, maxlen);
            (trimmed > 0).then(|| api!(RedisModule_ValueLength)(self.raw) as u64)
        }
    }
}

/// The id of an entry that is appended now.
pub fn first_choice(now_ms: u64) -> Id {
    Id {
        ms: now_ms,
        seq: next_sequence(now_ms),
    }
}

/// The second part of the ids of entries of the same millisecond, of whatever stream.
pub fn next_sequence(now_ms: u64) -> u64 {
    thread_local!(static LAST: Cell<(u64, u64)> = const { Cell::new((0, 0)) });
    let sequence = match LAST.get() {
        (ms, sequence) if ms == now_ms => sequence + 1,
        _ => 0,
    };
    LAST.set((now_ms, sequence));
    sequence
}

fn raw_id(id: Id) -> raw::RedisModuleStreamID {
    raw::RedisModuleStreamID {
        ms: id.ms,
        seq: id.seq,
    }
}

impl Ctx<'_> {
    /// Deletes entries of a stream, replicates and notifies that; returns how many there were.
    pub fn delete_entries(&self, key: &RString, ids: &[Id]) -> u64 {
        let mode = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;
        let mut gone = Vec::with_capacity(ids.len());
        // SAFETY: live context and string; the type is checked; ids that live for the call; the handle
        // is closed before anything else happens.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode);
            if KeyType::of(handle) == KeyType::Stream {
                for id in ids {
                    let deleted = api!(RedisModule_StreamDelete)(handle, &mut raw_id(*id));
                    if deleted == raw::REDISMODULE_OK as i32 {
                        gone.push(*id);
                    }
                }
            }
            api!(RedisModule_CloseKey)(handle);
        }
        if !gone.is_empty() {
            let ids = gone.iter().map(|id| Arg::Id(*id));
            let args: Vec<Arg<'_>> = std::iter::once(Arg::Str(key)).chain(ids).collect();
            self.replicate(c"XDEL", &args);
            self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xdel", key);
            self.touched(key);
        }
        gone.len() as u64
    }
}

/// What the server answers for an entry that no stream can hold.
const ERANGE: i32 = 34;

impl StreamKey<'_> {
    pub fn len(&self) -> u64 {
        // SAFETY: an open handle.
        unsafe { api!(RedisModule_ValueLength)(self.raw) as u64 }
    }

    /// The entry with this id.
    pub fn entry(&mut self, id: Id) -> Option<Entry> {
        self.entries(id, Some(id)).next()
    }

    /// The entries from `first` to `last` (both inclusive), oldest first.
    pub fn entries(&mut self, first: Id, last: Option<Id>) -> Entries<'_> {
        let mut start = raw_id(first);
        let mut end = last.map(raw_id);
        let end = end.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: a handle of a stream that has no iterator yet, since `self` is borrowed for one
        // at a time; ids that live for the call, or null for "to the end".
        let started =
            unsafe { api!(RedisModule_StreamIteratorStart)(self.raw, 0, &mut start, end) };
        Entries {
            key: self.raw,
            is_open: started == raw::REDISMODULE_OK as i32,
            _key: PhantomData,
        }
    }
}

/// Reads entries one after the other.
pub struct Entries<'a> {
    key: *mut raw::RedisModuleKey,
    is_open: bool,
    _key: PhantomData<&'a ()>,
}

impl Drop for Entries<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // SAFETY: an open handle with an iterator.
            unsafe { api!(RedisModule_StreamIteratorStop)(self.key) };
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if !self.is_open {
            return None;
        }
        let mut id = raw::RedisModuleStreamID { ms: 0, seq: 0 };
        let mut count = 0;
        // SAFETY: an open handle with an iterator, and places for what it answers.
        let found =
            unsafe { api!(RedisModule_StreamIteratorNextID)(self.key, &mut id, &mut count) };
        if found != raw::REDISMODULE_OK as i32 {
            return None;
        }
        let id = Id {
            ms: id.ms,
            seq: id.seq,
        };
        // SAFETY: an open handle, whose iterator came to an entry of so many fields.
        Some(Entry::new(id, unsafe { read_fields(self.key, count) }))
    }
}

/// The fields and values of the entry that the iterator came to.
///
/// SAFETY (for callers): an open handle with an iterator, whose entry has `count` fields that were not
/// read yet.
pub(super) unsafe fn read_fields(
    key: *mut raw::RedisModuleKey,
    count: c_long,
) -> Vec<(RString, RString)> {
    let mut fields = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let (mut field, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the caller's promise. The references are handed to us.
        unsafe {
            let next = api!(RedisModule_StreamIteratorNextField);
            if next(key, &mut field, &mut value) != raw::REDISMODULE_OK as i32 {
                break;
            }
            fields.push((RString::from_raw(field), RString::from_raw(value)));
        }
    }
    fields
}
