//! From settings to a running bridge: starts the workers, then passes events to the bridge until it
//! is told to stop.

use crate::bridge::{Bridge, Names, Shared};
use crate::config::{Config, Peers, RedisConfig};
use crate::mqtt::{self, Event};
use crate::redis_link::Target;
use crate::redis_writer::{Report, Worker};
use crate::refusals::Refusals;
use crate::routes::Routes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::time::{interval, sleep_until};
use tracing::{info, warn};

/// The least that the broker is given to read what it was sent, after Redis is done. A busy broker
/// gets all that is left of the drain: acknowledgements that it has not read by the end are lost,
/// and their messages come again.
const GOODBYE: Duration = Duration::from_secs(2);
/// For the end of the connection after that.
const CLOSE: Duration = Duration::from_secs(1);

/// A signal to stop. A second one cuts the drain short.
pub type Stop = UnboundedReceiver<()>;

/// What the settings come to.
pub struct Plan {
    pub peers: Peers,
    pub routes: Routes,
    /// Lines for the log.
    pub warnings: Vec<String>,
}

/// Runs until told to stop. An error is one of configuration.
pub async fn run(config: &Config, plan: Plan, mut stop: Stop) -> Result<(), String> {
    let Plan {
        peers,
        routes,
        warnings,
    } = plan;
    let names = Names {
        broker: peers.broker.to_string(),
        redis: peers.redis.addr().to_string(),
    };
    info!(
        "devicestate-bridge {} from MQTT {} to Redis {}",
        env!("CARGO_PKG_VERSION"),
        names.broker,
        names.redis
    );
    for warning in warnings {
        warn!("{warning}");
    }
    let (hand, mut source) = mqtt::prepare(&config.mqtt, &peers.broker, routes.filters())?;
    let client = redis::Client::open(peers.redis).map_err(|e| e.to_string())?;
    let (shared, mut from_workers) = start_workers(&config.redis, &client);
    let mut bridge = Bridge::new(&config.mqtt, names, routes, hand, shared);
    let mut tick = interval(Duration::from_secs(1));
    let mut drain_end = Instant::now();
    // Of what the bridge waits for while it stops: Redis, then the broker.
    let mut deadline = drain_end;
    let mut said_goodbye = false;
    'serve: loop {
        let next = source.next();
        tokio::pin!(next);
        let event = loop {
            if bridge.is_draining() && !said_goodbye && bridge.is_drained() {
                deadline = Instant::now();
            }
            tokio::select! {
                event = &mut next, if !bridge.is_full() => break event,
                Some(report) = from_workers.recv() => bridge.on_report(report),
                _ = tick.tick() => bridge.on_tick(),
                Some(()) = stop.recv() => {
                    drain_end = Instant::now();
                    if !bridge.is_draining() {
                        drain_end += config.drain_timeout.0;
                        bridge.start_drain();
                    }
                    deadline = drain_end;
                }
                () = sleep_until(deadline.into()), if bridge.is_draining() => {
                    let now = Instant::now();
                    let limit = drain_end.saturating_duration_since(now).max(GOODBYE);
                    if said_goodbye || !bridge.say_goodbye(limit) {
                        break 'serve;
                    }
                    said_goodbye = true;
                    deadline = now + limit + CLOSE;
                }
            }
        };
        if matches!(event, Event::Closed) || (said_goodbye && matches!(event, Event::Lost(_))) {
            break;
        }
        bridge.on_event(event);
    }
    bridge.summarise();
    Ok(())
}

fn start_workers(
    config: &RedisConfig,
    client: &redis::Client,
) -> (Shared, UnboundedReceiver<Report>) {
    let (reports, from_workers) = unbounded_channel();
    let shared = Shared {
        queues: (0..config.workers).map(|_| Arc::default()).collect(),
        counters: Arc::default(),
        refusals: Arc::new(Refusals::new()),
    };
    for (number, queue) in shared.queues.iter().enumerate() {
        let worker = Worker {
            number,
            target: Target {
                client: client.clone(),
                connect_timeout: config.connect_timeout.0,
                response_timeout: config.response_timeout.0,
                name: format!("devicestate-bridge-w{number}"),
            },
            batch: config.batch,
            queue: queue.clone(),
            refusals: shared.refusals.clone(),
            counters: shared.counters.clone(),
            reports: reports.clone(),
        };
        tokio::spawn(worker.run());
    }
    (shared, from_workers)
}
