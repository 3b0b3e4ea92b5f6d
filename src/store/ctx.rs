//! One callback's view of the server: its state, its clock, its keyspace signals.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::time::Instant;

use redis_module::raw;

use super::{api, RString};

/// Handed to every entry point and valid for its length.
pub struct Ctx<'a> {
    pub(super) raw: *mut raw::RedisModuleCtx,
    /// A timer has no client behind it, so its calls ask for the checks that a client's command
    /// passed before it ran (see [`Ctx::write`]).
    pub(super) is_timer: bool,
    pub(super) _callback: PhantomData<&'a ()>,
}

/// The server's state at this moment.
#[derive(Clone, Copy)]
pub struct Flags(i32);

impl Flags {
    fn has(self, flag: u32) -> bool {
        self.0 & flag as i32 != 0
    }

    pub fn is_master(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MASTER)
    }

    pub fn is_loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
            || self.has(raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING)
    }

    pub fn is_cluster(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    /// Within `MULTI`, or a script.
    pub fn is_in_transaction(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MULTI) || self.has(raw::REDISMODULE_CTX_FLAGS_LUA)
    }

    /// There is an append-only file, or a child process makes a snapshot.
    pub(super) fn has_aof_or_child(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_AOF)
            || self.has(raw::REDISMODULE_CTX_FLAGS_ACTIVE_CHILD)
    }

    /// Above `maxmemory`, before any eviction.
    pub fn is_out_of_memory(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_OOM)
    }
}

thread_local! {
    /// See [`Ctx::detached`]; null before the first.
    static DETACHED: Cell<*mut raw::RedisModuleCtx> = const { Cell::new(std::ptr::null_mut()) };
}

