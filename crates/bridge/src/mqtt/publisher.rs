//! The connection on which the bridge publishes. It is not the one on which it receives: a client
//! that does both on one connection stands still when both directions are full (bytebeamio/rumqtt#1025).
//!
//! Everything is sent with QoS 1, and counts as published when the broker's PUBACK is here. Each
//! connection begins clean and ends with its client, so that nothing is half remembered: what had no
//! PUBACK goes back to the outbox, in its old place, and is published on the next one.
//!
//! A broker may close the connection over a message that it does not like, instead of answering. Sent
//! again and again, that one message would stop all others. So after a connection on which nothing was
//! confirmed, messages go one at a time; one that ends the connection five times is refused.

use super::address::BrokerAddress;
use super::connection::{describe, options};
use super::outbox::{Fate, Item, Outbox};
use crate::backoff::Backoff;
use crate::config::MqttConfig;
use crate::health::{Change, Health};
use crate::seldom::Seldom;
use crate::text::one_line;
use rumqttc::mqttbytes::v5::PublishProperties;
use rumqttc::{
    AsyncClient, ConnAck, EventLoop, Incoming, MqttOptions, PubAckReason, PublishNoticeError,
    PublishOptions, PublishResult,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, sleep_until};
use tracing::{error, info, warn};

/// A broker that confirms nothing for this long, on a connection that seems to live, is taken for lost.
const STALLED: Duration = Duration::from_secs(30);
/// How often a message may end the connection.
const STRIKES: u32 = 5;
/// Bytes of a PUBLISH beside topic, content type and payload, at most.
const OVERHEAD: usize = 32;

pub struct Publisher {
    options: MqttOptions,
    client_id: String,
    broker: String,
    outbox: Outbox,
    /// How many messages may wait for their PUBACK. The broker's Receive Maximum may be less.
    max_in_flight: usize,
    /// Messages go one at a time.
    careful: bool,
    health: Health,
    refused: Seldom,
}

/// One connection.
struct Line {
    in_flight: BTreeMap<u64, Item>,
    notices: JoinSet<Answer>,
    /// When the broker last confirmed something, or had nothing to confirm.
    progress: Instant,
    connected: Option<Instant>,
    /// Bytes of a packet; what the broker says.
    max_packet: usize,
    confirmed: bool,
}

/// The number of a message, and what is known of it.
type Answer = (u64, Result<PublishResult, PublishNoticeError>);

impl Publisher {
    pub fn new(
        config: &MqttConfig,
        broker: &BrokerAddress,
        outbox: Outbox,
        max_in_flight: usize,
    ) -> Publisher {
        let client_id = format!("{}-out", config.client_id());
        let mut options = options(config, broker, client_id.clone());
        options.set_clean_start(true);
        Publisher {
            options,
            client_id,
            broker: broker.to_string(),
            outbox,
            max_in_flight,
            careful: false,
            health: Health::new(1),
            refused: Seldom::default(),
        }
    }

