//! The broker, as the bridge sees it: a stream of events, and a hand that acknowledges. What the
//! bridge publishes goes over a connection of its own, see [`publisher`].
//!
//! Nothing outside this file and that one knows the MQTT client crate. What this one makes sure of:
//! - MQTT 5, a fixed client id, clean_start=false from the first connect on (a session that began
//!   clean is not in Mosquitto's persistence file), and a SUBSCRIBE on every connect.
//! - No Maximum Packet Size is announced. Mosquitto 2.0.11 drops larger messages, as it should, but
//!   never gives their places in the window back: after Receive Maximum of them it sends nothing
//!   any more. And a client that enforces a limit by itself closes the connection, and is sent the
//!   same message again. The bridge refuses large payloads one by one instead.
//! - [`Source::next`] is never cut short by the bridge: the client's `poll` may lose what it was
//!   writing. Dropping it ends the connection.
//! - After a loss the next call waits with growing pauses; the bridge never has to.

pub mod address;
mod connection;
mod memory;
pub mod outbox;
pub mod publisher;
mod subscriptions;
mod terms;
pub mod trial;

pub use terms::Advice;

use crate::backoff::Backoff;
use crate::config::MqttConfig;
use crate::profile::Filter;
use crate::text::one_line;
use address::BrokerAddress;
use connection::{describe, options};
use memory::NothingInFlight;
use rumqttc::{
    AckMode, AsyncClient, BrokerSessionResumePolicy, ConnAck, ConnectionError,
    DisconnectProperties, DisconnectReasonCode, EventLoop, Incoming, ManualAck, Outgoing, PubAck,
    Publish, QoS,
};
use std::time::{Duration, Instant};
use subscriptions::{is_dropped, read_dropped, Subscriptions};
use terms::Terms;

/// A connection that lasted this long was a good one: the next loss is answered quickly again.
const STABLE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub enum Event {
    /// A new connection. `resumed`: the broker had kept the session, and sends again what was not
    /// acknowledged. `advice` is news for the log.
    Connected {
        resumed: bool,
        advice: Vec<Advice>,
    },
    /// The broker has answered the SUBSCRIBE: `Err` says what it refused.
    Subscribed(Result<(), String>),
    /// The broker has answered an UNSUBSCRIBE.
    Unsubscribed,
    Message(Message),
    /// How many messages the broker has dropped since its start.
    Dropped(u64),
    /// An acknowledgement has been sent.
    Acknowledged,
    /// The connection is gone, or could not be made.
    Lost(String),
    /// The goodbye is said.
    Closed,
}

#[derive(Debug, Default)]
pub struct Message {
    pub topic: Box<[u8]>,
    pub payload: Box<[u8]>,
    /// What the device says the payload is.
    pub content_type: Option<Box<str>>,
    /// What to acknowledge; QoS 0 messages have none.
    pub packet_id: Option<u16>,
    pub retained: bool,
    /// Milliseconds since the Unix epoch, where it did not come just now.
    pub received_at: Option<u64>,
}

impl Message {
    /// Bytes held in memory, about.
    pub fn size(&self) -> usize {
        let content_type = self.content_type.as_ref().map_or(0, |text| text.len());
        self.topic.len() + self.payload.len() + content_type
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To subscribe, and to carry what comes.
    Serve,
    /// To carry what is left, and to end the session.
    Leave,
}

/// Acknowledges and says goodbye. Neither waits.
#[derive(Clone)]
pub struct Hand {
    client: AsyncClient,
    subscriptions: Subscriptions,
}

pub struct Source {
    events: EventLoop,
    hand: Hand,
    purpose: Purpose,
    /// Whether subscriptions of an earlier configuration may still be in the session.
    obsolete: bool,
    config: MqttConfig,
    told: Vec<Advice>,
    client_id: String,
    backoff: Backoff,
    pause: Option<Duration>,
    connected: Option<Instant>,
}

/// Prepares a connection; nothing is sent before the first [`Source::next`].
pub fn prepare(
    config: &MqttConfig,
    broker: &BrokerAddress,
    filters: Vec<Filter>,
    purpose: Purpose,
) -> Result<(Hand, Source), String> {
    let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX - 1);
    let mut options = options(config, broker, config.client_id());
    options
        .set_clean_start(false)
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_session_store(NothingInFlight)
        .set_session_expiry_interval(Some(seconds(config.session_expiry.0)))
        .set_receive_maximum(Some(config.receive_maximum))
        .set_unlimited_incoming_packet_size()
        .set_ack_mode(AckMode::Manual)
        .set_read_batch_size(128);
    // The channel holds acknowledgements only, and those are bounded by the window.
    let (client, events) = AsyncClient::builder(options)
        .unbounded()
        .try_build()
        .map_err(|e| e.to_string())?;
    let hand = Hand {
        client,
        subscriptions: Subscriptions::new(config, filters)?,
    };
    let source = Source {
        events,
        hand: hand.clone(),
        purpose,
        obsolete: !hand.subscriptions.obsolete().is_empty(),
        config: config.clone(),
        told: Vec::new(),
        client_id: config.client_id(),
        backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        pause: None,
        connected: None,
    };
    Ok((hand, source))
}

