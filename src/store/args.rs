//! The arguments of a command as the server passed them.

use std::borrow::Cow;

use redis_module::raw;

use super::rstring::{bytes_of, RString};

/// Borrowed for the length of one command.
#[derive(Clone, Copy)]
pub struct RawArgs<'a> {
    argv: &'a [*mut raw::RedisModuleString],
}

impl<'a> RawArgs<'a> {
    /// SAFETY: `argv` points to `argc` live strings, which stay so for `'a`.
    pub(super) unsafe fn new(argv: *mut *mut raw::RedisModuleString, argc: i32) -> RawArgs<'a> {
        let length = usize::try_from(argc).unwrap_or(0);
        if argv.is_null() {
            return RawArgs { argv: &[] };
        }
        // SAFETY: the caller's promise.
        RawArgs {
            argv: unsafe { std::slice::from_raw_parts(argv, length) },
        }
    }

    pub fn len(&self) -> usize {
        self.argv.len()
    }

    /// The bytes of argument `index`; 0 is the command's name.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        // SAFETY: the strings of a command's arguments are live for the length of the command.
        self.argv.get(index).map(|raw| unsafe { bytes_of(*raw) })
    }

    /// Argument `index` as a string of the server's.
    pub fn string(&self, index: usize) -> Option<&'a RString> {
        // SAFETY: as above.
        self.argv
            .get(index)
            .map(|raw| unsafe { RString::borrowed(raw) })
    }
}

/// Bytes as text; `None` when they are not UTF-8. What is ASCII, as most arguments are, is found out
/// many times faster than what is UTF-8.
pub fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

/// The same, with what is no UTF-8 replaced.
pub fn lossy_text(bytes: &[u8]) -> Cow<'_, str> {
    match text(bytes) {
        Some(text) => Cow::Borrowed(text),
        None => String::from_utf8_lossy(bytes),
    }
}
