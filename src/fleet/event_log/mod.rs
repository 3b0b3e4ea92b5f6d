//! The events of this server in one order: the stream `devices:events`, or in a cluster the streams of
//! all its slots.
//!
//! In a cluster the ids of a node's events go up over all its streams, so that one id says how far all of
//! them were read: each is above whatever this node appended or handed out before. And of each slot it is
//! known what its newest entry is, so that of thousands of streams only those are opened that have
//! something for the reader. All of it is found again from the streams when the node starts or is promoted.

mod merge;
mod read;
mod wait;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use devicestate_core::event_cursor::Ranges;
use devicestate_core::queue::Id;
use devicestate_core::slot::{self, Slot};

use super::keys::Indexes;
use super::{Fleet, Result};
use crate::store::{first_choice, Appended, Arg, Ctx};

pub use read::{read, Page};
pub use wait::{notice_slots, wait};

/// What is remembered of the streams of events.
#[derive(Default)]
pub struct EventLog {
    /// No event of this node has a higher id, and none was handed out. (Of a cluster's node, as what
    /// follows.)
    newest: Cell<Id>,
    /// By slot; empty on a single server.
    streams: RefCell<Vec<Stream>>,
    /// The slots in whose streams other hands wrote since they were looked at: by a user, or because the
    /// slot came from another node.
    touched: RefCell<BTreeSet<Slot>>,
    /// The slots whose streams are read here, and the newest event when that was asked.
    answered: RefCell<Ranges>,
    answered_at: Cell<Option<Id>>,
    answered_revision: Cell<Option<u64>>,
    waiting: RefCell<wait::Waiting>,
}

/// What is known of the stream of a slot, unless other hands wrote it.
#[derive(Clone, Copy)]
struct Stream {
    /// No entry has a higher id.
    newest: Id,
    /// No entry is between these two: who reads on need not open the stream before.
    gap: (Id, Id),
}

impl Stream {
    /// All that is known of it.
    fn up_to(newest: Id) -> Stream {
        Stream {
            newest,
            gap: (Id::ZERO, Id::ZERO),
        }
    }

    /// The next entry behind this id has at least that one, if that is known.
    fn next_behind(&self, id: Id) -> Option<Id> {
        let (behind, next) = self.gap;
        (behind <= id && id < next).then_some(next)
    }

    /// It was read: behind this id, that is the next entry.
    fn is_left(&mut self, behind: Id, next: Option<Id>) {
        match next {
            Some(next) => self.gap = (behind, next),
            None => self.newest = self.newest.min(behind),
        }
    }
}

impl EventLog {
    /// Appends an event of a device, whose indexes these are.
    pub fn append(
        &self,
        ctx: &Ctx<'_>,
        indexes: &Indexes,
        maxlen: u64,
        now: u64,
        fields: &[Arg<'_>],
    ) -> Result<()> {
        match indexes.slot() {
            None => ctx.xadd(&indexes.events, maxlen, now, fields)?,
            Some(slot) => {
                let id = ctx.xadd_as(&indexes.events, maxlen, self.next_id(now), fields)?;
                self.appended(slot, id);
            }
        }
        self.wake(ctx);
        Ok(())
    }

    /// Appends `count` events of devices that share their indexes; `fill` makes the fields of each.
    pub fn append_all<'e>(
        &self,
        ctx: &Ctx<'_>,
        indexes: &Indexes,
        maxlen: u64,
        now: u64,
        count: usize,
        fill: impl FnMut(usize, &mut Vec<Arg<'e>>),
    ) -> Appended {
        let next_id = || match indexes.slot() {
            None => first_choice(now),
            Some(_) => self.next_id(now),
        };
        let appended = ctx.append_all(&indexes.events, maxlen, next_id, count, fill);
        if let Some(slot) = indexes.slot() {
            match appended.error {
                None => self.appended(slot, appended.last),
                Some(_) => drop(self.touched.borrow_mut().insert(slot)),
            }
        }
        self.wake(ctx);
        appended
    }

    /// An id above all others, from the clock if that is ahead of them.
    fn next_id(&self, now: u64) -> Id {
        let by_clock = Id { ms: now, seq: 0 };
        // Other hands may have used up the ids of some stream: those of the others go on.
        let next = self.newest.get().next().unwrap_or(by_clock);
        let id = next.max(by_clock);
        self.raise(id);
        id
    }

    fn raise(&self, id: Id) {
        if id > self.newest.get() {
            self.newest.set(id);
        }
    }

    fn appended(&self, slot: Slot, id: Id) {
        self.raise(id);
        self.change(slot, |stream| stream.newest = id);
    }

    fn change(&self, slot: Slot, change: impl FnOnce(&mut Stream)) {
        let mut streams = self.streams.borrow_mut();
        if streams.is_empty() {
            streams.resize(slot::COUNT, Stream::up_to(Id::ZERO));
        }
        change(&mut streams[usize::from(slot.number())]);
    }
}

impl Fleet {
    /// Looks at the streams of all slots, also of those that are not this node's: some may become so.
    /// Not within a command that names a key: newer servers look for every other key in its slot then.
    pub fn look_at_events(&self, ctx: &Ctx<'_>) {
        if !self.keys.are_by_slot() {
            return;
        }
        self.event_log.touched.borrow_mut().clear();
        for slot in Slot::all() {
            self.look_at_events_of(ctx, slot);
        }
    }

    fn look_at_events_of(&self, ctx: &Ctx<'_>, slot: Slot) {
        let newest = ctx.newest_entry(&self.keys.events_of(slot));
        let newest = newest.unwrap_or(Id::ZERO);
        self.event_log
            .change(slot, |stream| *stream = Stream::up_to(newest));
        self.event_log.raise(newest);
    }

    /// Other hands changed a key, which may be a stream of events.
    pub fn events_changed(&self, ctx: &Ctx<'_>, key: &[u8]) {
        if !self.keys.is_events(key) {
            return;
        }
        if self.keys.are_by_slot() {
            self.event_log.touched.borrow_mut().insert(Slot::of(key));
        }
        self.event_log.wake(ctx);
    }
}
