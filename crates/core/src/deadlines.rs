//! The deadline index: which device is due first.
//!
//! A heap of (deadline, slot) over the records of devices, and a hash table from id to slot. A
//! heap entry is valid only while its slot carries the same deadline, so moving or forgetting a
//! device costs no search in the heap; what is left behind is dropped when it comes up, or in one
//! sweep once more than half of the heap is dead.
//!
//! It is a cache: an entry says when to look at a device, never that it is offline. Looking too
//! early is harmless, and a device that is missing here is found again by the reconciler.
//!
//! Each device may carry a small note of what its owner knows of it: it costs nothing more to find.
//!
//! It also remembers how long before its deadline a device had been seen when that was set. A device is
//! seen again without the index being told, so that is the least that is known: enough to say of most
//! devices that they were seen since some moment.

use std::hash::BuildHasher;
use std::marker::PhantomData;

use hashbrown::{DefaultHashBuilder, HashTable};

use self::heap::{Due, Heap};
use self::records::{Records, Slot, NEVER};

mod heap;
mod lead;
mod records;

/// Heaps smaller than this are not worth compacting.
const COMPACT_ABOVE: usize = 1024;

/// See the module's comment. Times are milliseconds since the Unix epoch; a deadline that is more than
/// 278 years from it is taken to be that.
#[derive(Default)]
pub struct Deadlines<N = u32> {
    heap: Heap,
    records: Records,
    slots: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    _note: PhantomData<N>,
}

impl<N: Default + From<u32> + Into<u32>> Deadlines<N> {
    pub fn new() -> Deadlines<N> {
        Deadlines::default()
    }

    /// How many devices are known.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// Sets when to look at a device; `None`: it is known, and never due. (An id that is no name has
    /// no deadline.) When it was seen last is not known.
    pub fn schedule(&mut self, id: &str, deadline: Option<u64>) {
        self.set(id, deadline, None);
    }

    /// The same of a device that was seen at this moment, or later.
    pub fn schedule_seen(&mut self, id: &str, deadline: Option<u64>, seen_since: u64) {
        self.set(id, deadline, Some(seen_since));
    }

    fn set(&mut self, id: &str, deadline: Option<u64>, seen_since: Option<u64>) {
        let deadline = deadline.map_or(NEVER, |deadline| deadline.min(NEVER - 1));
        let found = self.find(id);
        let Some(slot) = found.or_else(|| self.insert(id)) else {
            return;
        };
        let before = found.map_or(NEVER, |slot| self.records.deadline(slot));
        self.records.set(slot, deadline, seen_since);
        if deadline != before && deadline != NEVER {
            self.heap.push(Due { deadline, slot });
        }
        self.compact();
    }

    /// Hands over the devices that may not have been seen after `moment`, in parts: those of a part,
    /// from `part` on, that has any, and the number of the next. `None`: there are no more.
    pub fn unseen(&mut self, part: usize, moment: u64, ids: &mut Vec<String>) -> Option<usize> {
        for part in part..self.records.blocks() {
            self.records
                .unseen(part, moment, |id| ids.push(id.to_owned()));
            if !ids.is_empty() {
                return Some(part + 1);
            }
        }
        None
    }

    /// A device was seen at this moment, or later; nothing when it is not known.
    pub fn was_seen(&mut self, id: &str, moment: u64) {
        if let Some(slot) = self.find(id) {
            self.records.was_seen(slot, moment);
        }
    }

    /// When a device is looked at; `None`: never, or it is not known.
    pub fn deadline(&self, id: &str) -> Option<u64> {
        let deadline = self.records.deadline(self.find(id)?);
        (deadline != NEVER).then_some(deadline)
    }

    /// What was noted of a device since it became known.
    pub fn note(&self, id: &str) -> Option<N> {
        self.find(id).map(|slot| self.records.note(slot).into())
    }

    /// Notes something of a device; nothing when it is not known.
    pub fn set_note(&mut self, id: &str, note: N) {
        self.change_note(id, |_| note);
    }

    /// Makes a new note of the old one; nothing when the device is not known.
    pub fn change_note(&mut self, id: &str, change: impl FnOnce(N) -> N) {
        if let Some(slot) = self.find(id) {
            let note = change(self.records.note(slot).into());
            self.records.set_note(slot, note.into());
        }
    }

    /// Blanks the note of every device.
    pub fn forget_notes(&mut self) {
        for slot in &self.slots {
            self.records.set_note(*slot, N::default().into());
        }
    }

    /// Forgets a device.
    pub fn remove(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        let records = &self.records;
        match self
            .slots
            .find_entry(hash, |slot| records.has_id(*slot, id))
        {
            Ok(found) => {
                let (slot, _) = found.remove();
                self.records.remove(slot);
                self.compact();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the first device that is due at `now`, writes its id into `id` and tells its
    /// deadline and what is noted of it. It stays known, without a deadline, until it is scheduled or
    /// removed.
    pub fn pop_due(&mut self, now: u64, id: &mut String) -> Option<(u64, N)> {
        loop {
            let Due { deadline, slot } = self.heap.first()?;
            if deadline > now {
                return None;
            }
            self.heap.pop();
            if self.records.deadline(slot) == deadline {
                self.records.take_deadline(slot);
                id.clear();
                id.push_str(self.records.id(slot));
                return Some((deadline, self.records.note(slot).into()));
            }
        }
    }

    /// Takes this device if it is due at `now`, before its turn, and tells what is noted of it. It stays
    /// known, without a deadline.
    pub fn take_due(&mut self, now: u64, id: &str) -> Option<N> {
        let slot = self.find(id)?;
        (self.records.deadline(slot) <= now).then(|| {
            self.records.take_deadline(slot);
            self.records.note(slot).into()
        })
    }

    /// The earliest deadline there may be; a little too early when that entry is dead.
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|first| first.deadline)
    }

    /// Makes every device that is known due at once, so that all are looked at afresh.
    pub fn look_at_all(&mut self) {
        for slot in &self.slots {
            self.records.set(*slot, 0, None);
        }
        let due = |slot: &Slot| Due {
            deadline: 0,
            slot: *slot,
        };
        self.heap.replace(self.slots.iter().map(due));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Deadlines::default();
    }

    /// The memory held, in bytes, ids included.
    pub fn memory_usage(&self) -> usize {
        self.heap.memory_usage() + self.records.memory_usage() + self.slots.allocation_size()
    }

    fn find(&self, id: &str) -> Option<Slot> {
        let hash = self.hasher.hash_one(id);
        let is_it = |slot: &Slot| self.records.has_id(*slot, id);
        self.slots.find(hash, is_it).copied()
    }

    fn insert(&mut self, id: &str) -> Option<Slot> {
        let slot = self.records.add(id)?;
        let (records, hasher) = (&self.records, &self.hasher);
        self.slots.insert_unique(hasher.hash_one(id), slot, |slot| {
            hasher.hash_one(records.id(*slot))
        });
        Some(slot)
    }

    /// Drops dead heap entries once they are more than the living ones: O(1) per change, amortised.
    fn compact(&mut self) {
        if self.heap.len() > COMPACT_ABOVE && self.heap.len() > 2 * self.slots.len() {
            let records = &self.records;
            self.heap
                .retain(|due| records.deadline(due.slot) == due.deadline);
        }
    }
}

#[cfg(test)]
mod tests;
