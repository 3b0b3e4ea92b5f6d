//! A histogram of durations with constant memory: exact below 64 µs, then within 3 %.

use std::time::Duration;

/// Values per power of two above the exact part.
const STEPS: usize = 32;
const EXACT: u64 = 2 * STEPS as u64;
/// Powers of two from 2^6 to 2^63.
const OCTAVES: usize = 58;

/// Counts of durations in buckets of microseconds.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Histogram {
            buckets: vec![0; EXACT as usize + OCTAVES * STEPS],
            count: 0,
            max_us: 0,
        }
    }

    /// Adds `times` durations of the same length.
    pub fn add(&mut self, duration: Duration, times: u64) {
        if times == 0 {
            return;
        }
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)] += times;
        self.count += times;
        self.max_us = self.max_us.max(us);
    }

    /// The duration that a share of `quantile` (0 to 1) does not exceed, in milliseconds; None when
    /// nothing was added.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(upper(index).min(self.max_us) as f64 / 1_000.0);
            }
        }
        self.max_ms()
    }

    /// The longest one, exactly.
    pub fn max_ms(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max_us as f64 / 1_000.0)
    }
}

fn bucket(us: u64) -> usize {
    if us < EXACT {
        return us as usize;
    }
    let octave = us.ilog2() as usize;
    // The five bits after the leading one.
    let step = (us >> (octave - 5)) as usize - STEPS;
    EXACT as usize + (octave - 6) * STEPS + step
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(EXACT as usize) else {
        return bucket as u64;
    };
    let (octave, step) = (above / STEPS + 6, above % STEPS);
    let width = 1u64 << (octave - 5);
    (STEPS as u64 + step as u64) * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_touch_and_none_is_wider_than_a_32nd() {
        let last = EXACT as usize + OCTAVES * STEPS - 1;
        assert_eq!(bucket(u64::MAX), last);
        assert_eq!(upper(last), u64::MAX);
        for index in 1..=last {
            let low = upper(index - 1) + 1;
            assert_eq!((bucket(low), bucket(upper(index))), (index, index));
            assert!((upper(index) - low) as f64 <= low as f64 / 32.0);
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::new();
        assert_eq!(
            (histogram.quantile_ms(0.5), histogram.max_ms()),
            (None, None)
        );
        for ms in 1..=100 {
            histogram.add(Duration::from_millis(ms), 1);
        }
        let p50 = histogram.quantile_ms(0.5).unwrap();
        let p99 = histogram.quantile_ms(0.99).unwrap();
        assert!((50.0..51.6).contains(&p50), "{p50}");
        assert!((99.0..=100.0).contains(&p99), "{p99}");
        assert_eq!(histogram.quantile_ms(1.0), Some(100.0));
        assert_eq!(histogram.max_ms(), Some(100.0));
    }

    #[test]
    fn adding_many_at_once_is_adding_each() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::from_micros(10), 99);
        histogram.add(Duration::from_secs(1), 1);
        histogram.add(Duration::from_secs(9), 0);
        assert_eq!(histogram.quantile_ms(0.99), Some(0.01));
        assert_eq!(histogram.max_ms(), Some(1_000.0));
    }
}
