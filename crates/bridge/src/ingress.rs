//! From devices to Redis: takes messages from the broker, hands their commands to the workers,
//! acknowledges what they have done. Nothing here waits; the window is what holds the broker back.

mod drops;
pub mod jobs;
pub mod reader;
pub mod refusals;
mod room;
pub mod window;
pub mod worker;

use crate::config::MqttConfig;
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::health::{Change, Health};
use crate::metrics::Metrics;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::{Advice, Event, Hand, Message};
use crate::probes::{Probes, MQTT, REDIS};
use crate::profile::Reading;
use crate::redis_health::RedisHealth;
use drops::Drops;
use jobs::{Job, Queue};
use reader::Reader;
use refusals::Refusals;
use room::Room;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};
use window::Window;
use worker::{Report, Settled};

/// How long after a refused subscription the next attempt follows.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(30);

pub struct Ingress {
    reader: Reader,
    hand: Hand,
    window: Window,
    /// The epoch of the window in which the broker's session began.
    session_began: u64,
    shared: Shared,
    /// For the jobs that workers have and have not settled.
    room: Room,
    /// Acknowledgements on their way to the socket.
    unsent: usize,
    full_told: bool,
    dropped_told: u64,
    broker_drops: Drops,
    broker: Health,
    redis: RedisHealth,
    /// As the log names it.
    broker_name: String,
    /// Whether messages come, or why not.
    subscribed: Result<(), String>,
    subscribe_at: Option<Instant>,
    connected_before: bool,
    ready_told: bool,
    draining: bool,
}

/// The two peers as the log names them.
pub struct Names {
    pub broker: String,
    pub redis: String,
}

/// What the bridge shares with its workers.
pub struct Shared {
    /// One for each worker.
    pub queues: Vec<Arc<Queue>>,
    pub metrics: Arc<Metrics>,
    pub probes: Arc<Probes>,
    pub refusals: Arc<Refusals>,
    pub dead_letters: Arc<DeadLetters>,
    pub outbox: Outbox,
    pub bell: Arc<Bell>,
}

impl Ingress {
    pub fn new(
        config: &MqttConfig,
        names: Names,
        reader: Reader,
        hand: Hand,
        shared: Shared,
    ) -> Self {
        let limit = &shared.metrics.held.limit;
        for (qos, bytes) in [("0", config.qos0_buffer), ("1", config.qos1_buffer)] {
            limit.get_or_create(&[("qos", qos)]).set(bytes as i64);
        }
        Ingress {
            reader,
            hand,
            window: Window::default(),
            session_began: 0,
            broker: Health::new(1),
            redis: RedisHealth::new(shared.queues.len(), names.redis),
            shared,
            room: Room::new(config.qos0_buffer, config.qos1_buffer),
            unsent: 0,
            full_told: false,
            dropped_told: 0,
            broker_drops: Drops::default(),
            broker_name: names.broker,
            subscribed: Err("not connected yet".to_owned()),
            subscribe_at: None,
            connected_before: false,
            ready_told: false,
            draining: false,
        }
    }

