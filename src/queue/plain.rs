//! New messages by XREADGROUP alone: nobody put any of them off or buried it, and the lease is the one
//! that the command itself gives. That is the usual case, and half the work: the walk and the XCLAIM
//! each look for the entry in its part of the stream, the server's command does so once.

use devicestate_core::queue::fate::{self, Fate};
use devicestate_core::queue::message::Message;
use devicestate_core::queue::times::LEASE_BY_HAND_MS;

use super::get::{Delivery, Walk, LOOKS};
use crate::fleet::Result;

impl Walk<'_, '_> {
    /// Whether this is such a case. There has to be something new too: the command makes a consumer of
    /// a worker that it has nothing for, and does not replicate that.
    pub(super) fn is_plain(&self) -> bool {
        let known = &self.queue.known;
        let had = known.pending.len() as u64 + self.queue.dead();
        self.ask.lease_ms == LEASE_BY_HAND_MS
            && known.dead_ahead.is_empty()
            && known.pending.last().is_none_or(|id| id <= self.last)
            && self.queue.length > had
    }

    /// Takes what is new. What another program marked to be put off, or has expired, was leased by that
    /// too and is written anew with the rest.
    pub(super) fn take_plain(&mut self) -> Result<()> {
        while self.out.len() < self.ask.count && self.may_look() {
            let count = (self.ask.count - self.out.len()).min(LOOKS - self.looks);
            let entries = self.queue.lease_new(&self.ask.worker, count)?;
            self.looks += entries.len();
            let is_last = entries.len() < count;
            for entry in entries {
                let id = entry.id;
                match fate::of_new(&Message::read(entry.pairs()), self.now) {
                    Fate::Deliver(deliveries) => self.out.push(Delivery { entry, deliveries }),
                    Fate::Park(at) => self.parked.entry(at).or_default().push(id),
                    Fate::Expire | Fate::Bury(_) => {
                        self.released.push(id);
                        self.expired.push(id);
                    }
                }
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}
