//! Whether anybody follows the writes of this server: an append-only file, a replica, a replication
//! backlog. If nobody does, the server drops whatever is replicated, and a hot command need not
//! prepare it.
//!
//! "Nobody" is a claim that may only be too cautious. It is made by [`Ctx::look_for_followers`], now
//! and then, and withdrawn by the server's events at the moment at which it could become wrong:
//! whoever begins to follow gets a snapshot of the data set first, made by a fork, and what was
//! written before that is in the snapshot.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::{api, monotonic_ms, Ctx};

/// How often the claim is made, in milliseconds: asking costs some ten microseconds.
const LOOK_EVERY_MS: u64 = 50;

thread_local! {
    static LOOKED_AT: Cell<u64> = const { Cell::new(0) };
    static FOLLOWED: Cell<bool> = const { Cell::new(true) };
    /// The same of replicas alone.
    static HAS_REPLICAS: Cell<bool> = const { Cell::new(true) };
    /// Whether the server tells all the events that withdraw the claim.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Each of them may mean that somebody follows from now on. (So may a change of role, of which
/// [`super::events`] tells.)
const EVENTS: [u64; 3] = [
    raw::REDISMODULE_EVENT_FORK_CHILD,
    raw::REDISMODULE_EVENT_REPLICA_CHANGE,
    raw::REDISMODULE_EVENT_PERSISTENCE,
];

/// Whether what is replicated goes anywhere.
pub(super) fn is_followed() -> bool {
    FOLLOWED.get()
}

/// Whether what is replicated goes to a replica, or will when it comes back.
pub(super) fn has_replicas() -> bool {
    HAS_REPLICAS.get()
}

impl Ctx<'_> {
    pub(super) fn listen_for_followers(&self) {
        let is_told = EVENTS.iter().all(|id| {
            let event = raw::RedisModuleEvent {
                id: *id,
                dataver: 1,
            };
            // SAFETY: live context; a callback that fits.
            let subscribed = unsafe {
                api!(RedisModule_SubscribeToServerEvent)(self.raw, event, Some(followed_entry))
            };
            subscribed == raw::REDISMODULE_OK as c_int
        });
        IS_TOLD.set(is_told);
    }

    /// Makes the claim anew. Called by the timer, between commands.
    pub fn look_for_followers(&self) {
        let now = monotonic_ms();
        if now < LOOKED_AT.get().saturating_add(LOOK_EVERY_MS) {
            return;
        }
        LOOKED_AT.set(now);
        let has_replicas = !IS_TOLD.get() || self.has_replication();
        HAS_REPLICAS.set(has_replicas);
        FOLLOWED.set(has_replicas || self.flags().has_aof_or_child());
    }

    /// Whether there is a replica, or a backlog for one that comes back.
    fn has_replication(&self) -> bool {
        // SAFETY: live context and names that end in NUL; the answer is freed once. A field that is
        // not there is an error, and then somebody may follow.
        unsafe {
            let info = api!(RedisModule_GetServerInfo)(self.raw, c"replication".as_ptr());
            let number = |name: &std::ffi::CStr| {
                let mut error = 0;
                let value =
                    api!(RedisModule_ServerInfoGetFieldUnsigned)(info, name.as_ptr(), &mut error);
                if error == 0 {
                    value
                } else {
                    1
                }
            };
            let is_replicating =
                number(c"connected_slaves") > 0 || number(c"repl_backlog_active") > 0;
            api!(RedisModule_FreeServerInfo)(self.raw, info);
            is_replicating
        }
    }
}

extern "C" fn followed_entry(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    follow();
}

/// Withdraws the claim.
pub(super) fn follow() {
    FOLLOWED.set(true);
    HAS_REPLICAS.set(true);
}
