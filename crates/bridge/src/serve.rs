//! From settings to a running bridge: starts the workers, then passes events to the bridge until it
//! is told to stop.

use crate::config::{Config, Peers};
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::downlink::{self, Downlink, Running};
use crate::http::{self, Pages};
use crate::ingress::reader::Reader;
use crate::ingress::refusals::Refusals;
use crate::ingress::worker::{Report, Worker};
use crate::ingress::{Ingress, Names, Shared};
use crate::metrics::Metrics;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::publisher::Publisher;
use crate::mqtt::{self, Event, Purpose, Source};
use crate::probes::{Probes, MQTT, REDIS};
use crate::profile::Profiles;
use crate::queue::Enqueue;
use crate::redis_link::{Server, Target};
use crate::service::Service;
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
    pub profiles: Profiles,
    /// Lines for the log.
    pub warnings: Vec<String>,
}

/// What carries messages.
pub struct Parts {
    pub probes: Arc<Probes>,
    pub ingress: Ingress,
    pub source: Source,
    pub from_workers: UnboundedReceiver<Report>,
    pub downlink: Running,
}

/// Starts everything but the connection that messages come on. An error is one of configuration.
pub async fn prepare(config: &Config, plan: Plan, purpose: Purpose) -> Result<Parts, String> {
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
        version = env!("CARGO_PKG_VERSION"),
        "devicestate-bridge {} from MQTT {} to Redis {}",
        env!("CARGO_PKG_VERSION"),
        names.broker,
        names.redis
    );
    for warning in warnings {
        warn!("{warning}");
    }
    let profiles = Arc::new(profiles);
    let (hand, source) = mqtt::prepare(&config.mqtt, &peers.broker, profiles.filters(), purpose)?;
    let metrics = Arc::new(Metrics::new(&profiles.names()));
    let probes = Arc::new(Probes::new(&[MQTT, REDIS], metrics.clone()));
    let pages = Pages { metrics, probes };
    if let Some(address) = config.http.address()? {
        http::start(address, pages.clone()).await?;
    }
    let (shared, from_workers) = start_workers(config, &peers.redis, pages);
    let publisher = Publisher::new(
        &config.mqtt,
        &peers.broker,
        shared.outbox.clone(),
        config.downlink.max_in_flight,
    );
    tokio::spawn(publisher.run());
    let downlink = match purpose {
        Purpose::Serve => start_downlink(config, &peers.redis, profiles.clone(), &shared),
        Purpose::Leave => Running::default(),
    };
    let queue = &config.queue;
    let reader = Reader {
        profiles,
        queues: queue.enabled.then(|| Enqueue::new(queue.clone())),
    };
    Ok(Parts {
        probes: shared.probes.clone(),
        ingress: Ingress::new(&config.mqtt, names, reader, hand, shared),
        source,
        from_workers,
        downlink,
    })
}

/// Runs until told to stop. An error is one of configuration.
pub async fn run(config: &Config, plan: Plan, mut stop: Stop) -> Result<(), String> {
    let Parts {
        probes,
        mut ingress,
        mut source,
        mut from_workers,
        mut downlink,
    } = prepare(config, plan, Purpose::Serve).await?;
    let service = Service::new(std::env::var("NOTIFY_SOCKET").ok().as_deref());
    service.started();
    let mut tick = interval(Duration::from_secs(1));
    let mut drain_end = Instant::now();
    // Of what the bridge waits for while it stops: Redis, then the broker.
    let mut deadline = drain_end;
    let mut said_goodbye = false;
    'serve: loop {
        let next = source.next();
        tokio::pin!(next);
        let event = loop {
            let drained = ingress.is_drained() && downlink.is_over();
            if ingress.is_draining() && !said_goodbye && drained {
                deadline = Instant::now();
            }
            tokio::select! {
                event = &mut next, if !ingress.is_full() => break event,
                () = downlink.over(), if !downlink.is_over() => {}
                Some(report) = from_workers.recv() => ingress.on_report(report),
                _ = tick.tick() => {
                    probes.beat();
                    service.beat(&probes);
                    ingress.on_tick();
                }
                Some(()) = stop.recv() => {
                    drain_end = Instant::now();
                    if !ingress.is_draining() {
                        drain_end += config.drain_timeout.0;
                        service.stopping();
                        ingress.start_drain();
                        downlink.stop();
                    }
                    deadline = drain_end;
                }
                () = sleep_until(deadline.into()), if ingress.is_draining() => {
                    let now = Instant::now();
                    let limit = drain_end.saturating_duration_since(now).max(GOODBYE);
                    if said_goodbye || !ingress.say_goodbye(limit) {
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
        ingress.on_event(event);
    }
    ingress.summarise();
    Ok(())
}

fn start_downlink(
    config: &Config,
    server: &Server,
    profiles: Arc<Profiles>,
    shared: &Shared,
) -> Running {
    if !config.downlink.enabled {
        return Running::default();
    }
    let target = |name: &str| Target::new(&config.redis, server, name.to_owned());
    let parts = downlink::Parts {
        look: target("devicestate-bridge-down"),
        read: target("devicestate-bridge-events"),
        redis: server.to_string(),
        consumer: config.mqtt.client_id(),
        profiles,
        outbox: shared.outbox.clone(),
        bell: shared.bell.clone(),
        metrics: shared.metrics.clone(),
    };
    Downlink::start(&config.downlink, parts)
}

fn start_workers(
    config: &Config,
    server: &Server,
    pages: Pages,
) -> (Shared, UnboundedReceiver<Report>) {
    let (reports, from_workers) = unbounded_channel();
    let shared = Shared {
        queues: (0..config.redis.workers).map(|_| Arc::default()).collect(),
        outbox: Outbox::new(pages.metrics.clone()),
        bell: Arc::new(Bell::new(config.downlink.enabled)),
        refusals: Arc::new(Refusals::new(pages.metrics.clone())),
        dead_letters: Arc::new(DeadLetters::new(
            config.dead_letters.clone(),
            config.mqtt.max_payload,
        )),
        metrics: pages.metrics,
        probes: pages.probes,
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
            metrics: shared.metrics.clone(),
            outbox: shared.outbox.clone(),
            bell: shared.bell.clone(),
            reports: reports.clone(),
        };
        tokio::spawn(worker.run());
    }
    (shared, from_workers)
}
