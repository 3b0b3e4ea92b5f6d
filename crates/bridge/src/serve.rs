//! From settings to a running bridge: starts the workers, then passes events to the bridge until it
//! is told to stop.

use crate::config::{Config, Peers};
use crate::counters::Counters;
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::downlink::{Downlink, Parts};
use crate::ingress::refusals::Refusals;
use crate::ingress::worker::{Report, Worker};
use crate::ingress::{Ingress, Names, Shared};
use crate::mqtt::outbox::Outbox;
use crate::mqtt::publisher::Publisher;
use crate::mqtt::{self, Event};
use crate::profile::Profiles;
use crate::redis_link::Target;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};
use tracing::{info, warn};

/// What comes after the drain: the goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(3);

/// A signal to stop. A second one cuts the drain short.
pub type Stop = UnboundedReceiver<()>;

/// What the settings come to.
pub struct Plan {
    pub peers: Peers,
    pub profiles: Profiles,
    /// Lines for the log.
    pub warnings: Vec<String>,
}

/// Runs until told to stop. An error is one of configuration.
pub async fn run(config: &Config, plan: Plan, mut stop: Stop) -> Result<(), String> {
    let Plan {
        peers,
        profiles,
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
    let profiles = Arc::new(profiles);
    let (hand, mut source) = mqtt::prepare(&config.mqtt, &peers.broker, profiles.filters())?;
    let client = redis::Client::open(peers.redis).map_err(|e| e.to_string())?;
    let (shared, mut from_workers) = start_workers(config, &client);
    let publisher = Publisher::new(
        &config.mqtt,
        &peers.broker,
        shared.outbox.clone(),
        config.downlink.max_in_flight,
    );
    tokio::spawn(publisher.run());
    let (stop_downlink, stopped) = watch::channel(false);
    let mut downlink = start_downlink(config, &names, &client, profiles.clone(), &shared, stopped);
    let mut ingress = Ingress::new(&config.mqtt, names, profiles, hand, shared);
    let mut tick = interval(Duration::from_secs(1));
    let mut deadline = Instant::now();
    let mut said_goodbye = false;
    'serve: loop {
        let next = source.next();
        tokio::pin!(next);
        let event = loop {
            let drained = ingress.is_drained() && downlink.is_empty();
            if ingress.is_draining() && !said_goodbye && drained {
                deadline = Instant::now();
            }
            tokio::select! {
                event = &mut next, if !ingress.is_full() => break event,
                Some(_) = downlink.join_next() => {}
                Some(report) = from_workers.recv() => ingress.on_report(report),
                _ = tick.tick() => ingress.on_tick(),
                Some(()) = stop.recv() => {
                    if !ingress.is_draining() {
                        deadline = Instant::now() + config.drain_timeout.0;
                        ingress.start_drain();
                        // It may be gone already.
                        let _ = stop_downlink.send(true);
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

fn start_downlink(
    config: &Config,
    names: &Names,
    client: &redis::Client,
    profiles: Arc<Profiles>,
    shared: &Shared,
    stop: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if config.downlink.enabled {
        let parts = Parts {
            target: target(config, client, "devicestate-bridge-down".to_owned()),
            redis: names.redis.clone(),
            consumer: config.mqtt.client_id.clone(),
            profiles,
            outbox: shared.outbox.clone(),
            bell: shared.bell.clone(),
            stop,
        };
        tasks.spawn(Downlink::new(&config.downlink, parts).run());
    }
    tasks
}

fn target(config: &Config, client: &redis::Client, name: String) -> Target {
    Target {
        client: client.clone(),
        connect_timeout: config.redis.connect_timeout.0,
        response_timeout: config.redis.response_timeout.0,
        name,
    }
}

fn start_workers(config: &Config, client: &redis::Client) -> (Shared, UnboundedReceiver<Report>) {
    let (reports, from_workers) = unbounded_channel();
    let counters = Arc::new(Counters::default());
    let shared = Shared {
        queues: (0..config.redis.workers).map(|_| Arc::default()).collect(),
        outbox: Outbox::new(counters.clone()),
        bell: Arc::new(Bell::new(config.downlink.enabled)),
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
            target: target(config, client, format!("devicestate-bridge-w{number}")),
            batch: config.redis.batch,
            queue: queue.clone(),
            refusals: shared.refusals.clone(),
            dead_letters: shared.dead_letters.clone(),
            counters: shared.counters.clone(),
            outbox: shared.outbox.clone(),
            bell: shared.bell.clone(),
            reports: reports.clone(),
        };
        tokio::spawn(worker.run());
    }
    (shared, from_workers)
}
