//! Who does what, and when. Pure: the same settings and seed give the same plan.

use std::str::FromStr;

use crate::rng::{fraction, Rng};

/// A part of the fleet, as given on the command line: `10%` or `25` (devices).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Percent(f64),
    Count(u32),
}

impl Share {
    /// How many of `devices` it is. A percentage is rounded to the nearest whole device.
    pub fn of(self, devices: u32) -> u32 {
        match self {
            Share::Percent(p) => (p / 100.0 * f64::from(devices)).round() as u32,
            Share::Count(n) => n,
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a percentage (10%) or a number of devices (25)".to_string();
        match text.strip_suffix('%') {
            Some(number) => {
                let percent: f64 = number.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err("a percentage is 0% to 100%".into());
                }
                Ok(Share::Percent(percent))
            }
            None => text.parse().map(Share::Count).map_err(|_| wrong()),
        }
    }
}

/// How a device's run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Beats until the run ends.
    Stays,
    /// Stops beating; its connection stays open.
    Silent,
    /// Says goodbye and disconnects.
    Goodbye,
    /// Loses its connection without a word.
    Cut,
}

/// What is fixed about a fleet before it starts. Times are counted from the start of the beats.
#[derive(Clone, Debug)]
pub struct Outline {
    pub devices: u32,
    pub id_prefix: String,
    /// Number of the first device.
    pub first: u32,
    pub interval_ms: u64,
    /// One beat in so many is a report; 0 for none.
    pub report_every: u64,
    pub silent: Share,
    pub goodbye: Share,
    pub cut: Share,
    /// Silent, goodbye and cut devices end at a random moment from here ...
    pub ends_from_ms: u64,
    /// ... up to here (not included).
    pub ends_to_ms: u64,
    pub seed: u64,
}

/// The plan of a fleet: 8 bytes per device.
pub struct Plan {
    outline: Outline,
    ends: Vec<(Fate, u32)>,
}

impl Plan {
    /// Refuses shares that are more than the fleet, naming the flag.
    pub fn new(outline: Outline) -> Result<Plan, String> {
        let devices = outline.devices;
        let mut groups = Vec::new();
        let mut free = devices;
        for (flag, fate, share) in [
            ("--silent", Fate::Silent, outline.silent),
            ("--goodbye", Fate::Goodbye, outline.goodbye),
            ("--cut", Fate::Cut, outline.cut),
        ] {
            let count = share.of(devices);
            free = free.checked_sub(count).ok_or_else(|| {
                format!("{flag}: {count} devices of {devices} are more than are left ({free})")
            })?;
            groups.push((fate, count));
        }

        let mut rng = Rng::new(outline.seed);
        let window = outline.ends_to_ms.saturating_sub(outline.ends_from_ms);
        let mut ends = vec![(Fate::Stays, u32::MAX); devices as usize];
        // The first places of a shuffle, which is done only as far as it is needed.
        let mut order: Vec<u32> = (0..devices).collect();
        let mut place = 0;
        for (fate, count) in groups {
            for _ in 0..count {
                let other = place + rng.below((order.len() - place) as u64) as usize;
                order.swap(place, other);
                let at = outline.ends_from_ms.saturating_add(rng.below(window));
                ends[order[place] as usize] = (fate, u32::try_from(at).unwrap_or(u32::MAX));
                place += 1;
            }
        }
        Ok(Plan { outline, ends })
    }

    pub fn devices(&self) -> u32 {
        self.outline.devices
    }

    /// The device's id: `sim-000001` for the first one. `device` counts from 0.
    pub fn id(&self, device: u32) -> String {
        let number = u64::from(self.outline.first) + u64::from(device);
        format!("{}{number:06}", self.outline.id_prefix)
    }

    /// How the device ends, and when (milliseconds; a moment beyond 49 days counts as 49 days).
    pub fn end(&self, device: u32) -> (Fate, u64) {
        let (fate, at) = self.ends[device as usize];
        (fate, u64::from(at))
    }

    /// Where in the interval the device beats, in microseconds. The slots are even, each device has a
    /// random place within its own, and so phases rise with the device's number.
    pub fn phase_us(&self, device: u32) -> u64 {
        let place = f64::from(device) + fraction(self.outline.seed, u64::from(device), u64::MAX);
        (place / f64::from(self.outline.devices) * self.interval_us() as f64) as u64
    }

    pub fn interval_us(&self) -> u64 {
        self.outline.interval_ms.saturating_mul(1_000)
    }

    /// The device's first regular beat after `now` (microseconds). With interval 0: `now`.
    pub fn next_beat_us(&self, device: u32, now: u64) -> u64 {
        let interval = self.interval_us();
        if interval == 0 {
            return now;
        }
        let phase = self.phase_us(device);
        match now.checked_sub(phase) {
            None => phase,
            Some(since) => phase.saturating_add((since / interval + 1).saturating_mul(interval)),
        }
    }

