//! The same fleet without a broker: beats as `DEVICE.HEARTBEAT` over a few pipelined connections.
//!
//! Each connection is a lane with its share of the devices, visited in the order of their phases, so
//! the due ones are always next and no timer per device is needed. A device costs 9 bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Value};
use tokio::select;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::commands::{self, Step};
use crate::fleet::Fleet;
use crate::pace::backoff;
use crate::plan::Fate;
use crate::stats::{wall_ms, Ended};

/// Where and how the beats go.
pub struct Server {
    pub client: redis::Client,
    pub connections: u32,
    /// Commands in one pipeline, at most.
    pub pipeline: usize,
    /// Register the devices as this type first.
    pub device_type: Option<String>,
}

/// Device flags: its first beat was acknowledged ...
const BEATEN: u8 = 1;
/// ... and it beats no more.
const ENDED: u8 = 2;

struct Lane {
    fleet: Arc<Fleet>,
    server: Arc<Server>,
    /// This lane, of so many.
    number: u32,
    lanes: u32,
    /// Flags of the lane's devices, by place.
    flags: Vec<u8>,
    connection: Option<MultiplexedConnection>,
    /// Of all devices of the lane: milliseconds since the epoch at the connect, higher each time.
    session: u64,
    /// Of devices that will end before the run does: when the last acknowledged beat was sent, and
    /// when acknowledged.
    last: HashMap<u32, (u64, u64)>,
}

/// Runs the whole fleet until it is stopped.
pub async fn run(fleet: Arc<Fleet>, server: Arc<Server>) {
    let lanes = server.connections.min(fleet.plan.devices());
    let registered = Arc::new(Barrier::new(lanes as usize));
    let mut tasks = JoinSet::new();
    for number in 0..lanes {
        let devices = (fleet.plan.devices() - number).div_ceil(lanes);
        let mut lane = Lane {
            fleet: fleet.clone(),
            server: server.clone(),
            number,
            lanes,
            flags: vec![0; devices as usize],
            connection: None,
            session: 0,
            last: HashMap::new(),
        };
        let registered = registered.clone();
        tasks.spawn(async move {
            if lane.server.device_type.is_some() && !lane.register().await {
                return;
            }
            select! {
                _ = registered.wait() => {}
                () = lane.fleet.stopped() => return,
            }
            lane.fleet.begin();
            lane.beat().await;
            lane.close();
        });
    }
    while tasks.join_next().await.is_some() {}
}

impl Lane {
    /// The number in the fleet of the device at `place`.
    fn device(&self, place: u32) -> u32 {
        self.number + place * self.lanes
    }

    fn place(&self, device: u32) -> u32 {
        (device - self.number) / self.lanes
    }

    fn places(&self) -> u32 {
        self.flags.len() as u32
    }

    /// False when the run was stopped.
    async fn register(&mut self) -> bool {
        let mut batch = Vec::with_capacity(self.server.pipeline);
        for place in 0..self.places() {
            batch.push(Step::Register {
                device: self.device(place),
            });
            if batch.len() == self.server.pipeline || place + 1 == self.places() {
                if !self.deliver(&batch).await {
                    return false;
                }
                batch.clear();
            }
        }
        true
    }

    /// Beats until the run is stopped. The first round goes as fast as the server answers, so that
    /// the fleet is loaded soon. Then every device has its phase in the interval. The first gap of a
    /// device is at most the interval, or the time that loading took if that is longer.
    async fn beat(&mut self) {
        let interval = self.fleet.plan.interval_us();
        let mut batch = Vec::with_capacity(self.server.pipeline);
        // Microseconds of the run's clock when the current round began.
        let mut round_start = None;
        let mut beat = 0;
        loop {
            let mut place = 0;
            let mut sent_any = false;
            while place < self.places() {
                let now = self.fleet.elapsed_us();
                let mut due = now;
                batch.clear();
                while place < self.places() && batch.len() < self.server.pipeline {
                    due = match round_start {
                        Some(start) => start + self.fleet.plan.phase_us(self.device(place)),
                        None => now,
                    };
                    if due > now {
                        break;
                    }
                    batch.extend(self.step(place, beat, now / 1_000));
                    place += 1;
                }
                if !batch.is_empty() {
                    sent_any = true;
                    if !self.deliver(&batch).await {
                        return;
                    }
                } else if due > now {
                    select! {
                        biased;
                        () = self.fleet.stopped() => return,
                        () = sleep_until(self.fleet.moment(due)) => {}
                    }
                }
            }
            if !sent_any && interval == 0 {
                // Every device has ended: nothing is left to do at full speed.
                self.fleet.stopped().await;
                return;
            }
            beat += 1;
            let now = self.fleet.elapsed_us();
            round_start = match round_start {
                _ if interval == 0 => None,
                None => Some(now),
                // Rounds that a slow or absent server made us miss are not made up for.
                Some(start) => {
                    Some(start + interval * (now.saturating_sub(start) / interval).max(1))
                }
            };
        }
    }

