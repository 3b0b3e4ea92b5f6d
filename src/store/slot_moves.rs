//! Hears what an operator does to slots of a cluster, before the server does it.
//!
//! A node takes commands of a slot that is on its way only after `CLUSTER SETSLOT`, and keys leave it only by
//! `MIGRATE`: what the nodes tell each other does neither. The server has no event for them, so this looks at
//! commands as they come.
//!
//! A slot may be set much later than it is told here: in a transaction, or on a Valkey (from 8 on) with
//! replicas, which have it first. So `CLUSTER SETSLOT` says no more than that what is known may be old. When
//! `MIGRATE` comes the slot is set.

use std::ffi::c_int;

use redis_module::raw;

use super::{api, guarded, Ctx, RString};

/// `CLUSTER SETSLOT <slot> <what>`, whatever this server calls the first word.
const WORDS_OF_SETSLOT: c_int = 4;

/// `MIGRATE <host> <port> <key> <db> <timeout>`, at least.
const WORDS_OF_MIGRATE: c_int = 6;

/// Told that slots are about to be set, or keys to leave.
pub trait SlotWatcher {
    fn slots_move();
}

impl Ctx<'_> {
    /// From now on `W` is told. To be asked last when loading: a server may forget to take it back from a
    /// module that fails.
    pub fn watch_slots<W: SlotWatcher>(&self) -> Result<(), String> {
        let own_calls = raw::REDISMODULE_CMDFILTER_NOSELF as c_int;
        // SAFETY: live context, and a callback that fits; the server lets it go with the module.
        let filter = unsafe {
            api!(RedisModule_RegisterCommandFilter)(self.raw, Some(filter_entry::<W>), own_calls)
        };
        match filter.is_null() {
            true => Err("can't watch the slots of this node".into()),
            false => Ok(()),
        }
    }
}

/// Sees every command of the server: it must tell by a look that there is nothing to do.
extern "C" fn filter_entry<W: SlotWatcher>(command: *mut raw::RedisModuleCommandFilterCtx) {
    // SAFETY: the server passes a command that it is about to run.
    let words = unsafe { api!(RedisModule_CommandFilterArgsCount)(command) };
    let is = |at: c_int, wanted: &[u8]| {
        // SAFETY: the same command; its words live as long as this call.
        let word = unsafe { api!(RedisModule_CommandFilterArgGet)(command, at) };
        // SAFETY: one of the command's words, if it has so many, which is asked first.
        unsafe { RString::borrowed(&word) }
            .bytes()
            .eq_ignore_ascii_case(wanted)
    };
    if words >= WORDS_OF_SETSLOT && is(1, b"SETSLOT")
        || words >= WORDS_OF_MIGRATE && is(0, b"MIGRATE")
    {
        guarded(W::slots_move);
    }
}