    /// The number of the report (from 1) that the device's `beat` (from 0) is; None for a heartbeat.
    /// Exactly one in `report_every` is a report, for different devices a different one, so that
    /// reports are as evenly spread as beats.
    pub fn report(&self, device: u32, beat: u64) -> Option<u64> {
        let every = self.outline.report_every;
        if every == 0 {
            return None;
        }
        let place = beat + 1 + u64::from(device) % every;
        place.is_multiple_of(every).then_some(place / every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(devices: u32) -> Outline {
        Outline {
            devices,
            id_prefix: "sim-".into(),
            first: 1,
            interval_ms: 5_000,
            report_every: 3,
            silent: Share::Count(0),
            goodbye: Share::Count(0),
            cut: Share::Count(0),
            ends_from_ms: 1_000,
            ends_to_ms: 2_000,
            seed: 7,
        }
    }

    fn count(plan: &Plan, fate: Fate) -> usize {
        (0..plan.devices())
            .filter(|&d| plan.end(d).0 == fate)
            .count()
    }

    #[test]
    fn shares_are_read() {
        assert_eq!("10%".parse(), Ok(Share::Percent(10.0)));
        assert_eq!("2.5%".parse(), Ok(Share::Percent(2.5)));
        assert_eq!("25".parse(), Ok(Share::Count(25)));
        for wrong in ["", "%", "x", "-1", "101%", "-1%", "NaN%", "1.5", "10 %%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_exact() {
        let plan = Plan::new(Outline {
            silent: Share::Percent(10.0),
            goodbye: Share::Count(7),
            cut: Share::Percent(0.5),
            ..outline(1_000)
        })
        .unwrap();
        assert_eq!(count(&plan, Fate::Silent), 100);
        assert_eq!(count(&plan, Fate::Goodbye), 7);
        assert_eq!(count(&plan, Fate::Cut), 5);
        assert_eq!(count(&plan, Fate::Stays), 888);
    }

    #[test]
    fn shares_may_take_the_whole_fleet_and_no_more() {
        let all = Outline {
            silent: Share::Percent(100.0),
            ..outline(3)
        };
        assert_eq!(count(&Plan::new(all.clone()).unwrap(), Fate::Silent), 3);
        let error = Plan::new(Outline {
            cut: Share::Count(1),
            ..all
        })
        .err()
        .unwrap();
        assert!(error.starts_with("--cut:"), "{error}");
    }

    #[test]
    fn the_seed_decides() {
        let some = Outline {
            silent: Share::Percent(30.0),
            ..outline(200)
        };
        let ends = |seed| {
            let plan = Plan::new(Outline {
                seed,
                ..some.clone()
            })
            .unwrap();
            (0..200).map(|d| plan.end(d)).collect::<Vec<_>>()
        };
        assert_eq!(ends(1), ends(1));
        assert_ne!(ends(1), ends(2));
    }

    #[test]
    fn ends_lie_in_their_window_at_different_moments() {
        let plan = Plan::new(Outline {
            cut: Share::Percent(100.0),
            ..outline(100)
        })
        .unwrap();
        let mut moments: Vec<u64> = (0..100).map(|d| plan.end(d).1).collect();
        assert!(moments.iter().all(|at| (1_000..2_000).contains(at)));
        moments.sort_unstable();
        moments.dedup();
        assert!(moments.len() > 80);
    }

    #[test]
    fn an_empty_window_is_one_moment() {
        let plan = Plan::new(Outline {
            cut: Share::Count(1),
            ends_to_ms: 0,
            ..outline(1)
        })
        .unwrap();
        assert_eq!(plan.end(0), (Fate::Cut, 1_000));
    }

    #[test]
    fn beats_fill_the_interval_evenly() {
        let plan = Plan::new(outline(1_000)).unwrap();
        let phases: Vec<u64> = (0..1_000).map(|d| plan.phase_us(d)).collect();
        assert!(phases.is_sorted());
        // Each 5 ms slot holds exactly its own device.
        for (device, phase) in phases.iter().enumerate() {
            assert_eq!(phase / 5_000, device as u64);
        }
    }

    #[test]
    fn the_next_beat_is_later_than_now_by_at_most_an_interval() {
        let plan = Plan::new(outline(10)).unwrap();
        for device in 0..10 {
            for now in [0, 1, 4_999_999, 5_000_000, 123_456_789] {
                let next = plan.next_beat_us(device, now);
                assert!(next >= now && next <= now + 5_000_000);
                assert_eq!(next % 5_000_000, plan.phase_us(device));
                assert!(plan.next_beat_us(device, next) == next + 5_000_000);
            }
        }
    }

    #[test]
    fn interval_zero_never_waits() {
        let plan = Plan::new(Outline {
            interval_ms: 0,
            ..outline(10)
        })
        .unwrap();
        assert_eq!(plan.next_beat_us(3, 77), 77);
        assert_eq!(plan.phase_us(3), 0);
    }

    #[test]
    fn one_beat_in_three_is_a_report_numbered_from_1() {
        let plan = Plan::new(outline(10)).unwrap();
        for device in 0..10 {
            let reports: Vec<u64> = (0..30).filter_map(|b| plan.report(device, b)).collect();
            assert_eq!(reports, (1..=10).collect::<Vec<u64>>());
        }
        assert_eq!(plan.report(0, 2), Some(1));
        assert_eq!(plan.report(1, 1), Some(1));
        assert_eq!(plan.report(2, 0), Some(1));
    }

    #[test]
    fn report_every_0_is_never_and_1_always() {
        let never = Plan::new(Outline {
            report_every: 0,
            ..outline(2)
        })
        .unwrap();
        assert_eq!(never.report(1, 0), None);
        let always = Plan::new(Outline {
            report_every: 1,
            ..outline(2)
        })
        .unwrap();
        assert_eq!(always.report(1, 0), Some(1));
        assert_eq!(always.report(1, 41), Some(42));
    }

    #[test]
    fn ids_are_numbered_from_first() {
        let plan = Plan::new(Outline {
            first: 999_999,
            ..outline(2)
        })
        .unwrap();
        assert_eq!(plan.id(0), "sim-999999");
        assert_eq!(plan.id(1), "sim-1000000");
    }
}