    /// What the device at `place` does when it is its turn.
    fn step(&mut self, place: u32, beat: u64, now_ms: u64) -> Option<Step> {
        let flags = self.flags[place as usize];
        if flags & ENDED != 0 {
            return None;
        }
        let device = self.device(place);
        let (fate, end_ms) = self.fleet.plan.end(device);
        if fate == Fate::Stays || flags & BEATEN == 0 || now_ms < end_ms {
            return Some(Step::Beat { device, beat });
        }
        self.flags[place as usize] |= ENDED;
        if fate == Fate::Silent {
            self.count_end(place, fate);
            return None;
        }
        Some(Step::Offline { device, fate })
    }

    fn count_end(&mut self, place: u32, fate: Fate) {
        let (last_beat_ms, last_ack_ms) = self.last.remove(&place).unwrap_or_default();
        let id = self.fleet.plan.id(self.device(place));
        let ended = Ended {
            id,
            last_beat_ms,
            last_ack_ms,
            at_ms: wall_ms(),
        };
        self.fleet.stats.ended(fate, ended);
    }

    /// At the end of the run: devices whose moment came after their last turn are silent as well.
    fn close(&mut self) {
        let now_ms = self.fleet.elapsed_us() / 1_000;
        for place in 0..self.places() {
            let (fate, end_ms) = self.fleet.plan.end(self.device(place));
            let beats = self.flags[place as usize] == BEATEN;
            if fate == Fate::Silent && beats && now_ms >= end_ms {
                self.count_end(place, fate);
            }
        }
    }

    /// Sends a batch until the server has answered it; after a failure again, over a new connection
    /// and in a new session. False when the run was stopped.
    async fn deliver(&mut self, batch: &[Step]) -> bool {
        let fleet = self.fleet.clone();
        let mut failures = 0;
        while !fleet.is_stopped() {
            let connected = select! {
                connected = self.connect() => connected,
                () = fleet.stopped() => return false,
            };
            let error = match connected {
                Err(error) => error,
                Ok(mut connection) => {
                    let (pipeline, beats) =
                        commands::pipeline(&fleet, &self.server.device_type, self.session, batch);
                    fleet.stats.sent(beats);
                    let (sent, sent_ms) = (Instant::now(), wall_ms());
                    let answered = select! {
                        answered = pipeline.query_async(&mut connection) => answered,
                        () = fleet.given_up() => return false,
                    };
                    match answered {
                        Ok(replies) => {
                            self.settle(batch, replies, sent, sent_ms);
                            return true;
                        }
                        Err(error) => error,
                    }
                }
            };
            self.connection = None;
            failures += 1;
            fleet.stats.error(&error.to_string());
            let address = self.server.client.get_connection_info().addr().to_string();
            fleet.console.trouble(&address, &error.to_string());
            select! {
                () = sleep(backoff(fleet.seed, self.number, failures)) => {}
                () = fleet.stopped() => return false,
            }
        }
        false
    }

    /// The lane's connection, made anew if there is none.
    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_response_timeout(Some(Duration::from_secs(30)));
        let client = &self.server.client;
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        if self.session > 0 {
            self.fleet.stats.reconnects.add(1);
        }
        self.session = wall_ms().max(self.session + 1);
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Books the replies of a batch.
    fn settle(
        &mut self,
        batch: &[Step],
        replies: Vec<RedisResult<Value>>,
        sent: Instant,
        sent_ms: u64,
    ) {
        let fleet = self.fleet.clone();
        let ack_ms = wall_ms();
        let (mut beats, mut reports, mut first) = (0, 0, 0);
        for (step, reply) in batch.iter().zip(replies) {
            if let Err(error) = reply {
                fleet.stats.error(&error.to_string());
                continue;
            }
            match *step {
                Step::Register { .. } => {}
                Step::Beat { device, beat } => {
                    beats += 1;
                    let place = self.place(device);
                    reports += u64::from(fleet.plan.report(device, beat).is_some());
                    if self.flags[place as usize] & BEATEN == 0 {
                        self.flags[place as usize] |= BEATEN;
                        first += 1;
                    }
                    if fleet.plan.end(device).0 != Fate::Stays {
                        self.last.insert(place, (sent_ms, ack_ms));
                    }
                }
                Step::Offline { device, fate } => self.count_end(self.place(device), fate),
            }
        }
        if beats > 0 {
            fleet.stats.acknowledged(beats, reports, sent);
        }
        fleet.stats.connected.add(first);
        fleet.stats.online.add(first);
        fleet.beaten(first);
    }
}
