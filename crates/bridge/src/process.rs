//! `devicestate-bridge process`: applies what the receivers have put into queues.
//!
//! Any number of processors share the queues. Each has one consumer, with one connection, for every
//! queue that it works on: a consumer that waits costs nothing, and has a message as soon as there is
//! one.

mod batch;
mod consumer;
mod leases;
mod queues;

use crate::config::Config;
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::http::{self, Pages};
use crate::ingress::refusals::Refusals;
use crate::ingress::worker::{Report, Worker};
use crate::metrics::Metrics;
use crate::mqtt::outbox::Outbox;
use crate::probes::{Probes, REDIS};
use crate::redis_health::RedisHealth;
use crate::redis_link::{Server, Target};
use crate::serve::{Plan, Stop};
use crate::service::Service;
use crate::text::one_line;
use consumer::{Consumer, Order};
use leases::Leases;
use queues::Queues;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{unbounded_channel, UnboundedSender};
use tokio::sync::{watch, Mutex};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};
use tracing::{error, info, warn};

/// How long giving back may take.
const GIVE_UP: Duration = Duration::from_secs(1);

/// What this processor is to do.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Flags {
    /// Only these queues, e.g. 0-7 or 0,3,8-11
    #[arg(long, value_name = "NUMBERS")]
    pub queues: Option<Queues>,
    /// A name that no other processor has; one that starts again under its old name goes on at once
    /// [default: the machine's name and a random number]
    #[arg(long, value_name = "NAME")]
    pub worker: Option<String>,
}

/// Runs until told to stop. False if it ended by itself, to be started again. An error is one of
/// configuration.
pub async fn run(
    config: &Config,
    plan: Plan,
    flags: Flags,
    mut stop: Stop,
) -> Result<bool, String> {
    let queues = match flags.queues {
        Some(queues) => queues.within(config.queue.count)?,
        None => (0..config.queue.count).collect(),
    };
    let name = flags.worker.unwrap_or_else(own_name);
    if name.is_empty() || name.len() > 256 || name == "-" {
        return Err("--worker is not a name of 1 to 256 bytes other than '-'".into());
    }
    let redis = plan.peers.redis.to_string();
    info!(
        "devicestate-bridge {} processes {} of {} queues {}:* at Redis {redis} as {}",
        env!("CARGO_PKG_VERSION"),
        queues.len(),
        config.queue.count,
        one_line(&config.queue.key),
        one_line(&name),
    );
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    let metrics = Arc::new(Metrics::new(&plan.profiles.names()));
    let probes = Arc::new(Probes::new(&[REDIS], metrics.clone()));
    let pages = Pages { metrics, probes };
    if let Some(address) = config.http.address()? {
        http::start(address, pages.clone()).await?;
    }
    let (reports, mut heard) = unbounded_channel();
    let mut processor = Processor {
        shared: Shared::new(config, &pages),
        probes: pages.probes,
        service: Service::new(std::env::var("NOTIFY_SOCKET").ok().as_deref()),
        redis: RedisHealth::new(queues.len(), redis),
        order: watch::Sender::new(Order::Work),
        deadline: Instant::now(),
        ready_told: false,
    };
    let mut consumers = processor.start(config, plan, &queues, &name, &reports);
    processor.service.started();
    let mut tick = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = consumers.join_next() => match ended {
                None => break,
                Some(Ok(())) => {}
                // The message that it died of is delivered again, alone, and at last is dead.
                Some(Err(failure)) => {
                    error!("a consumer has failed: {failure}; ending, to be started again");
                    return Ok(false);
                }
            },
            Some(report) = heard.recv() => processor.on_report(report),
            _ = tick.tick() => {
                processor.probes.beat();
                processor.service.beat(&processor.probes);
                processor.shared.refusals.tick();
            }
            Some(()) = stop.recv() => processor.on_stop(config.drain_timeout.0),
            () = sleep_until(processor.deadline.into()), if processor.order() != Order::Work => {
                if processor.order() == Order::GiveUp {
                    break;
                }
                processor.give_up();
            }
        }
    }
    processor.summarise();
    Ok(true)
}