    pub fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected { resumed, advice } => {
                self.on_connected(resumed);
                advice.iter().for_each(Advice::tell);
            }
            Event::Subscribed(Ok(())) => {
                self.subscribed = Ok(());
                self.tell_state();
            }
            Event::Subscribed(Err(reason)) => {
                self.subscribe_at = Some(Instant::now() + SUBSCRIBE_AGAIN);
                error!(
                    peer = MQTT,
                    reason, "not subscribed: {reason}; trying again in {SUBSCRIBE_AGAIN:?}"
                );
                self.subscribed = Err(format!("not subscribed: {reason}"));
                self.tell_state();
            }
            Event::Dropped(total) => {
                let new = self.broker_drops.on_total(total);
                self.shared.metrics.messages.broker_dropped.inc_by(new);
            }
            Event::Message(_) if self.draining => {}
            Event::Message(message) => self.on_message(message),
            Event::Acknowledged => self.unsent = self.unsent.saturating_sub(1),
            Event::Lost(reason) => {
                self.subscribe_at = None;
                self.unsent = 0;
                self.window.start_epoch();
                if self.broker.lost(0, &reason, Instant::now()).is_some() {
                    let broker = &self.broker_name;
                    warn!(
                        peer = MQTT,
                        reason, "no connection to MQTT {broker}: {reason}; trying again"
                    );
                }
                self.subscribed = Err(reason);
                self.tell_state();
            }
            Event::Unsubscribed => debug!("subscriptions ended"),
            Event::Closed => {}
        }
    }

    fn on_connected(&mut self, resumed: bool) {
        let change = self.broker.up(0, Instant::now());
        let session = if resumed { "resumed" } else { "new" };
        let broker = &self.broker_name;
        match change {
            Some(Change::Recovered(after)) => info!(
                peer = MQTT,
                session,
                after_seconds = after.as_secs_f64(),
                "connected to MQTT {broker} after {after:.1?}, {session} session"
            ),
            _ => info!(
                peer = MQTT,
                session, "connected to MQTT {broker}, {session} session"
            ),
        }
        let connections = &self.shared.metrics.connections;
        if std::mem::replace(&mut self.connected_before, true) {
            connections.again(MQTT);
            if !resumed {
                connections.sessions_lost.inc();
            }
        }
        let epoch = self.window.epoch();
        if !resumed {
            self.window.forget_session();
            self.session_began = epoch;
        }
        // What the broker sends again need not be kept. What it has forgotten is kept: nothing that
        // came before its session began is ever sent again.
        let sent_again = self.session_began..epoch;
        let forgotten: Vec<Settled> = self
            .shared
            .queues
            .iter()
            .flat_map(|queue| queue.forget(sent_again.clone()))
            .map(|job| Settled::from(&job))
            .collect();
        self.on_settled(&forgotten);
    }

    fn on_message(&mut self, message: Message) {
        let Reading { profile, outcome } = self.reader.read(&message);
        self.shared.metrics.messages.received.add(profile, 1);
        let ticket = message.packet_id.map(|id| self.window.admit(id));
        let work = match outcome {
            Ok(work) => Some(work),
            // What keeps it as a dead letter.
            Err(refusal) => {
                let Shared {
                    refusals,
                    dead_letters,
                    ..
                } = &self.shared;
                refusals.refuse(profile, &message.topic, &refusal);
                dead_letters.work(&message, &refusal)
            }
        };
        match work {
            Some(work) => self.dispatch(Job::new(profile, work, message, ticket)),
            None => {
                if let Some(ticket) = ticket {
                    self.window.settle(ticket);
                    self.acknowledge();
                }
            }
        }
    }

    fn dispatch(&mut self, job: Job) {
        if !self.room.admit(job.size, job.ticket.is_some()) {
            self.shared.metrics.messages.dropped.add(job.profile, 1);
            return;
        }
        let worker = job.worker(self.shared.queues.len());
        if let Some(queue) = self.shared.queues.get(worker) {
            queue.push(job);
        }
    }

    pub fn on_report(&mut self, report: Report) {
        match report {
            Report::Settled(jobs) => return self.on_settled(&jobs),
            Report::Works { worker } => self.redis.worker_works(worker),
            Report::Waits { worker, reason } => self.redis.worker_waits(worker, &reason),
        }
        self.tell_state();
    }

    fn on_settled(&mut self, jobs: &[Settled]) {
        for job in jobs {
            self.room.release(job.size, job.ticket.is_some());
            if let Some(ticket) = job.ticket {
                self.window.settle(ticket);
            }
        }
        self.acknowledge();
    }

    /// Sends the acknowledgements that are due.
    fn acknowledge(&mut self) {
        while let Some(packet_id) = self.window.pop_settled() {
            match self.hand.acknowledge(packet_id) {
                Ok(()) => self.unsent += 1,
                Err(reason) => error!("cannot acknowledge: {reason}"),
            }
        }
    }

    pub fn on_tick(&mut self) {
        if self.subscribe_at.is_some_and(|at| at <= Instant::now()) {
            self.subscribe_at = None;
            if let Err(reason) = self.hand.subscribe() {
                error!("cannot subscribe: {reason}");
            }
        }
        self.shared.refusals.tick();
        self.broker_drops.tell(Instant::now());
        self.show_held();
        let full = self.is_full();
        if full && !self.full_told {
            warn!("not reading from the broker: qos1_buffer is full until Redis has caught up");
        }
        self.full_told = full;
        let dropped = self.shared.metrics.messages.dropped.total();
        let new = dropped - std::mem::replace(&mut self.dropped_told, dropped);
        if new > 0 {
            warn!(
                dropped = new,
                "dropped {new} QoS 0 messages: Redis is behind and qos0_buffer is full"
            );
        }
    }

    /// To be called when something has begun to work, or has ceased to.
    fn tell_state(&mut self) {
        let subscribed = self.subscribed.as_ref().copied().map_err(String::as_str);
        self.shared.probes.set(MQTT, subscribed);
        self.shared.probes.set(REDIS, self.redis.state());
        if subscribed.is_ok() && self.redis.works() && !self.ready_told {
            self.ready_told = true;
            info!("bridge ready");
        }
    }

    fn show_held(&self) {
        let held = &self.shared.metrics.held;
        held.unacknowledged.set(self.window.len() as i64);
        held.waiting.set(self.room.jobs() as i64);
        let lag = self.window.oldest().map(|came| came.elapsed());
        held.lag.set(lag.unwrap_or_default().as_secs_f64());
        for (qos, bytes) in ["0", "1"].into_iter().zip(self.room.held()) {
            held.used.get_or_create(&[("qos", qos)]).set(bytes as i64);
        }
    }

    /// From now on no message is taken.
    pub fn start_drain(&mut self) {
        self.draining = true;
        self.shared.probes.stop();
        let outstanding = self.room.jobs();
        info!("stopping; {outstanding} messages wait for Redis");
    }

    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether nothing may be read from the broker for now. Acknowledgements are written even so,
    /// because they are what it waits for. A broker that hears nothing for one and a half
    /// keep-alives closes the connection, and sends everything again on the next.
    pub fn is_full(&self) -> bool {
        let held_back = self.unsent == 0 && self.broker.works() && !self.draining;
        held_back && self.room.is_full(self.window.len())
    }

    /// Whether nothing waits for Redis, and no device for its answer.
    pub fn is_drained(&self) -> bool {
        self.room.jobs() == 0 && self.shared.outbox.is_empty()
    }

    /// Whether nothing waits at all: neither for Redis nor to be acknowledged.
    pub fn is_settled(&self) -> bool {
        self.is_drained() && self.window.len() == 0 && self.unsent == 0 && self.broker.works()
    }

    /// How many messages have come.
    pub fn received(&self) -> u64 {
        self.shared.metrics.messages.received.total()
    }

    /// Ends all subscriptions. False where there is no connection.
    pub fn unsubscribe(&self) -> bool {
        self.broker.works() && done(self.hand.unsubscribe(), "unsubscribe")
    }

    /// Ends the connection and the session.
    pub fn end_session(&self) -> bool {
        done(self.hand.end_session(), "end the session")
    }

    /// Asks for the end of the connection, after the broker has read all, or after `limit`. False
    /// where there is none.
    pub fn say_goodbye(&self, limit: Duration) -> bool {
        self.broker.works() && done(self.hand.say_goodbye(limit), "say goodbye")
    }

    pub fn summarise(&mut self) {
        self.on_tick();
        let messages = &self.shared.metrics.messages;
        let received = messages.received.total();
        let applied = messages.applied.total();
        let refused = messages.refused.total();
        let dead_letters = messages.dead.total();
        let retried = messages.retried.total();
        let dropped = messages.dropped.total();
        let queued = messages.queued.total();
        let left = self.window.len().max(self.room.jobs());
        info!(
            received,
            applied,
            refused,
            dead_letters,
            retried,
            dropped,
            queued,
            left_to_the_broker = left,
            "stopped: received {received}, applied {applied}, refused {refused}, dead letters \
             {dead_letters}, retried {retried}, dropped {dropped}, queued {queued}, left to the \
             broker {left}"
        );
    }
}

/// Whether it was done; the log has a line if not.
fn done(outcome: Result<(), String>, what: &str) -> bool {
    if let Err(reason) = &outcome {
        error!("cannot {what}: {reason}");
    }
    outcome.is_ok()
}
