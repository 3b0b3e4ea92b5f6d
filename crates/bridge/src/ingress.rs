//! From devices to Redis: takes messages from the broker, hands their commands to the workers,
//! acknowledges what they have done. Nothing here waits; the window is what holds the broker back.

pub mod jobs;
pub mod refusals;
mod room;
mod window;
pub mod worker;

use crate::config::MqttConfig;
use crate::counters::Counters;
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::health::{Change, Health};
use crate::mqtt::outbox::Outbox;
use crate::mqtt::{Event, Hand, Message};
use crate::profile::Profiles;
use crate::work::Work;
use jobs::{Job, Queue};
use refusals::Refusals;
use room::Room;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};
use window::Window;
use worker::{Report, Settled};

/// How long after a refused subscription the next attempt follows.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(30);

pub struct Ingress {
    profiles: Arc<Profiles>,
    hand: Hand,
    window: Window,
    shared: Shared,
    /// For the jobs that workers have and have not settled.
    room: Room,
    /// Acknowledgements on their way to the socket.
    unsent: usize,
    full_told: bool,
    dropped_told: u64,
    broker: Health,
    redis: Health,
    names: Names,
    subscribed: bool,
    subscribe_at: Option<Instant>,
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
    pub counters: Arc<Counters>,
    pub refusals: Arc<Refusals>,
    pub dead_letters: Arc<DeadLetters>,
    pub outbox: Outbox,
    pub bell: Arc<Bell>,
}

impl Ingress {
    pub fn new(
        config: &MqttConfig,
        names: Names,
        profiles: Arc<Profiles>,
        hand: Hand,
        shared: Shared,
    ) -> Self {
        Ingress {
            profiles,
            hand,
            window: Window::default(),
            broker: Health::new(1),
            redis: Health::new(shared.queues.len()),
            shared,
            room: Room::new(config.qos0_buffer, config.qos1_buffer),
            unsent: 0,
            full_told: false,
            dropped_told: 0,
            names,
            subscribed: false,
            subscribe_at: None,
            ready_told: false,
            draining: false,
        }
    }

    pub fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected { resumed } => self.on_connected(resumed),
            Event::Subscribed(Ok(())) => {
                self.subscribed = true;
                self.tell_ready();
            }
            Event::Subscribed(Err(reason)) => {
                self.subscribe_at = Some(Instant::now() + SUBSCRIBE_AGAIN);
                error!("not subscribed: {reason}; trying again in {SUBSCRIBE_AGAIN:?}");
            }
            Event::Message(_) if self.draining => {}
            Event::Message(message) => self.on_message(message),
            Event::Acknowledged => self.unsent = self.unsent.saturating_sub(1),
            Event::Lost(reason) => {
                self.subscribed = false;
                self.subscribe_at = None;
                self.unsent = 0;
                self.window.start_epoch();
                if self.broker.lost(0, &reason, Instant::now()).is_some() {
                    let broker = &self.names.broker;
                    warn!("no connection to MQTT {broker}: {reason}; trying again");
                }
            }
            Event::Closed => {}
        }
    }

    fn on_connected(&mut self, resumed: bool) {
        let change = self.broker.up(0, Instant::now());
        let session = if resumed { "resumed" } else { "new" };
        let broker = &self.names.broker;
        match change {
            Some(Change::Recovered(after)) => {
                info!("connected to MQTT {broker} after {after:.1?}, {session} session");
            }
            _ => info!("connected to MQTT {broker}, {session} session"),
        }
        // What the broker sends again need not be kept. What it has forgotten is kept.
        if resumed {
            let epoch = self.window.epoch();
            let forgotten: Vec<Settled> = self
                .shared
                .queues
                .iter()
                .flat_map(|queue| queue.forget_before(epoch))
                .map(|job| Settled::from(&job))
                .collect();
            self.on_settled(&forgotten);
        }
    }

    fn on_message(&mut self, message: Message) {
        self.shared.counters.received.add(1);
        let ticket = message.packet_id.map(|id| self.window.admit(id));
        match self.read(&message) {
            Some(work) => self.dispatch(Job::new(work, message, ticket)),
            None => {
                if let Some(ticket) = ticket {
                    self.window.settle(ticket);
                    self.acknowledge();
                }
            }
        }
    }

    /// What is to be done: what the message says, or else what keeps it as a dead letter.
    fn read(&self, message: &Message) -> Option<Work> {
        match self.profiles.read(message) {
            Ok(work) => Some(work),
            Err(refusal) => {
                self.shared.refusals.refuse(&message.topic, &refusal);
                self.shared.dead_letters.work(message, &refusal)
            }
        }
    }

    fn dispatch(&mut self, job: Job) {
        if !self.room.admit(job.size, job.ticket.is_some()) {
            self.shared.counters.dropped.add(1);
            return;
        }
        let worker = job.worker(self.shared.queues.len());
        if let Some(queue) = self.shared.queues.get(worker) {
            queue.push(job);
        }
    }

    pub fn on_report(&mut self, report: Report) {
        let now = Instant::now();
        let redis = &self.names.redis;
        match report {
            Report::Settled(jobs) => self.on_settled(&jobs),
            Report::Works { worker } => {
                match self.redis.up(worker, now) {
                    Some(Change::Recovered(after)) => {
                        info!("Redis {redis} works again after {after:.1?}");
                    }
                    Some(_) => info!("connected to Redis {redis}"),
                    None => return,
                }
                self.tell_ready();
            }
            Report::Waits { worker, reason } => {
                if self.redis.lost(worker, &reason, now).is_some() {
                    warn!("Redis {redis} does not take commands: {reason}; trying again");
                }
            }
        }
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
        let full = self.is_full();
        if full && !self.full_told {
            warn!("not reading from the broker: qos1_buffer is full until Redis has caught up");
        }
        self.full_told = full;
        let dropped = self.shared.counters.dropped.get();
        let new = dropped - std::mem::replace(&mut self.dropped_told, dropped);
        if new > 0 {
            warn!("dropped {new} QoS 0 messages: Redis is behind and qos0_buffer is full");
        }
    }

    fn tell_ready(&mut self) {
        if self.subscribed && self.redis.works() && !self.ready_told {
            self.ready_told = true;
            info!("bridge ready");
        }
    }

    /// From now on no message is taken.
    pub fn start_drain(&mut self) {
        self.draining = true;
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

    /// Asks for the end of the connection. False where there is none.
    pub fn say_goodbye(&self) -> bool {
        if !self.broker.works() {
            return false;
        }
        match self.hand.say_goodbye() {
            Ok(()) => true,
            Err(reason) => {
                error!("cannot say goodbye: {reason}");
                false
            }
        }
    }

    pub fn summarise(&mut self) {
        self.on_tick();
        let Counters {
            received,
            applied,
            retried,
            dead,
            dropped,
            ..
        } = self.shared.counters.as_ref();
        info!(
            "stopped: received {}, applied {}, refused {}, dead letters {}, retried {}, dropped {}, \
             left to the broker {}",
            received.get(),
            applied.get(),
            self.shared.refusals.total(),
            dead.get(),
            retried.get(),
            dropped.get(),
            self.window.len().max(self.room.jobs())
        );
    }
}
