//! The generic cell rate algorithm: hits drain at an even rate, and up to the limit may come at once.
//!
//! The state of a limit is one moment, the theoretical arrival time: how far ahead of now the hits
//! so far reach. A hit of cost `n` moves it by `n` intervals (period / limit) and passes while it is
//! no more than the whole limit ahead. Times are nanoseconds, so that high rates keep their exact
//! interval. As redis-cell, except that a changed limit or a clock set back is clamped to one full
//! limit ahead (redis-cell#54), and that several limits are charged together or not at all.

use std::fmt::Write;

use super::{Answer, Limit};

const NS_PER_MS: u64 = 1_000_000;

/// Begins every stored state.
const PREFIX: &str = "g1:";

/// The arrival times of several limits, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(Vec<u64>);

impl State {
    /// `None`: this is no state of ours.
    pub fn decode(text: &[u8]) -> Option<State> {
        let times = std::str::from_utf8(text).ok()?.strip_prefix(PREFIX)?;
        let times = times.split(',').map(|time| time.parse().ok());
        times.collect::<Option<Vec<u64>>>().map(State)
    }

    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + 20 * self.0.len());
        text.push_str(PREFIX);
        for (index, time) in self.0.iter().enumerate() {
            // Writing to a string can't fail.
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(text, "{comma}{time}");
        }
        text
    }
}

/// What has to be stored after a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing changes.
    Keep,
    /// Nothing is charged any more.
    Clear,
    /// To be kept until this moment, in milliseconds since the Unix epoch.
    Store(State, u64),
}

/// One limit in nanoseconds.
struct Cell {
    limit: u64,
    interval: u64,
    /// The furthest ahead of now that the arrival time may be.
    full: u64,
    /// How far ahead it is.
    ahead: u64,
}

impl Cell {
    fn new(limit: &Limit, arrival: u64, now: u64) -> Cell {
        // At least a nanosecond: the limits are checked (see `is_too_fast`).
        let interval = limit.period_ms.saturating_mul(NS_PER_MS) / limit.limit.max(1);
        let full = interval.saturating_mul(limit.limit);
        Cell {
            limit: limit.limit,
            interval: interval.max(1),
            full,
            ahead: arrival.saturating_sub(now).min(full),
        }
    }

    fn remaining(&self, ahead: u64) -> u64 {
        (self.full - ahead) / self.interval
    }

    /// How far ahead the arrival time would be after this cost.
    fn after(&self, cost: i64) -> i128 {
        let after = i128::from(self.ahead) + i128::from(cost) * i128::from(self.interval);
        after.max(0)
    }

    /// By how many nanoseconds a hit of this cost is too early; `None`: it will never pass.
    fn too_early(&self, cost: i64) -> Option<u64> {
        if i128::from(cost) > i128::from(self.limit) {
            return None;
        }
        let excess = self.after(cost) - i128::from(self.full);
        Some(u64::try_from(excess).unwrap_or(0))
    }
}

/// Whether a limit is beyond what nanoseconds can tell.
pub fn is_too_fast(limit: &Limit) -> bool {
    limit.period_ms.saturating_mul(NS_PER_MS) < limit.limit
}

