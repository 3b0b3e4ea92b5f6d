//! What all devices of a run share: the plan, the counters, the clock, the signal to stop.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, Instant};

use crate::console::Console;
use crate::plan::Plan;
use crate::stats::Stats;

/// After the signal to stop, beats on their way get so long to be acknowledged.
pub const GRACE: Duration = Duration::from_secs(2);

pub struct Fleet {
    pub plan: Plan,
    pub stats: Stats,
    pub console: Console,
    pub seed: u64,
    /// Presence timeout that every beat carries, in milliseconds.
    pub timeout_ms: u64,
    begun: watch::Sender<Option<Instant>>,
    stop: watch::Sender<bool>,
}

impl Fleet {
    pub fn new(plan: Plan, seed: u64, timeout_ms: u64) -> Self {
        Fleet {
            plan,
            stats: Stats::default(),
            console: Console::new(),
            seed,
            timeout_ms,
            begun: watch::Sender::new(None),
            stop: watch::Sender::new(false),
        }
    }

    /// Starts the clock of the run, once. `--duration` and the moments of the plan count from here.
    pub fn begin(&self) {
        self.begun.send_if_modified(|begun| {
            let first = begun.is_none();
            begun.get_or_insert_with(Instant::now);
            first
        });
    }

    /// Returns when the clock runs.
    pub async fn has_begun(&self) {
        // The sender lives as long as self: no error can come.
        let _ = self.begun.subscribe().wait_for(Option::is_some).await;
    }

    /// Microseconds since the start of the clock; 0 before.
    pub fn elapsed_us(&self) -> u64 {
        let begun = *self.begun.borrow();
        begun.map_or(0, |at| {
            u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX)
        })
    }

    /// The moment `us` microseconds after the start of the clock.
    pub fn moment(&self, us: u64) -> Instant {
        let begun = self.begun.borrow().unwrap_or_else(Instant::now);
        // Beyond what the clock can hold: a year from now is as good as never.
        begun
            .checked_add(Duration::from_micros(us))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 86_400))
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Returns when the run is to end.
    pub async fn stopped(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Returns when the run is to end and the grace for what is on its way is over.
    pub async fn given_up(&self) {
        self.stopped().await;
        sleep(GRACE).await;
    }

    /// Counts devices whose first beat was acknowledged, and says so when it was the last of them.
    pub fn beaten(&self, devices: u64) {
        if devices == 0 {
            return;
        }
        self.stats.beaten.add(devices);
        if self.stats.beaten.get() == u64::from(self.plan.devices()) {
            let seconds = self.elapsed_us() as f64 / 1e6;
            self.console.say(&format!(
                "fleet ready: {} devices have beaten after {seconds:.1} s",
                self.plan.devices()
            ));
        }
    }
}
