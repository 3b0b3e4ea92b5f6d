//! Replies, written straight to the client.

use super::log::one_line;
use super::{api, Ctx};

impl Ctx<'_> {
    /// An integer; one above the protocol's 63 bits as a big number (RESP2: a string).
    pub fn reply_int(&self, value: u64) {
        match i64::try_from(value) {
            // SAFETY: a live context; here and below.
            Ok(value) => unsafe { api!(RedisModule_ReplyWithLongLong)(self.raw, value) },
            Err(_) => {
                let digits = value.to_string();
                // SAFETY: pointer and length of a live string, which the server copies.
                unsafe {
                    api!(RedisModule_ReplyWithBigNumber)(
                        self.raw,
                        digits.as_ptr().cast(),
                        digits.len(),
                    )
                }
            }
        };
    }

    /// "None" where a number is expected.
    pub fn reply_minus_one(&self) {
        // SAFETY: see above.
        unsafe { api!(RedisModule_ReplyWithLongLong)(self.raw, -1) };
    }

    pub fn reply_null(&self) {
        // SAFETY: see above.
        unsafe { api!(RedisModule_ReplyWithNull)(self.raw) };
    }

    pub fn reply_ok(&self) {
        // SAFETY: see above; a constant that ends in NUL.
        unsafe { api!(RedisModule_ReplyWithSimpleString)(self.raw, c"OK".as_ptr()) };
    }

    pub fn reply_bytes(&self, bytes: &[u8]) {
        // SAFETY: pointer and length of a live slice, which the server copies.
        unsafe {
            api!(RedisModule_ReplyWithStringBuffer)(self.raw, bytes.as_ptr().cast(), bytes.len())
        };
    }

    /// Exactly `length` replies follow.
    pub fn reply_array(&self, length: usize) {
        // SAFETY: see above.
        unsafe { api!(RedisModule_ReplyWithArray)(self.raw, length as _) };
    }

    /// Exactly `length` pairs follow: a map in RESP3, a flat array in RESP2.
    pub fn reply_map(&self, length: usize) {
        // SAFETY: see above.
        unsafe { api!(RedisModule_ReplyWithMap)(self.raw, length as _) };
    }

    /// An error: a code, then a sentence. Line ends and NUL in it become spaces.
    pub fn reply_error(&self, message: &str) {
        // SAFETY: a line that ends in NUL.
        unsafe { api!(RedisModule_ReplyWithError)(self.raw, one_line(message).as_ptr()) };
    }

    /// The answer of a command that panicked, which the log tells.
    pub(super) fn reply_panic(&self) {
        self.reply_error("ERR internal error in devicestate, see the server's log");
    }
}
