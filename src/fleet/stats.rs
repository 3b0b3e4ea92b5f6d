//! What `INFO devicestate` counts since the module was loaded.

use std::cell::Cell;

use devicestate_core::alert::Outcome;

#[derive(Default)]
pub struct Stats {
    pub heartbeats: Counter,
    pub reports: Counter,
    pub ignored: Counter,
    /// Accepted changes of desired documents, deltas told, and refused versions.
    pub desired: Counter,
    pub deltas: Counter,
    pub conflicts: Counter,
    /// Throttled calls, and how many of them were told to wait.
    pub hits: Counter,
    pub limited: Counter,
    /// Commands given to devices, and done or cancelled.
    pub commands: Counter,
    pub commands_finished: Counter,
    /// Raises by what came of them, and what else happened to alerts.
    pub alerts_new: Counter,
    pub alerts_suppressed: Counter,
    pub alerts_repeated: Counter,
    pub alerts_escalated: Counter,
    pub alerts_held: Counter,
    pub alerts_resolved: Counter,
    pub alerts_acked: Counter,
    /// Reports in which a rule found no number at its path.
    pub alert_values_unusable: Counter,
    /// Notifications by hand, and batches handed out and done.
    pub notified: Counter,
    pub batches: Counter,
    pub batches_done: Counter,
    pub queues: Queues,
    pub came_online: Counter,
    pub went_offline: Counter,
    pub timed_out: Counter,
    pub registered: Counter,
    pub removed: Counter,
    pub adopted: Counter,
    pub ticks: Counter,
    pub looks: Counter,
    pub back_offs: Counter,
    pub mended: Counter,
    /// How late the last timeout was told, and the latest of all, in milliseconds.
    pub lag_last: Counter,
    pub lag_max: Counter,
    rate: Cell<Rate>,
}

/// Messages of all queues.
#[derive(Default)]
pub struct Queues {
    pub added: Counter,
    /// Handed out, also again.
    pub delivered: Counter,
    pub redelivered: Counter,
    pub acked: Counter,
    pub nacked: Counter,
    pub dead: Counter,
    pub expired: Counter,
    /// Not added, because the queue was full.
    pub refused: Counter,
}

/// A counter of one thread: the server's.
#[derive(Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

#[derive(Default, Clone, Copy)]
struct Rate {
    since_ms: u64,
    heartbeats: u64,
    per_second: u64,
}

impl Stats {
    pub fn alert_raised(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::New => &self.alerts_new,
            Outcome::Suppressed => &self.alerts_suppressed,
            Outcome::Repeat => &self.alerts_repeated,
            Outcome::Escalated => &self.alerts_escalated,
            Outcome::Held => &self.alerts_held,
        };
        counter.add(1);
    }

    /// A timeout was told `lag` milliseconds after it passed.
    pub fn told_after(&self, lag: u64) {
        self.lag_last.set(lag);
        self.lag_max.set(self.lag_max.get().max(lag));
    }

    /// Called at every tick; renews the rate about once a second.
    pub fn sample(&self, monotonic_ms: u64) {
        let rate = self.rate.get();
        let elapsed = monotonic_ms.saturating_sub(rate.since_ms);
        if elapsed < 1_000 {
            return;
        }
        let heartbeats = self.heartbeats.get();
        let per_second = heartbeats
            .wrapping_sub(rate.heartbeats)
            .saturating_mul(1_000)
            / elapsed;
        self.rate.set(Rate {
            since_ms: monotonic_ms,
            heartbeats,
            per_second,
        });
    }

    /// Heartbeats per second over the last second or so.
    pub fn heartbeats_per_second(&self) -> u64 {
        self.rate.get().per_second
    }
}
