//! How fast devices may connect, and how long they wait after a failure.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep_until, Instant};

use crate::rng::fraction;

/// Lets connections through one by one, evenly.
pub struct Pacer {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pacer {
    /// `per_second` 0 is without limit.
    pub fn new(per_second: u32) -> Self {
        let gap = Duration::from_secs(1)
            .checked_div(per_second)
            .unwrap_or(Duration::ZERO);
        Pacer {
            gap,
            next: Mutex::new(None),
        }
    }

    /// Returns when it is the caller's turn. A turn that is given up is lost.
    pub async fn turn(&self) {
        if self.gap.is_zero() {
            return;
        }
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(at + self.gap);
            at
        };
        sleep_until(at).await;
    }
}

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait before try number `attempt` (from 1) after a failure: 0.5 s doubled each time, at
/// most 10 s, of which a random half to whole, so that a fleet does not come back as one.
pub fn backoff(seed: u64, who: u32, attempt: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    let part = 0.5 + fraction(seed, u64::from(who), u64::from(attempt)) / 2.0;
    doubled.min(LONGEST).mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        for who in 0..50 {
            assert!((250..=500).contains(&backoff(1, who, 1).as_millis()));
            assert!((500..=1_000).contains(&backoff(1, who, 2).as_millis()));
            assert!((5_000..=10_000).contains(&backoff(1, who, u32::MAX).as_millis()));
        }
        assert_ne!(backoff(1, 1, 1), backoff(1, 2, 1));
    }

    #[test]
    fn turns_are_evenly_apart_and_0_is_no_limit() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pacer = Pacer::new(1_000);
            let start = Instant::now();
            for _ in 0..21 {
                pacer.turn().await;
            }
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(Pacer::new(0).gap, Duration::ZERO);
            Pacer::new(0).turn().await;
        });
    }
}
