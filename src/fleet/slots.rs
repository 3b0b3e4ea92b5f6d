//! Which slots of a cluster this server answers for.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use devicestate_core::cluster::{self, slots_of_myself};
use devicestate_core::event_cursor::Ranges;
use devicestate_core::presence::{Deaf, Hearing};
use devicestate_core::slot::Slot;

use super::keys::{Indexes, Keys};
use super::{settings, Fleet};
use crate::store::{monotonic_ms, Ctx, RString};

/// What the server said of its slots is believed for so many milliseconds, where no harm comes of it.
const BELIEVED_MS: u64 = 1_000;

/// The stream of events of one slot keeps at least so many.
const EVENTS_OF_SLOT: u64 = 64;

/// What the server said last, and when.
#[derive(Default)]
pub struct Slots {
    known: RefCell<cluster::Slots>,
    asked_ms: Cell<Option<u64>>,
    /// When a slot was last found on its way to or from another node.
    moved: RefCell<HashMap<Slot, u64>>,
    /// How often that was something new.
    revision: Cell<u64>,
}

/// The indexes that a server answers for: those of each of its slots, in their order, or the only ones of
/// a single server. A node has thousands, which no cache holds, so each is touched when it is come to.
pub struct OwnIndexes<'f> {
    keys: &'f Keys,
    /// `None` on a single server.
    slots: Option<Rc<[Slot]>>,
    left: Range<usize>,
}

impl OwnIndexes<'_> {
    /// Those from this slot on.
    pub fn from(mut self, slot: Option<Slot>) -> Self {
        if let Some(slots) = &self.slots {
            self.left.start = slots.partition_point(|one| Some(*one) < slot);
        }
        self
    }
}

impl<'f> Iterator for OwnIndexes<'f> {
    type Item = &'f Indexes;

