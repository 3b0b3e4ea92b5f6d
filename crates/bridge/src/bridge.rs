//! The bridge itself: takes messages from the broker, hands commands to the workers, acknowledges
//! what they have done. Nothing here waits; the window is what holds the broker back.

use crate::config::MqttConfig;
use crate::counters::Counters;
use crate::health::{Change, Health};
use crate::message::{self, DeviceCommand};
use crate::mqtt::{Event, Hand, Message};
use crate::queue::{Job, Queue};
use crate::redis_writer::{Report, Settled};
use crate::refusals::Refusals;
use crate::room::Room;
use crate::routes::{Format, Route, Routes};
use crate::window::Window;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How long after a refused subscription the next attempt follows.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(30);

pub struct Bridge {
    routes: Routes,
    hand: Hand,
    window: Window,
    shared: Shared,
    /// For the jobs that workers have and have not settled.
    room: Room,
    /// Acknowledgements on their way to the socket.
    unsent: usize,
    full_told: bool,
    max_payload: usize,
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
}

impl Bridge {
    pub fn new(
        config: &MqttConfig,
        names: Names,
        routes: Routes,
        hand: Hand,
        shared: Shared,
    ) -> Self {
        Bridge {
            routes,
            hand,
            window: Window::default(),
            broker: Health::new(1),
            redis: Health::new(shared.queues.len()),
            shared,
            room: Room::new(config.qos0_buffer, config.qos1_buffer),
            unsent: 0,
            full_told: false,
            max_payload: config.max_payload,
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
        let command = self.read(&message);
        match command {
            Ok(command) => self.dispatch(Job::new(command, message.topic, ticket)),
            Err((device, reason)) => {
                self.shared
                    .refusals
                    .refuse(&message.topic, device.as_deref(), &reason);
                if let Some(ticket) = ticket {
                    self.window.settle(ticket);
                    self.acknowledge();
                }
            }
        }
    }

    /// The command a message stands for, or why there is none, and for which device.
    fn read(&self, message: &Message) -> Result<DeviceCommand, (Option<String>, String)> {
        let Route {
            kind,
            device,
            format,
        } = self
            .routes
            .find(&message.topic, message.content_type.as_deref())
            .map_err(|error| (None, error.to_string()))?;
        let (size, most) = (message.payload.len(), self.max_payload);
        if size > most {
            let reason = format!("the payload has {size} bytes, more than max_payload ({most})");
            return Err((Some(device), reason));
        }
        let (payload, retained) = (&message.payload, message.retained);
        let command = match format {
            Ok(Format::Json) => message::parse(kind, device.clone(), payload, retained),
            Ok(Format::Protobuf(schema)) => {
                message::decode(schema, device.clone(), payload, retained, most)
            }
            Err(reason) => Err(reason.to_owned()),
        };
        command.map_err(|reason| (Some(device), reason))
    }

    fn dispatch(&mut self, job: Job) {
        if !self.room.admit(job.size(), job.ticket.is_some()) {
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

    /// Whether nothing waits for Redis.
    pub fn is_drained(&self) -> bool {
        self.room.jobs() == 0
    }

    /// Asks for the end of the connection, after the broker has read all, or after `limit`. False
    /// where there is none.
    pub fn say_goodbye(&self, limit: Duration) -> bool {
        if !self.broker.works() {
            return false;
        }
        match self.hand.say_goodbye(limit) {
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
            dropped,
        } = self.shared.counters.as_ref();
        info!(
            "stopped: received {}, applied {}, refused {}, retried {}, dropped {}, \
             left to the broker {}",
            received.get(),
            applied.get(),
            self.shared.refusals.total(),
            retried.get(),
            dropped.get(),
            self.window.len().max(self.room.jobs())
        );
    }
}
