//! Pauses between attempts: doubling up to a bound, with jitter, so that many bridges that lost the
//! same server do not come back in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
    random: RandomState,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff {
            first,
            most,
            attempt: 0,
            random: RandomState::new(),
        }
    }

    /// The next pause: between half and all of the current step.
    pub fn pause(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(1 << self.attempt.min(20))
            .min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        let share = (self.random.hash_one(self.attempt) % 1024) as u32;
        step / 2 + (step / 2) * share / 1024
    }

    /// To be called after success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_starts_again() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, most);
        let mut step = first;
        for _ in 0..100 {
            let pause = backoff.pause();
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
            step = (step * 2).min(most);
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
