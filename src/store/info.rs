//! The `INFO devicestate` section.

use std::ffi::c_int;

use redis_module::raw;

use super::log::one_line;
use super::{api, guarded, Ctx};

/// Where fields are added to.
pub struct Section {
    raw: *mut raw::RedisModuleInfoCtx,
    /// The server is crashing: nothing may be called.
    for_crash_report: bool,
}

impl Section {
    pub fn int(&self, name: &str, value: u64) {
        // SAFETY: the live context of the INFO call that runs; a name that ends in NUL.
        unsafe {
            api!(RedisModule_InfoAddFieldULongLong)(self.raw, one_line(name).as_ptr(), value)
        };
    }

    /// For reading keys; none in a crash report.
    pub fn ctx(&self) -> Option<Ctx<'static>> {
        (!self.for_crash_report).then(Ctx::detached)
    }

    pub fn text(&self, name: &str, value: &str) {
        // SAFETY: as above.
        unsafe {
            api!(RedisModule_InfoAddFieldCString)(
                self.raw,
                one_line(name).as_ptr(),
                one_line(value).as_ptr(),
            )
        };
    }
}

/// What fills the section.
pub trait Fill {
    fn fill(section: &Section);
}

impl Ctx<'_> {
    pub fn register_info<F: Fill>(&self) {
        // SAFETY: live context; a callback that fits.
        unsafe { api!(RedisModule_RegisterInfoFunc)(self.raw, Some(info_entry::<F>)) };
    }
}

extern "C" fn info_entry<F: Fill>(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // SAFETY: the context of the INFO call that runs; no name: the section bears the module's.
    if unsafe { api!(RedisModule_InfoAddSection)(ctx, std::ptr::null()) }
        == raw::REDISMODULE_OK as i32
    {
        guarded(|| {
            F::fill(&Section {
                raw: ctx,
                for_crash_report: for_crash_report != 0,
            })
        });
    }
}
