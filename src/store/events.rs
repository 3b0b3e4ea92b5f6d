//! What the server tells the module: keys that changed, data sets that came and went.

use std::ffi::{c_char, c_int, c_void, CStr};

use redis_module::raw;

use super::call::Doing;
use super::echo::send_inside;
use super::followers::follow;
use super::{api, guarded, Ctx, RString};

/// Something happened outside our commands.
pub trait Listener {
    /// A key of database 0 changed as a hash, a stream or as a whole (deleted, renamed, restored),
    /// or expired, or was evicted, and it was not this module that did it. Nothing may be written here: on replicas and in the append-only file the writes
    /// would come in the wrong order.
    fn key_changed(ctx: &Ctx<'_>, event: &str, key: &[u8]);
    /// A stream of any database was changed in its groups, or a key that may have been one came or
    /// went as a whole, perhaps by this module. Nothing may be written here either.
    fn stream_changed(ctx: &Ctx<'_>, key: &RString);
    /// The data set was flushed, swapped or loaded.
    fn data_replaced(ctx: &Ctx<'_>, what: Replaced);
    /// This server became a master or a replica.
    fn role_changed(ctx: &Ctx<'_>);
    /// This setting of the server's was changed.
    fn setting_changed(ctx: &Ctx<'_>, name: &str);
    /// The server serves: it says so some ten times a second.
    fn runs(ctx: &Ctx<'_>);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    Flushed,
    Swapped,
    LoadingStarted,
    Loaded,
}

impl Ctx<'_> {
    pub fn listen<L: Listener>(&self) -> Result<(), String> {
        self.listen_for_followers();
        let classes = (raw::REDISMODULE_NOTIFY_HASH
            | raw::REDISMODULE_NOTIFY_STREAM
            | raw::REDISMODULE_NOTIFY_GENERIC
            | raw::REDISMODULE_NOTIFY_EXPIRED
            | raw::REDISMODULE_NOTIFY_EVICTED) as c_int;
        // One callback for all: to be called costs more than to find out that there is nothing to do.
        // SAFETY: live context; a callback that fits.
        let mut ok = unsafe {
            let subscribe = api!(RedisModule_SubscribeToKeyspaceEvents);
            subscribe(self.raw, classes, Some(keyspace_entry::<L>)) == raw::REDISMODULE_OK as c_int
        };
        for id in [
            raw::REDISMODULE_EVENT_FLUSHDB,
            raw::REDISMODULE_EVENT_SWAPDB,
            raw::REDISMODULE_EVENT_LOADING,
            raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED,
            raw::REDISMODULE_EVENT_CONFIG,
            raw::REDISMODULE_EVENT_CRON_LOOP,
        ] {
            let event = raw::RedisModuleEvent { id, dataver: 1 };
            // SAFETY: as above.
            ok &= unsafe {
                api!(RedisModule_SubscribeToServerEvent)(self.raw, event, Some(server_entry::<L>))
            } == raw::REDISMODULE_OK as c_int;
        }
        if ok {
            Ok(())
        } else {
            Err("can't listen to the server's events".into())
        }
    }
}

extern "C" fn keyspace_entry<L: Listener>(
    ctx: *mut raw::RedisModuleCtx,
    class: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    let doing = Doing::now();
    if doing == Doing::Notifying {
        guarded(send_inside);
    }
    let is_of_value =
        class == raw::REDISMODULE_NOTIFY_STREAM || class == raw::REDISMODULE_NOTIFY_HASH;
    if is_of_value && doing != Doing::Nothing {
        // What we do to a value ourselves, we know.
        return raw::REDISMODULE_OK as c_int;
    }
    // SAFETY: the server passes live strings and the callback's context.
    let (event, ctx, key) = unsafe {
        (
            CStr::from_ptr(event),
            Ctx::new(ctx, false),
            RString::borrowed(&key),
        )
    };
    let is_news = match doing {
        Doing::Nothing => true,
        Doing::Calling => event == c"expired",
        Doing::Notifying => false,
    };
    if is_news && ctx.selected_db() == 0 {
        guarded(|| L::key_changed(&ctx, &event.to_string_lossy(), key.bytes()));
    }
    let is_of_entries = class == raw::REDISMODULE_NOTIFY_STREAM && OF_ENTRIES.contains(&event);
    if class != raw::REDISMODULE_NOTIFY_HASH && !is_of_entries {
        guarded(|| L::stream_changed(&ctx, key));
    }
    raw::REDISMODULE_OK as c_int
}

/// Events of streams that leave the pending lists of their groups as they are.
const OF_ENTRIES: [&CStr; 4] = [c"xadd", c"xdel", c"xtrim", c"xsetid"];

extern "C" fn server_entry<L: Listener>(
    ctx: *mut raw::RedisModuleCtx,
    event: raw::RedisModuleEvent,
    subevent: u64,
    data: *mut c_void,
) {
    // SAFETY: the server passes the callback's context.
    let ctx = unsafe { Ctx::new(ctx, false) };
    let what = match event.id {
        raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED => {
            follow();
            guarded(|| L::role_changed(&ctx));
            return;
        }
        raw::REDISMODULE_EVENT_CRON_LOOP => {
            guarded(|| L::runs(&ctx));
            return;
        }
        raw::REDISMODULE_EVENT_CONFIG => {
            // SAFETY: what the server passes with this event, whose names live until it returns.
            let names = unsafe { names_of_change(data) };
            for name in names {
                guarded(|| L::setting_changed(&ctx, &name.to_string_lossy()));
            }
            return;
        }
        raw::REDISMODULE_EVENT_FLUSHDB if subevent == raw::REDISMODULE_SUBEVENT_FLUSHDB_END => {
            Replaced::Flushed
        }
        raw::REDISMODULE_EVENT_SWAPDB => Replaced::Swapped,
        raw::REDISMODULE_EVENT_LOADING
            if matches!(
                subevent,
                raw::REDISMODULE_SUBEVENT_LOADING_ENDED | raw::REDISMODULE_SUBEVENT_LOADING_FAILED
            ) =>
        {
            Replaced::Loaded
        }
        raw::REDISMODULE_EVENT_LOADING => Replaced::LoadingStarted,
        _ => return,
    };
    guarded(|| L::data_replaced(&ctx, what));
}

/// SAFETY: `data` is what comes with an event of changed settings, and lives for `'a`.
unsafe fn names_of_change<'a>(data: *mut c_void) -> impl Iterator<Item = &'a CStr> {
    // SAFETY: the caller's promise: that many names, each of which ends in NUL.
    unsafe {
        let change = &*data.cast::<raw::RedisModuleConfigChangeV1>();
        (0..change.num_changes as usize).map(|i| CStr::from_ptr(*change.config_names.add(i)))
    }
}
