//! The server as the rest of the module sees it: the only code that touches Redis keys, and the
//! only `unsafe` of the project.
//!
//! Three helpers of the `redis-module` crate crash the server on client bytes, others lose errors
//! silently, so this layer calls the raw API and clippy's `disallowed-methods` bans the rest.
//! Every wrapper here is safe for any bytes: nothing panics on what a client, a key or the network
//! holds.

pub mod acl;
#[cfg_attr(test, allow(dead_code))]
mod alloc;
mod answer;
mod args;
mod batch;
mod block;
mod call;
pub mod cluster_bus;
pub mod command;
mod ctx;
mod echo;
mod effects;
mod entry;
pub mod events;
mod followers;
mod hash;
mod held;
pub mod info;
mod key;
mod log;
mod module;
mod names;
mod reply;
mod rstring;
pub mod settings;
mod slot_moves;
mod stream;
mod stream_entry;
mod stream_reader;
mod string;
mod timer;

#[cfg(not(test))]
pub use alloc::Alloc;
pub use answer::{Reply, StreamEntry};
pub use args::{lossy_text, text, RawArgs};
pub use batch::{Appended, Doomed, Fields};
pub use block::Waiter;
pub use call::{named, pair, Arg, CallError};
pub use ctx::Ctx;
pub use ctx::{monotonic_ms, monotonic_us, notifications_on};
pub use entry::{guarded, Handler, OnTimer};
pub use hash::HashKey;
pub use held::{Held, Holder};
pub use key::KeyType;
pub use log::Level;
pub(crate) use module::module;
pub use module::{on_load, on_unload};
pub use rstring::RString;
pub use slot_moves::SlotWatcher;
pub use stream::{first_choice, next_sequence, StreamKey};
pub use stream_entry::Entry;
pub use stream_reader::StreamReader;
pub use string::StringKey;
pub use timer::TimerId;

pub use devicestate_core::digits::parse_u64;

/// A function of the module API, for use inside `unsafe`: the table is filled once, when the
/// module is loaded, before any of our code runs. What the oldest supported server has is always
/// there (checked at load, [`ctx::Ctx::missing_api`]).
macro_rules! api {
    ($name:ident) => {
        redis_module::raw::$name.expect(stringify!($name))
    };
}
pub(crate) use api;
