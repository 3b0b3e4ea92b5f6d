//! Owned strings of the server.

use std::ptr;

use devicestate_core::queue::Id;
use redis_module::raw;

use super::{api, parse_u64};

/// A string of the server that we own: constant names kept for the life of the module, key names
/// built for one command. It holds any bytes.
#[repr(transparent)]
pub struct RString {
    raw: *mut raw::RedisModuleString,
}

impl RString {
    pub fn new(bytes: &[u8]) -> RString {
        // SAFETY: the pointer and length are of a live slice; the server copies the bytes. No
        // context: the string belongs to us alone and is freed in `drop`.
        let raw = unsafe {
            api!(RedisModule_CreateString)(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())
        };
        RString { raw }
    }

    /// A number in decimal. (The server's own conversion allocates twice.)
    pub fn from_int(value: u64) -> RString {
        RString::new(itoa::Buffer::new().format(value).as_bytes())
    }

    /// The id of an entry of a stream.
    pub fn from_id(id: Id) -> RString {
        RString::new(id.text().bytes())
    }

    /// A string that is the server's for as long as it is borrowed here: nothing is counted.
    ///
    /// SAFETY (for callers inside `store`): `raw` is live for as long as it is borrowed.
    pub(super) unsafe fn borrowed(raw: &*mut raw::RedisModuleString) -> &RString {
        // SAFETY: an `RString` is such a pointer and nothing else, and one that is borrowed is not
        // dropped.
        unsafe { &*ptr::from_ref(raw).cast::<RString>() }
    }

    /// Takes over a string that the server handed us with its reference.
    ///
    /// SAFETY (for callers inside `store`): `raw` is a live string whose reference is ours.
    pub(super) unsafe fn from_raw(raw: *mut raw::RedisModuleString) -> RString {
        RString { raw }
    }

    pub(super) fn as_ptr(&self) -> *mut raw::RedisModuleString {
        self.raw
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `self.raw` is live, and the result lives no longer than `self`.
        unsafe { bytes_of(self.raw) }
    }

    /// The bytes, to be changed where they are; `None` when others hold this string too. Not for
    /// strings that may be shared: the server logs a warning.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let mut length = 0;
        // SAFETY: a live string. Appending nothing leaves it as it is, and succeeds only where nobody
        // else holds it: then its bytes are ours to change, as they are for `RM_StringAppendBuffer`.
        unsafe {
            let append = api!(RedisModule_StringAppendBuffer);
            if append(ptr::null_mut(), self.raw, c"".as_ptr(), 0) != raw::REDISMODULE_OK as i32 {
                return None;
            }
            let data = api!(RedisModule_StringPtrLen)(self.raw, &mut length);
            (!data.is_null())
                .then(|| std::slice::from_raw_parts_mut(data.cast_mut().cast(), length))
        }
    }

    /// The value as an unsigned number, when it is written as one.
    pub fn to_u64(&self) -> Option<u64> {
        parse_u64(self.bytes())
    }
}

impl Drop for RString {
    fn drop(&mut self) {
        // SAFETY: our own reference, given back once.
        unsafe { api!(RedisModule_FreeString)(ptr::null_mut(), self.raw) }
    }
}

/// The bytes of a server string.
///
/// SAFETY (for callers inside `store`): `raw` is live and unchanged for `'a`.
pub(super) unsafe fn bytes_of<'a>(raw: *const raw::RedisModuleString) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: the caller's promise; the server writes the length it returns bytes for.
    unsafe {
        let data = api!(RedisModule_StringPtrLen)(raw, &mut length);
        if data.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(data.cast(), length)
    }
}
