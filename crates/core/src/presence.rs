//! When a device counts as offline.
//!
//! A device is due when nothing was heard of it for its timeout (`now >= last_seen + timeout`,
//! inclusive). But silence proves something only while the server can hear: while it loads, is a
//! replica, is paused, refuses writes or is stalled, heartbeats wait in sockets and in clients. So
//! after such deaf time every device gets one full timeout to speak up before it may be buried.

use crate::fnv::fnv1a;

/// A wall clock that differs this much from the monotonic one has jumped, in milliseconds.
pub const CLOCK_JUMP_MS: u64 = 5_000;

/// A tick that comes this much late means that the server stood still, in milliseconds.
pub const LATE_TICK_MS: u64 = 500;

/// Whether a sign of life at `now` is a device's first in a stretch of `interval` milliseconds, after
/// one at `before`. The stretches of each device begin at a time of its own, so that a fleet spreads
/// what it does once in each of them.
pub fn begins_stretch(id: &str, before: u64, now: u64, interval: u64) -> bool {
    let phase = fnv1a(id) % interval;
    let stretch = |at: u64| at.saturating_add(phase) / interval;
    stretch(before) != stretch(now)
}

/// Why the server can't hear its devices. Loading and being a replica may have lasted long, so
/// they are followed by the configured restart grace too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deaf {
    Loading,
    Replica,
    Paused,
    WritesRefused,
    Stalled,
    ClockJumped,
    /// The device's slot of a cluster was on its way from one node to another.
    SlotMoved,
}

impl Deaf {
    pub fn name(self) -> &'static str {
        match self {
            Deaf::Loading => "loading",
            Deaf::Replica => "replica",
            Deaf::Paused => "paused",
            Deaf::WritesRefused => "writes refused",
            Deaf::Stalled => "stalled",
            Deaf::ClockJumped => "clock jumped",
            Deaf::SlotMoved => "slot moved",
        }
    }

    fn is_restart(self) -> bool {
        matches!(self, Deaf::Loading | Deaf::Replica)
    }
}

/// The server's hearing: whether it is deaf now, and when it was last. Times are milliseconds of
/// the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Hearing {
    deaf: Option<Deaf>,
    /// A restart is part of the deaf time that has not ended yet.
    restarting: bool,
    ended: u64,
    restart_ended: u64,
}

impl Hearing {
    /// A server starts deaf: it is about to load.
    pub fn starting() -> Hearing {
        Hearing {
            deaf: Some(Deaf::Loading),
            restarting: true,
            ended: 0,
            restart_ended: 0,
        }
    }

    /// Why the server is deaf now, if it is.
    pub fn deaf(&self) -> Option<Deaf> {
        self.deaf
    }

    /// The end of the last deaf time.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Deaf from now on, until [`Hearing::hear`].
    pub fn go_deaf(&mut self, why: Deaf) {
        self.deaf = Some(why);
        self.restarting |= why.is_restart();
    }

    /// The server hears again at `now`. Returns whether a restart (load or promotion) ended.
    pub fn hear(&mut self, now: u64) -> bool {
        if self.deaf.take().is_none() {
            return false;
        }
        self.ended = now;
        if self.restarting || self.restart_ended > now {
            // By a clock that was set back since, what is left of the grace can't be told: it begins anew.
            self.restart_ended = now;
        }
        std::mem::take(&mut self.restarting)
    }

    /// A deaf time that was noticed only when it was over.
    pub fn was_deaf(&mut self, why: Deaf, now: u64) {
        self.go_deaf(why);
        self.hear(now);
    }

    /// Nobody with this timeout goes offline before this moment.
    pub fn hold_until(&self, timeout: u64, restart_grace: u64) -> u64 {
        let after_restart = match self.restart_ended {
            0 => 0,
            ended => ended.saturating_add(restart_grace.max(timeout)),
        };
        let after_deaf = match self.ended {
            0 => 0,
            ended => ended.saturating_add(timeout),
        };
        after_restart.max(after_deaf)
    }
}

/// What is known of a device that is online. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Online {
    pub last_seen: u64,
    /// Since when the device is known to be online: for an adopted device the moment of adoption,
    /// which is later than its last heartbeat.
    pub since: u64,
    /// 0: no timeout, online until it says goodbye.
    pub timeout: u64,
}

