//! Messages that the broker drops. It has confirmed them to the devices, so this is the one place
//! where their loss can be seen.

use std::time::{Duration, Instant};
use tracing::{info, warn};

/// One line in this time, at most.
const QUIET: Duration = Duration::from_secs(60);

/// Follows the number that the broker tells, which counts from the broker's start.
#[derive(Debug, Default)]
pub struct Drops {
    last: Option<u64>,
    untold: u64,
    told: Option<Instant>,
}

impl Drops {
    /// How many are new. What was dropped before the bridge's start is told once, and not counted.
    pub fn on_total(&mut self, total: u64) -> u64 {
        let new = match self.last.replace(total) {
            None => {
                if total > 0 {
                    info!("the broker has dropped {total} messages since its start");
                }
                0
            }
            // The broker was started again.
            Some(last) if total < last => total,
            Some(last) => total - last,
        };
        self.untold += new;
        new
    }

    pub fn tell(&mut self, now: Instant) {
        let quiet = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < QUIET);
        if self.untold == 0 || quiet {
            return;
        }
        self.told = Some(now);
        let new = std::mem::take(&mut self.untold);
        warn!(
            "the broker has dropped {new} messages: the queue of this bridge or of another client is \
             full (in Mosquitto: max_queued_messages)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_counted_whatever_the_broker_does() {
        let mut drops = Drops::default();
        let totals = [5, 5, 8, 2, 2, 3];
        assert_eq!(
            totals.map(|total| drops.on_total(total)),
            [0, 0, 3, 2, 0, 1]
        );
        assert_eq!(drops.untold, 6);
    }

    #[test]
    fn a_line_a_minute_at_most_and_none_is_left_out_of_it() {
        let start = Instant::now();
        let mut drops = Drops::default();
        drops.on_total(0);
        drops.on_total(4);
        drops.tell(start);
        assert_eq!(drops.untold, 0);
        drops.on_total(7);
        drops.tell(start + QUIET / 2);
        assert_eq!(drops.untold, 3);
        drops.tell(start + QUIET);
        assert_eq!(drops.untold, 0);
    }
}