    fn next(&mut self) -> Option<&'f Indexes> {
        let at = self.left.next()?;
        Some(match &self.slots {
            None => self.keys.of(""),
            Some(slots) => self.keys.of_slot(slots[at]),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for OwnIndexes<'_> {}

impl Fleet {
    /// The indexes that this server answers for.
    pub fn indexes(&self, ctx: &Ctx<'_>) -> OwnIndexes<'_> {
        let slots = self.keys.are_by_slot().then(|| self.own_slots(ctx));
        OwnIndexes {
            keys: &self.keys,
            left: 0..slots.as_ref().map_or(1, |slots| slots.len()),
            slots,
        }
    }

    /// The slots that this node answers for, in their order.
    pub(super) fn own_slots(&self, ctx: &Ctx<'_>) -> Rc<[Slot]> {
        self.ask_for_slots(ctx);
        self.slots.known.borrow().owned.clone()
    }

    /// A key that never exists, in a slot that is this server's to write; `None` while it has none.
    pub fn probe(&self, ctx: &Ctx<'_>) -> Option<&RString> {
        if !self.keys.are_by_slot() {
            return Some(&self.keys.of("").probe);
        }
        self.ask_for_slots(ctx);
        let known = self.slots.known.borrow();
        let is_settled = |slot: &&Slot| known.settled.contains(**slot);
        let slot = known.owned.iter().find(is_settled)?;
        Some(&self.keys.of_slot(*slot).probe)
    }

    /// Whether what is written now for this device, or user, stays in one piece. While its slot moves key
    /// by key, keys that are gone look as if they never were, and what is made anew in their place would
    /// stand in the way of those that come.
    pub fn is_settled(&self, ctx: &Ctx<'_>, name: &str) -> bool {
        if !self.keys.are_by_slot() {
            return true;
        }
        let slot = Slot::of(name.as_bytes());
        if self.is_known_settled(ctx, slot) || ctx.is_slot_settled(&self.keys.fence(name)) {
            return true;
        }
        self.slots.moved.borrow_mut().insert(slot, ctx.now_ms());
        false
    }

    /// The same of what is written beside these indexes.
    pub fn are_settled(&self, ctx: &Ctx<'_>, indexes: &Indexes) -> bool {
        let is_known = |slot| self.is_known_settled(ctx, slot);
        indexes.slot().is_none_or(is_known) || ctx.is_slot_settled(&indexes.probe)
    }

    /// Whether this slot need not be probed, which costs as much as a heartbeat. A slot that the server
    /// named as its own, and as staying, stays in one piece until an operator does something to it, which
    /// is told ([`Fleet::forget_slots`]). Of all others nothing is taken for granted: the server may make
    /// a slot one that arrives at any time after it was told to.
    fn is_known_settled(&self, ctx: &Ctx<'_>, slot: Slot) -> bool {
        if self.slots.asked_ms.get().is_none() {
            self.ask_for_slots(ctx);
        }
        self.slots.asked_ms.get().is_some() && self.slots.known.borrow().settled.contains(slot)
    }

    /// The same of a key, as far as is known: a walk over all keys may as well pass it by.
    pub fn stays_here(&self, ctx: &Ctx<'_>, key: &[u8]) -> bool {
        if !self.keys.are_by_slot() {
            return true;
        }
        self.ask_for_slots(ctx);
        self.slots.known.borrow().settled.contains(Slot::of(key))
    }

    /// The hearing of this server, and the deaf time of the device's slot: while that moved, no heartbeat
    /// of its devices was taken.
    pub fn hearing_of(&self, id: &str) -> Hearing {
        let mut hearing = self.hearing();
        if self.keys.are_by_slot() && hearing.deaf().is_none() {
            let moved = self.slots.moved.borrow();
            match moved.get(&Slot::of(id.as_bytes())) {
                Some(at) if *at > hearing.ended() => hearing.was_deaf(Deaf::SlotMoved, *at),
                _ => {}
            }
        }
        hearing
    }

    /// What a slot's deaf time ended by may be a clock that was set back since: it ends now at the latest.
    pub(super) fn slots_settled_by(&self, now: u64) {
        let mut moved = self.slots.moved.borrow_mut();
        moved.values_mut().for_each(|at| *at = now.min(*at));
    }

    /// A number that is another one when the slots are, which are asked for: `afresh`, or as they were
    /// lately.
    pub(super) fn slots_revision(&self, ctx: &Ctx<'_>, afresh: bool) -> u64 {
        if afresh {
            self.forget_slots();
        }
        self.ask_for_slots(ctx);
        self.slots.revision.get()
    }

    /// The slots that this server answers for and that stay, as it was told last.
    pub(super) fn settled_slots(&self) -> Ranges {
        let known = self.slots.known.borrow();
        let is_settled = |slot: &Slot| known.settled.contains(*slot);
        Ranges::of(known.owned.iter().copied().filter(is_settled))
    }

    /// How many entries each stream of events keeps, so that all of this node's keep about as many as
    /// a single server's.
    pub fn events_maxlen(&self) -> u64 {
        let all = settings::EVENTS_MAXLEN.value();
        match self.slots.known.borrow().owned.len() as u64 {
            0 => all,
            slots => (all / slots).max(EVENTS_OF_SLOT),
        }
    }

    /// What the server said of its slots may be wrong by now.
    pub fn forget_slots(&self) {
        self.slots.asked_ms.set(None);
    }

    /// Behind the token of a batch: the node that gave it, where there are several.
    pub fn token_place(&self) -> String {
        match self.slots.known.borrow().node.as_str() {
            "" => String::new(),
            node => format!("@{node}"),
        }
    }

    fn ask_for_slots(&self, ctx: &Ctx<'_>) {
        let now = monotonic_ms();
        let is_fresh = |asked: u64| now - asked < BELIEVED_MS;
        if self.slots.asked_ms.get().is_some_and(is_fresh) {
            return;
        }
        let nodes = ctx.read(c"CLUSTER", &["NODES".into()]).ok();
        let text = nodes.as_ref().and_then(|reply| reply.bytes());
        let slots = text.and_then(|text| slots_of_myself(&String::from_utf8_lossy(text)));
        if let Some(slots) = slots {
            if slots != *self.slots.known.borrow() {
                self.slots.known.replace(slots);
                self.slots.revision.set(self.slots.revision.get() + 1);
            }
            self.slots.asked_ms.set(Some(now));
        }
    }
}