impl Online {
    /// The moment at which the device is due, or `None` without a timeout.
    ///
    /// A stamp from the future (the wall clock was set back) counts as the end of the last deaf
    /// time, which is when the jump was noticed; small steps back are left alone. Each stamp is judged by
    /// itself: a device that came online before the jump is heard after it.
    pub fn deadline(&self, now: u64, hearing: &Hearing, restart_grace: u64) -> Option<u64> {
        if self.timeout == 0 {
            return None;
        }
        let judged = |stamp: u64| match stamp > now.saturating_add(CLOCK_JUMP_MS) {
            true => hearing.ended(),
            false => stamp,
        };
        let heard = judged(self.last_seen).max(judged(self.since));
        let silence_ends = heard.saturating_add(self.timeout);
        Some(silence_ends.max(hearing.hold_until(self.timeout, restart_grace)))
    }

    /// Whether the device is offline at `now`: never while the server is deaf.
    pub fn is_due(&self, now: u64, hearing: &Hearing, restart_grace: u64) -> bool {
        hearing.deaf().is_none()
            && self
                .deadline(now, hearing, restart_grace)
                .is_some_and(|deadline| now >= deadline)
    }
}

/// Compares the two clocks of a server from tick to tick, to notice stalls and jumps.
#[derive(Debug, Clone, Copy, Default)]
pub struct TickClock {
    /// Monotonic milliseconds at which the next tick should come.
    expected: Option<u64>,
    /// The last pair of readings: wall clock, monotonic clock.
    last: Option<(u64, u64)>,
}

impl TickClock {
    /// The next tick is armed for this moment of the monotonic clock.
    pub fn expect(&mut self, monotonic: u64) {
        self.expected = Some(monotonic);
    }

    /// Whether the tick that was due is late by so much that the server must have stood still.
    pub fn is_late(&self, monotonic: u64) -> bool {
        self.expected
            .is_some_and(|expected| monotonic > expected.saturating_add(LATE_TICK_MS))
    }

    /// Whether the wall clock jumped since the last tick.
    pub fn has_jumped(&self, wall: u64, monotonic: u64) -> bool {
        self.last.is_some_and(|(wall_before, monotonic_before)| {
            let should = wall_before.saturating_add(monotonic.saturating_sub(monotonic_before));
            should.abs_diff(wall) > CLOCK_JUMP_MS
        })
    }

