//! What keeps the downlink from its work: why it waits and tries again, and how the log hears of it.

use crate::health::{Change, Health};
use crate::metrics::Metrics;
use crate::redis_link::{describe, Trouble};
use crate::verdict::{judge, Verdict};
use redis::RedisError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::{info, warn};

#[derive(Debug)]
pub struct Pause {
    pub reason: String,
    pub reconnect: bool,
}

impl Pause {
    /// For a command on which everything else waits.
    pub fn of(error: &RedisError) -> Pause {
        Pause {
            reason: describe(error),
            reconnect: verdict(error) != Verdict::Retry,
        }
    }

    /// For a command that concerns one device: `None` where the answer is final.
    pub fn unless_final(error: &RedisError) -> Option<Pause> {
        (verdict(error) != Verdict::Refuse).then(|| Pause::of(error))
    }

    /// For a connection that cannot be made, or is broken.
    pub fn broken(trouble: &Trouble) -> Pause {
        Pause {
            reason: trouble.to_string(),
            reconnect: true,
        }
    }
}

fn verdict(error: &RedisError) -> Verdict {
    error.code().map_or(Verdict::Reconnect, |code| {
        judge(code, error.detail().unwrap_or_default())
    })
}

/// The two connections of the downlink.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Read,
    Look,
}

/// Whether the downlink works, for the log.
pub struct Condition {
    redis: String,
    metrics: Arc<Metrics>,
    health: Mutex<Health>,
}

impl Condition {
    pub fn new(redis: String, metrics: Arc<Metrics>) -> Condition {
        let mut health = Health::new(2);
        // It connects when it is needed.
        health.up(Part::Look as usize, Instant::now());
        Condition {
            redis,
            metrics,
            health: Mutex::new(health),
        }
    }

    pub fn works(&self, part: Part) {
        let redis = &self.redis;
        let mut health = self.lock();
        let change = health.up(part as usize, Instant::now());
        self.metrics.events.up.set(health.works().into());
        match change {
            Some(Change::Recovered(after)) => {
                info!("devices hear from Redis {redis} again after {after:.1?}");
            }
            Some(_) => info!("devices hear from Redis {redis}"),
            None => {}
        }
    }

    pub fn fails(&self, part: Part, pause: &Pause) {
        let (redis, reason) = (&self.redis, &pause.reason);
        self.metrics.events.up.set(0);
        let lost = self.lock().lost(part as usize, reason, Instant::now());
        if lost.is_some() {
            warn!("devices do not hear from Redis {redis}: {reason}; trying again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