impl Ctx<'_> {
    /// SAFETY: `raw` is the context of the callback that runs now, and lives for `'a`.
    pub(super) unsafe fn new<'a>(raw: *mut raw::RedisModuleCtx, is_timer: bool) -> Ctx<'a> {
        Ctx {
            raw,
            is_timer,
            _callback: PhantomData,
        }
    }

    /// A context of no callback, for reading where the server hands us none (INFO). Used within the
    /// callback that asks for it.
    pub(super) fn detached() -> Ctx<'static> {
        let mut raw = DETACHED.get();
        if raw.is_null() {
            // SAFETY: no client; made once and kept until the module is unloaded.
            raw = unsafe { api!(RedisModule_GetThreadSafeContext)(std::ptr::null_mut()) };
            DETACHED.set(raw);
        }
        Ctx {
            raw,
            is_timer: true,
            _callback: PhantomData,
        }
    }

    /// It belongs to the module as it is loaded now.
    pub(super) fn let_detached_go() {
        let raw = DETACHED.replace(std::ptr::null_mut());
        if !raw.is_null() {
            // SAFETY: made by `detached`, freed once; no callback runs that uses it.
            unsafe { api!(RedisModule_FreeThreadSafeContext)(raw) };
        }
    }

    /// The first function of the module API this module needs that the server does not have: the
    /// server is older than Redis 7.0.
    pub fn missing_api(&self) -> Option<&'static str> {
        // SAFETY: copies out of the table that was filled when the module was loaded.
        let (info, setting, settings, acl, map) = unsafe {
            (
                raw::RedisModule_SetCommandInfo,
                raw::RedisModule_RegisterStringConfig,
                raw::RedisModule_LoadConfigs,
                raw::RedisModule_ACLCheckKeyPermissions,
                raw::RedisModule_ReplyWithMap,
            )
        };
        [
            ("RM_SetCommandInfo", info.is_some()),
            ("RM_RegisterStringConfig", setting.is_some()),
            ("RM_LoadConfigs", settings.is_some()),
            ("RM_ACLCheckKeyPermissions", acl.is_some()),
            ("RM_ReplyWithMap", map.is_some()),
        ]
        .into_iter()
        .find_map(|(name, there)| (!there).then_some(name))
    }

    /// Wall clock, milliseconds since the Unix epoch. Read once per command.
    pub fn now_ms(&self) -> u64 {
        // SAFETY: takes nothing.
        let now = unsafe { api!(RedisModule_Milliseconds)() };
        u64::try_from(now).unwrap_or(0)
    }

    /// The time by which the server gives entries of streams their ids and tells how long something
    /// has been idle, in milliseconds: since Redis 7.2 it stands still while a command, a script or a
    /// transaction runs.
    pub fn command_clock_ms(&self) -> u64 {
        // SAFETY: a function out of the table of the API, if it is there; it takes nothing.
        let cached = unsafe { raw::RedisModule_CachedMicroseconds.map(|cached| cached()) };
        match cached.and_then(|us| u64::try_from(us).ok()) {
            Some(us) => us / 1_000,
            None => self.now_ms(),
        }
    }

    pub fn flags(&self) -> Flags {
        // SAFETY: a live context.
        Flags(unsafe { api!(RedisModule_GetContextFlags)(self.raw) })
    }

    /// Clients are paused or a failover is under way: writing now would crash the server
    /// (a server assertion in `propagateNow`).
    pub fn is_paused(&self) -> bool {
        // SAFETY: takes nothing.
        unsafe { api!(RedisModule_AvoidReplicaTraffic)() != 0 }
    }

    pub fn selected_db(&self) -> i32 {
        // SAFETY: a live context.
        unsafe { api!(RedisModule_GetSelectedDb)(self.raw) }
    }

    pub fn select_db(&self, db: i32) {
        // SAFETY: a live context; an unknown number is refused by the server.
        unsafe { api!(RedisModule_SelectDb)(self.raw, db) };
    }

    /// How the server should treat this module. Writes signal keys as modified only on request: what
    /// clients watch is the device, not its keys. And in a cluster of Valkey's, a slot may move whole:
    /// of what we remember of its keys, all is found again from the events of their arrival.
    pub fn set_options(&self) {
        // Valkey's `VALKEYMODULE_OPTIONS_HANDLE_ATOMIC_SLOT_MIGRATION`; others do not look at it.
        const HANDLE_ATOMIC_SLOT_MIGRATION: i32 = 1 << 5;
        let mut options = raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED as i32;
        if self.flags().is_cluster() {
            options |= HANDLE_ATOMIC_SLOT_MIGRATION;
        }
        // SAFETY: a live context and flags of the API.
        unsafe { api!(RedisModule_SetModuleOptions)(self.raw, options) }
    }

    /// Whether the slot of this key is this server's alone now, and not on its way to or from another
    /// node of the cluster. Asked through a context of no client: that of a command may be allowed more.
    /// The key should be one that never exists.
    pub fn is_slot_settled(&self, key: &RString) -> bool {
        Ctx::detached().read(c"EXISTS", &[key.into()]).is_ok()
    }

    /// Tells WATCH and client-side caching that this key changed.
    pub fn touched(&self, key: &RString) {
        // SAFETY: live context and string.
        unsafe { api!(RedisModule_SignalModifiedKey)(self.raw, key.as_ptr()) };
    }

    /// A keyspace notification of the module's class (`d`).
    pub fn notify(&self, event: &CStr, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_MODULE, event, key);
    }

    /// The notification that a hash was written (class `h`), if clients asked for any of that class.
    /// To send one that nobody hears costs as much as the write: the server hands it to this module,
    /// which listens to what others write. (So another module that listens does not hear of it.)
    pub fn notify_hset_if_asked(&self, key: &RString) {
        if is_class_on(raw::REDISMODULE_NOTIFY_HASH as u32) {
            self.notify_class(raw::REDISMODULE_NOTIFY_HASH, c"hset", key);
        }
    }

    /// The notification that a hash was written (class `h`).
    pub fn notify_hset(&self, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_HASH, c"hset", key);
    }

    /// The notification that members were added to a sorted set (class `z`).
    pub fn notify_zadd(&self, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_ZSET, c"zadd", key);
    }

    /// The notification that a key was deleted (class `g`).
    pub fn notify_del(&self, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_GENERIC, c"del", key);
    }

    /// The notification that the server sends when a key expires (class `x`).
    pub fn notify_expired(&self, key: &RString) {
        self.notify_class(raw::REDISMODULE_NOTIFY_EXPIRED, c"expired", key);
    }

    pub(super) fn notify_class(&self, class: i32, event: &CStr, key: &RString) {
        let _doing = super::call::Doing::Notifying.begin();
        // SAFETY: live context and strings.
        unsafe {
            api!(RedisModule_NotifyKeyspaceEvent)(self.raw, class, event.as_ptr(), key.as_ptr())
        };
    }
}

/// Which of the classes `d` (module) and `x` (expired) of keyspace notifications are on.
pub fn notifications_on() -> (bool, bool) {
    (
        is_class_on(raw::REDISMODULE_NOTIFY_MODULE as u32),
        is_class_on(raw::REDISMODULE_NOTIFY_EXPIRED as u32),
    )
}

fn is_class_on(class: u32) -> bool {
    // SAFETY: takes nothing.
    let on = unsafe { api!(RedisModule_GetNotifyKeyspaceEvents)() };
    on & class as i32 != 0
}

/// Milliseconds of a clock that never jumps.
pub fn monotonic_ms() -> u64 {
    monotonic_us() / 1_000
}

/// Microseconds of a clock that never jumps.
pub fn monotonic_us() -> u64 {
    thread_local!(static START: Instant = Instant::now());
    START.with(|start| u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}
