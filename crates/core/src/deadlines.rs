//! The deadline index: which device is due first.
//!
//! A binary heap of (deadline, slot) over a slab of devices, and a hash table from id to slot. A
//! heap entry is valid only while its slot carries the same deadline, so moving or forgetting a
//! device costs no search in the heap; what is left behind is dropped when it comes up, or in one
//! sweep once more than half of the heap is dead.
//!
//! It is a cache: an entry says when to look at a device, never that it is offline. Looking too
//! early is harmless, and a device that is missing here is found again by the reconciler.
//!
//! Each device may carry a small note of what its owner knows of it: it costs nothing more to find.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use compact_str::CompactString;
use hashbrown::{DefaultHashBuilder, HashTable};

/// A device that is known but has no deadline.
const NEVER: u64 = u64::MAX;
/// Heaps smaller than this are not worth compacting.
const COMPACT_ABOVE: usize = 1024;

type Slot = u32;

struct Entry<N> {
    /// Empty: the slot is free. Ids of up to 24 bytes stand right here: comparing one costs no further
    /// look into memory, which is what a lookup among a million devices consists of.
    id: CompactString,
    deadline: u64,
    note: N,
}

/// See the module's comment. Deadlines are milliseconds since the Unix epoch.
#[derive(Default)]
pub struct Deadlines<N = ()> {
    heap: BinaryHeap<Reverse<(u64, Slot)>>,
    entries: Vec<Entry<N>>,
    free: Vec<Slot>,
    slots: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

impl<N: Copy + Default> Deadlines<N> {
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

    /// Sets when to look at a device; `None`: it is known, and never due.
    pub fn schedule(&mut self, id: &str, deadline: Option<u64>) {
        let deadline = deadline.unwrap_or(NEVER);
        let slot = match self.find(id) {
            Some(slot) if self.entries[slot as usize].deadline == deadline => return,
            Some(slot) => slot,
            None => self.insert(id),
        };
        self.entries[slot as usize].deadline = deadline;
        if deadline != NEVER {
            self.heap.push(Reverse((deadline, slot)));
        }
        self.compact();
    }

    /// When a device is looked at; `None`: never, or it is not known.
    pub fn deadline(&self, id: &str) -> Option<u64> {
        let slot = self.find(id)?;
        Some(self.entries[slot as usize].deadline).filter(|deadline| *deadline != NEVER)
    }

    /// What was noted of a device since it became known.
    pub fn note(&self, id: &str) -> Option<N> {
        self.find(id).map(|slot| self.entries[slot as usize].note)
    }

    /// Notes something of a device; nothing when it is not known.
    pub fn set_note(&mut self, id: &str, note: N) {
        if let Some(slot) = self.find(id) {
            self.entries[slot as usize].note = note;
        }
    }

    /// Makes a new note of the old one; nothing when the device is not known.
    pub fn change_note(&mut self, id: &str, change: impl FnOnce(N) -> N) {
        if let Some(slot) = self.find(id) {
            let note = &mut self.entries[slot as usize].note;
            *note = change(*note);
        }
    }

    /// Blanks the note of every device.
    pub fn forget_notes(&mut self) {
        for entry in &mut self.entries {
            entry.note = N::default();
        }
    }

