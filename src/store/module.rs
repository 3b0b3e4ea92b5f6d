//! Where the server finds the module: loading and unloading.

use std::ffi::{c_int, CStr};

use redis_module::raw;

use super::log::write_without_context;
use super::{entry, Ctx, Level, RawArgs};

/// Defines the two functions that the server looks up by name. `$start` takes a [`Ctx`] and the
/// arguments of `loadmodule`, and says in one line why it failed; `$unload` takes back all that
/// was started, or says why that can't be.
///
/// This takes the place of the crate's own macro, which logs a warning on servers without its
/// defragmentation callbacks.
macro_rules! module {
    ($name:expr, $version:expr, $start:path, $unload:path) => {
        /// Called by the server to load the module.
        #[no_mangle]
        pub extern "C" fn RedisModule_OnLoad(
            ctx: *mut redis_module::raw::RedisModuleCtx,
            argv: *mut *mut redis_module::raw::RedisModuleString,
            argc: std::ffi::c_int,
        ) -> std::ffi::c_int {
            $crate::store::on_load(ctx, argv, argc, $name, $version, $start)
        }

        /// Called by the server to unload it.
        #[no_mangle]
        pub extern "C" fn RedisModule_OnUnload(
            ctx: *mut redis_module::raw::RedisModuleCtx,
        ) -> std::ffi::c_int {
            $crate::store::on_unload(ctx, $unload)
        }
    };
}
pub(crate) use module;

/// See [`module!`].
pub fn on_load(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
    name: &'static CStr,
    version: c_int,
    start: impl FnOnce(&Ctx<'_>, RawArgs<'_>) -> Result<(), String>,
) -> c_int {
    // SAFETY: the context of the load that runs and a name for its length. This fills the table
    // of the module API; nothing of ours runs before it.
    let attached = unsafe {
        raw::Export_RedisModule_Init(
            ctx,
            name.as_ptr(),
            version,
            raw::REDISMODULE_APIVER_1 as c_int,
        )
    };
    if attached == raw::REDISMODULE_ERR as c_int {
        // SAFETY: a copy out of the table, which is filled even so.
        let log = unsafe { raw::RedisModule_Log };
        if log.is_some() {
            let name = name.to_string_lossy();
            let text = format!("{name}: not loaded: a module of this name is loaded already");
            write_without_context(Level::Warning, &text);
        }
        return attached;
    }
    // SAFETY: as above, and the arguments of `loadmodule`.
    let (ctx, args) = unsafe { (Ctx::new(ctx, false), RawArgs::new(argv, argc)) };
    entry::on_panic_log();
    match entry::guarded(|| start(&ctx, args)) {
        Some(Ok(())) => return raw::REDISMODULE_OK as c_int,
        Some(Err(reason)) => ctx.log(Level::Warning, &format!("not loaded: {reason}")),
        None => {}
    }
    raw::REDISMODULE_ERR as c_int
}

/// See [`module!`].
pub fn on_unload(
    ctx: *mut raw::RedisModuleCtx,
    unload: impl FnOnce() -> Result<(), &'static str>,
) -> c_int {
    // SAFETY: the context of the unload that runs.
    let ctx = unsafe { Ctx::new(ctx, false) };
    match entry::guarded(unload) {
        Some(Ok(())) => {
            ctx.stop_receiving();
            Ctx::let_detached_go();
            return raw::REDISMODULE_OK as c_int;
        }
        Some(Err(reason)) => ctx.log(Level::Warning, &format!("not unloaded: {reason}")),
        None => {}
    }
    raw::REDISMODULE_ERR as c_int
}
