//! What nodes tell each other of definitions.
//!
//! A change is told to all at once. Once a second each node tells a digest of what it knows; who has
//! another one asks for the parts that differ. Only primaries take part: what a replica knows is what its
//! primary has written.

use devicestate_core::definitions::wire::{self, Message};

use super::Definitions;
use crate::fleet::{self, Fleet};
use crate::store::cluster_bus::{NodeId, Receiver};
use crate::store::{monotonic_ms, Ctx};

/// How often a node tells what it knows, in milliseconds.
const TELL_EVERY_MS: u64 = 1_000;
/// No more often it asks others: many may tell the same that is news to it.
const ASK_EVERY_MS: u64 = 100;
/// What others say is no longer listened to while so many definitions wait to be taken over.
const MAX_HEARD: usize = 100_000;

/// Hears what other nodes say.
pub struct Ears;

impl Receiver for Ears {
    fn received(ctx: &Ctx<'_>, from: &NodeId, message: &[u8]) {
        fleet::with(|fleet| fleet.definitions.receive(ctx, from, message));
    }
}

impl Definitions {
    /// One tick of a node that may write.
    pub fn keep(&self, ctx: &Ctx<'_>, fleet: &Fleet, monotonic: u64) {
        if !fleet.keys.are_by_slot() {
            return;
        }
        if !self.heard.borrow().is_empty() {
            let changed = self.merge(ctx, self.heard.take());
            self.is_unsaved.set(true);
            self.tell_readers(fleet, &changed);
        }
        self.save(ctx, fleet, monotonic);
        self.tell(ctx, monotonic);
    }

    fn tell(&self, ctx: &Ctx<'_>, monotonic: u64) {
        let known = self.known.borrow();
        let untold = self.untold.take();
        let changed = untold
            .iter()
            .filter_map(|name| Some((name, known.get(name)?)));
        for message in wire::tell(changed) {
            ctx.send(None, &message);
        }
        if monotonic >= self.tell_ms.get() {
            self.tell_ms.set(monotonic + TELL_EVERY_MS);
            ctx.send(None, &wire::digest(known.digest()));
        }
    }

    /// Another node says something. What it knows is taken over by the next tick: nothing may be written
    /// here.
    fn receive(&self, ctx: &Ctx<'_>, from: &NodeId, message: &[u8]) {
        let flags = ctx.flags();
        if !flags.is_master() || flags.is_loading() {
            return;
        }
        match wire::decode(message) {
            Some(Message::Digest(theirs)) => {
                let parts = self.known.borrow().digest().differing(&theirs);
                let now = monotonic_ms();
                let may_ask = now >= self.ask_ms.get() && self.heard.borrow().is_empty();
                if !parts.is_empty() && may_ask {
                    self.ask_ms.set(now + ASK_EVERY_MS);
                    ctx.send(Some(from), &wire::ask(parts));
                }
            }
            Some(Message::Ask(parts)) => {
                for message in wire::tell(self.known.borrow().in_parts(parts)) {
                    ctx.send(Some(from), &message);
                }
            }
            Some(Message::Entries(entries)) => {
                let mut heard = self.heard.borrow_mut();
                for (name, entry) in entries {
                    if heard.len() < MAX_HEARD {
                        heard.merge(name, entry);
                    }
                }
            }
            None => {}
        }
    }
}