    /// Forgets a device.
    pub fn remove(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        let entries = &self.entries;
        match self
            .slots
            .find_entry(hash, |slot| entries[*slot as usize].id == id)
        {
            Ok(found) => {
                let (slot, _) = found.remove();
                self.entries[slot as usize] = Entry {
                    id: CompactString::default(),
                    deadline: NEVER,
                    note: N::default(),
                };
                self.free.push(slot);
                self.compact();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the first device that is due at `now`, writes its id into `id` and tells its
    /// deadline. It stays known, without a deadline, until it is scheduled or removed.
    pub fn pop_due(&mut self, now: u64, id: &mut String) -> Option<u64> {
        loop {
            let (deadline, slot) = self.first()?;
            if deadline > now {
                return None;
            }
            self.heap.pop();
            let entry = &mut self.entries[slot as usize];
            if entry.deadline == deadline {
                entry.deadline = NEVER;
                id.clear();
                id.push_str(&entry.id);
                return Some(deadline);
            }
        }
    }

    /// The earliest deadline there may be; a little too early when that entry is dead.
    pub fn next_deadline(&self) -> Option<u64> {
        self.first().map(|(deadline, _)| deadline)
    }

    /// Makes every device that is known due at once, so that all are looked at afresh.
    pub fn look_at_all(&mut self) {
        self.heap.clear();
        for (slot, entry) in self.entries.iter_mut().enumerate() {
            if !entry.id.is_empty() {
                entry.deadline = 0;
                self.heap.push(Reverse((0, slot as Slot)));
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Deadlines::default();
    }

    /// The memory held, in bytes, ids included.
    pub fn memory_usage(&self) -> usize {
        let on_heap = self
            .entries
            .iter()
            .filter(|entry| entry.id.is_heap_allocated());
        let ids: usize = on_heap.map(|entry| entry.id.capacity()).sum();
        self.heap.capacity() * size_of::<Reverse<(u64, Slot)>>()
            + self.entries.capacity() * size_of::<Entry<N>>()
            + self.free.capacity() * size_of::<Slot>()
            + self.slots.allocation_size()
            + ids
    }

    fn first(&self) -> Option<(u64, Slot)> {
        self.heap.peek().map(|Reverse(first)| *first)
    }

    fn find(&self, id: &str) -> Option<Slot> {
        let hash = self.hasher.hash_one(id);
        self.slots
            .find(hash, |slot| self.entries[*slot as usize].id == id)
            .copied()
    }

    fn insert(&mut self, id: &str) -> Slot {
        let entry = Entry {
            id: CompactString::new(id),
            deadline: NEVER,
            note: N::default(),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as Slot
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.slots.insert_unique(hasher.hash_one(id), slot, |slot| {
            hasher.hash_one(entries[*slot as usize].id.as_str())
        });
        slot
    }

    /// Drops dead heap entries once they are more than the living ones: O(1) per change, amortised.
    fn compact(&mut self) {
        if self.heap.len() > COMPACT_ABOVE && self.heap.len() > 2 * self.slots.len() {
            let entries = &self.entries;
            self.heap.retain(|Reverse((deadline, slot))| {
                let entry = &entries[*slot as usize];
                entry.deadline == *deadline && !entry.id.is_empty()
            });
            self.heap.shrink_to(2 * self.heap.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn drain(index: &mut Deadlines<u32>, now: u64) -> Vec<(u64, String)> {
        let mut id = String::new();
        let mut due = Vec::new();
        while let Some(deadline) = index.pop_due(now, &mut id) {
            due.push((deadline, id.clone()));
        }
        due
    }

    #[test]
    fn devices_come_due_in_order() {
        let mut index = Deadlines::new();
        for (id, deadline) in [("c", 30), ("a", 10), ("b", 20), ("z", 40)] {
            index.schedule(id, Some(deadline));
        }
        assert_eq!(index.next_deadline(), Some(10));
        assert_eq!(
            drain(&mut index, 30),
            [(10, "a".into()), (20, "b".into()), (30, "c".into())]
        );
        assert_eq!(index.len(), 4, "a device that was due stays known");
        assert_eq!(drain(&mut index, 30), []);
    }

    #[test]
    fn a_device_has_one_deadline() {
        let mut index = Deadlines::new();
        index.schedule("a", Some(10));
        index.schedule("a", Some(50));
        assert_eq!(drain(&mut index, 20), []);
        assert_eq!(drain(&mut index, 100), [(50, "a".into())]);
        index.schedule("a", None);
        assert!(index.contains("a"));
        assert_eq!(drain(&mut index, u64::MAX - 1), []);
    }

    #[test]
    fn a_reused_slot_does_not_inherit_a_deadline() {
        let mut index = Deadlines::new();
        index.schedule("old", Some(10));
        assert!(index.remove("old"));
        assert!(!index.remove("old"));
        index.schedule("new", Some(20));
        assert_eq!(drain(&mut index, 15), []);
        assert_eq!(drain(&mut index, 25), [(20, "new".into())]);
    }

    #[test]
    fn a_flapping_device_does_not_grow_the_heap() {
        let mut index = Deadlines::<()>::new();
        for deadline in 0..100_000 {
            index.schedule("flapping", Some(1_000_000 + deadline));
            index.remove("flapping");
        }
        assert!(
            index.heap.len() <= 2 * COMPACT_ABOVE,
            "{}",
            index.heap.len()
        );
    }

    #[test]
    fn look_at_all_makes_everything_due() {
        let mut index = Deadlines::new();
        index.schedule("a", Some(1_000));
        index.schedule("b", None);
        index.schedule("gone", Some(5));
        index.remove("gone");
        index.look_at_all();
        let mut due: Vec<String> = drain(&mut index, 0).into_iter().map(|(_, id)| id).collect();
        due.sort();
        assert_eq!(due, ["a", "b"]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Schedule(u8, Option<u64>),
        Note(u8, u32),
        ForgetNotes,
        Remove(u8),
        Pop(u64),
        LookAtAll,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20u8, proptest::option::of(0..50u64)).prop_map(|(d, t)| Step::Schedule(d, t)),
            (0..20u8, any::<u32>()).prop_map(|(d, n)| Step::Note(d, n)),
            Just(Step::ForgetNotes),
            (0..20u8).prop_map(Step::Remove),
            (0..60u64).prop_map(Step::Pop),
            Just(Step::LookAtAll),
        ]
    }

    proptest! {
        /// Against the plainest model: a map that is searched.
        #[test]
        fn it_behaves_as_a_map_that_is_searched(steps in proptest::collection::vec(any_step(), 0..300)) {
            let mut index = Deadlines::new();
            let mut model: BTreeMap<String, Option<u64>> = BTreeMap::new();
            let mut notes: BTreeMap<String, u32> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Schedule(d, t) => {
                        index.schedule(&d.to_string(), t);
                        model.insert(d.to_string(), t);
                    }
                    Step::Note(d, note) => {
                        index.set_note(&d.to_string(), note);
                        if model.contains_key(&d.to_string()) {
                            notes.insert(d.to_string(), note);
                        }
                    }
                    Step::ForgetNotes => {
                        index.forget_notes();
                        notes.clear();
                    }
                    Step::Remove(d) => {
                        prop_assert_eq!(
                            index.remove(&d.to_string()),
                            model.remove(&d.to_string()).is_some()
                        );
                        notes.remove(&d.to_string());
                    }
                    Step::LookAtAll => {
                        index.look_at_all();
                        model.values_mut().for_each(|t| *t = Some(0));
                    }
                    Step::Pop(now) => {
                        let mut id = String::new();
                        let popped = index.pop_due(now, &mut id);
                        let first = model.values().flatten().min().copied().filter(|t| *t <= now);
                        prop_assert_eq!(popped, first);
                        if popped.is_some() {
                            prop_assert_eq!(model.insert(id.clone(), None), Some(first));
                        }
                    }
                }
                prop_assert_eq!(index.len(), model.len());
                for id in model.keys() {
                    prop_assert_eq!(index.note(id), Some(notes.get(id).copied().unwrap_or(0)));
                }
            }
        }
    }
}
