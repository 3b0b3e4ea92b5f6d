//! The heap of the deadline index: the earliest deadline first, and of the same one the lower slot, so
//! that records which are side by side are looked at one after the other.
//!
//! It has four branches, not two: in a storm every device comes out of it, and of a heap of millions
//! the lower levels are in no cache. So there are half as many of them, and four entries that are
//! side by side cost one look into memory, as two do.

use super::records::Slot;

const BRANCHES: usize = 4;

/// When to look at a slot. Packed, or a quarter of the heap would be padding.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct Due {
    pub deadline: u64,
    pub slot: Slot,
}

impl Due {
    fn is_before(self, other: Due) -> bool {
        let (this, that) = (self.deadline, other.deadline);
        this < that || (this == that && self.slot < other.slot)
    }
}

#[derive(Default)]
pub struct Heap {
    entries: Vec<Due>,
}

impl Heap {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn first(&self) -> Option<Due> {
        self.entries.first().copied()
    }

    pub fn push(&mut self, due: Due) {
        self.entries.push(due);
        self.rise(self.entries.len() - 1);
    }

    pub fn pop(&mut self) -> Option<Due> {
        let first = self.first()?;
        let last = self.entries.pop()?;
        if !self.entries.is_empty() {
            let hole = self.sink_to_the_bottom();
            self.entries[hole] = last;
            self.rise(hole);
        }
        Some(first)
    }

    /// These instead of all that there are.
    pub fn replace(&mut self, entries: impl Iterator<Item = Due>) {
        self.entries.clear();
        self.entries.extend(entries);
        self.order();
    }

    /// Only those which `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(Due) -> bool) {
        self.entries.retain(|due| keep(*due));
        self.entries.shrink_to(2 * self.entries.len());
        self.order();
    }

    pub fn memory_usage(&self) -> usize {
        self.entries.capacity() * size_of::<Due>()
    }

    /// Makes a heap of entries in any order.
    fn order(&mut self) {
        for parent in (0..self.entries.len().div_ceil(BRANCHES)).rev() {
            self.sink(parent);
        }
    }

    /// Moves an entry up to where nothing above it is later.
    fn rise(&mut self, mut place: usize) {
        let entry = self.entries[place];
        while place > 0 {
            let parent = (place - 1) / BRANCHES;
            if !entry.is_before(self.entries[parent]) {
                break;
            }
            self.entries[place] = self.entries[parent];
            place = parent;
        }
        self.entries[place] = entry;
    }

    /// Moves an entry down to where nothing below it is earlier.
    fn sink(&mut self, mut place: usize) {
        let entry = self.entries[place];
        while let Some(child) = self.first_child(place) {
            if !self.entries[child].is_before(entry) {
                break;
            }
            self.entries[place] = self.entries[child];
            place = child;
        }
        self.entries[place] = entry;
    }

    /// Moves the earlier ones up into the first place, and says which place is free then. (What comes
    /// there was the last one, and mostly stays near the bottom: so nothing is compared to it on the
    /// way.)
    fn sink_to_the_bottom(&mut self) -> usize {
        let mut place = 0;
        while let Some(child) = self.first_child(place) {
            self.entries[place] = self.entries[child];
            place = child;
        }
        place
    }

    /// Where the earliest of an entry's children is.
    fn first_child(&self, parent: usize) -> Option<usize> {
        let begin = parent * BRANCHES + 1;
        let end = (begin + BRANCHES).min(self.entries.len());
        let children = self.entries.get(begin..end)?;
        let earlier = |a: usize, b: usize| match children[b].is_before(children[a]) {
            true => b,
            false => a,
        };
        let first = match children.len() {
            0 => return None,
            1 => 0,
            2 => earlier(0, 1),
            3 => earlier(earlier(0, 1), 2),
            _ => earlier(earlier(0, 1), earlier(2, 3)),
        };
        Some(begin + first)
    }
}