    /// The same at a tick, which is the last one from now on.
    pub fn jumped(&mut self, wall: u64, monotonic: u64) -> bool {
        let has_jumped = self.has_jumped(wall, monotonic);
        self.last = Some((wall, monotonic));
        has_jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: u64 = 30_000;

    fn hearing() -> Hearing {
        Hearing {
            deaf: None,
            restarting: false,
            ended: 0,
            restart_ended: 0,
        }
    }

    fn online(last_seen: u64, timeout: u64) -> Online {
        Online {
            last_seen,
            since: 0,
            timeout,
        }
    }

    /// PR1, ThingsBoard testOnDeviceInactivityTimeoutUpdate: the boundary is inclusive.
    #[test]
    fn pr1_the_boundary_is_inclusive() {
        assert!(online(100, 100).is_due(200, &hearing(), GRACE));
        assert!(!online(100, 101).is_due(200, &hearing(), GRACE));
        assert!(!online(100, 0).is_due(u64::MAX, &hearing(), GRACE));
    }

    /// PR2, the same test: a new timeout counts at once, both ways.
    #[test]
    fn pr2_a_changed_timeout_counts_at_once() {
        assert!(!online(100, 200).is_due(200, &hearing(), GRACE));
        assert!(online(100, 50).is_due(200, &hearing(), GRACE));
    }

    #[test]
    fn an_adopted_device_gets_a_full_turn_from_adoption() {
        let device = Online {
            last_seen: 100,
            since: 5_000,
            timeout: 1_000,
        };
        assert_eq!(device.deadline(5_000, &hearing(), GRACE), Some(6_000));
    }

    /// It came online by a clock that was set back since, and beats by the new one.
    #[test]
    fn heartbeats_after_the_clock_was_set_back_count() {
        let mut h = hearing();
        h.was_deaf(Deaf::ClockJumped, 1_000);
        let device = Online {
            last_seen: 90_000,
            since: 3_600_000,
            timeout: 60_000,
        };
        assert_eq!(device.deadline(90_000, &h, GRACE), Some(150_000));
        let silent = Online {
            last_seen: 3_600_000,
            ..device
        };
        assert_eq!(silent.deadline(90_000, &h, GRACE), Some(61_000));
    }

    #[test]
    fn nobody_is_due_while_the_server_is_deaf() {
        let mut h = hearing();
        h.go_deaf(Deaf::Paused);
        assert!(!online(0, 100).is_due(1_000_000, &h, GRACE));
        assert!(!h.hear(1_000_000));
        assert_eq!(
            online(0, 100).deadline(1_000_000, &h, GRACE),
            Some(1_000_100)
        );
    }

    /// PR10: a server that was down for ten minutes tells nobody offline at once.
    #[test]
    fn pr10_after_a_restart_the_longer_of_grace_and_timeout_holds() {
        let mut h = Hearing::starting();
        assert!(h.hear(600_000));
        assert_eq!(online(1, 1_000).deadline(600_000, &h, GRACE), Some(630_000));
        assert_eq!(
            online(1, 60_000).deadline(600_000, &h, GRACE),
            Some(660_000)
        );
        // A stall later on does not repeat the restart grace.
        h.was_deaf(Deaf::Stalled, 700_000);
        assert_eq!(online(1, 1_000).deadline(700_000, &h, GRACE), Some(701_000));
    }

    #[test]
    fn a_pause_right_after_loading_does_not_lose_the_grace() {
        let mut h = Hearing::starting();
        h.go_deaf(Deaf::WritesRefused);
        assert!(h.hear(1_000));
        assert_eq!(online(1, 10).deadline(1_000, &h, GRACE), Some(31_000));
    }

    /// PR11, thingsboard #11546: a clock that steps back two years and forward again flips nobody.
    #[test]
    fn pr11_clock_jumps_flip_nobody() {
        let year = 31_536_000_000;
        let now = 60 * year;
        let device = online(now, 60_000);
        let mut h = hearing();
        // Back two years: the stamp lies in the future.
        let back = now - 2 * year;
        h.was_deaf(Deaf::ClockJumped, back);
        assert_eq!(device.deadline(back + 10, &h, GRACE), Some(back + 60_000));
        // Forward again: the stamp is ancient or not, one turn is given.
        h.was_deaf(Deaf::ClockJumped, now + 1_000_000);
        assert_eq!(
            device.deadline(now + 1_000_000, &h, GRACE),
            Some(now + 1_060_000)
        );
    }

    /// The grace of a start must not last until the old time comes again.
    #[test]
    fn a_clock_that_is_set_back_after_a_start_holds_nobody_for_long() {
        let mut h = Hearing::starting();
        assert!(h.hear(3_600_000));
        h.was_deaf(Deaf::ClockJumped, 100_000);
        assert_eq!(
            online(100_000, 1_000).deadline(100_000, &h, GRACE),
            Some(130_000)
        );
    }

    #[test]
    fn a_small_step_back_does_not_bury_anyone() {
        assert_eq!(
            online(10_000, 1_000).deadline(9_000, &hearing(), GRACE),
            Some(11_000)
        );
    }

    #[test]
    fn sums_never_overflow() {
        let device = online(u64::MAX - 1, u64::MAX);
        assert!(device.deadline(u64::MAX, &hearing(), u64::MAX).is_some());
    }

    #[test]
    fn the_tick_clock_notices_stalls_and_jumps() {
        let mut clock = TickClock::default();
        assert!(!clock.is_late(1_000_000));
        clock.expect(1_000);
        assert!(!clock.is_late(1_500));
        assert!(clock.is_late(1_501));
        assert!(!clock.jumped(50_000, 1_000));
        assert!(!clock.jumped(60_000, 11_000));
        assert!(!clock.jumped(60_000, 16_000), "5 s apart is still no jump");
        assert!(clock.has_jumped(65_999, 27_000));
        assert!(clock.jumped(65_999, 27_000), "asking before does not tell");
        assert!(clock.jumped(1_000, 27_001), "backwards");
        assert!(!clock.jumped(1_001, 27_002), "told once");
    }

    #[test]
    fn a_stretch_begins_once_in_an_interval_whatever_the_pace() {
        for (id, interval, pace) in [("d-1", 10_000, 1_000), ("d-2", 10_000, 999), ("", 1, 1)] {
            let beats = (0..1_000).map(|i| 1_795_304_458_777 + i * pace);
            let begun = beats
                .clone()
                .zip(beats.skip(1))
                .filter(|(before, now)| begins_stretch(id, *before, *now, interval))
                .count() as u64;
            let stretches = 999 * pace / interval;
            assert!(
                (stretches..=stretches + 1).contains(&begun),
                "{id}: {begun}"
            );
        }
        assert!(begins_stretch("d", 0, 1_000, 1_000), "never seen before");
        assert!(begins_stretch("d", 5_000, 1_000, 1_000), "a clock set back");
    }

    #[test]
    fn stretches_of_devices_begin_at_different_times() {
        let beginning = |number: u64| {
            let begins = |now: &u64| begins_stretch(&format!("d-{number}"), now - 1, *now, 1_000);
            (1_000..2_000).find(begins).unwrap_or_default() / 100
        };
        let mut tenths = [0; 20];
        for number in 0..1_000 {
            tenths[beginning(number) as usize] += 1;
        }
        assert!(tenths[10..].iter().all(|count| *count > 50), "{tenths:?}");
    }
}
