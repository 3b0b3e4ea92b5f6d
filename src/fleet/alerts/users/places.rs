//! On a node of a cluster, the slots in which a user may have something to be told of: a few of thousands,
//! which to look through takes milliseconds.
//!
//! A slot too many costs a look, and is forgotten by it; one too few would keep something from a user. So
//! whatever writes a user's hash is noted, this module or other hands, and what was there before is found by
//! a walk over all keys ([`crate::fleet::reconciler`]). Until that is over, all slots are looked at.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use devicestate_core::slot::Slot;

use super::User;
use crate::fleet::keys::Indexes;
use crate::fleet::{Fleet, Result};
use crate::store::Ctx;

/// Nothing on a single server.
#[derive(Default)]
pub struct Places(RefCell<HashMap<String, BTreeSet<Slot>>>);

impl Places {
    /// All is found anew.
    pub fn forget_all(&self) {
        self.0.take();
    }

    fn add(&self, user: &str, slot: Slot) {
        let mut places = self.0.borrow_mut();
        match places.get_mut(user) {
            Some(slots) => {
                slots.insert(slot);
            }
            None => {
                places.insert(user.to_owned(), BTreeSet::from([slot]));
            }
        }
    }

    fn remove(&self, user: &str, slot: Slot) {
        let mut places = self.0.borrow_mut();
        if let Some(slots) = places.get_mut(user) {
            slots.remove(&slot);
            if slots.is_empty() {
                places.remove(user);
            }
        }
    }
}

impl Fleet {
    /// The key of this user, in this slot, was written.
    pub fn note_user(&self, user: &str, slot: Slot) {
        if self.keys.are_by_slot() {
            self.users.add(user, slot);
        }
    }

    /// The indexes beside which this user may have something, in the order of their slots.
    pub(super) fn indexes_of_user(&self, ctx: &Ctx<'_>, user: &str) -> Vec<&Indexes> {
        // The walk after a start waits until the server hears, and batches do not.
        let may_lack_some = self.hearing().deaf().is_some() || self.is_walking_fast();
        if !self.keys.are_by_slot() || may_lack_some {
            return self.indexes(ctx).collect();
        }
        let own = self.own_slots(ctx);
        let places = self.users.0.borrow();
        let slots = places.get(user).into_iter().flatten();
        slots
            .filter(|slot| own.binary_search(slot).is_ok())
            .map(|slot| self.keys.of_slot(*slot))
            .collect()
    }
}

impl User<'_> {
    /// Nothing is left here for this user.
    pub(super) fn forget_place(&self, fleet: &Fleet) {
        if let Some(slot) = self.slot {
            fleet.users.remove(self.name, slot);
        }
    }

    /// The same, if that is so.
    pub(super) fn forget_place_if_gone(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> Result<()> {
        if self.slot.is_some() && self.open(ctx)?.is_none() {
            self.forget_place(fleet);
        }
        Ok(())
    }
}
