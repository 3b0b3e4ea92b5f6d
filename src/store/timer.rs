//! Timers. They fire between commands, also on replicas and while clients are paused.

use redis_module::raw;

use super::entry::timer_entry;
use super::{api, Ctx, OnTimer};

/// A timer that has not fired yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(raw::RedisModuleTimerID);

impl Ctx<'_> {
    /// Runs `T` once, `delay_ms` from now.
    pub fn arm_timer<T: OnTimer>(&self, delay_ms: u64) -> TimerId {
        let delay = i64::try_from(delay_ms).unwrap_or(i64::MAX);
        // SAFETY: live context; the callback is a function without data.
        TimerId(unsafe {
            api!(RedisModule_CreateTimer)(
                self.raw,
                delay,
                Some(timer_entry::<T>),
                std::ptr::null_mut(),
            )
        })
    }

    /// Takes a timer back. Not for the one that fires now: the server frees that itself.
    pub fn disarm_timer(&self, timer: TimerId) {
        // SAFETY: live context; an id that is not known is refused by the server; there is no data.
        unsafe { api!(RedisModule_StopTimer)(self.raw, timer.0, std::ptr::null_mut()) };
    }
}
