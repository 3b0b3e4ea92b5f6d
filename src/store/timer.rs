//! Timers. They fire between commands, also on replicas and while clients are paused.

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomData;

use redis_module::raw;

use super::entry::{guarded, timer_entry};
use super::{api, Ctx, OnTimer};

thread_local! {
    /// The context in which [`Ctx::run_after_clients`] arms its timers; null before the first.
    static BETWEEN: Cell<*mut raw::RedisModuleCtx> = const { Cell::new(std::ptr::null_mut()) };
}

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

    /// Runs `T` as soon as every client that has sent something had its turn, and its answer. A timer
    /// that is armed by a timer waits for a millisecond at least, in which a server with nothing else
    /// to do sleeps; one that is armed between the clients does not.
    ///
    /// The server goes around: it reads what clients sent, runs its timers, writes the answers. So
    /// this lets it go around once, and runs `T` the second time.
    pub fn run_after_clients<T: OnTimer>(&self) {
        if BETWEEN.get().is_null() {
            // SAFETY: a live context; kept as long as the module is loaded, which is as long as the
            // server runs once its timers do.
            BETWEEN.set(unsafe { api!(RedisModule_GetDetachedThreadSafeContext)(self.raw) });
        }
        self.arm_next_time_around::<AnswersFirst<T>>();
    }

    /// Arms a timer that fires without delay, but not before the server has gone around.
    fn arm_next_time_around<T: OnTimer>(&self) {
        // SAFETY: a function without data, which the server runs on this thread.
        let added = unsafe {
            api!(RedisModule_EventLoopAddOneShot)(Some(arm_at_once::<T>), std::ptr::null_mut())
        };
        if added != raw::REDISMODULE_OK as i32 {
            self.arm_timer::<T>(0);
        }
    }

    /// Takes a timer back. Not for the one that fires now: the server frees that itself.
    pub fn disarm_timer(&self, timer: TimerId) {
        // SAFETY: live context; an id that is not known is refused by the server; there is no data.
        unsafe { api!(RedisModule_StopTimer)(self.raw, timer.0, std::ptr::null_mut()) };
    }
}

extern "C" fn arm_at_once<T: OnTimer>(_: *mut c_void) {
    guarded(|| {
        // SAFETY: made by `run_after_clients`, which is how we come here, and never freed.
        let ctx = unsafe { Ctx::new(BETWEEN.get(), true) };
        ctx.arm_timer::<T>(0);
    });
}

/// Fires when the clients are read, and has `T` run when they are answered.
struct AnswersFirst<T>(PhantomData<T>);

impl<T: OnTimer> OnTimer for AnswersFirst<T> {
    fn on_timer(ctx: &Ctx<'_>) {
        ctx.arm_next_time_around::<T>();
    }
}
