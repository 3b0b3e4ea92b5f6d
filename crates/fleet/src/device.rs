//! One MQTT device: its connection, its will, its beats, its end.
//!
//! Each device is one task. Each of its connections is a new MQTT session (Clean Start) with a new
//! session number, so nothing of an old connection can be sent in a new one.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, Outgoing, PublishOptions};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout, Instant};

use crate::broker::{farewell, Broker};
use crate::fleet::{Fleet, GRACE};
use crate::pace::backoff;
use crate::plan::Fate;
use crate::stats::{wall_ms, Ended};
use crate::values::write_reported;

struct Device {
    fleet: Arc<Fleet>,
    broker: Arc<Broker>,
    number: u32,
    id: String,
    /// Milliseconds since the epoch at the last connect, higher each time; 0 before the first.
    session: u64,
    /// Number of the last report in this session.
    seq: u64,
    /// Beats sent, in all sessions.
    beats: u64,
    connected_before: bool,
    /// When the last acknowledged beat was sent and acknowledged; None before the first.
    last: Option<(u64, u64)>,
    silent: bool,
}

/// How a connection ended.
enum End {
    /// The device is done.
    Left,
    /// It was refused or lost, for this reason.
    Lost { connected: bool, text: String },
}

/// How a device leaves.
enum Leave {
    /// With DISCONNECT: the broker forgets the will.
    Politely,
    /// Without: the broker publishes the will.
    Rudely,
}

/// Runs device `number` until its own end or the run's. Reconnects with growing pauses.
pub async fn run(fleet: Arc<Fleet>, broker: Arc<Broker>, number: u32) {
    let id = fleet.plan.id(number);
    let mut device = Device {
        fleet: fleet.clone(),
        broker: broker.clone(),
        number,
        id,
        session: 0,
        seq: 0,
        beats: 0,
        connected_before: false,
        last: None,
        silent: false,
    };
    let mut failures = 0;
    loop {
        select! {
            () = broker.pacer.turn() => {}
            () = fleet.stopped() => return,
        }
        match device.connection().await {
            End::Left => return,
            End::Lost { connected, text } => {
                failures = if connected { 1 } else { failures + 1 };
                fleet.stats.error(&text);
                fleet
                    .console
                    .trouble(&format!("{}:{}", broker.host, broker.port), &text);
            }
        }
        select! {
            () = sleep(backoff(fleet.seed, number, failures)) => {}
            () = fleet.stopped() => return,
        }
    }
}

