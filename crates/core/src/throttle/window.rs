//! A fixed window: the first hit opens it, and when it ends the count starts again at nothing.
//!
//! Around the end of a window up to twice the limit may pass in a short time; who can't have that
//! uses [`super::gcra`].

use super::{Answer, Limit};

/// An open window as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Hands in the data may have put any number there.
    pub count: i64,
    /// `None`: it has no end (an `INCR` whose `EXPIRE` never came).
    pub ends_in_ms: Option<u64>,
}

/// What has to be stored after a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing changes.
    Keep,
    /// The window opens with this count.
    Open(u64),
    /// The window goes on with this count, and ends in so many milliseconds where that changes.
    Count(u64, Option<u64>),
}

/// Charges `cost`, if the window has room for all of it; a negative cost gives back. With a cost of 0
/// it only looks: limited then means that nothing remains.
///
/// A window ends after its period at the latest: one without an end, or with a later one (the limit
/// changed, the clock was set back), is given that end by any hit, so that nobody is locked out.
pub fn hit(stored: Option<Window>, limit: Limit, cost: i64) -> (Answer, Next) {
    let Limit { limit, period_ms } = limit;
    // A key is there through the whole millisecond in which it expires, and in scripts even longer.
    let stored = stored.filter(|window| window.ends_in_ms != Some(0));
    let count = stored.map_or(0, |window| u64::try_from(window.count).unwrap_or(0));
    let (ends_in_ms, new_end) = match stored {
        None => (0, None),
        Some(window) => match window.ends_in_ms {
            Some(left) if left <= period_ms => (left, None),
            _ => (period_ms, Some(period_ms)),
        },
    };
    let wanted = u64::try_from(cost.max(1)).unwrap_or(1);
    let limited = cost >= 0 && count.checked_add(wanted).is_none_or(|after| after > limit);
    let after = match cost {
        0 => count,
        _ if limited => count,
        cost => count.saturating_add_signed(cost),
    };
    let next = match stored {
        _ if cost == 0 => Next::Keep,
        None if limited || after == 0 => Next::Keep,
        None => Next::Open(after),
        Some(window) if new_end.is_none() && u64::try_from(window.count) == Ok(after) => Next::Keep,
        Some(_) => Next::Count(after, new_end),
    };
    let answer = Answer {
        limited,
        limit,
        remaining: limit.saturating_sub(after),
        retry_ms: (limited && wanted <= limit).then_some(ends_in_ms),
        reset_ms: match next {
            Next::Open(_) => period_ms,
            _ => ends_in_ms,
        },
    };
    (answer, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIVE: Limit = Limit {
        limit: 5,
        period_ms: 1_000,
    };

    fn open(count: i64, ends_in_ms: u64) -> Option<Window> {
        Some(Window {
            count,
            ends_in_ms: Some(ends_in_ms),
        })
    }

    fn told(answer: Answer) -> (bool, u64, Option<u64>, u64) {
        (
            answer.limited,
            answer.remaining,
            answer.retry_ms,
            answer.reset_ms,
        )
    }

    #[test]
    fn hits_pass_until_the_limit_and_a_denied_one_costs_nothing() {
        let (answer, next) = hit(None, FIVE, 1);
        assert_eq!(told(answer), (false, 4, None, 1_000));
        assert_eq!(next, Next::Open(1));
        let (answer, next) = hit(open(4, 700), FIVE, 1);
        assert_eq!(told(answer), (false, 0, None, 700));
        assert_eq!(next, Next::Count(5, None));
        let (answer, next) = hit(open(5, 600), FIVE, 1);
        assert_eq!(told(answer), (true, 0, Some(600), 600));
        assert_eq!(next, Next::Keep);
        let (answer, next) = hit(open(3, 600), FIVE, 3);
        assert_eq!(told(answer), (true, 2, Some(600), 600));
        assert_eq!(next, Next::Keep);
    }

    #[test]
    fn what_can_never_pass_has_no_retry() {
        let (answer, next) = hit(None, FIVE, 6);
        assert_eq!(told(answer), (true, 5, None, 0));
        assert_eq!(next, Next::Keep);
        let (answer, _) = hit(open(1, 5), FIVE, i64::MAX);
        assert_eq!(told(answer), (true, 4, None, 5));
    }

    #[test]
    fn cost_0_looks() {
        for (stored, expected) in [
            (None, (false, 5, None, 0)),
            (open(4, 9), (false, 1, None, 9)),
            (open(5, 9), (true, 0, Some(9), 9)),
        ] {
            let (answer, next) = hit(stored, FIVE, 0);
            assert_eq!(told(answer), expected);
            assert_eq!(next, Next::Keep);
        }
    }

    #[test]
    fn a_refund_never_goes_below_nothing() {
        let (answer, next) = hit(open(4, 9), FIVE, -3);
        assert_eq!(told(answer), (false, 4, None, 9));
        assert_eq!(next, Next::Count(1, None));
        assert_eq!(hit(open(2, 9), FIVE, i64::MIN).1, Next::Count(0, None));
        assert_eq!(hit(open(0, 9), FIVE, -1).1, Next::Keep);
        assert_eq!(hit(None, FIVE, -1).1, Next::Keep);
    }

    /// redis#4548, limits#14: a counter whose EXPIRE never came locked callers out for ever.
    #[test]
    fn a_counter_without_an_end_gets_one() {
        let endless = |count| {
            Some(Window {
                count,
                ends_in_ms: None,
            })
        };
        let (answer, next) = hit(endless(5), FIVE, 1);
        assert_eq!(told(answer), (true, 0, Some(1_000), 1_000));
        assert_eq!(next, Next::Count(5, Some(1_000)));
        assert_eq!(hit(endless(1), FIVE, 1).1, Next::Count(2, Some(1_000)));
        assert_eq!(
            hit(endless(5), FIVE, 0).1,
            Next::Keep,
            "a look writes nothing"
        );
    }

    #[test]
    fn a_window_is_over_in_its_last_millisecond() {
        let (answer, next) = hit(open(5, 0), FIVE, 1);
        assert_eq!(told(answer), (false, 4, None, 1_000));
        assert_eq!(next, Next::Open(1));
    }

    #[test]
    fn a_shorter_period_ends_the_window_earlier() {
        let (answer, next) = hit(open(5, 60_000), FIVE, 1);
        assert_eq!(told(answer), (true, 0, Some(1_000), 1_000));
        assert_eq!(next, Next::Count(5, Some(1_000)));
    }

    #[test]
    fn a_lower_limit_and_foreign_numbers_do_no_harm() {
        assert_eq!(told(hit(open(9, 5), FIVE, 1).0), (true, 0, Some(5), 5));
        assert_eq!(told(hit(open(-9, 5), FIVE, 1).0), (false, 4, None, 5));
        assert_eq!(hit(open(-9, 5), FIVE, 1).1, Next::Count(1, None));
        let (answer, _) = hit(open(i64::MAX, 5), FIVE, i64::MAX);
        assert!(answer.limited);
    }

    proptest! {
        #[test]
        fn no_window_lets_more_through_than_its_limit(
            limit in 1..50u64,
            costs in proptest::collection::vec(-5..10i64, 0..200),
        ) {
            let limit = Limit { limit, period_ms: 1_000 };
            let mut window = None;
            for cost in costs {
                let (answer, next) = hit(window, limit, cost);
                match next {
                    Next::Keep => {}
                    Next::Open(count) | Next::Count(count, _) => {
                        window = open(i64::try_from(count).unwrap(), 500);
                    }
                }
                let count = window.map_or(0, |window| window.count);
                prop_assert!((0..=limit.limit as i64).contains(&count));
                prop_assert_eq!(answer.remaining, limit.limit - count as u64);
            }
        }
    }
}
