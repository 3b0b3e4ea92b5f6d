//! What has happened since the start.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub struct Counters {
    /// Messages taken from the broker, redelivered ones again.
    pub received: Counter,
    /// Messages whose commands Redis confirmed.
    pub applied: Counter,
    /// Messages whose commands were sent once more, each time.
    pub retried: Counter,
    /// Refused messages that were put to the dead letters.
    pub dead: Counter,
    /// Messages whose commands were refused, and whose device was told so.
    pub answered_no: Counter,
    /// Messages that the broker dropped since the start, of this bridge or of other clients.
    pub broker_dropped: Counter,
    /// QoS 0 messages that found no room.
    pub dropped: Counter,
    /// Messages to devices that the broker has confirmed.
    pub published: Counter,
    /// Messages to devices that the broker did not take.
    pub unpublishable: Counter,
    /// Answers to devices that found no room while the broker was away.
    pub answers_dropped: Counter,
}
