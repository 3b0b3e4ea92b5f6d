//! One MQTT 5 connection, packet by packet. A client library would send again and acknowledge on
//! its own; a device that remembers what was acknowledged, and a broker that misbehaves on purpose,
//! have to decide that themselves.

use crate::failure::{Failure, Result};
use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::{Connect, ConnectAuth, ConnectReturnCode, Disconnect, DisconnectReasonCode, Packet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CONNACK_LIMIT: Duration = Duration::from_secs(10);

pub struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
        })
    }

    /// Connects to a broker on this machine, with a session that ends with the connection.
    pub fn open(port: u16, client_id: String) -> Result<Connection> {
        let mut connection = Connection::new(TcpStream::connect(("127.0.0.1", port))?)?;
        let connect = Connect {
            keep_alive: 0,
            client_id,
            clean_start: true,
            properties: None,
        };
        connection.put(&Packet::Connect(connect, None, ConnectAuth::None))?;
        connection.flush()?;
        match connection.next(CONNACK_LIMIT)? {
            Some(Packet::ConnAck(answer)) if answer.code == ConnectReturnCode::Success => {
                Ok(connection)
            }
            answer => Err(Failure::new(format!("instead of CONNACK: {answer:?}"))),
        }
    }

    /// Says goodbye. Whether that arrives does not matter.
    pub fn close(mut self) {
        let reason = DisconnectReasonCode::NormalDisconnection;
        let _ = self.put(&Packet::Disconnect(Disconnect::new(reason)));
        let _ = self.flush();
    }

    /// Writes a packet into the buffer that [`Connection::flush`] sends.
    pub fn put(&mut self, packet: &Packet) -> Result<()> {
        packet.write(&mut self.output, None)?;
        Ok(())
    }

    pub fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next packet that has arrived already.
    pub fn arrived(&mut self) -> Result<Option<Packet>> {
        match Packet::read(&mut self.input, None) {
            Ok(packet) => Ok(Some(packet)),
            Err(Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The next packet; `None` when none comes within `limit`.
    pub fn next(&mut self, limit: Duration) -> Result<Option<Packet>> {
        let end = Instant::now() + limit;
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(packet) = self.arrived()? {
                return Ok(Some(packet));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Failure::new("the peer closed the connection")),
                Ok(length) => self
                    .input
                    .extend_from_slice(piece.get(..length).unwrap_or(&[])),
                Err(error) if is_timeout(error.kind()) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
