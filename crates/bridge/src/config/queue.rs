//! `[queue]`: for the receiver and for the processors, which must agree on `key` and `count`.

use super::limits::{between, within, SECOND};
use super::Span;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Whether the bridge puts messages into queues instead of applying them.
    pub enabled: bool,
    /// The queues are `<key>:0`, `<key>:1` and so on.
    pub key: String,
    /// How many queues there are.
    pub count: u32,
    /// How long a message may wait. After that it is dropped.
    pub ttl: Span,
    /// A queue that holds as many messages takes no more; 0: no bound.
    pub maxlen: u64,
    /// How long a processor may be silent before its messages go to another one.
    pub lease: Span,
    /// A message that was delivered as often and not finished is dead; 0: never.
    pub max_deliveries: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            enabled: false,
            key: "ingest".into(),
            count: 16,
            ttl: Span(Duration::from_secs(86_400)),
            maxlen: 0,
            lease: Span(Duration::from_secs(30)),
            max_deliveries: 5,
        }
    }
}

impl QueueConfig {
    pub fn check(&self) -> Result<(), String> {
        if self.key.is_empty() {
            return Err("queue.key is empty".into());
        }

        let day = SECOND * 86_400;
        within("queue.count", self.count, 1..=1024)?;
        between("queue.ttl", self.ttl, SECOND, day * 3650)?;
        between("queue.lease", self.lease, SECOND, day)?;
        within("queue.maxlen", self.maxlen, 0..=1 << 40)?;
        within("queue.max_deliveries", self.max_deliveries, 0..=1_000_000)
    }

    /// The key of a queue.
    pub fn key(&self, number: u32) -> String {
        format!("{}:{number}", self.key)
    }
}
