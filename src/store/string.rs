//! Strings through the key API, for counters that are read and written on every call.

use std::marker::PhantomData;
use std::ptr;

use redis_module::raw;

use super::{api, Arg, Ctx, KeyType, RString};

/// An open key that holds a string or nothing. No other command may run while it is open.
pub struct StringKey<'a> {
    raw: *mut raw::RedisModuleKey,
    _ctx: PhantomData<&'a ()>,
}

impl Drop for StringKey<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle, closed once.
        unsafe { api!(RedisModule_CloseKey)(self.raw) }
    }
}

impl Ctx<'_> {
    /// Opens a key to read a string; `Ok(None)` when it is missing, the type when it is another.
    pub fn open_string(&self, key: &RString) -> Result<Option<StringKey<'_>>, KeyType> {
        let open = self.open_string_key(key, raw::REDISMODULE_READ as i32);
        // SAFETY: the handle just opened; null reads as missing.
        match unsafe { KeyType::of(open.raw) } {
            KeyType::String => Ok(Some(open)),
            KeyType::Missing => Ok(None),
            other => Err(other),
        }
    }

    /// Opens a key to write a string; the type when it holds another.
    pub fn open_string_for_write(&self, key: &RString) -> Result<StringKey<'_>, KeyType> {
        let mode = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;
        let open = self.open_string_key(key, mode);
        // SAFETY: as above.
        match unsafe { KeyType::of(open.raw) } {
            KeyType::String | KeyType::Missing => Ok(open),
            other => Err(other),
        }
    }

    fn open_string_key(&self, key: &RString, mode: i32) -> StringKey<'_> {
        StringKey {
            // SAFETY: live context and string.
            raw: unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode) },
            _ctx: PhantomData,
        }
    }

    /// A keyspace notification of the class of strings (`$`).
    pub fn notify_string(&self, event: &std::ffi::CStr, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_STRING, event, key);
    }

    /// Replicates `SET key value PXAT at` for a change made through a [`StringKey`].
    pub fn replicate_set(&self, key: &RString, value: &[u8], at_ms: u64) {
        self.replicate(
            c"SET",
            &[key.into(), value.into(), Arg::Name("PXAT"), at_ms.into()],
        );
    }

    /// Replicates `INCRBY key by` for a change made through a [`StringKey`].
    pub fn replicate_incrby(&self, key: &RString, by: i64) {
        let by = by.to_string();
        self.replicate(c"INCRBY", &[key.into(), by.as_str().into()]);
    }

    /// Replicates `DEL key` for a change made through a [`StringKey`].
    pub fn replicate_del(&self, key: &RString) {
        self.replicate(c"DEL", &[key.into()]);
    }

    /// The server's notification of a key that was deleted (class `g`).
    pub fn notify_deleted(&self, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_GENERIC, c"del", key);
    }
}

impl StringKey<'_> {
    /// The value; `None` when the key is missing.
    pub fn value(&self) -> Option<&[u8]> {
        // SAFETY: an open handle; the server answers a pointer and its length. The value lives
        // until it is written, which borrows `self` anew.
        unsafe {
            if KeyType::of(self.raw) != KeyType::String {
                return None;
            }
            let mut length = 0;
            let mode = raw::REDISMODULE_READ as i32;
            let data = api!(RedisModule_StringDMA)(self.raw, &mut length, mode);
            if data.is_null() {
                return Some(&[]);
            }
            Some(std::slice::from_raw_parts(data.cast(), length))
        }
    }

    /// When the key expires, in milliseconds since the Unix epoch; `None`: never.
    pub fn expires_at(&self) -> Option<u64> {
        // SAFETY: an open handle. Minus one: no expiry.
        u64::try_from(unsafe { api!(RedisModule_GetAbsExpire)(self.raw) }).ok()
    }

    /// When the key expires from now on, in milliseconds since the Unix epoch.
    pub fn expire_at(&mut self, at_ms: u64) {
        let at = i64::try_from(at_ms).unwrap_or(i64::MAX);
        // SAFETY: a handle opened for writing.
        unsafe {
            api!(RedisModule_SetAbsExpire)(self.raw, at);
        }
    }

    /// Writes over the value, which keeps its expiry; false, with nothing changed, when the new one
    /// is not as long as the old.
    pub fn overwrite(&mut self, value: &[u8]) -> bool {
        let mut length = 0;
        let mode = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;
        // SAFETY: a handle opened for writing that holds a string or nothing; the server gives a
        // pointer to as many bytes as it says (none of nothing), which are ours to change until the
        // key is closed.
        unsafe {
            let data = api!(RedisModule_StringDMA)(self.raw, &mut length, mode);
            if data.is_null() || length == 0 || length != value.len() {
                return false;
            }
            ptr::copy_nonoverlapping(value.as_ptr(), data.cast(), length);
        }
        true
    }

    /// Sets value and expiry. Neither replicated nor notified: the caller does both.
    pub fn set(&mut self, value: &RString, expires_at_ms: u64) {
        // SAFETY: a handle opened for writing, a live string.
        unsafe {
            api!(RedisModule_StringSet)(self.raw, value.as_ptr());
        }
        self.expire_at(expires_at_ms);
    }

    /// Deletes the key. Neither replicated nor notified: the caller does both.
    pub fn delete(&mut self) {
        // SAFETY: a handle opened for writing.
        unsafe {
            api!(RedisModule_DeleteKey)(self.raw);
        }
    }
}
