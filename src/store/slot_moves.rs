//! Hears that an operator moves slots of a cluster, before the server does it.
//!
//! Only `CLUSTER SETSLOT` makes a node take commands of a slot that is not its own, or is on its way: what
//! the nodes tell each other never does. The server has no event for it, so this looks at commands as they
//! come. Inside a transaction or a script nobody hears it; what the server is asked once a second shows it.

use std::ffi::c_int;

use redis_module::raw;

use super::{api, guarded, Ctx, RString};

/// `CLUSTER SETSLOT <slot> <what>`, whatever this server calls the first word.
const WORDS: c_int = 4;

/// Told that the state of a slot is about to be set.
pub trait SlotWatcher {
    fn slot_is_set();
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
    let sets_slot = unsafe {
        api!(RedisModule_CommandFilterArgsCount)(command) >= WORDS && {
            let word = api!(RedisModule_CommandFilterArgGet)(command, 1);
            RString::borrowed(&word)
                .bytes()
                .eq_ignore_ascii_case(b"SETSLOT")
        }
    };
    if sets_slot {
        guarded(W::slot_is_set);
    }
}
