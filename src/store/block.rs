//! Clients that wait for a key.

use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::{api, guarded, Ctx, RString};

/// A client that waits. It is dropped when the client is served, timed out, gone, or let go by the
/// server (`CLIENT UNBLOCK`, a change of role).
pub trait Waiter: 'static {
    /// The key may have something for it: replies and answers true, or answers false and goes on
    /// waiting. The context is that of a command of the client's.
    fn try_serve(&self, ctx: &Ctx<'_>) -> bool;
    /// It waited long enough: replies.
    fn time_out(&self, ctx: &Ctx<'_>);
}

impl Ctx<'_> {
    /// Whether this client may wait: not within a transaction or a script, nor where the server
    /// says so.
    pub fn may_block(&self) -> bool {
        let must_not = raw::REDISMODULE_CTX_FLAGS_LUA
            | raw::REDISMODULE_CTX_FLAGS_MULTI
            | raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING;
        // SAFETY: a live context.
        let flags = unsafe { api!(RedisModule_GetContextFlags)(self.raw) };
        flags & must_not as i32 == 0
    }

    /// Lets the client wait for `key`, for at most `timeout_ms` (0: for ever). The command that runs
    /// writes no reply.
    pub fn block_on<W: Waiter>(&self, key: &RString, timeout_ms: u64, waiter: W) {
        let mut keys = [key.as_ptr()];
        let timeout = i64::try_from(timeout_ms).unwrap_or(i64::MAX);
        let waiter = Box::into_raw(Box::new(waiter));
        // SAFETY: live context and string, which the server copies; callbacks that fit; the waiter is
        // freed by `free_entry`, which the server calls once.
        unsafe {
            api!(RedisModule_BlockClientOnKeys)(
                self.raw,
                Some(ready_entry::<W>),
                Some(timeout_entry::<W>),
                Some(free_entry::<W>),
                timeout,
                keys.as_mut_ptr(),
                1,
                waiter.cast(),
            );
        }
    }

    /// Lets those who wait for `key` look again, once this command or timer is done.
    pub fn signal_ready(&self, key: &RString) {
        // SAFETY: live context and string.
        unsafe { api!(RedisModule_SignalKeyAsReady)(self.raw, key.as_ptr()) };
    }
}

/// SAFETY: `ctx` is the context of a callback of a client blocked by `block_on::<W>`, for `'a`.
unsafe fn waiter<'a, W>(ctx: *mut raw::RedisModuleCtx) -> Option<&'a W> {
    // SAFETY: the caller's promise: the private data is the waiter, which lives until `free_entry`.
    unsafe {
        let data = api!(RedisModule_GetBlockedClientPrivateData)(ctx);
        data.cast::<W>().as_ref()
    }
}

extern "C" fn ready_entry<W: Waiter>(
    ctx: *mut raw::RedisModuleCtx,
    _: *mut *mut raw::RedisModuleString,
    _: c_int,
) -> c_int {
    // SAFETY: the server passes the context of the blocked client.
    let (ctx, waiter) = unsafe { (Ctx::new(ctx, false), waiter::<W>(ctx)) };
    let Some(waiter) = waiter else {
        return raw::Status::Err as c_int;
    };
    match guarded(|| waiter.try_serve(&ctx)) {
        Some(true) => raw::Status::Ok as c_int,
        Some(false) => raw::Status::Err as c_int,
        None => {
            ctx.reply_panic();
            raw::Status::Ok as c_int
        }
    }
}

extern "C" fn timeout_entry<W: Waiter>(
    ctx: *mut raw::RedisModuleCtx,
    _: *mut *mut raw::RedisModuleString,
    _: c_int,
) -> c_int {
    // SAFETY: as above.
    let (ctx, waiter) = unsafe { (Ctx::new(ctx, false), waiter::<W>(ctx)) };
    let replied = waiter.and_then(|waiter| guarded(|| waiter.time_out(&ctx)));
    if replied.is_none() {
        ctx.reply_panic();
    }
    raw::Status::Ok as c_int
}

extern "C" fn free_entry<W: Waiter>(_: *mut raw::RedisModuleCtx, data: *mut c_void) {
    // SAFETY: the waiter of `block_on`, freed once.
    let waiter = unsafe { Box::from_raw(data.cast::<W>()) };
    guarded(|| drop(waiter));
}
