//! Clients that wait for something that is no key: the module lets them go when it is there.
//!
//! Who waits for a key is woken by the server, but sent away by a node of a cluster when the key's slot
//! moves; and there is no key for "any event of this node".

use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::{api, guarded, Ctx};

/// A client that waits until [`Ctx::let_go`]. Of no use once it is let go or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held(*mut raw::RedisModuleBlockedClient);

/// Who keeps clients waiting, and knows which.
pub trait Holder: 'static {
    /// What a client is let go with.
    type Answer: 'static;

    /// Replies to a client that was let go.
    fn reply(ctx: &Ctx<'_>, answer: &Self::Answer);
    /// `CLIENT UNBLOCK` says that it waited long enough: replies, and forgets it.
    fn time_out(ctx: &Ctx<'_>, held: Held);
    /// The client is gone, or sent away by the server (a change of role): forgets it. Whether it was
    /// waiting, and not let go already.
    fn gone(held: Held) -> bool;
}

impl Ctx<'_> {
    /// Lets the client wait until it is let go. The command that runs writes no reply.
    pub fn hold<H: Holder>(&self) -> Held {
        // SAFETY: a live context of a client that may wait; callbacks that fit. The server keeps no
        // time: a client whose time is over in the moment in which it is let go would get no answer.
        unsafe {
            let held = api!(RedisModule_BlockClient)(
                self.raw,
                Some(reply_entry::<H>),
                Some(timeout_entry::<H>),
                Some(free_entry::<H>),
                0,
            );
            if !held.is_null() {
                api!(RedisModule_SetDisconnectCallback)(held, Some(gone_entry::<H>));
            }
            Held(held)
        }
    }

    /// Lets a client go, which replies to it before the server sleeps. Called by a timer only: then no
    /// other client comes between, who might end the wait as well (`CLIENT UNBLOCK`).
    pub fn let_go<H: Holder>(&self, held: Held, answer: H::Answer) {
        let answer = Box::into_raw(Box::new(answer));
        // SAFETY: a client that waits, let go once: the holder forgot it. The answer is freed by
        // `free_entry`, which the server calls once.
        unsafe { api!(RedisModule_UnblockClient)(held.0, answer.cast()) };
    }
}

/// Lets go of one that the server has replied to, or that is gone.
fn end(held: Held) {
    // SAFETY: a client that waited, whom nobody let go: this frees what the server keeps of it.
    unsafe { api!(RedisModule_UnblockClient)(held.0, std::ptr::null_mut()) };
}

extern "C" fn reply_entry<H: Holder>(
    ctx: *mut raw::RedisModuleCtx,
    _: *mut *mut raw::RedisModuleString,
    _: c_int,
) -> c_int {
    // SAFETY: the server passes the context of the client that was let go; its private data are the
    // answer, which lives until `free_entry`.
    let (ctx, answer) = unsafe {
        let data = api!(RedisModule_GetBlockedClientPrivateData)(ctx);
        (Ctx::new(ctx, false), data.cast::<H::Answer>().as_ref())
    };
    let replied = answer.and_then(|answer| guarded(|| H::reply(&ctx, answer)));
    if replied.is_none() {
        ctx.reply_panic();
    }
    raw::Status::Ok as c_int
}

extern "C" fn timeout_entry<H: Holder>(
    ctx: *mut raw::RedisModuleCtx,
    _: *mut *mut raw::RedisModuleString,
    _: c_int,
) -> c_int {
    // SAFETY: the server passes the context of a client that waits and was not let go.
    let (ctx, held) = unsafe {
        let held = api!(RedisModule_GetBlockedClientHandle)(ctx);
        (Ctx::new(ctx, false), Held(held))
    };
    if guarded(|| H::time_out(&ctx, held)).is_none() {
        ctx.reply_panic();
    }
    end(held);
    raw::Status::Ok as c_int
}

extern "C" fn gone_entry<H: Holder>(
    _: *mut raw::RedisModuleCtx,
    held: *mut raw::RedisModuleBlockedClient,
) {
    let held = Held(held);
    if guarded(|| H::gone(held)) == Some(true) {
        end(held);
    }
}

extern "C" fn free_entry<H: Holder>(_: *mut raw::RedisModuleCtx, data: *mut c_void) {
    if data.is_null() {
        return;
    }
    // SAFETY: the answer of `let_go`, freed once.
    let answer = unsafe { Box::from_raw(data.cast::<H::Answer>()) };
    guarded(|| drop(answer));
}
