//! Where the server calls into the module: every such call is guarded, so that a panic becomes an
//! error reply and a log line, never a crash.

use std::ffi::{c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

use redis_module::raw;

use super::log::{write_without_context, Level};
use super::{Ctx, RawArgs};

/// A command's code.
pub trait Handler {
    /// Runs the command and writes exactly one reply.
    fn handle(ctx: &Ctx<'_>, args: RawArgs<'_>);
}

/// A timer's code.
pub trait OnTimer {
    fn on_timer(ctx: &Ctx<'_>);
}

/// Runs `body`; a panic in it is logged (by the hook of [`on_panic_log`]) and swallowed.
pub fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).ok()
}

/// Sends panic messages to the server's log, with their place.
pub fn on_panic_log() {
    std::panic::set_hook(Box::new(|panic| {
        write_without_context(
            Level::Warning,
            &format!("devicestate: internal error: {panic}"),
        );
    }));
}

pub(super) extern "C" fn command_entry<H: Handler>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server passes the context and the arguments of the command it runs now.
    let (ctx, args) = unsafe { (Ctx::new(ctx, false), RawArgs::new(argv, argc)) };
    if guarded(|| H::handle(&ctx, args)).is_none() {
        ctx.reply_panic();
    }
    raw::Status::Ok as c_int
}

pub(super) extern "C" fn timer_entry<T: OnTimer>(ctx: *mut raw::RedisModuleCtx, _: *mut c_void) {
    // SAFETY: the server passes the timer's context.
    let ctx = unsafe { Ctx::new(ctx, true) };
    guarded(|| T::on_timer(&ctx));
}
