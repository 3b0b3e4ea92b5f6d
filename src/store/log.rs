//! The server's log, safe for any text: it never reaches the server as a format string.

use std::ffi::{CStr, CString};

use super::{api, Ctx};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Notice,
    Warning,
}

impl Level {
    fn name(self) -> &'static CStr {
        match self {
            Level::Notice => c"notice",
            Level::Warning => c"warning",
        }
    }
}

impl Ctx<'_> {
    pub fn log(&self, level: Level, message: &str) {
        write(self.raw, level, message);
    }
}

/// Logs where no callback's context is at hand (the panic hook).
pub(super) fn write_without_context(level: Level, message: &str) {
    write(std::ptr::null_mut(), level, message);
}

fn write(ctx: *mut redis_module::raw::RedisModuleCtx, level: Level, message: &str) {
    let line = one_line(message);
    // SAFETY: the context is live or null (both allowed); level, format and line end in NUL; the
    // text is an argument of "%s", never the format.
    unsafe { api!(RedisModule_Log)(ctx, level.name().as_ptr(), c"%s".as_ptr(), line.as_ptr()) };
}

/// Text as one line for the server's C interfaces: line ends and NUL become spaces.
pub(super) fn one_line(text: &str) -> CString {
    let bytes: Vec<u8> = text
        .bytes()
        .map(|b| {
            if matches!(b, b'\0' | b'\r' | b'\n') {
                b' '
            } else {
                b
            }
        })
        .collect();
    CString::new(bytes).unwrap_or_default()
}
