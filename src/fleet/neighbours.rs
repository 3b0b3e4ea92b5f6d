//! Devices of a cluster's node that die together. Whose time is up one after the other are of different
//! slots and share no key, so that each would be told alone. When the sweeper is behind, it therefore
//! takes with a device the others of its slot whose time is up too, before their turn. The order in which
//! devices die is promised to nobody; each of them is told as if it were alone.

use super::departures::Departures;
use super::Fleet;
use crate::store::{monotonic_us, Arg, Ctx};

/// The sweeper is behind when it comes to a device so many milliseconds after its deadline.
const BEHIND_MS: u64 = 100;
/// So many online devices of a slot are tried.
const TRIED: u64 = 64;
/// After one who dies without neighbours, so many others are told alone: it is no storm.
const ALONE: u32 = 8;

/// Whether it is worth the while to look for neighbours.
#[derive(Default)]
pub(super) struct Neighbours {
    alone: u32,
}

impl Neighbours {
    /// Looks at those of the slot of a device that was due at this moment, if it is about to be told, until
    /// `until_us`.
    pub fn look(
        &mut self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        (id, deadline): (&str, u64),
        departures: &mut Departures,
        now: u64,
        until_us: u64,
    ) {
        let is_behind = now.saturating_sub(deadline) >= BEHIND_MS;
        if !fleet.keys.are_by_slot() || !is_behind || !departures.are_only(id) {
            return;
        }
        if self.alone > 0 {
            self.alone -= 1;
            return;
        }
        let online = &fleet.keys.of(id).online;
        let args = [Arg::Str(online), 0.into(), "COUNT".into(), TRIED.into()];
        // A key of another type holds no devices; the transitions complain about it.
        let page = ctx.read(c"SSCAN", &args).ok();
        let mut is_alone = true;
        for id in page
            .and_then(|reply| reply.into_page())
            .iter()
            .flat_map(|page| page.iter())
        {
            if monotonic_us() >= until_us {
                return;
            }
            let Ok(id) = std::str::from_utf8(id) else {
                continue;
            };
            let due = fleet.deadlines.borrow_mut().take_due(now, id);
            if let Some(noted) = due {
                is_alone = false;
                fleet.look_and_collect(ctx, id, noted, departures, now);
            }
        }
        if is_alone {
            self.alone = ALONE;
        }
    }
}
