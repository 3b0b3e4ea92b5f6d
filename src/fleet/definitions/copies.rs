//! The copy of all definitions that this node keeps, and those that come with slots.

use devicestate_core::definitions::{self, Entry, Name};
use devicestate_core::escape::Quoted;
use devicestate_core::slot::Slot;

use super::Definitions;
use crate::fleet::keys::Indexes;
use crate::fleet::presence::expect;
use crate::fleet::sweeper::Trouble;
use crate::fleet::{Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

/// How often it is seen to whether slots came or went, and what failed is tried again, in milliseconds.
const EVERY_MS: u64 = 1_000;

/// So many definitions are written at once.
const AT_ONCE: usize = 100;

impl Definitions {
    /// Reads the copies that came or changed. For replicas too, whose copy is that of their master.
    pub fn look(&self, ctx: &Ctx<'_>, fleet: &Fleet, monotonic: u64) {
        if !fleet.keys.are_by_slot() {
            return;
        }
        if monotonic >= self.compare_ms.get() {
            self.compare_ms.set(monotonic + EVERY_MS);
            self.look_for_new_slots(ctx, fleet);
        }
        if self.unread.borrow().is_empty() {
            return;
        }
        let mut changed = Vec::new();
        for slot in self.unread.take() {
            if self.looked_at.borrow().binary_search(&slot).is_ok() {
                self.read(ctx, fleet, slot, &mut changed);
            }
            // Others are looked at once they are ours.
        }
        self.tell_readers(fleet, &changed);
    }

    fn look_for_new_slots(&self, ctx: &Ctx<'_>, fleet: &Fleet) {
        let now = fleet.own_slots(ctx);
        if now == *self.looked_at.borrow() {
            return;
        }
        let before = self.looked_at.replace(now);
        let now = self.looked_at.borrow();
        let is_new = |slot: &&Slot| before.binary_search(slot).is_err();
        self.unread.borrow_mut().extend(now.iter().filter(is_new));
    }

    /// Merges the copy in a slot with what is known.
    fn read(&self, ctx: &Ctx<'_>, fleet: &Fleet, slot: Slot, changed: &mut Vec<Name>) {
        let key = &fleet.keys.of_slot(slot).definitions;
        let Some(copy) = stored(ctx, fleet, key) else {
            return;
        };
        match self.home.get() {
            Some(home) if home != slot => {
                self.strays.borrow_mut().insert(slot);
                self.is_unsaved.set(true);
            }
            _ => self.home.set(Some(slot)),
        }
        changed.extend(self.merge(ctx, copy));
    }

    /// Takes over what is newer; the names of what was.
    pub(super) fn merge(&self, ctx: &Ctx<'_>, all: definitions::Definitions) -> Vec<Name> {
        let now = ctx.now_ms();
        let mut known = self.known.borrow_mut();
        let newer = |(name, entry): (&Name, &Entry)| {
            let is_newer = !entry.is_forgotten(now) && known.merge(name.clone(), entry.clone());
            is_newer.then(|| name.clone())
        };
        all.iter().filter_map(newer).collect()
    }

    /// The keys of the slot in which this node keeps its copy: the same one as long as it stays.
    pub(super) fn home<'f>(&self, ctx: &Ctx<'_>, fleet: &'f Fleet) -> Option<&'f Indexes> {
        let stays = |indexes: &&Indexes| ctx.is_slot_settled(&indexes.probe);
        let before = self.home.get().map(|slot| fleet.keys.of_slot(slot));
        if before.as_ref().is_some_and(stays) {
            return before;
        }
        let home = fleet.indexes(ctx).find(stays)?;
        // The old one may stay in spite of all: a move can be called off.
        self.strays.borrow_mut().extend(self.home.get());
        self.home.set(home.slot());
        self.is_unsaved.set(true);
        Some(home)
    }

    /// Sees to it that the copy is at home, whole, and the only one in slots of ours. Only where this node
    /// may write.
    pub(super) fn save(&self, ctx: &Ctx<'_>, fleet: &Fleet, monotonic: u64) {
        if monotonic >= self.check_ms.get() {
            self.check_ms.set(monotonic + EVERY_MS);
            self.is_stuck.set(false);
            let forgotten = self.known.borrow_mut().forget_deleted(ctx.now_ms());
            if !forgotten.is_empty() {
                self.is_unsaved.set(true);
            }
            if !self.known.borrow().is_empty() {
                // It may have left.
                self.home(ctx, fleet);
            }
        }
        if !self.is_unsaved.get() || self.is_stuck.get() {
            return;
        }
        match self.write_all(ctx, fleet) {
            Ok(is_all) => {
                self.is_unsaved.set(!is_all);
                self.is_stuck.set(!is_all);
            }
            Err(error) => {
                self.is_stuck.set(true);
                let text = format!("the copy of rules and defaults can't be written: {error}");
                fleet.complain(ctx, Trouble::Rules, &text);
            }
        }
    }

    /// Writes what the copy lacks; false when something has to wait for slots that move.
    fn write_all(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> Result<bool> {
        let known = self.known.borrow();
        if known.is_empty() && self.home.get().is_none() {
            return Ok(true);
        }
        let Some(home) = self.home(ctx, fleet) else {
            return Ok(false);
        };
        let key = &home.definitions;
        expect(ctx, key, KeyType::Hash)?;
        let copy = stored(ctx, fleet, key).unwrap_or_default();
        let fields: Vec<_> = known
            .beyond(&copy)
            .map(|(name, entry)| [name.to_string(), entry.to_string()])
            .collect();
        for some in fields.chunks(AT_ONCE) {
            let fields = some.iter().flatten().map(|text| text.as_str().into());
            ctx.write(
                c"HSET",
                &[Arg::Str(key)]
                    .into_iter()
                    .chain(fields)
                    .collect::<Vec<_>>(),
            )?;
        }
        let is_gone = |name: &&Name| known.get(name).is_none();
        for (gone, _) in copy.iter().filter(|(name, _)| is_gone(name)) {
            ctx.write(c"HDEL", &[Arg::Str(key), gone.to_string().as_str().into()])?;
        }
        self.delete_strays(ctx, fleet, home)
    }

    /// All that they say is in the copy at home; false when some are in slots that move.
    fn delete_strays(&self, ctx: &Ctx<'_>, fleet: &Fleet, home: &Indexes) -> Result<bool> {
        let strays = self.strays.take();
        for slot in strays {
            let is_ours = self.looked_at.borrow().binary_search(&slot).is_ok();
            if !is_ours || home.slot() == Some(slot) {
                continue;
            }
            let indexes = fleet.keys.of_slot(slot);
            if ctx.is_slot_settled(&indexes.probe) {
                ctx.write(c"DEL", &[Arg::Str(&indexes.definitions)])?;
            } else {
                self.strays.borrow_mut().insert(slot);
            }
        }
        Ok(self.strays.borrow().is_empty())
    }
}

/// What a copy says; `None` when there is none. What other hands broke is left out, and logged.
fn stored(ctx: &Ctx<'_>, fleet: &Fleet, key: &RString) -> Option<definitions::Definitions> {
    let hash = ctx.open_hash(key).ok()??;
    let mut all = definitions::Definitions::default();
    for (field, value) in hash.pairs() {
        match (Name::parse(&field), Entry::parse(&value)) {
            (Some(name), Some(entry)) => drop(all.merge(name, entry)),
            _ => {
                let text = format!("{} is no definition", Quoted(&field));
                fleet.complain(ctx, Trouble::Rules, &text);
            }
        }
    }
    Some(all)
}
