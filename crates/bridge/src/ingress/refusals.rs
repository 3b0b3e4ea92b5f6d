//! The log lines for messages that are refused: one each, but no flood. A device that sends
//! thousands of broken messages must not fill a disk, nor hide the lines of the others for long.

use crate::profile::Refusal;
use crate::text::one_line;
use devicestate_core::escape::Quoted;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;

/// Lines per second.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Writes and counts refusals. Shared by all that can refuse.
pub struct Refusals {
    limit: Mutex<Limit>,
    total: AtomicU64,
}

impl Refusals {
    pub fn new() -> Refusals {
        Refusals {
            limit: Mutex::new(Limit::new(Instant::now())),
            total: AtomicU64::new(0),
        }
    }

    /// Says that a message was refused. Topic, device and reason may hold any bytes.
    pub fn refuse(&self, topic: &[u8], refusal: &Refusal) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if !self.lock().admit(Instant::now()) {
            return;
        }
        let (topic, reason) = (Quoted(topic), one_line(&refusal.reason));
        match &refusal.device {
            Some(device) => {
                let device = Quoted(device.as_bytes());
                warn!("refused a message on topic {topic}, device {device}: {reason}");
            }
            None => warn!("refused a message on topic {topic}: {reason}"),
        }
    }

    /// To be called about once a second: tells how many lines were left out.
    pub fn tick(&self) {
        let left_out = self.lock().left_out(Instant::now());
        if left_out > 0 {
            warn!("refused {left_out} more messages, their lines are left out");
        }
    }

    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most [`LINES`] in each [`PERIOD`], and a count of the rest.
struct Limit {
    since: Instant,
    used: u32,
    left_out: u64,
}

impl Limit {
    fn new(now: Instant) -> Limit {
        Limit {
            since: now,
            used: 0,
            left_out: 0,
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.since = now;
            self.used = 0;
        }
        if self.used < LINES {
            self.used += 1;
            return true;
        }
        self.left_out += 1;
        false
    }

    fn left_out(&mut self, now: Instant) -> u64 {
        if now.saturating_duration_since(self.since) < PERIOD {
            return 0;
        }
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_then_a_count() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let shown = (0..1000).filter(|_| limit.admit(start)).count();
        assert_eq!(shown, 10);
        assert_eq!(limit.left_out(start + PERIOD / 2), 0);
        assert_eq!(limit.left_out(start + PERIOD), 990);
        assert_eq!(limit.left_out(start + PERIOD), 0);
        assert!(limit.admit(start + PERIOD));
    }
}
