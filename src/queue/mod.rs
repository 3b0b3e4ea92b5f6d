//! Queues: messages that are delivered until somebody says that they are done.
//!
//! A queue is one plain stream. Its entries are the messages (`devicestate_core::queue::message`), its
//! consumer groups say what became of them:
//!
//! | where | a message |
//! |---|---|
//! | behind the last delivered id of `work` | nobody had yet |
//! | in the pending list of `work`, of a worker | is leased, until the shifted time of the entry |
//! | in the pending list of `work`, of `-` | is put off until that time: by DELAY, or given back |
//! | in the pending list of `dead` | was delivered too often, or is said to be useless |
//! | nowhere | is done, and deleted |
//!
//! Everything is in the stream, so it survives restarts and failovers with it. What this module
//! keeps in memory ([`memory`]) can be made from it at any time.

mod add;
mod get;
mod groups;
mod look;
mod memory;
mod open;
mod plain;
mod settle;
mod wake;
mod write;

pub use add::{add, NewMessage};
pub use get::{get, Ask, Delivery};
pub use look::{count_ready, pending, stat, State};
pub use open::check;
pub use settle::{ack, kick, nack, touch, GiveBack};
pub use wake::{block, Waiting};

use crate::store::{Ctx, RString};

/// Other hands changed a key that may be a queue.
pub fn forget(ctx: &Ctx<'_>, key: &RString) {
    let db = ctx.selected_db();
    memory::forget(db, key.bytes());
    wake::look_again(ctx, db, key.bytes());
}

/// The module is unloaded: nobody waits any more.
pub fn end() {
    memory::forget_all();
}

/// The timer of those who wait was armed by another clock than the one by which it would fire.
pub fn clock_jumped(ctx: &Ctx<'_>) {
    wake::look_at_all_again(ctx);
}

/// The data set or the role of this server changed.
pub fn forget_all(ctx: &Ctx<'_>) {
    memory::forget_all();
    wake::look_at_all_again(ctx);
}
