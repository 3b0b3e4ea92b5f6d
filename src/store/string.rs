//! Strings through the key API, for counters that are read and written on every call.

use std::marker::PhantomData;
use std::ptr::NonNull;

use redis_module::raw;

use super::{api, Arg, Ctx, KeyType, RString};

/// An open key that holds a string or nothing. No other command may run while it is open.
pub struct StringKey<'a> {
    raw: *mut raw::RedisModuleKey,
    /// The bytes of the string, if there is one: they stay where they are while the key is open and
    /// nothing else is stored in it. Ours to change in a key that was opened for writing.
    value: Option<NonNull<[u8]>>,
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
        let open = self.open_string_key(key, raw::REDISMODULE_READ)?;
        Ok(open.value.is_some().then_some(open))
    }

    /// Opens a key to write a string; the type when it holds another.
    pub fn open_string_for_write(&self, key: &RString) -> Result<StringKey<'_>, KeyType> {
        self.open_string_key(key, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE)
    }

    fn open_string_key(&self, key: &RString, mode: u32) -> Result<StringKey<'_>, KeyType> {
        let mode = mode as i32;
        let mut open = StringKey {
            // SAFETY: live context and string.
            raw: unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode) },
            value: None,
            _ctx: PhantomData,
        };
        // SAFETY: the handle just opened; null reads as missing. Of a string the server answers a
        // pointer and its length.
        match unsafe { KeyType::of(open.raw) } {
            KeyType::Missing => {}
            KeyType::String => unsafe {
                let mut length = 0;
                let data = api!(RedisModule_StringDMA)(open.raw, &mut length, mode);
                let data = NonNull::new(data.cast()).unwrap_or(NonNull::dangling());
                open.value = Some(NonNull::slice_from_raw_parts(data, length));
            },
            other => return Err(other),
        }
        Ok(open)
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
        let mut digits = itoa::Buffer::new();
        let by = digits.format(by);
        self.replicate(c"INCRBY", &[key.into(), by.into()]);
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
        // SAFETY: live bytes; to write them borrows `self` anew.
        self.value.map(|value| unsafe { value.as_ref() })
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
    /// is not as long as the old. The key was opened for writing.
    pub fn overwrite(&mut self, value: &[u8]) -> bool {
        match self.value {
            Some(mut old) if old.len() == value.len() => {
                // SAFETY: live bytes, which are ours to change.
                unsafe { old.as_mut() }.copy_from_slice(value);
                true
            }
            _ => false,
        }
    }

    /// Sets value and expiry. Neither replicated nor notified: the caller does both.
    pub fn set(mut self, value: &RString, expires_at_ms: u64) {
        // SAFETY: a handle opened for writing, a live string.
        unsafe {
            api!(RedisModule_StringSet)(self.raw, value.as_ptr());
        }
        self.expire_at(expires_at_ms);
    }

    /// Deletes the key. Neither replicated nor notified: the caller does both.
    pub fn delete(self) {
        // SAFETY: a handle opened for writing.
        unsafe {
            api!(RedisModule_DeleteKey)(self.raw);
        }
    }
}