/// Polls the connection until it ends. Ok: after our own DISCONNECT.
async fn drive(mut events: EventLoop, up: watch::Sender<bool>) -> Result<(), String> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                up.send_replace(true);
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl Device {
    /// One connection, from CONNECT to its end.
    async fn connection(&mut self) -> End {
        self.session = wall_ms().max(self.session + 1);
        self.seq = 0;
        let options = self.broker.options(&self.id, self.session);
        let (client, events) = match AsyncClient::builder(options).capacity(4).try_build() {
            Ok(pair) => pair,
            Err(error) => {
                return End::Lost {
                    connected: false,
                    text: error.to_string(),
                }
            }
        };
        let (up_tx, up) = watch::channel(false);
        // Never cancelled while the connection is in use: the two futures run side by side here.
        let mut driving = pin!(drive(events, up_tx));
        let leave = select! {
            ended = &mut driving => Err(ended),
            leave = self.live(&client, up.clone()) => Ok(leave),
        };
        let connected = *up.borrow();
        if connected {
            self.fleet.stats.online.sub(1);
        }
        match leave {
            Ok(Leave::Politely) if connected => {
                if client.try_disconnect().is_ok() {
                    let _ = timeout(GRACE, driving).await;
                }
                End::Left
            }
            // Dropping the event loop closes the socket.
            Ok(_) => End::Left,
            Err(Ok(())) => End::Lost {
                connected,
                text: "disconnected".into(),
            },
            Err(Err(text)) => End::Lost { connected, text },
        }
    }

    /// What the device does on its connection, from CONNACK on.
    async fn live(&mut self, client: &AsyncClient, mut up: watch::Receiver<bool>) -> Leave {
        let fleet = self.fleet.clone();
        let up = async {
            if up.wait_for(|up| *up).await.is_err() {
                // The connection has ended: `connection` is about to see why.
                pending::<()>().await;
            }
        };
        select! {
            () = up => {}
            () = fleet.stopped() => return Leave::Politely,
        }
        self.count_connection();
        if self.silent {
            fleet.stopped().await;
            return Leave::Politely;
        }
        let (fate, end_ms) = fleet.plan.end(self.number);
        loop {
            self.beat(client).await;
            let next = fleet.plan.next_beat_us(self.number, fleet.elapsed_us());
            let end = match fate {
                Fate::Stays => u64::MAX,
                // A device that was never heard of cannot be missed: it beats first.
                _ if self.last.is_none() => u64::MAX,
                _ => end_ms.saturating_mul(1_000),
            };
            select! {
                biased;
                () = fleet.stopped() => return Leave::Politely,
                () = sleep_until(fleet.moment(next.min(end))) => {}
            }
            if end > next {
                continue;
            }
            match fate {
                Fate::Stays => {}
                Fate::Silent => {
                    self.silent = true;
                    self.count_end(fate);
                    fleet.stopped().await;
                    return Leave::Politely;
                }
                Fate::Goodbye => {
                    if self.goodbye(client).await {
                        self.count_end(fate);
                        return Leave::Politely;
                    }
                }
                Fate::Cut => {
                    self.count_end(fate);
                    return Leave::Rudely;
                }
            }
        }
    }

    /// Sends one beat and waits for its PUBACK. A slow broker thus gets fewer beats, never a queue.
    async fn beat(&mut self, client: &AsyncClient) {
        let fleet = self.fleet.clone();
        let (session, timeout) = (self.session, fleet.timeout_ms);
        let is_report = fleet.plan.report(self.number, self.beats).is_some();
        let (topic, payload) = if is_report {
            self.seq += 1;
            let mut payload = String::from(r#"{"reported":"#);
            write_reported(&mut payload, fleet.seed, self.number, self.beats);
            let seq = self.seq;
            payload += &format!(r#","session":{session},"seq":{seq},"timeout":{timeout}}}"#);
            (self.broker.topic(&self.id, "reported"), payload)
        } else {
            let payload = format!(r#"{{"session":{session},"timeout":{timeout}}}"#);
            (self.broker.topic(&self.id, "heartbeat"), payload)
        };
        self.beats += 1;
        fleet.stats.sent(1);
        let (sent, sent_ms) = (Instant::now(), wall_ms());
        if self.publish(client, topic, payload).await {
            fleet
                .stats
                .acknowledged(1, u64::from(is_report), sent.into_std());
            let first = self.last.is_none();
            self.last = Some((sent_ms, wall_ms()));
            fleet.beaten(u64::from(first));
        }
    }

    async fn goodbye(&mut self, client: &AsyncClient) -> bool {
        let payload = farewell(self.session, "goodbye");
        self.publish(client, self.broker.topic(&self.id, "will"), payload)
            .await
    }

    /// True when the broker took the message. Failures are counted here.
    async fn publish(&self, client: &AsyncClient, topic: String, payload: String) -> bool {
        let notice =
            match client.try_publish_tracked(topic, payload, PublishOptions::at_least_once()) {
                Ok(notice) => notice,
                Err(error) => {
                    self.fleet.stats.error(&error.to_string());
                    return false;
                }
            };
        select! {
            done = notice.wait_completion_async() => match done {
                Ok(()) => true,
                Err(error) => {
                    self.fleet.stats.error(&error.to_string());
                    false
                }
            },
            () = self.fleet.given_up() => false,
        }
    }

    fn count_connection(&mut self) {
        let stats = &self.fleet.stats;
        stats.online.add(1);
        if self.connected_before {
            stats.reconnects.add(1);
        } else {
            stats.connected.add(1);
        }
        self.connected_before = true;
    }

    fn count_end(&self, fate: Fate) {
        let (last_beat_ms, last_ack_ms) = self.last.unwrap_or_default();
        let id = self.id.clone();
        let ended = Ended {
            id,
            last_beat_ms,
            last_ack_ms,
            at_ms: wall_ms(),
        };
        self.fleet.stats.ended(fate, ended);
    }
}
