//! The sweeper: one timer that tells the dead from the living.
//!
//! It is armed for the earliest deadline, at most [`TICK_MS`] ahead, and works in slices so that
//! clients get their turn in a storm. It writes only while this server is a master that takes
//! writes; everything else is deaf time (see `devicestate_core::presence`).

use devicestate_core::presence::{Deaf, LATE_TICK_MS};

use super::departures::Departures;
use super::device::Found;
use super::neighbours::Neighbours;
use super::{check, presence, registry, settings, shadow, Device, Error, Fleet, Known, Result};
use crate::queue;
use crate::store::{guarded, monotonic_ms, monotonic_us, Ctx, Level, OnTimer};

/// The longest pause between two ticks, in milliseconds.
pub const TICK_MS: u64 = 50;
/// A device whose transition can't be written is looked at again after this, in milliseconds.
pub(super) const BACK_OFF_MS: u64 = 1_000;
/// Trouble that repeats is logged at most this often, in milliseconds.
const COMPLAIN_EVERY_MS: u64 = 10_000;

/// The timer.
pub struct Tick;

impl OnTimer for Tick {
    fn on_timer(ctx: &Ctx<'_>) {
        ctx.select_db(0);
        super::with(|fleet| fleet.tick_timer.set(None));
        // A panic must not stop the clock.
        let delay = guarded(|| super::with(|fleet| fleet.tick(ctx)))
            .flatten()
            .unwrap_or(TICK_MS);
        super::with(|fleet| {
            fleet.expect_tick(delay);
            match delay {
                0 => ctx.run_after_clients::<Tick>(),
                delay => fleet.arm_tick(ctx, delay),
            }
        });
    }
}

impl Fleet {
    /// Starts the clock, unless it runs. Not while the module is being loaded: the server could not
    /// take back a load that it finds fault with.
    ///
    /// A clock that stands is wound again: the server's timers go by the wall clock, and where that is set
    /// back, one that is armed would fire when the old time comes again.
    pub fn keep_ticking(&self, ctx: &Ctx<'_>) {
        if !self.is_ticking.replace(true) {
            self.expect_tick(TICK_MS);
            self.arm_tick(ctx, TICK_MS);
        } else if self.tick_clock.get().is_late(monotonic_ms()) {
            if let Some(timer) = self.tick_timer.take() {
                ctx.disarm_timer(timer);
                self.arm_tick(ctx, 1);
            }
        }
    }

    fn arm_tick(&self, ctx: &Ctx<'_>, delay: u64) {
        self.tick_timer.set(Some(ctx.arm_timer::<Tick>(delay)));
    }

    pub fn is_ticking(&self) -> bool {
        self.is_ticking.get()
    }

    fn expect_tick(&self, delay: u64) {
        let mut clock = self.tick_clock.get();
        clock.expect(monotonic_ms().saturating_add(delay));
        self.tick_clock.set(clock);
    }

    /// One tick; returns the milliseconds until the next.
    fn tick(&self, ctx: &Ctx<'_>) -> u64 {
        let (now, monotonic) = (ctx.now_ms(), monotonic_ms());
        self.clock_reads(now);
        ctx.look_for_followers();
        self.stats.ticks.add(1);
        self.stats.sample(monotonic);
        self.definitions.look(ctx, self, monotonic);
        if !self.listen(ctx, now, monotonic) {
            return TICK_MS;
        }
        self.types.check_key(ctx, self);
        self.definitions.keep(ctx, self, monotonic);
        let until = monotonic_us().saturating_add(settings::SWEEP_BUDGET_US.value());
        let more_due = self.sweep(ctx, now, until) | self.sweep_alerts(ctx, now, until);
        let more_to_reconcile = self.reconcile(ctx, now, until);
        if monotonic_ms() > monotonic.saturating_add(LATE_TICK_MS) {
            // The server stood still in the middle of the tick.
            self.update_hearing(|hearing| hearing.was_deaf(Deaf::Stalled, ctx.now_ms()));
        }
        if more_due || more_to_reconcile {
            return 0;
        }
        let next = [
            self.deadlines.borrow().next_deadline(),
            self.alert_deadlines.borrow().next_deadline(),
        ];
        let next = next.into_iter().flatten().min();
        next.map_or(TICK_MS, |deadline| {
            deadline.saturating_sub(now).clamp(1, TICK_MS)
        })
    }

