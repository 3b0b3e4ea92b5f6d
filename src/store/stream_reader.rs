//! Reading streams side by side: of each the id of its next entry is known before its fields are read.

use std::ffi::{c_int, c_long};
use std::marker::PhantomData;
use std::ptr;

use devicestate_core::queue::Id;
use redis_module::raw;

use super::key::LOOK;
use super::stream::read_fields;
use super::{api, Ctx, Entry, KeyType, RString};

/// A stream that is read from some id on, oldest entry first. No other command may run while it is
/// open, but other streams may be open.
pub struct StreamReader<'a> {
    key: *mut raw::RedisModuleKey,
    /// The entry that the iterator came to, and how many fields it has.
    head: Option<(Id, c_long)>,
    has_iterator: bool,
    _ctx: PhantomData<&'a ()>,
}

impl Drop for StreamReader<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle (null for a missing key), whose iterator, if it has one, ends first;
        // both once.
        unsafe {
            if self.has_iterator {
                api!(RedisModule_StreamIteratorStop)(self.key);
            }
            api!(RedisModule_CloseKey)(self.key);
        }
    }
}

impl Ctx<'_> {
    /// Opens a stream to read what is behind this id; a missing key has nothing. The type when it is
    /// another.
    pub fn read_behind(&self, key: &RString, id: Id) -> Result<StreamReader<'_>, KeyType> {
        match id.next() {
            Some(first) => self.start_reading(key, 0, Some(first)),
            None => self.start_reading(key, 0, Some(id)).map(|mut reader| {
                reader.head = None;
                reader
            }),
        }
    }

    /// The id of the newest entry of a stream; `None` when it has none, or the key is missing, or holds
    /// another type.
    pub fn newest_entry(&self, key: &RString) -> Option<Id> {
        let backwards = raw::REDISMODULE_STREAM_ITERATOR_REVERSE as c_int;
        let reader = self.start_reading(key, backwards, None).ok()?;
        reader.head()
    }

    fn start_reading(
        &self,
        key: &RString,
        flags: c_int,
        first: Option<Id>,
    ) -> Result<StreamReader<'_>, KeyType> {
        let mut reader = StreamReader {
            // SAFETY: live context and string.
            key: unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), LOOK) },
            head: None,
            has_iterator: false,
            _ctx: PhantomData,
        };
        // SAFETY: the handle just opened; null reads as missing.
        match unsafe { KeyType::of(reader.key) } {
            KeyType::Stream => {}
            KeyType::Missing => return Ok(reader),
            other => return Err(other),
        }
        let mut first = first.map(|id| raw::RedisModuleStreamID {
            ms: id.ms,
            seq: id.seq,
        });
        let first = first.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: a handle of a stream without an iterator; an id that lives for the call, or null for
        // "from the end of it".
        let started = unsafe {
            api!(RedisModule_StreamIteratorStart)(reader.key, flags, first, ptr::null_mut())
        };
        reader.has_iterator = started == raw::REDISMODULE_OK as c_int;
        reader.advance();
        Ok(reader)
    }
}

impl StreamReader<'_> {
    /// The id of the next entry; `None` at the end.
    pub fn head(&self) -> Option<Id> {
        self.head.map(|(id, _)| id)
    }

    /// The next entry.
    pub fn take(&mut self) -> Option<Entry> {
        let (id, count) = self.head?;
        // SAFETY: an open handle, whose iterator came to this entry; its fields are read once.
        let fields = unsafe { read_fields(self.key, count) };
        self.advance();
        Some(Entry::new(id, fields))
    }

    fn advance(&mut self) {
        self.head = None;
        if !self.has_iterator {
            return;
        }
        let mut id = raw::RedisModuleStreamID { ms: 0, seq: 0 };
        let mut count = 0;
        // SAFETY: an open handle with an iterator, and places for what it answers.
        let found =
            unsafe { api!(RedisModule_StreamIteratorNextID)(self.key, &mut id, &mut count) };
        if found == raw::REDISMODULE_OK as c_int {
            let id = Id {
                ms: id.ms,
                seq: id.seq,
            };
            self.head = Some((id, count));
        }
    }
}
