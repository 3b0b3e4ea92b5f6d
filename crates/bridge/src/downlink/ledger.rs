//! What was read of a cluster's events and is not finished. The cursor that is stored never goes past an
//! event of which something is left to do.

use std::collections::BTreeMap;

/// Where a batch of events stands among all that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The owner's, for whom it was read.
    pub term: u64,
    /// Of the batch.
    pub number: u64,
    /// Behind its last event.
    pub cursor: String,
}

#[derive(Debug, Default)]
pub struct Ledger {
    term: u64,
    /// By number: how many of its events are not finished, and the cursor behind it.
    batches: BTreeMap<u64, (usize, String)>,
}

impl Ledger {
    /// A batch that has come.
    pub fn begin(&mut self, mark: Mark, events: usize) {
        if mark.term != self.term {
            self.batches.clear();
            self.term = mark.term;
        }
        self.batches.insert(mark.number, (events, mark.cursor));
    }

    /// Events of these batches are finished, each time one. Answers what can be stored now: the term and
    /// the cursor.
    pub fn finish(&mut self, batches: impl Iterator<Item = u64>) -> Option<(u64, String)> {
        for number in batches {
            if let Some((left, _)) = self.batches.get_mut(&number) {
                *left = left.saturating_sub(1);
            }
        }
        let mut reached = None;
        while let Some(first) = self.batches.first_entry() {
            if first.get().0 > 0 {
                break;
            }
            reached = Some(first.remove().1);
        }
        reached.map(|cursor| (self.term, cursor))
    }

    /// Somebody else reads now.
    pub fn clear(&mut self) {
        self.batches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(term: u64, number: u64) -> Mark {
        Mark {
            term,
            number,
            cursor: format!("{number}-0"),
        }
    }

    #[test]
    fn nothing_unfinished_is_passed() {
        let mut ledger = Ledger::default();
        for number in 1..=3 {
            ledger.begin(mark(1, number), 2);
        }
        let stored = |number: u64| Some((1, format!("{number}-0")));
        assert_eq!(ledger.finish([2, 2, 1].into_iter()), None);
        assert_eq!(ledger.finish([1].into_iter()), stored(2));
        assert_eq!(ledger.finish([3].into_iter()), None);
        assert_eq!(ledger.finish([3].into_iter()), stored(3));
        assert_eq!(ledger.finish([3].into_iter()), None);
    }

    #[test]
    fn what_was_read_in_an_earlier_term_is_over() {
        let mut ledger = Ledger::default();
        ledger.begin(mark(1, 1), 1);
        ledger.begin(mark(2, 2), 1);
        assert_eq!(ledger.finish([1].into_iter()), None);
        let stored = Some((2, "2-0".to_owned()));
        assert_eq!(ledger.finish([2].into_iter()), stored);
    }
}
