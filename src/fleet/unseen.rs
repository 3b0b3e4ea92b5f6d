//! Which of the devices that are online were not seen for long. A heartbeat writes no index, so when
//! such a device was seen last stands in its hash alone. But the deadline index, where it is whole, knows
//! of most that they were seen since some moment; only the hashes of the others are read, and what they
//! say is noted, so that it need not be read again soon.

use devicestate_core::presence::Deaf;

use super::{Fleet, Result};
use crate::store::{Arg, Ctx};

/// A clock that goes back by so many milliseconds or more was set; by fewer, nobody waits long for it.
const STEP_BACK_MS: u64 = 1_000;

/// Among which devices the answer is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those in `devices:online`.
    Online,
    /// Those in the set of one type.
    OnlineOfType,
}

impl Fleet {
    /// The clock shows this. What is noted of devices holds only if it never goes back; where it did,
    /// that is added up until everything is looked at afresh.
    pub(super) fn clock_reads(&self, now: u64) {
        let before = self.clock.replace(now);
        if now < before {
            let steps = self.clock_steps_back.get();
            self.clock_steps_back.set(steps + (before - now));
            if before - now >= STEP_BACK_MS {
                // It finds the users whom `alerts:due` has for a time that is far off by now.
                self.check_is_wanted.set(true);
            }
        }
    }

    /// Whether the deadline index has all devices that are online by their hashes and stand in the set.
    ///
    /// It has those of `devices:online` when the fast pass of the reconciler is over, and later ones
    /// since their hash was written, by whomever. Hands may still have put a device there whose hash is
    /// older than that: then the set has more members than the index, until the check that follows has
    /// seen all hashes. The sets of types are compared with nothing before that.
    fn knows_all_online(&self, ctx: &Ctx<'_>, among: Among) -> bool {
        let is_deaf = matches!(self.hearing().deaf(), Some(Deaf::Loading | Deaf::Replica));
        // One slot's devices are not told apart from all of a node's.
        let is_by_slot = self.keys.are_by_slot();
        if is_by_slot || is_deaf || self.is_walking_fast() || !ctx.flags().is_master() {
            return false;
        }
        !self.is_checking_keys() || (among == Among::Online && !self.has_more_online(ctx))
    }

    fn has_more_online(&self, ctx: &Ctx<'_>) -> bool {
        let size = ctx.read(c"SCARD", &[Arg::Str(&self.keys.of("").online)]);
        let known = self.deadline_index_len() as u64;
        size.is_ok_and(|size| size.int() > known)
    }

    /// Whether it is known, without reading a hash, that all devices that are online were seen after
    /// this moment.
    pub(super) fn all_online_were_seen_after(
        &self,
        ctx: &Ctx<'_>,
        among: Among,
        moment: u64,
    ) -> bool {
        let moment = moment.saturating_add(self.clock_steps_back.get());
        let mut ids = Vec::new();
        self.knows_all_online(ctx, among)
            && self
                .deadlines
                .borrow_mut()
                .unseen(0, moment, &mut ids)
                .is_none()
    }

    /// Looks at each device that is online and may not have been seen after this moment; `look` says
    /// when it was, if its hash does. False, and nothing done, when the index may not have them all.
    pub(super) fn look_at_unseen(
        &self,
        ctx: &Ctx<'_>,
        among: Among,
        moment: u64,
        mut look: impl FnMut(&str) -> Result<Option<u64>>,
    ) -> Result<bool> {
        if !self.knows_all_online(ctx, among) {
            return Ok(false);
        }
        let moment = moment.saturating_add(self.clock_steps_back.get());
        let mut ids = Vec::new();
        let mut part = Some(0);
        while let Some(from) = part {
            part = self.deadlines.borrow_mut().unseen(from, moment, &mut ids);
            // To read a key may expire it, which the index must hear of: it is not borrowed meanwhile.
            for id in ids.drain(..) {
                if let Some(last_seen) = look(&id)? {
                    self.deadlines.borrow_mut().was_seen(&id, last_seen);
                }
            }
        }
        Ok(true)
    }
}
