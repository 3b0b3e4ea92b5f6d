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
pub mod outbox;
pub mod publisher;

use crate::backoff::Backoff;
use crate::config::MqttConfig;
use crate::text::one_line;
use address::BrokerAddress;
use rumqttc::{
    AckMode, AsyncClient, BrokerSessionResumePolicy, ConnectionError, DisconnectReasonCode,
    EventLoop, Incoming, ManualAck, MqttOptions, Outgoing, PersistedAckMode, PersistedSession,
    PubAck, Publish, QoS, RetainForwardRule, SessionStore, SessionStoreError, SessionStoreKey,
    StateError, SubAck, SubscribeFilterInput, SubscribeReasonCode,
};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A connection that lasted this long was a good one: the next loss is answered quickly again.
const STABLE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub enum Event {
    /// A new connection. `resumed`: the broker had kept the session, and sends again what was not
    /// acknowledged.
    Connected {
        resumed: bool,
    },
    /// The broker has answered the SUBSCRIBE: `Err` says what it refused.
    Subscribed(Result<(), String>),
    Message(Message),
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
}

impl Message {
    /// Bytes held in memory, about.
    pub fn size(&self) -> usize {
        let content_type = self.content_type.as_ref().map_or(0, |text| text.len());
        self.topic.len() + self.payload.len() + content_type
    }
}

/// Acknowledges and says goodbye. Neither waits.
pub struct Hand {
    client: AsyncClient,
    filters: Vec<String>,
}

pub struct Source {
    events: EventLoop,
    hand: AsyncClient,
    filters: Vec<String>,
    client_id: String,
    backoff: Backoff,
    pause: Option<Duration>,
    connected: Option<Instant>,
}

/// Prepares a connection; nothing is sent before the first [`Source::next`].
pub fn prepare(
    config: &MqttConfig,
    broker: &BrokerAddress,
    filters: Vec<String>,
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
        client: client.clone(),
        filters: filters.clone(),
    };
    let source = Source {
        events,
        hand: client,
        filters,
        client_id: config.client_id(),
        backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        pause: None,
        connected: None,
    };
    Ok((hand, source))
}

/// What all connections to the broker have in common.
fn options(config: &MqttConfig, broker: &BrokerAddress, client_id: String) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, (broker.host.clone(), broker.port));
    options.set_keep_alive(u16::try_from(config.keep_alive.0.as_secs()).unwrap_or(u16::MAX));
    match (&broker.user, &broker.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.clone().into_bytes());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, Some(password)) => {
            options.set_password(password.clone().into_bytes());
        }
        (None, None) => {}
    }
    options
}

impl Hand {
    /// Acknowledges a QoS 1 message of the current connection.
    pub fn acknowledge(&self, packet_id: u16) -> Result<(), String> {
        self.client
            .try_manual_ack(ManualAck::PubAck(PubAck::new(packet_id, None)))
            .map_err(|e| e.to_string())
    }

    pub fn subscribe(&self) -> Result<(), String> {
        subscribe(&self.client, &self.filters)
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
                    self.on_connected(answer.session_present)
                }
                Ok(rumqttc::Event::Incoming(Incoming::SubAck(answer))) => {
                    Some(Event::Subscribed(read_answer(&answer, &self.filters)))
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

    fn on_connected(&mut self, resumed: bool) -> Option<Event> {
        self.connected = Some(Instant::now());
        // It has served its purpose, and would be asked to save on every packet.
        self.events.options.clear_session_store();
        // One that the last connection did not answer is sent again by the client itself.
        if self.events.pending_is_empty() {
            if let Err(error) = subscribe(&self.hand, &self.filters) {
                return Some(Event::Subscribed(Err(error)));
            }
        }
        Some(Event::Connected { resumed })
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

/// Why a connection is gone that had lasted this long, in one line.
fn describe(error: &ConnectionError, client_id: &str, lasted: Option<Duration>) -> String {
    let name = || one_line(client_id);
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => format!("another client has connected as {}", name()),
        // Mosquitto 2.0 says no more when the session is taken over.
        ConnectionError::MqttState(StateError::ConnectionAborted)
            if lasted.is_some_and(|lasted| lasted < STABLE) =>
        {
            format!(
                "the broker closed the connection; perhaps another client connects as {}",
                name()
            )
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed the connection".to_owned()
        }
        ConnectionError::ConnectionRefused(code) => format!("it refused: {code:?}"),
        ConnectionError::Timeout(_) => "no answer in time".to_owned(),
        other => one_line(&other.to_string()),
    }
}

fn subscribe(client: &AsyncClient, filters: &[String]) -> Result<(), String> {
    let filters = filters.iter().map(|filter| {
        SubscribeFilterInput::new(filter.clone(), QoS::AtLeastOnce)
            .retain_forward_rule(RetainForwardRule::OnNewSubscribe)
    });
    client
        .try_subscribe_many(filters)
        .map_err(|e| one_line(&e.to_string()))
}

fn read_answer(answer: &SubAck, filters: &[String]) -> Result<(), String> {
    for (index, code) in answer.return_codes.iter().enumerate() {
        if *code != SubscribeReasonCode::Success(QoS::AtLeastOnce) {
            let filter = filters.get(index).map_or("?", String::as_str);
            return Err(format!(
                "the broker answered {code:?} to the subscription {}",
                one_line(filter)
            ));
        }
    }
    Ok(())
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
        }
    }
}

/// Tells the client that it has nothing of its own in flight, which is true: this connection never
/// publishes. Without it, the client would take part in a session that only the broker remembers
/// (after every restart of the bridge), but would refuse to send a SUBSCRIBE there, and changed
/// topic filters would never take effect.
#[derive(Debug)]
struct NothingInFlight;

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for NothingInFlight {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Answer<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: None,
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
