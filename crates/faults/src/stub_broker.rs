//! A broker that does what no good one would: it says when a connection ends and which packet
//! identifiers are used again. It knows QoS 1 only, and one connection of the bridge that messages
//! come on; the one that the bridge publishes over is let in and left alone.

use crate::failure::{Failure, Result};
use crate::mqtt::Connection;
use crate::wait::{self, PATIENCE};
use rumqttc::{ConnAck, ConnectReturnCode, Packet, Publish, QoS, SubAck, SubscribeReasonCode};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How the client id of the connection ends that the bridge publishes over.
const PUBLISHER: &str = "-out";

pub struct StubBroker {
    pub port: u16,
    listener: TcpListener,
    publishers: Vec<Connection>,
}

impl StubBroker {
    pub fn start() -> Result<StubBroker> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(StubBroker {
            port,
            listener,
            publishers: Vec::new(),
        })
    }

    /// The next connection that the bridge takes messages from, after its SUBSCRIBE. `resumed`: what
    /// it is told about its session.
    pub fn accept(&mut self, resumed: bool) -> Result<Session> {
        let mut session = loop {
            let mut connection = self.next_connection()?;
            let client_id = match connection.next(PATIENCE)? {
                Some(Packet::Connect(connect, ..)) => connect.client_id,
                other => return Err(Failure::new(format!("instead of CONNECT: {other:?}"))),
            };
            let publishes = client_id.ends_with(PUBLISHER);
            connection.put(&Packet::ConnAck(ConnAck {
                session_present: resumed && !publishes,
                code: ConnectReturnCode::Success,
                properties: None,
            }))?;
            connection.flush()?;
            if !publishes {
                break Session {
                    connection,
                    subscribed: false,
                };
            }
            self.publishers.push(connection);
        };
        let end = Instant::now() + PATIENCE;
        while !session.subscribed && Instant::now() < end {
            session.next_ack(Duration::from_millis(100))?;
        }
        Ok(session)
    }

    fn next_connection(&self) -> Result<Connection> {
        let mut accepted = None;
        wait::until("the bridge connects", || {
            accepted = self.listener.accept().ok();
            Ok(accepted.is_some())
        })?;
        let (stream, _) = accepted.ok_or_else(|| Failure::new("nobody connects"))?;
        stream.set_nonblocking(false)?;
        Connection::new(stream)
    }
}

/// One connection of the client. Dropping it cuts the connection.
pub struct Session {
    connection: Connection,
    subscribed: bool,
}

impl Session {
    /// Adds a message to those that [`Session::flush`] sends.
    pub fn put(&mut self, packet_id: u16, topic: String, payload: String) -> Result<()> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
        publish.pkid = packet_id;
        self.connection.put(&Packet::Publish(publish))
    }

    pub fn flush(&mut self) -> Result<()> {
        self.connection.flush()
    }

    /// The next packet identifier that the client acknowledges; `None` when none comes in time.
    /// Answers all else it is sent.
    pub fn next_ack(&mut self, limit: Duration) -> Result<Option<u16>> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.connection.next(left)? {
                None => return Ok(None),
                Some(Packet::PubAck(ack)) => return Ok(Some(ack.pkid)),
                Some(Packet::PingReq) => self.connection.put(&Packet::PingResp)?,
                Some(Packet::Subscribe(subscribe)) => {
                    let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
                    self.connection.put(&Packet::SubAck(SubAck {
                        pkid: subscribe.pkid,
                        return_codes: vec![granted; subscribe.filters.len()],
                        properties: None,
                    }))?;
                    self.subscribed = true;
                }
                Some(Packet::Disconnect(_)) => {
                    return Err(Failure::new("the bridge has disconnected"))
                }
                Some(other) => return Err(Failure::new(format!("unexpected: {other:?}"))),
            }
            self.connection.flush()?;
        }
    }
}