impl Hand {
    /// Acknowledges a QoS 1 message of the current connection.
    pub fn acknowledge(&self, packet_id: u16) -> Result<(), String> {
        self.client
            .try_manual_ack(ManualAck::PubAck(PubAck::new(packet_id, None)))
            .map_err(|e| e.to_string())
    }

    pub fn subscribe(&self) -> Result<(), String> {
        self.client
            .try_subscribe_many(self.subscriptions.inputs())
            .map_err(|e| one_line(&e.to_string()))
    }

    /// Ends all subscriptions.
    pub fn unsubscribe(&self) -> Result<(), String> {
        self.end(self.subscriptions.all())
    }

    fn end(&self, filters: Vec<String>) -> Result<(), String> {
        self.client
            .try_unsubscribe_many(filters)
            .map_err(|e| one_line(&e.to_string()))
    }

    /// Ends the connection, and the session with it.
    pub fn end_session(&self) -> Result<(), String> {
        let properties = DisconnectProperties {
            session_expiry_interval: Some(0),
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        };
        self.client
            .try_disconnect_with_properties(DisconnectReasonCode::NormalDisconnection, properties)
            .map_err(|e| e.to_string())
    }

    /// Ends the connection after the broker has read all acknowledgements: a SUBSCRIBE that changes
    /// nothing goes after them, its answer is waited for, then DISCONNECT follows. Without that,
    /// closing a socket that has unread messages resets it, and the last acknowledgements with it.
    /// A broker under load takes its time: Mosquitto 2.0 reads one packet of each client in turn.
    pub fn say_goodbye(&self, limit: Duration) -> Result<(), String> {
        self.subscribe()?;
        self.client
            .try_disconnect_with_timeout(limit)
            .map_err(|e| e.to_string())
    }
}

impl Source {
    /// The next event. After a loss it waits for a while, then connects again.
    pub async fn next(&mut self) -> Event {
        if let Some(pause) = self.pause.take() {
            tokio::time::sleep(pause).await;
        }
        loop {
            let event = match self.events.poll().await {
                Ok(rumqttc::Event::Incoming(Incoming::ConnAck(answer))) => {
                    Some(self.on_connected(&answer))
                }
                Ok(rumqttc::Event::Incoming(Incoming::SubAck(answer))) => {
                    let answer = self.hand.subscriptions.read_answer(&answer);
                    Some(Event::Subscribed(answer.and_then(|()| self.tidy_up())))
                }
                Ok(rumqttc::Event::Incoming(Incoming::UnsubAck(_))) => Some(Event::Unsubscribed),
                Ok(rumqttc::Event::Incoming(Incoming::Publish(publish)))
                    if is_dropped(&publish) =>
                {
                    read_dropped(&publish.payload).map(Event::Dropped)
                }
                Ok(rumqttc::Event::Incoming(Incoming::Publish(publish))) => {
                    Some(Event::Message(publish.into()))
                }
                Ok(rumqttc::Event::Outgoing(Outgoing::PubAck(_))) => Some(Event::Acknowledged),
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect))
                | Err(ConnectionError::RequestsDone | ConnectionError::DisconnectTimeout) => {
                    Some(Event::Closed)
                }
                Ok(_) => None,
                Err(error) => Some(self.on_lost(&error)),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn on_connected(&mut self, answer: &ConnAck) -> Event {
        self.connected = Some(Instant::now());
        // It has served its purpose, and would be asked to save on every packet.
        self.events.options.clear_session_store();
        // The client may send one again by itself that the last connection did not answer.
        let asked = match self.purpose {
            Purpose::Serve => self.hand.subscribe(),
            Purpose::Leave => self.hand.unsubscribe(),
        };
        if let Err(error) = asked {
            return Event::Subscribed(Err(error));
        }
        let resumed = answer.session_present;
        Event::Connected {
            resumed,
            advice: self.advice(answer),
        }
    }

    /// What was not told before.
    fn advice(&mut self, answer: &ConnAck) -> Vec<Advice> {
        let mut advice = Terms::read(answer).advice(&self.config);
        if self.told == advice {
            advice.clear();
        } else {
            self.told.clone_from(&advice);
        }
        if !answer.session_present && self.purpose == Purpose::Serve {
            advice.push(terms::new_session());
        }
        advice
    }

    /// Once the subscriptions are there, those that do the same are ended.
    fn tidy_up(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.obsolete) {
            return Ok(());
        }
        let obsolete = self.hand.subscriptions.obsolete().to_vec();
        self.hand.end(obsolete)
    }

    fn on_lost(&mut self, error: &ConnectionError) -> Event {
        let lasted = self.connected.take().map(|since| since.elapsed());
        if lasted.is_some_and(|lasted| lasted >= STABLE) {
            self.backoff.reset();
        }
        self.pause = Some(self.backoff.pause());
        Event::Lost(describe(error, &self.client_id, lasted))
    }
}

impl From<Publish> for Message {
    fn from(publish: Publish) -> Self {
        let properties = publish.properties;
        Message {
            content_type: properties
                .and_then(|properties| properties.content_type)
                .map(Into::into),
            topic: publish.topic.to_vec().into(),
            payload: publish.payload.to_vec().into(),
            packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
            retained: publish.retain,
            received_at: None,
        }
    }
}
