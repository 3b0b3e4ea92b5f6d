//! The section `[downlink]`.

use super::limits::{between, within, SECOND};
use super::Span;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownlinkConfig {
    pub enabled: bool,
    /// The stream of events.
    pub stream: String,
    /// The consumer group in it that all bridges share.
    pub group: String,
    /// Events read at a time, at most.
    pub batch: usize,
    /// How long a device has for a command before it is given it again.
    pub command_lease: Span,
    /// Events that another bridge took and did not finish in this time are taken over.
    pub claim_after: Span,
    /// How many messages may wait for the broker's acknowledgement.
    pub max_in_flight: usize,
}

impl Default for DownlinkConfig {
    fn default() -> Self {
        DownlinkConfig {
            enabled: true,
            stream: "devices:events".into(),
            group: "bridge".into(),
            batch: 256,
            command_lease: Span(Duration::from_secs(60)),
            claim_after: Span(Duration::from_secs(60)),
            max_in_flight: 1000,
        }
    }
}

impl DownlinkConfig {
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("stream", &self.stream), ("group", &self.group)] {
            if value.is_empty() {
                return Err(format!("downlink.{name} is empty"));
            }
        }
        within("downlink.batch", self.batch, 1..=10_000)?;
        within("downlink.max_in_flight", self.max_in_flight, 1..=65_535)?;
        let day = 86_400 * SECOND;
        between("downlink.command_lease", self.command_lease, SECOND, day)?;
        between("downlink.claim_after", self.claim_after, SECOND, day)
    }
}
