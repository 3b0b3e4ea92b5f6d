//! From settings to a running bridge: starts the workers, then passes events to the bridge until it
//! is told to stop.

use crate::config::{Config, Peers};
use crate::counters::Counters;
use crate::dead_letters::DeadLetters;
use crate::ingress::refusals::Refusals;
use crate::ingress::worker::{Report, Worker};
use crate::ingress::{Ingress, Names, Shared};
use crate::mqtt::outbox::Outbox;
use crate::mqtt::publisher::Publisher;
use crate::mqtt::{self, Event, Purpose, Source};
use crate::profile::Profiles;
use crate::redis_link::{Server, Target};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::time::{interval, sleep_until};
use tracing::{info, warn};

/// What comes after the drain: the goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(3);

/// How many messages to devices may wait for the broker's acknowledgement, at most.
const MAX_IN_FLIGHT: usize = 1000;

/// A signal to stop. A second one cuts the drain short.
pub type Stop = UnboundedReceiver<()>;

/// What the settings come to.
pub struct Plan {
    pub peers: Peers,
    pub profiles: Profiles,
    /// Lines for the log.
    pub warnings: Vec<String>,
}

/// What carries messages.
pub struct Parts {
    pub ingress: Ingress,
    pub source: Source,
    pub from_workers: UnboundedReceiver<Report>,
}

/// Starts everything but the connection that messages come on. An error is one of configuration.
pub fn prepare(config: &Config, plan: Plan, purpose: Purpose) -> Result<Parts, String> {
    let Plan {
        peers,
        profiles,
        warnings,
    } = plan;
    let names = Names {
        broker: peers.broker.to_string(),
        redis: peers.redis.to_string(),
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
    let (hand, source) = mqtt::prepare(&config.mqtt, &peers.broker, profiles.filters(), purpose)?;
    let (shared, from_workers) = start_workers(config, &peers.redis);
    let publisher = Publisher::new(
        &config.mqtt,
        &peers.broker,
        shared.outbox.clone(),
        MAX_IN_FLIGHT,
    );
    tokio::spawn(publisher.run());
    Ok(Parts {
        ingress: Ingress::new(&config.mqtt, names, profiles, hand, shared),
        source,
        from_workers,
    })
}

/// Runs until told to stop. An error is one of configuration.
pub async fn run(config: &Config, plan: Plan, mut stop: Stop) -> Result<(), String> {
    let Parts {
        mut ingress,
        mut source,
        mut from_workers,
    } = prepare(config, plan, Purpose::Serve)?;
    let mut tick = interval(Duration::from_secs(1));
    let mut deadline = Instant::now();
    let mut said_goodbye = false;
    'serve: loop {
        let next = source.next();
        tokio::pin!(next);
        let event = loop {
            if ingress.is_draining() && !said_goodbye && ingress.is_drained() {
                deadline = Instant::now();
            }
            tokio::select! {
                event = &mut next, if !ingress.is_full() => break event,
                Some(report) = from_workers.recv() => ingress.on_report(report),
                _ = tick.tick() => ingress.on_tick(),
                Some(()) = stop.recv() => {
                    if !ingress.is_draining() {
                        deadline = Instant::now() + config.drain_timeout.0;
                        ingress.start_drain();
                    } else if !said_goodbye {
                        deadline = Instant::now();
                    }
                }
                () = sleep_until(deadline.into()), if ingress.is_draining() => {
                    if said_goodbye || !ingress.say_goodbye() {
                        break 'serve;
                    }
                    said_goodbye = true;
                    deadline = Instant::now() + GOODBYE;
                }
            }
        };
        if matches!(event, Event::Closed) || (said_goodbye && matches!(event, Event::Lost(_))) {
            break;
        }
        ingress.on_event(event);
    }
    ingress.summarise();
    Ok(())
}

fn start_workers(config: &Config, server: &Server) -> (Shared, UnboundedReceiver<Report>) {
    let (reports, from_workers) = unbounded_channel();
    let counters = Arc::new(Counters::default());
    let shared = Shared {
        queues: (0..config.redis.workers).map(|_| Arc::default()).collect(),
        outbox: Outbox::new(counters.clone()),
        counters,
        refusals: Arc::new(Refusals::new()),
        dead_letters: Arc::new(DeadLetters::new(
            config.dead_letters.clone(),
            config.mqtt.max_payload,
        )),
    };
    for (number, queue) in shared.queues.iter().enumerate() {
        let worker = Worker {
            number,
            target: Target::new(
                &config.redis,
                server,
                format!("devicestate-bridge-w{number}"),
            ),
            batch: config.redis.batch,
            queue: queue.clone(),
            refusals: shared.refusals.clone(),
            dead_letters: shared.dead_letters.clone(),
            counters: shared.counters.clone(),
            outbox: shared.outbox.clone(),
            reports: reports.clone(),
        };
        tokio::spawn(worker.run());
    }
    (shared, from_workers)
}
