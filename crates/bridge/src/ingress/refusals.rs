//! The log lines for messages that are refused: one each, but no flood. A device that sends
//! thousands of broken messages must not fill a disk, nor hide the lines of the others for long.

use crate::metrics::Metrics;
use crate::profile::Refusal;
use crate::text::one_line;
use devicestate_core::escape::Quoted;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;

/// Lines per second.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Writes and counts refusals. Shared by all that can refuse.
pub struct Refusals {
    limit: Mutex<Limit>,
    metrics: Arc<Metrics>,
}

impl Refusals {
    pub fn new(metrics: Arc<Metrics>) -> Refusals {
        Refusals {
            limit: Mutex::new(Limit::new(Instant::now())),
            metrics,
        }
    }

    /// Says that a message was refused. Topic, device and reason may hold any bytes.
    pub fn refuse(&self, profile: &str, topic: &[u8], refusal: &Refusal) {
        self.metrics.messages.refused.add(profile, 1);
        if !self.lock().admit(Instant::now()) {
            return;
        }
        let (quoted, reason) = (Quoted(topic), one_line(&refusal.reason));
        let topic = one_line(&String::from_utf8_lossy(topic));
        match refusal.device.as_deref() {
            Some(device) => {
                let whose = Quoted(device.as_bytes());
                warn!(
                    profile,
                    topic,
                    device,
                    reason,
                    "refused a message on topic {quoted}, device {whose}: {reason}"
                );
            }
            None => warn!(
                profile,
                topic, reason, "refused a message on topic {quoted}: {reason}"
            ),
        }
    }

    /// To be called about once a second: tells how many lines were left out.
    pub fn tick(&self) {
        let left_out = self.lock().left_out(Instant::now());
        if left_out > 0 {
            warn!(
                left_out,
                "refused {left_out} more messages, their lines are left out"
            );
        }
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
