//! Hashes through the key API: what the hot path and bulk reads use instead of calls.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use redis_module::raw;

use super::entry::guarded;
use super::rstring::bytes_of;
use super::{api, Ctx, KeyType, RString};

/// An open key. No other command may run while it is open.
pub struct HashKey<'a> {
    raw: *mut raw::RedisModuleKey,
    _ctx: PhantomData<&'a ()>,
}

impl Drop for HashKey<'_> {
    fn drop(&mut self) {
        // SAFETY: our own handle, closed once.
        unsafe { api!(RedisModule_CloseKey)(self.raw) }
    }
}

impl Ctx<'_> {
    /// Opens a hash to read it; `Ok(None)` when the key is missing, the type when it is another.
    pub fn open_hash(&self, key: &RString) -> Result<Option<HashKey<'_>>, KeyType> {
        self.open(key, raw::REDISMODULE_READ as i32)
    }

    /// Opens a hash to write it.
    pub fn open_hash_for_write(&self, key: &RString) -> Result<Option<HashKey<'_>>, KeyType> {
        self.open(key, (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32)
    }

    fn open(&self, key: &RString, mode: i32) -> Result<Option<HashKey<'_>>, KeyType> {
        // SAFETY: live context and string.
        let handle = unsafe { api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), mode) };
        let open = HashKey {
            raw: handle,
            _ctx: PhantomData,
        };
        // SAFETY: the handle just opened; null reads as missing.
        match unsafe { KeyType::of(handle) } {
            KeyType::Hash => Ok(Some(open)),
            KeyType::Missing => Ok(None),
            other => Err(other),
        }
    }
}

impl HashKey<'_> {
    pub fn get(&self, field: &RString) -> Option<RString> {
        let mut value: *mut raw::RedisModuleString = ptr::null_mut();
        // SAFETY: an open hash; the arguments are pairs of field and place for its value, ended by
        // null, as the API asks. The value's reference is handed to us.
        unsafe {
            api!(RedisModule_HashGet)(
                self.raw,
                raw::REDISMODULE_HASH_NONE as i32,
                field.as_ptr(),
                &mut value as *mut *mut raw::RedisModuleString,
                ptr::null_mut::<raw::RedisModuleString>(),
            );
            (!value.is_null()).then(|| RString::from_raw(value))
        }
    }

    /// Two fields in one call.
    pub fn get2(&self, fields: [&RString; 2]) -> [Option<RString>; 2] {
        let mut values: [*mut raw::RedisModuleString; 2] = [ptr::null_mut(); 2];
        let [a, b] = &mut values;
        // SAFETY: as in `get`.
        unsafe {
            api!(RedisModule_HashGet)(
                self.raw,
                raw::REDISMODULE_HASH_NONE as i32,
                fields[0].as_ptr(),
                a as *mut *mut raw::RedisModuleString,
                fields[1].as_ptr(),
                b as *mut *mut raw::RedisModuleString,
                ptr::null_mut::<raw::RedisModuleString>(),
            );
            values.map(|value| (!value.is_null()).then(|| RString::from_raw(value)))
        }
    }

    /// Tells `each` these fields and their values, as far as they are there. Others may be told too, and
    /// any of them twice: a small hash is read in one go, which costs less than to look for eight
    /// fields, and more so if some of them are missing.
    pub fn read(&self, fields: &[&RString], mut each: impl FnMut(&[u8], &[u8])) {
        if self.scan(1, &mut each) {
            return;
        }
        for field in fields {
            if let Some(value) = self.get(field) {
                each(field.bytes(), value.bytes());
            }
        }
    }

    /// All fields with their values; of a hash that is being resized, some may come twice.
    pub fn pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        let mut push = |field: &[u8], value: &[u8]| pairs.push((field.to_vec(), value.to_vec()));
        self.scan(usize::MAX, &mut push);
        pairs
    }

    /// Tells the fields that so many steps of a scan come by; whether those were all of them. One step is
    /// enough if the server keeps the hash in one piece.
    fn scan<F: FnMut(&[u8], &[u8])>(&self, steps: usize, each: &mut F) -> bool {
        // SAFETY: an open hash; a cursor that is freed here; the callback gets `each`, which lives for
        // the call and is not used by anybody else meanwhile.
        unsafe {
            let cursor = api!(RedisModule_ScanCursorCreate)();
            let each = ptr::from_mut(each).cast::<c_void>();
            let is_whole = (0..steps).any(|_| {
                api!(RedisModule_ScanKey)(self.raw, cursor, Some(field_entry::<F>), each) == 0
            });
            api!(RedisModule_ScanCursorDestroy)(cursor);
            is_whole
        }
    }

    /// Sets a field. Neither replicated nor notified: the caller does both.
    pub fn set(&self, field: &RString, value: &RString) {
        // SAFETY: a hash opened for writing; one pair, ended by null.
        unsafe {
            api!(RedisModule_HashSet)(
                self.raw,
                raw::REDISMODULE_HASH_NONE as i32,
                field.as_ptr(),
                value.as_ptr(),
                ptr::null_mut::<raw::RedisModuleString>(),
            );
        }
    }
}

unsafe extern "C" fn field_entry<F: FnMut(&[u8], &[u8])>(
    _: *mut raw::RedisModuleKey,
    field: *mut raw::RedisModuleString,
    value: *mut raw::RedisModuleString,
    each: *mut c_void,
) {
    if value.is_null() {
        // The key is no hash.
        return;
    }
    // SAFETY: what `scan` passed, and two strings that live for the call.
    let (each, field, value) =
        unsafe { (&mut *each.cast::<F>(), bytes_of(field), bytes_of(value)) };
    guarded(|| each(field, value));
}