struct Processor {
    shared: Shared,
    probes: Arc<Probes>,
    service: Service,
    redis: RedisHealth,
    order: watch::Sender<Order>,
    /// When the present order is over, if it is one to stop.
    deadline: Instant,
    ready_told: bool,
}

/// What the consumers share.
struct Shared {
    metrics: Arc<Metrics>,
    refusals: Arc<Refusals>,
    dead_letters: Arc<DeadLetters>,
    /// Nothing empties it: what is answered is not put into queues.
    outbox: Outbox,
    /// Nobody hears it: the receivers tell devices what waits for them.
    bell: Arc<Bell>,
}

impl Processor {
    fn start(
        &self,
        config: &Config,
        plan: Plan,
        queues: &[u32],
        name: &str,
        reports: &UnboundedSender<Report>,
    ) -> JoinSet<()> {
        let server = &plan.peers.redis;
        let (profiles, first_look) = (Arc::new(plan.profiles), Arc::new(Mutex::new(())));
        let mut consumers = JoinSet::new();
        for (number, queue) in queues.iter().enumerate() {
            let (from_worker, settled) = unbounded_channel();
            let consumer = Consumer {
                leases: Leases {
                    key: config.queue.key(*queue),
                    worker: name.to_owned(),
                    max_deliveries: config.queue.max_deliveries,
                },
                lease: config.queue.lease.0,
                profiles: profiles.clone(),
                worker: self.shared.worker(config, server, number, from_worker),
                settled,
                reports: reports.clone(),
                order: self.order.subscribe(),
                first_look: first_look.clone(),
            };
            consumers.spawn(consumer.run());
        }
        consumers
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Settled(_) => {}
            Report::Works { worker } => self.redis.worker_works(worker),
            Report::Waits { worker, reason } => self.redis.worker_waits(worker, &reason),
        }
        self.probes.set(REDIS, self.redis.state());
        if self.redis.works() && !std::mem::replace(&mut self.ready_told, true) {
            info!("processor ready");
        }
    }

    fn order(&self) -> Order {
        *self.order.borrow()
    }

    /// The first signal lets what is in hand be finished, a second one does not.
    fn on_stop(&mut self, drain: Duration) {
        if self.order() == Order::Work {
            self.probes.stop();
            self.service.stopping();
            info!("stopping; finishing what is in hand");
            self.deadline = Instant::now() + drain;
            self.order.send_replace(Order::Finish);
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        info!("giving back what is in hand");
        self.deadline = Instant::now() + GIVE_UP;
        self.order.send_replace(Order::GiveUp);
    }

    fn summarise(&self) {
        self.shared.refusals.tick();
        let messages = &self.shared.metrics.messages;
        info!(
            "stopped: received {}, applied {}, refused {}, dead letters {}, retried {}",
            messages.received.total(),
            messages.applied.total(),
            messages.refused.total(),
            messages.dead.total(),
            messages.retried.total(),
        );
    }
}

impl Shared {
    fn new(config: &Config, pages: &Pages) -> Shared {
        let (max_payload, metrics) = (config.mqtt.max_payload, &pages.metrics);
        Shared {
            outbox: Outbox::new(metrics.clone()),
            bell: Arc::new(Bell::new(false)),
            refusals: Arc::new(Refusals::new(metrics.clone())),
            metrics: metrics.clone(),
            dead_letters: Arc::new(DeadLetters::new(config.dead_letters.clone(), max_payload)),
        }
    }

    fn worker(
        &self,
        config: &Config,
        server: &Server,
        number: usize,
        reports: UnboundedSender<Report>,
    ) -> Worker {
        Worker {
            number,
            target: Target::new(
                &config.redis,
                server,
                format!("devicestate-processor-w{number}"),
            ),
            batch: config.redis.batch,
            queue: Arc::default(),
            refusals: self.refusals.clone(),
            dead_letters: self.dead_letters.clone(),
            metrics: self.metrics.clone(),
            outbox: self.outbox.clone(),
            bell: self.bell.clone(),
            reports,
        }
    }
}

/// A name that no other processor has, and that says on which machine it runs.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(200).collect();
    let random = RandomState::new().hash_one(&host) as u32;
    format!("{host}-{random:08x}")
}
