//! The pending list of a queue sorted by deadline, so that what is due is found without a look at
//! what is not. It is a copy of the group's own list and can be made from it at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::Id;

/// Who has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A worker, until the deadline.
    Worker,
    /// Nobody: it waits for the deadline.
    Nobody,
}

/// One message of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub holder: Holder,
    /// Milliseconds since the Unix epoch; at this moment the message is due.
    pub deadline: u64,
}

impl Slot {
    pub fn is_due(self, now: u64) -> bool {
        now >= self.deadline
    }
}

#[derive(Debug, Default)]
pub struct Pending {
    by_id: BTreeMap<Id, Slot>,
    leased: BTreeSet<(u64, Id)>,
    parked: BTreeSet<(u64, Id)>,
}

/// How many messages of the list are what at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub due: usize,
    pub leased: usize,
    pub parked: usize,
}

impl Pending {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a message or changes it.
    pub fn set(&mut self, id: Id, holder: Holder, deadline: u64) {
        let slot = Slot { holder, deadline };
        if let Some(old) = self.by_id.insert(id, slot) {
            if old == slot {
                return;
            }
            self.times(old.holder).remove(&(old.deadline, id));
        }
        self.times(holder).insert((deadline, id));
    }

    /// Whether it was there.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(old) = self.by_id.remove(&id) else {
            return false;
        };
        self.times(old.holder).remove(&(old.deadline, id));
        true
    }

    pub fn get(&self, id: Id) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The oldest message, by its id.
    pub fn first(&self) -> Option<Id> {
        self.by_id.keys().next().copied()
    }

    /// The youngest message, by its id.
    pub fn last(&self) -> Option<Id> {
        self.by_id.keys().next_back().copied()
    }

    /// The next message in the order of ids: behind `after`, not behind `last`.
    pub fn next_by_id(&self, after: Id, last: Id) -> Option<(Id, Slot)> {
        if after >= last {
            return None;
        }
        let mut range = self.by_id.range((Excluded(after), Included(last)));
        range.next().map(|(id, slot)| (*id, *slot))
    }

    /// The message that has been due for longest.
    pub fn first_due(&self, now: u64) -> Option<Id> {
        let first = [self.leased.first(), self.parked.first()];
        let first = first.into_iter().flatten().min();
        first.filter(|(at, _)| now >= *at).map(|(_, id)| *id)
    }

    /// When the next message becomes due that is not due at `now`.
    pub fn next_deadline(&self, now: u64) -> Option<u64> {
        let last = Id {
            ms: u64::MAX,
            seq: u64::MAX,
        };
        let next = |times: &BTreeSet<(u64, Id)>| {
            let mut later = times.range((Excluded((now, last)), Unbounded));
            later.next().map(|(at, _)| *at)
        };
        [next(&self.leased), next(&self.parked)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Costs as much as there are due ones.
    pub fn counts(&self, now: u64) -> Counts {
        let due_of =
            |times: &BTreeSet<(u64, Id)>| times.iter().take_while(|(at, _)| now >= *at).count();
        let (leased, parked) = (due_of(&self.leased), due_of(&self.parked));
        Counts {
            due: leased + parked,
            leased: self.leased.len() - leased,
            parked: self.parked.len() - parked,
        }
    }

    /// How many messages have an id behind this one.
    pub fn count_behind(&self, id: Id) -> usize {
        self.by_id.range((Excluded(id), Unbounded)).count()
    }

    fn times(&mut self, holder: Holder) -> &mut BTreeSet<(u64, Id)> {
        match holder {
            Holder::Worker => &mut self.leased,
            Holder::Nobody => &mut self.parked,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(seq: u64) -> Id {
        Id { ms: 1, seq }
    }

    /// What is done to a list: a change of one message or its removal.
    fn step() -> impl Strategy<Value = (u64, Option<(bool, u64)>)> {
        (0..8_u64, proptest::option::of((any::<bool>(), 0..10_u64)))
    }

    proptest! {
        /// Against a list that is searched from end to end.
        #[test]
        fn it_answers_as_a_plain_list(
            steps in proptest::collection::vec(step(), 0..40),
            now in 0..11_u64,
            after in 0..8_u64,
            last in 0..8_u64,
        ) {
            let (mut pending, mut plain) = (Pending::default(), BTreeMap::new());
            for (seq, change) in steps {
                match change {
                    Some((is_leased, deadline)) => {
                        let holder = if is_leased { Holder::Worker } else { Holder::Nobody };
                        pending.set(id(seq), holder, deadline);
                        plain.insert(id(seq), Slot { holder, deadline });
                    }
                    None => {
                        prop_assert_eq!(pending.remove(id(seq)), plain.remove(&id(seq)).is_some());
                    }
                }
            }
            let slots: Vec<(Id, Slot)> = plain.into_iter().collect();
            prop_assert_eq!(pending.len(), slots.len());
            prop_assert_eq!(pending.first(), slots.first().map(|(id, _)| *id));
            prop_assert_eq!(pending.last(), slots.last().map(|(id, _)| *id));
            let due = slots.iter().filter(|(_, slot)| slot.is_due(now));
            let first_due = due.clone().min_by_key(|(id, slot)| (slot.deadline, *id));
            prop_assert_eq!(pending.first_due(now), first_due.map(|(id, _)| *id));
            let later = slots.iter().filter(|(_, slot)| !slot.is_due(now));
            let next = later.clone().map(|(_, slot)| slot.deadline).min();
            prop_assert_eq!(pending.next_deadline(now), next);
            let held = |holder| later.clone().filter(|(_, slot)| slot.holder == holder).count();
            let counts = Counts {
                due: due.count(),
                leased: held(Holder::Worker),
                parked: held(Holder::Nobody),
            };
            prop_assert_eq!(pending.counts(now), counts);
            let within = slots.iter().find(|(found, _)| *found > id(after) && *found <= id(last));
            prop_assert_eq!(pending.next_by_id(id(after), id(last)), within.copied());
            let behind = slots.iter().filter(|(found, _)| *found > id(after)).count();
            prop_assert_eq!(pending.count_behind(id(after)), behind);
        }
    }
}
