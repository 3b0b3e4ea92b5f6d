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

use std::hash::BuildHasher;
use std::marker::PhantomData;

use hashbrown::{DefaultHashBuilder, HashTable};

use self::heap::{Due, Heap};
use self::records::{Records, Slot, NEVER};

mod heap;
mod records;

/// Heaps smaller than this are not worth compacting.
const COMPACT_ABOVE: usize = 1024;

/// See the module's comment. Deadlines are milliseconds since the Unix epoch; one that is more than
/// 8 900 years from it is taken to be that.
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
    /// no deadline.)
    pub fn schedule(&mut self, id: &str, deadline: Option<u64>) {
        let deadline = deadline.map_or(NEVER, |deadline| deadline.min(NEVER - 1));
        let slot = match self.find(id) {
            Some(slot) if self.records.deadline(slot) == deadline => return,
            Some(slot) => slot,
            None => match self.insert(id) {
                Some(slot) => slot,
                None => return,
            },
        };
        self.records.set_deadline(slot, deadline);
        if deadline != NEVER {
            self.heap.push(Due { deadline, slot });
        }
        self.compact();
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
    /// deadline. It stays known, without a deadline, until it is scheduled or removed.
    pub fn pop_due(&mut self, now: u64, id: &mut String) -> Option<u64> {
        loop {
            let Due { deadline, slot } = self.heap.first()?;
            if deadline > now {
                return None;
            }
            self.heap.pop();
            if self.records.deadline(slot) == deadline {
                self.records.set_deadline(slot, NEVER);
                id.clear();
                id.push_str(self.records.id(slot));
                return Some(deadline);
            }
        }
    }

    /// The earliest deadline there may be; a little too early when that entry is dead.
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|first| first.deadline)
    }

    /// Makes every device that is known due at once, so that all are looked at afresh.
    pub fn look_at_all(&mut self) {
        for slot in &self.slots {
            self.records.set_deadline(*slot, 0);
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
        let mut index = Deadlines::<u32>::new();
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

    #[test]
    fn ids_of_every_length_keep_to_themselves() {
        let mut index = Deadlines::<u32>::new();
        let of_length = |length: usize, letter: &str| letter.repeat(length);
        for letter in ["a", "b"] {
            for length in 1..=256 {
                index.schedule(&of_length(length, letter), Some(length as u64));
                index.set_note(&of_length(length, letter), length as u32);
            }
            // What is given back is used again.
            for length in (1..=256).filter(|length| length % 3 == 0) {
                assert!(index.remove(&of_length(length, letter)));
            }
        }
        for length in (1..=256).filter(|length| length % 3 != 0) {
            for letter in ["a", "b"] {
                let id = of_length(length, letter);
                assert_eq!(index.deadline(&id), Some(length as u64), "{id}");
                assert_eq!(index.note(&id), Some(length as u32), "{id}");
            }
        }
        assert_eq!(drain(&mut index, 300).len(), index.len());
        for nameless in ["".to_owned(), of_length(257, "a")] {
            index.schedule(&nameless, Some(1));
            assert!(!index.contains(&nameless));
        }
    }

    #[test]
    fn a_device_takes_less_than_48_bytes_at_its_best() {
        let mut index = Deadlines::<u32>::new();
        // As many as fill the tables.
        let many = 7 << 14;
        for number in 0..many {
            index.schedule(&format!("d-{number:010}"), Some(number));
        }
        let bytes = index.memory_usage() as f64 / many as f64;
        assert!(bytes < 48.0, "{bytes}");
    }

    /// Ids of all sizes of records up to some.
    fn name(d: u8) -> String {
        format!("{}{d}", "x".repeat(usize::from(d) % 7 * 5))
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
                        index.schedule(&name(d), t);
                        model.insert(name(d), t);
                    }
                    Step::Note(d, note) => {
                        index.set_note(&name(d), note);
                        if model.contains_key(&name(d)) {
                            notes.insert(name(d), note);
                        }
                    }
                    Step::ForgetNotes => {
                        index.forget_notes();
                        notes.clear();
                    }
                    Step::Remove(d) => {
                        prop_assert_eq!(
                            index.remove(&name(d)),
                            model.remove(&name(d)).is_some()
                        );
                        notes.remove(&name(d));
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