/// Charges `cost` to all limits, or to none if one of them has no room; a negative cost gives back.
/// With a cost of 0 it only looks: limited then means that nothing remains. The answer is that of
/// the limit which binds: the one to wait for longest, else the one with the least remaining. A
/// state of another number of limits starts afresh. `limits` is not empty, `now_ms` is milliseconds
/// since the Unix epoch.
pub fn hit(stored: Option<&State>, limits: &[Limit], cost: i64, now_ms: u64) -> (Answer, Next) {
    let now = now_ms.saturating_mul(NS_PER_MS);
    let stored = stored.filter(|state| state.0.len() == limits.len());
    let cells: Vec<Cell> = limits
        .iter()
        .enumerate()
        .map(|(index, limit)| Cell::new(limit, stored.map_or(now, |state| state.0[index]), now))
        .collect();
    let asked = if cost == 0 { 1 } else { cost };
    // No hit waits longer than one that never passes.
    let wait = |cell: &Cell| cell.too_early(asked).unwrap_or(u64::MAX);
    let limited = cells.iter().any(|cell| wait(cell) > 0);
    let ahead = |cell: &Cell| match cost {
        0 => cell.ahead,
        _ if limited => cell.ahead,
        cost => u64::try_from(cell.after(cost))
            .unwrap_or(u64::MAX)
            .min(cell.full),
    };
    let binding = cells.iter().reduce(|best, cell| {
        let binds_more = if limited {
            wait(cell) > wait(best)
        } else {
            cell.remaining(ahead(cell)) < best.remaining(ahead(best))
        };
        if binds_more {
            cell
        } else {
            best
        }
    });
    let answer = binding.map_or(NO_LIMIT, |cell| Answer {
        limited,
        limit: cell.limit,
        remaining: cell.remaining(ahead(cell)),
        retry_ms: match limited {
            true => cell.too_early(asked).map(|wait| wait.div_ceil(NS_PER_MS)),
            false => None,
        },
        reset_ms: ahead(cell).div_ceil(NS_PER_MS),
    });
    // A denied hit leaves the state alone, unless that has to be clamped: who waits as told passes.
    let is_clamped = stored.is_some_and(|state| {
        let mut arrivals = state.0.iter().zip(&cells);
        arrivals.any(|(arrival, cell)| arrival.saturating_sub(now) > cell.full)
    });
    let next = if cost == 0 || (limited && !is_clamped) {
        Next::Keep
    } else {
        let furthest = cells.iter().map(ahead).max().unwrap_or(0);
        match (furthest, stored) {
            (0, None) => Next::Keep,
            (0, Some(_)) => Next::Clear,
            (furthest, _) => {
                let times = cells.iter().map(|cell| now.saturating_add(ahead(cell)));
                let until = now.saturating_add(furthest).div_ceil(NS_PER_MS);
                Next::Store(State(times.collect()), until)
            }
        }
    };
    (answer, next)
}

