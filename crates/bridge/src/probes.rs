//! Whether the program is alive, and whether it is ready: what `/healthz` and `/readyz` answer.
//!
//! Alive means that its loop turns. It says nothing of the broker or of Redis: who restarts a bridge
//! because Redis is away gains nothing. Ready means that everything works that a message needs on
//! its way.

use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A loop that has not turned for this long is stuck. It turns once a second.
const STUCK: Duration = Duration::from_secs(30);

/// The broker, from connection to subscriptions.
pub const MQTT: &str = "mqtt";
/// Redis, over all connections.
pub const REDIS: &str = "redis";
/// The program itself.
const BRIDGE: &str = "bridge";

pub struct Probes {
    metrics: Arc<Metrics>,
    start: Instant,
    /// Milliseconds after the start.
    last_beat: AtomicU64,
    /// Why each part does not work; parts that work are not in it.
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Probes {
    /// All `parts` begin as not working.
    pub fn new(parts: &[&'static str], metrics: Arc<Metrics>) -> Probes {
        let probes = Probes {
            metrics,
            start: Instant::now(),
            last_beat: AtomicU64::new(0),
            reasons: Mutex::default(),
        };
        for part in parts {
            probes.set(part, Err("not connected yet"));
        }
        probes
    }

    /// To be called about once a second by the loop that must not stand still.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(now, Ordering::Relaxed);
    }

    pub fn is_alive(&self) -> bool {
        let last = Duration::from_millis(self.last_beat.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last) < STUCK
    }

    /// Says whether a part works, or why not.
    pub fn set(&self, part: &'static str, state: Result<(), &str>) {
        let connections = &self.metrics.connections;
        let mut reasons = self.lock();
        match state {
            Ok(()) => reasons.remove(part),
            Err(reason) => reasons.insert(part, reason.to_owned()),
        };
        connections
            .up
            .get_or_create(&[("peer", part)])
            .set(state.is_ok().into());
        connections.ready.set(reasons.is_empty().into());
    }

    /// From now on it is not ready, whatever works.
    pub fn stop(&self) {
        let mut reasons = self.lock();
        reasons.insert(BRIDGE, "it is stopping".to_owned());
        self.metrics.connections.ready.set(0);
    }

    /// What keeps it from being ready: part and reason. Empty when it is ready.
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_all_parts_work_and_nobody_stops_it() {
        let metrics = Arc::new(Metrics::new(&[]));
        let probes = Probes::new(&[MQTT, REDIS], metrics.clone());
        let ready = || metrics.connections.ready.get() == 1 && probes.reasons().is_empty();
        assert_eq!(probes.reasons().len(), 2);
        probes.set(MQTT, Ok(()));
        assert!(!ready());
        probes.set(REDIS, Ok(()));
        assert!(ready());
        probes.set(REDIS, Err("LOADING"));
        assert!(!ready());
        assert_eq!(probes.reasons()[REDIS], "LOADING");
        probes.set(REDIS, Ok(()));
        probes.stop();
        assert!(!ready());
        assert!(probes.is_alive());
    }
}
