use super::*;
use proptest::prelude::*;

const T0: u64 = 1_795_271_329_000;

/// A key of these limits, hit at times in milliseconds from `T0`.
struct Key {
    limits: Vec<Limit>,
    state: Option<State>,
    expires_at: u64,
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
            expires_at: 0,
        }
    }

    /// The five numbers of the reply.
    fn hit(&mut self, at: u64, cost: i64) -> [i64; 5] {
        let (answer, next) = hit(self.state.as_ref(), &self.limits, cost, T0 + at);
        match next {
            Next::Keep => {}
            Next::Clear => self.state = None,
            Next::Store {
                state,
                expires_at,
                expires_anew,
            } => {
                assert!(expires_at > T0 + at);
                assert_eq!(State::decode(state.encode().bytes()).as_ref(), Some(&state));
                if expires_anew {
                    self.expires_at = expires_at;
                }
                assert_eq!(self.expires_at, expires_at);
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

fn state(times: &[u64]) -> State {
    let mut state = State {
        count: times.len(),
        ..State::default()
    };
    state.times[..times.len()].copy_from_slice(times);
    state
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
    let hourly = key.state.as_ref().unwrap().times()[0];
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
    let stored = b"g1:\x09\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02";
    let expected = State {
        step: 9,
        ..state(&[7, 258])
    };
    assert_eq!(State::decode(stored), Some(expected));
    for bytes in [
        &b""[..],
        b"7",
        b"g1:",
        b"g1:\0",
        b"g1:\x001234567",
        b"g1:\x00123456789",
        b"g1:1795271329000000000",
        b"g1:\x2912345678",
        b"g2:\x0012345678",
        &[&b"g1:\0"[..], &[0; 9 * 8]].concat(),
        b"\xff",
    ] {
        assert_eq!(State::decode(bytes), None, "{}", bytes.escape_ascii());
    }
}

/// As long as that it lies beside the server's own record of it.
#[test]
fn the_state_of_one_limit_is_twelve_bytes() {
    assert_eq!(state(&[u64::MAX]).encode().bytes().len(), 12);
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
        let (answer, _) = hit(Some(&state(&[arrival])), &[limit], cost, now_ms);
        prop_assert!(answer.remaining <= limit.limit);
        prop_assert!(answer.reset_ms <= period_ms);
        prop_assert!(answer.retry_ms.is_none() || answer.limited);
    }

    /// No key expires before all has come back, or a sixteenth of the longest period after that. What
    /// is not set anew is as it was set last.
    #[test]
    fn the_expiry_is_late_enough_and_not_much_later(
        limits in proptest::collection::vec((1..100u64, 1..100_000u64), 1..=MAX_LIMITS),
        hits in proptest::collection::vec((0..5_000u64, -5..20i64, 1..3u64), 1..50),
    ) {
        let mut key = Key::new(&limits);
        let mut at = 0;
        for (pause, cost, slower) in hits {
            at += pause;
            for (limit, (_, period_ms)) in key.limits.iter_mut().zip(&limits) {
                limit.period_ms = period_ms * slower;
            }
            let before = key.state.clone();
            key.hit(at, cost);
            let Some(state) = key.state.clone().filter(|state| Some(state) != before.as_ref()) else {
                continue;
            };
            let last = state.times().iter().max().unwrap();
            let longest = key.limits.iter().map(|limit| limit.period_ms).max().unwrap();
            prop_assert!(key.expires_at * NS_PER_MS >= *last);
            prop_assert!(key.expires_at <= last.div_ceil(NS_PER_MS) + longest / SPARE);
        }
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