/// What is answered without any limit.
const NO_LIMIT: Answer = Answer {
    limited: false,
    limit: u64::MAX,
    remaining: u64::MAX,
    retry_ms: None,
    reset_ms: 0,
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: u64 = 1_795_271_329_000;

    /// A key of these limits, hit at times in milliseconds from `T0`.
    struct Key {
        limits: Vec<Limit>,
        state: Option<State>,
    }

    impl Key {
        fn new(pairs: &[(u64, u64)]) -> Key {
            let limits = pairs.iter().map(|(limit, period_ms)| Limit {
                limit: *limit,
                period_ms: *period_ms,
            });
            Key {
                limits: limits.collect(),
                state: None,
            }
        }

        /// The five numbers of the reply.
        fn hit(&mut self, at: u64, cost: i64) -> [i64; 5] {
            let (answer, next) = hit(self.state.as_ref(), &self.limits, cost, T0 + at);
            match next {
                Next::Keep => {}
                Next::Clear => self.state = None,
                Next::Store(state, until) => {
                    assert!(until > T0 + at);
                    assert_eq!(
                        State::decode(state.encode().as_bytes()).as_ref(),
                        Some(&state)
                    );
                    self.state = Some(state);
                }
            }
            let number = |value: u64| i64::try_from(value).unwrap();
            [
                i64::from(answer.limited),
                number(answer.limit),
                number(answer.remaining),
                answer.retry_ms.map_or(-1, number),
                number(answer.reset_ms),
            ]
        }
    }

    /// redis-cell src/cell/mod.rs, it_rate_limits: 5 per 5 s.
    #[test]
    fn t0_to_t14_redis_cells_own_table() {
        let mut key = Key::new(&[(5, 5_000)]);
        for (row, (at, cost, expected)) in [
            (0, 6, [1, 5, 5, -1, 0]),
            (0, 1, [0, 5, 4, -1, 1_000]),
            (0, 1, [0, 5, 3, -1, 2_000]),
            (0, 1, [0, 5, 2, -1, 3_000]),
            (0, 1, [0, 5, 1, -1, 4_000]),
            (0, 1, [0, 5, 0, -1, 5_000]),
            (0, 1, [1, 5, 0, 1_000, 5_000]),
            (3_000, 1, [0, 5, 2, -1, 3_000]),
            (3_100, 1, [0, 5, 1, -1, 3_900]),
            (4_000, 1, [0, 5, 1, -1, 4_000]),
            (8_000, 1, [0, 5, 4, -1, 1_000]),
            (9_500, 1, [0, 5, 4, -1, 1_000]),
            (9_500, 0, [0, 5, 4, -1, 1_000]),
            (9_500, 2, [0, 5, 2, -1, 3_000]),
            (9_500, 5, [1, 5, 2, 3_000, 3_000]),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(key.hit(at, cost), expected, "row {row}");
        }
    }

    /// redis-cell e2e.rs.
    #[test]
    fn t15_one_per_two_seconds() {
        let mut key = Key::new(&[(1, 2_000)]);
        assert_eq!(key.hit(0, 1), [0, 1, 0, -1, 2_000]);
        assert_eq!(key.hit(0, 1), [1, 1, 0, 2_000, 2_000]);
        assert_eq!(key.hit(2_000, 1), [0, 1, 0, -1, 2_000]);
    }

    /// redis-cell README: `15 30 60` is 16 per 32 s.
    #[test]
    fn t16_redis_cells_readme() {
        let mut key = Key::new(&[(16, 32_000)]);
        assert_eq!(key.hit(0, 1), [0, 16, 15, -1, 2_000]);
        for _ in 2..16 {
            key.hit(0, 1);
        }
        assert_eq!(key.hit(0, 1), [0, 16, 0, -1, 32_000]);
        assert_eq!(key.hit(0, 1), [1, 16, 0, 2_000, 32_000]);
    }

    #[test]
    fn t17_a_thousand_per_hour() {
        let mut key = Key::new(&[(1_000, 3_600_000)]);
        assert_eq!(key.hit(0, 1), [0, 1_000, 999, -1, 3_600]);
        for _ in 2..1_000 {
            key.hit(0, 1);
        }
        assert_eq!(key.hit(0, 1), [0, 1_000, 0, -1, 3_600_000]);
        assert_eq!(key.hit(0, 1), [1, 1_000, 0, 3_600, 3_600_000]);
        assert_eq!(key.hit(3_599, 1), [1, 1_000, 0, 1, 3_596_401]);
        assert_eq!(key.hit(3_600, 1), [0, 1_000, 0, -1, 3_600_000]);
        assert_eq!(key.hit(3_600, 1), [1, 1_000, 0, 3_600, 3_600_000]);
    }

    #[test]
    fn t18_t19_costs() {
        let mut key = Key::new(&[(1_000, 3_600_000)]);
        for remaining in [750, 500, 250, 0] {
            assert_eq!(key.hit(0, 250)[2], remaining);
        }
        assert_eq!(key.hit(0, 250), [1, 1_000, 0, 900_000, 3_600_000]);
        let mut fresh = Key::new(&[(1_000, 3_600_000)]);
        assert_eq!(fresh.hit(0, 1_001), [1, 1_000, 1_000, -1, 0]);
        assert_eq!(fresh.state, None);
    }

    #[test]
    fn t21_a_look_changes_nothing() {
        let mut key = Key::new(&[(5, 5_000)]);
        key.hit(0, 5);
        let before = key.state.clone();
        assert_eq!(key.hit(0, 0), [1, 5, 0, 1_000, 5_000]);
        assert_eq!(key.hit(0, 0), [1, 5, 0, 1_000, 5_000]);
        assert_eq!(key.state, before);
    }

    #[test]
    fn t22_several_limits_are_charged_together_or_not_at_all() {
        let mut key = Key::new(&[(1_000, 3_600_000), (10, 1_000)]);
        for _ in 1..10 {
            assert_eq!(key.hit(0, 1)[0], 0);
        }
        assert_eq!(key.hit(0, 1), [0, 10, 0, -1, 1_000]);
        assert_eq!(key.hit(0, 1), [1, 10, 0, 100, 1_000]);
        let hourly = key.state.as_ref().unwrap().0[0];
        assert_eq!(hourly, (T0 + 36_000) * NS_PER_MS, "charged ten times");
        assert_eq!(key.hit(100, 1), [0, 10, 0, -1, 1_000]);
    }

    #[test]
    fn t24_high_rates() {
        let mut key = Key::new(&[(2_000, 1_000)]);
        for _ in 0..2_000 {
            assert_eq!(key.hit(0, 1)[0], 0);
        }
        assert_eq!(key.hit(0, 1), [1, 2_000, 0, 1, 1_000]);
        let mut key = Key::new(&[(10_000, 1_000)]);
        for _ in 0..10_000 {
            assert_eq!(key.hit(0, 1)[0], 0);
        }
        assert_eq!(key.hit(0, 1)[0], 1);
        assert!(is_too_fast(&Limit {
            limit: 1_000_001,
            period_ms: 1
        }));
        assert!(!is_too_fast(&Limit {
            limit: 1_000_000,
            period_ms: 1
        }));
    }

    /// What a limit with its whole burst really admits in its first hour.
    #[test]
    fn t26_a_greedy_client() {
        let admitted = |limit, period_ms, every_ms| {
            let mut key = Key::new(&[(limit, period_ms)]);
            let times = (0..3_600_000).step_by(every_ms);
            times.filter(|at| key.hit(*at, 1)[0] == 0).count()
        };
        assert_eq!(admitted(1_000, 3_600_000, 100), 1_999);
        assert_eq!(admitted(100, 400_000, 50), 999);
    }

    #[test]
    fn a_refund_never_goes_below_nothing() {
        let mut key = Key::new(&[(5, 5_000)]);
        key.hit(0, 3);
        assert_eq!(key.hit(0, -1), [0, 5, 3, -1, 2_000]);
        assert_eq!(key.hit(0, i64::MIN), [0, 5, 5, -1, 0]);
        assert_eq!(key.state, None);
        assert_eq!(key.hit(0, -1), [0, 5, 5, -1, 0]);
    }

    /// redis-cell#54: a raised limit denied; and a clock that was set back locked callers out.
    #[test]
    fn what_is_too_far_ahead_is_clamped_to_one_full_limit() {
        let mut key = Key::new(&[(5, 5_000)]);
        key.hit(1_000_000, 5);
        assert_eq!(key.hit(0, 1), [1, 5, 0, 1_000, 5_000], "set back by 1000 s");
        assert_eq!(key.hit(1_000, 1)[0], 0);
        let mut key = Key::new(&[(5, 5_000)]);
        key.hit(0, 5);
        key.limits[0].period_ms = 1_000;
        assert_eq!(key.hit(0, 1), [1, 5, 0, 200, 1_000]);
        assert_eq!(key.hit(200, 1)[0], 0, "of 5 s charged, 1 s counts");
    }

    #[test]
    fn another_number_of_limits_starts_afresh() {
        let mut key = Key::new(&[(5, 5_000)]);
        key.hit(0, 5);
        key.limits.push(Limit {
            limit: 9,
            period_ms: 9_000,
        });
        assert_eq!(key.hit(0, 1), [0, 5, 4, -1, 1_000]);
    }

    #[test]
    fn only_our_own_states_are_read() {
        assert_eq!(State::decode(b"g1:7,8"), Some(State(vec![7, 8])));
        for text in [
            &b""[..],
            b"7",
            b"g1:",
            b"g1:x",
            b"g1:7,",
            b"g2:7",
            b"g1:-1",
            b"g1:7 ",
            b"g1:99999999999999999999",
            b"\xff",
        ] {
            assert_eq!(State::decode(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn it_never_panics_and_never_goes_beyond_the_limit(
            share in 0.0..1.0f64,
            period_ms in 1..315_360_000_000u64,
            arrival in any::<u64>(),
            cost in any::<i64>(),
            now_ms in any::<u64>(),
        ) {
            let limit = (share * (period_ms * NS_PER_MS) as f64) as u64;
            let limit = Limit { limit: limit.max(1), period_ms };
            prop_assume!(!is_too_fast(&limit));
            let (answer, _) = hit(Some(&State(vec![arrival])), &[limit], cost, now_ms);
            prop_assert!(answer.remaining <= limit.limit);
            prop_assert!(answer.reset_ms <= period_ms);
            prop_assert!(answer.retry_ms.is_none() || answer.limited);
        }

        #[test]
        fn waiting_as_told_is_enough(
            limit in 1..100u64,
            period_ms in 1..100_000u64,
            costs in proptest::collection::vec((0..5_000u64, 1..20i64), 1..50),
        ) {
            let mut key = Key::new(&[(limit, period_ms)]);
            let mut at = 0;
            for (pause, cost) in costs {
                at += pause;
                let reply = key.hit(at, cost);
                if reply[0] == 1 && reply[3] >= 0 {
                    at += reply[3] as u64;
                    prop_assert_eq!(key.hit(at, cost)[0], 0);
                }
            }
        }
    }
}