    /// Whether this server hears its devices and may write; keeps the account of deaf time.
    fn listen(&self, ctx: &Ctx<'_>, now: u64, monotonic: u64) -> bool {
        let mut clock = self.tick_clock.get();
        let is_late = clock.is_late(monotonic);
        let jumped = clock.jumped(now, monotonic);
        self.tick_clock.set(clock);
        if jumped {
            ctx.log(
                Level::Warning,
                "the wall clock jumped; every timeout starts anew",
            );
            // The deadlines are those of the old clock, also where nobody may be told now.
            self.deadlines.borrow_mut().look_at_all();
            self.alert_deadlines.borrow_mut().look_at_all();
            self.clock_steps_back.set(0);
            self.slots_settled_by(now);
            self.event_log.clock_jumped(ctx);
            queue::clock_jumped(ctx);
        }

        let was = self.hearing().deaf();
        if let Some((why, detail)) = self.deaf_now(ctx) {
            self.update_hearing(|hearing| hearing.go_deaf(why));
            if why == Deaf::Replica {
                // Deadlines are the master's business; they are found again after a promotion.
                self.deadlines.borrow_mut().clear();
                self.alert_deadlines.borrow_mut().clear();
                self.suspects.borrow_mut().clear();
                self.users.forget_all();
            }
            if why == Deaf::WritesRefused && was != Some(why) {
                let text = format!("nobody goes offline while writes are refused: {detail}");
                ctx.log(Level::Warning, &text);
            }
            return false;
        }
        if is_late {
            self.update_hearing(|hearing| hearing.go_deaf(Deaf::Stalled));
        }
        if jumped {
            self.update_hearing(|hearing| hearing.go_deaf(Deaf::ClockJumped));
        }
        if was == Some(Deaf::WritesRefused) {
            ctx.log(Level::Notice, "writes are accepted again");
        }
        if self.update_hearing(|hearing| hearing.hear(now)) {
            self.reconcile_all();
        }
        true
    }

    /// Looks at the devices that are due, until `until_us`; true when more are.
    fn sweep(&self, ctx: &Ctx<'_>, now: u64, until_us: u64) -> bool {
        let mut id = String::new();
        let mut departures = Departures::default();
        let mut neighbours = Neighbours::default();
        let is_out_of_time = loop {
            let due = self.deadlines.borrow_mut().pop_due(now, &mut id);
            let Some((deadline, noted)) = due else {
                break false;
            };
            self.look_and_collect(ctx, &id, noted, &mut departures, now);
            let due = (id.as_str(), deadline);
            neighbours.look(ctx, self, due, &mut departures, now, until_us);
            if monotonic_us() >= until_us {
                break true;
            }
        };
        departures.tell(ctx, self, now);
        let next = self.deadlines.borrow().next_deadline();
        is_out_of_time && next.is_some_and(|next| next <= now)
    }

    /// Looks at one device that is due, and tells those that depart once they are enough.
    pub(super) fn look_and_collect(
        &self,
        ctx: &Ctx<'_>,
        id: &str,
        noted: Known,
        departures: &mut Departures,
        now: u64,
    ) {
        self.stats.looks.add(1);
        if let Err(error) = self.look(ctx, id, noted, departures, now) {
            self.back_off(ctx, id, &error, now);
        }
        if departures.is_full() {
            departures.tell(ctx, self, now);
        }
    }

    /// A device can't be told offline now; nothing of it was changed.
    pub(super) fn back_off(&self, ctx: &Ctx<'_>, id: &str, why: &Error, now: u64) {
        self.look_again(id, now);
        self.stats.back_offs.add(1);
        let text = format!("a device can't be told offline: {why}");
        self.complain(ctx, Trouble::Offline, &text);
    }

    fn look_again(&self, id: &str, now: u64) {
        let again = now + BACK_OFF_MS;
        self.deadlines.borrow_mut().schedule(id, Some(again));
        // Its deadline has passed, though the index says a later time.
        self.suspects.borrow_mut().insert(id.to_owned());
    }

