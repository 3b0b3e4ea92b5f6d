//! Key types.

use redis_module::raw;

use super::{api, Ctx, RString};

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Missing,
    String,
    List,
    Hash,
    Set,
    SortedSet,
    Stream,
    Module,
}

impl KeyType {
    /// SAFETY: `key` is null or a live key handle.
    pub(super) unsafe fn of(key: *mut raw::RedisModuleKey) -> KeyType {
        // SAFETY: the caller's promise; null is answered with "empty".
        let kind = unsafe { api!(RedisModule_KeyType)(key) } as u32;
        match kind {
            k if k == raw::REDISMODULE_KEYTYPE_EMPTY as u32 => KeyType::Missing,
            k if k == raw::REDISMODULE_KEYTYPE_STRING as u32 => KeyType::String,
            k if k == raw::REDISMODULE_KEYTYPE_LIST as u32 => KeyType::List,
            k if k == raw::REDISMODULE_KEYTYPE_HASH as u32 => KeyType::Hash,
            k if k == raw::REDISMODULE_KEYTYPE_SET as u32 => KeyType::Set,
            k if k == raw::REDISMODULE_KEYTYPE_ZSET as u32 => KeyType::SortedSet,
            k if k == raw::REDISMODULE_KEYTYPE_STREAM as u32 => KeyType::Stream,
            _ => KeyType::Module,
        }
    }

    /// As `TYPE` names it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Missing => "none",
            KeyType::String => "string",
            KeyType::List => "list",
            KeyType::Hash => "hash",
            KeyType::Set => "set",
            KeyType::SortedSet => "sorted set",
            KeyType::Stream => "stream",
            KeyType::Module => "module type",
        }
    }
}

/// How a key that is only looked at is opened: no statistics, no LRU touch.
pub(super) const LOOK: i32 = (raw::REDISMODULE_READ | raw::REDISMODULE_OPEN_KEY_NOTOUCH) as i32;

impl Ctx<'_> {
    pub fn key_type(&self, key: &RString) -> KeyType {
        self.key_size(key).0
    }

    /// The type of a key, and how many elements it has.
    pub fn key_size(&self, key: &RString) -> (KeyType, u64) {
        // SAFETY: live context and string; the handle (null when the key is missing, which both take) is
        // closed before anything else happens.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), LOOK);
            let kind = KeyType::of(handle);
            let size = api!(RedisModule_ValueLength)(handle);
            api!(RedisModule_CloseKey)(handle);
            (kind, size as u64)
        }
    }
}

impl Ctx<'_> {
    /// How long a key has to live, in milliseconds: `None` when it is missing, `Some(None)` when it
    /// lives for ever.
    pub fn key_life(&self, key: &RString) -> Option<Option<u64>> {
        // SAFETY: as in `key_type`.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), LOOK);
            if handle.is_null() {
                return None;
            }
            let left = api!(RedisModule_GetExpire)(handle);
            api!(RedisModule_CloseKey)(handle);
            // Minus one: no expiry.
            Some(u64::try_from(left).ok())
        }
    }
}
