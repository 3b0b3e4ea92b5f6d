//! Whether the workers reach Redis, and a line in the log whenever that changes.

use crate::health::{Change, Health};
use crate::probes::REDIS;
use std::time::Instant;
use tracing::{info, warn};

#[derive(Debug)]
pub struct RedisHealth {
    workers: Health,
    /// The server as the log names it.
    name: String,
}

impl RedisHealth {
    pub fn new(workers: usize, name: String) -> RedisHealth {
        RedisHealth {
            workers: Health::new(workers),
            name,
        }
    }

    pub fn worker_works(&mut self, worker: usize) {
        let name = &self.name;
        match self.workers.up(worker, Instant::now()) {
            Some(Change::Recovered(after)) => info!(
                peer = REDIS,
                after_seconds = after.as_secs_f64(),
                "Redis {name} works again after {after:.1?}"
            ),
            Some(_) => info!(peer = REDIS, "connected to Redis {name}"),
            None => {}
        }
    }

    pub fn worker_waits(&mut self, worker: usize, reason: &str) {
        let name = &self.name;
        if self.workers.lost(worker, reason, Instant::now()).is_some() {
            warn!(
                peer = REDIS,
                reason, "Redis {name} does not take commands: {reason}; trying again"
            );
        }
    }

    /// Whether all workers do their work.
    pub fn works(&self) -> bool {
        self.workers.works()
    }

    /// Nothing, or why not all do.
    pub fn state(&self) -> Result<(), &str> {
        self.workers.reason().map_or(Ok(()), Err)
    }
}