    /// Publishes for ever. Ends only with the task it runs in.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            let (reason, worked) = self.connection().await;
            if worked {
                backoff.reset();
            }
            if self.health.lost(0, &reason, Instant::now()).is_some() {
                warn!(
                    "cannot publish to MQTT {}: {reason}; trying again",
                    self.broker
                );
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Connects and publishes until the connection is lost; says why, and whether it was of any use.
    async fn connection(&mut self) -> (String, bool) {
        let built = AsyncClient::builder(self.options.clone())
            .unbounded()
            .try_build();
        let (client, mut events) = match built {
            Ok(built) => built,
            Err(error) => return (one_line(&error.to_string()), false),
        };
        let mut line = Line {
            in_flight: BTreeMap::new(),
            notices: JoinSet::new(),
            progress: Instant::now(),
            connected: None,
            max_packet: usize::MAX,
            confirmed: false,
        };
        let reason = self.serve(&client, &mut line, &mut events).await;
        // With these two gone, it is decided what was confirmed.
        drop(client);
        drop(events);
        self.hang_up(&mut line).await;
        (reason, line.confirmed)
    }

    /// Returns when the connection is lost, and why.
    async fn serve(
        &mut self,
        client: &AsyncClient,
        line: &mut Line,
        events: &mut EventLoop,
    ) -> String {
        loop {
            // Never cut short: it may be in the middle of a packet.
            let next = events.poll();
            tokio::pin!(next);
            let event = loop {
                let most = if self.careful { 1 } else { self.max_in_flight };
                let room = line.connected.is_some() && line.in_flight.len() < most;
                let stalled = line.progress + STALLED;
                tokio::select! {
                    event = &mut next => break event,
                    Some(answer) = line.notices.join_next() => self.on_answer(line, answer),
                    (number, item) = self.outbox.take(), if room => {
                        self.send(client, line, number, item);
                    }
                    () = sleep_until(stalled.into()), if !line.in_flight.is_empty() => {
                        return format!("it has confirmed nothing for {STALLED:?}");
                    }
                }
            };
            match event {
                Ok(rumqttc::Event::Incoming(Incoming::ConnAck(answer))) => {
                    self.on_connected(line, answer);
                }
                Ok(_) => {}
                Err(error) => {
                    let lasted = line.connected.map(|since| since.elapsed());
                    return describe(&error, &self.client_id, lasted);
                }
            }
        }
    }

    fn on_connected(&mut self, line: &mut Line, answer: ConnAck) {
        line.connected = Some(Instant::now());
        if let Some(most) = answer.properties.and_then(|p| p.max_packet_size) {
            line.max_packet = usize::try_from(most).unwrap_or(usize::MAX);
        }
        match self.health.up(0, Instant::now()) {
            Some(Change::Recovered(after)) => {
                info!("publishing to MQTT {} again after {after:.1?}", self.broker);
            }
            Some(_) => info!("connected to MQTT {}, for publishing", self.broker),
            None => {}
        }
    }

    fn send(&mut self, client: &AsyncClient, line: &mut Line, number: u64, item: Item) {
        let left = item
            .expires
            .map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return self.outbox.settle(item, Fate::Expired);
        }
        let publication = &item.publication;
        let content_type = publication.content_type.map(str::to_owned);
        let size = publication.topic.len()
            + publication.payload.len()
            + content_type.as_ref().map_or(0, String::len)
            + OVERHEAD;
        if size > line.max_packet {
            let reason = format!("more than {} bytes", line.max_packet);
            return self.refuse(item, &reason);
        }
        let properties = PublishProperties {
            content_type,
            message_expiry_interval: left.map(whole_seconds),
            ..PublishProperties::default()
        };
        let sent = client.try_publish_tracked(
            publication.topic.clone(),
            publication.payload.clone(),
            PublishOptions::at_least_once().properties(properties),
        );
        match sent {
            Ok(notice) => {
                if line.in_flight.is_empty() {
                    line.progress = Instant::now();
                }
                line.in_flight.insert(number, item);
                line.notices
                    .spawn(async move { (number, notice.wait_async().await) });
            }
            Err(error) => self.refuse(item, &error.to_string()),
        }
    }

    fn on_answer(&mut self, line: &mut Line, answer: Result<Answer, JoinError>) {
        // The tasks do nothing that could fail, and are never cancelled.
        let Ok((number, answer)) = answer else {
            return;
        };
        let Some(item) = line.in_flight.remove(&number) else {
            return;
        };
        match answer {
            Ok(PublishResult::Qos1(ack)) => {
                line.progress = Instant::now();
                line.confirmed = true;
                self.careful = false;
                match ack.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                        self.outbox.settle(item, Fate::Confirmed);
                    }
                    reason => self.refuse(item, &format!("the broker answered {reason:?}")),
                }
            }
            Err(_) if item.strikes >= STRIKES => {
                self.refuse(item, "the broker closes the connection over it");
            }
            // Not known to have arrived.
            Ok(_) | Err(_) => self.outbox.put_back(number, item),
        }
    }

    fn refuse(&mut self, item: Item, reason: &str) {
        if let Some(others) = self.refused.tell() {
            let (topic, reason) = (one_line(&item.publication.topic), one_line(reason));
            error!("could not publish on '{topic}': {reason}{others}");
        }
        self.outbox.settle(item, Fate::Refused);
    }

    /// Settles what was confirmed in the last moment, and puts back the others.
    async fn hang_up(&mut self, line: &mut Line) {
        let suspicious = !line.confirmed && !line.in_flight.is_empty();
        if suspicious && self.careful {
            for item in line.in_flight.values_mut() {
                item.strikes += 1;
            }
        }
        self.careful |= suspicious;
        while let Some(answer) = line.notices.join_next().await {
            self.on_answer(line, answer);
        }
    }
}

/// As MQTT counts them; a part of a second counts as one.
fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