    /// Reads the truth about one device, as far as it is not `noted`: still alive, or gone.
    fn look(
        &self,
        ctx: &Ctx<'_>,
        id: &str,
        noted: Known,
        departures: &mut Departures,
        now: u64,
    ) -> Result<()> {
        let mut is_suspect = self.is_suspect(id) && self.suspects.borrow_mut().remove(id);
        let known = match is_suspect {
            true => None,
            false => Device::find_known(ctx, self, id, noted),
        };
        let is_read_whole = known.is_none();
        let found = match known {
            Some(device) => Found::Device(device),
            None => Device::find(ctx, self, id)?,
        };
        let device = match found {
            Found::Foreign => {
                // No device of ours: neither swept nor, by its heartbeats, kept alive.
                is_suspect = false;
                self.suspects.borrow_mut().insert(id.to_owned());
                None
            }
            Found::Device(device) => Some(device),
            Found::Nothing => None,
        };
        let Some(mut device) = device else {
            self.deadlines.borrow_mut().remove(id);
            self.forget_expiry(id);
            return Ok(());
        };
        if !self.is_settled(ctx, id) {
            // Whoever has its slot in the end looks at it.
            self.look_again(id, now);
            return Ok(());
        }
        if is_suspect && !device.from_recipe {
            // Other hands changed the hash, and the hash is the truth.
            if !check::is_indexed(ctx, self, &device)? {
                registry::index(ctx, self, &device, now)?;
                ctx.touched(&device.id_key);
                self.stats.mended.add(1);
            }
            let mended = shadow::mend(ctx, self, &mut device, false, now)?;
            self.stats.mended.add(u64::from(mended));
        }
        if !device.online {
            self.deadlines.borrow_mut().remove(id);
            return Ok(());
        }
        if device.from_recipe {
            // Known, so that the reconciler does not bring it up again; adoption schedules it.
            return Ok(());
        }
        let online = device.as_online(ctx, self);
        let grace = settings::RESTART_GRACE.value();
        match online.deadline(now, &self.hearing_of(id), grace) {
            Some(deadline) if now >= deadline => {
                departures.add(ctx, self, *device, deadline, now)?;
            }
            deadline => {
                self.note_deadline(&device, deadline);
                if is_read_whole {
                    self.know_fields(&device);
                }
                presence::renew_heartbeat_key(ctx, self, &device)?;
            }
        }
        Ok(())
    }

    /// Logs trouble, but not every time.
    pub(super) fn complain(&self, ctx: &Ctx<'_>, trouble: Trouble, text: &str) {
        let last = &self.complaints[trouble as usize];
        let now = monotonic_ms().max(1);
        if last.get() == 0 || now - last.get() >= COMPLAIN_EVERY_MS {
            last.set(now);
            ctx.log(Level::Warning, text);
        }
    }
}

/// What may go on for long; each kind is logged by itself.
#[derive(Clone, Copy)]
pub enum Trouble {
    Offline,
    Check,
    Stream,
    Alert,
    Rules,
}

impl Trouble {
    pub const KINDS: usize = 5;
}

impl Fleet {
    /// Why this server can't hear or write now, and what it said.
    fn deaf_now(&self, ctx: &Ctx<'_>) -> Option<(Deaf, String)> {
        let flags = ctx.flags();
        if !flags.is_master() {
            return Some((Deaf::Replica, String::new()));
        }
        if flags.is_loading() {
            return Some((Deaf::Loading, String::new()));
        }
        // Writing in a pause would crash the server.
        if ctx.is_paused() {
            return Some((Deaf::Paused, String::new()));
        }
        // A node of a cluster without a slot has nobody to hear.
        let mut key = self.probe(ctx)?;
        let mut answer = ctx.probe_writable(key);
        if answer.is_err() && self.keys.are_by_slot() {
            // The slot may have moved away since the server was asked.
            self.forget_slots();
            key = self.probe(ctx)?;
            answer = ctx.probe_writable(key);
        }
        match answer {
            Ok(()) => None,
            // The server remembers the memory state of its last command; ours is newer.
            Err(error) if error.0.starts_with("OOM") && !flags.is_out_of_memory() => {
                let accepts = ctx.accepts_writes(key);
                (!accepts).then_some((Deaf::WritesRefused, error.0))
            }
            // Somebody uses the probe's key: that is no refusal.
            Err(error) if error.0.starts_with("WRONGTYPE") => None,
            Err(error) => Some((Deaf::WritesRefused, error.0)),
        }
    }
}
