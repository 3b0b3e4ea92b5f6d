//! The devices: each numbers its reports and knows which of them the broker has acknowledged.
//!
//! Several devices share a connection, as behind a gateway. After a loss a connection comes back
//! and sends what was not acknowledged again, in order, before anything new.

use crate::failure::{Failure, Result};
use crate::mqtt::Connection;
use rumqttc::{Packet, PubAckReason, Publish, QoS};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 4;
/// Messages of one connection that are not acknowledged.
const WINDOW: usize = 200;
/// How long the broker may be away before the devices give up.
const BROKER_AWAY: Duration = Duration::from_secs(60);

/// The topic and the payload of a message with a number.
pub type Numbered = fn(usize) -> (String, Vec<u8>);

/// What the devices send.
#[derive(Clone, Copy)]
pub struct Load {
    pub devices: usize,
    /// Of each device.
    pub reports: usize,
    /// Whether reports have a `seq`, which keeps Redis from applying one again.
    pub numbered: bool,
    /// After each 49 reports comes one of these, numbered.
    pub fiftieth: Option<Numbered>,
}

impl Load {
    pub fn reports(&self) -> usize {
        self.devices * self.reports
    }

    /// How many messages there are beside the reports.
    pub fn others(&self) -> usize {
        match self.fiftieth {
            None => 0,
            Some(_) => (0..CONNECTIONS)
                .map(|number| self.reports_of(number) / 49)
                .sum(),
        }
    }

    fn devices_of(&self, connection: usize) -> impl Iterator<Item = usize> + Clone {
        (0..self.devices).filter(move |device| device % CONNECTIONS == connection)
    }

    fn reports_of(&self, connection: usize) -> usize {
        self.devices_of(connection).count() * self.reports
    }
}

/// The name of a device.
pub fn name(device: usize) -> String {
    format!("d{device}")
}

/// A report that the broker has acknowledged.
pub struct Acknowledged {
    pub device: usize,
    pub seq: usize,
    pub at: Instant,
    /// False: it said that there was no subscriber.
    pub heard: bool,
}

/// A message and, if it is a report, whose and which.
struct Message {
    topic: String,
    payload: Vec<u8>,
    report: Option<(usize, usize)>,
}

/// The devices at work.
pub struct Fleet {
    acknowledged: Arc<AtomicUsize>,
    connections: Vec<JoinHandle<Result<Vec<Acknowledged>>>>,
}

impl Fleet {
    pub fn start(broker_port: u16, load: Load) -> Fleet {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let connections = (0..CONNECTIONS)
            .map(|number| {
                let mut publisher = Publisher {
                    number,
                    broker_port,
                    in_flight: VecDeque::new(),
                    packet_id: 0,
                    acknowledged: Vec::new(),
                    total: acknowledged.clone(),
                };
                thread::spawn(move || {
                    publisher.run(&mut messages(load, number))?;
                    Ok(publisher.acknowledged)
                })
            })
            .collect();
        Fleet {
            acknowledged,
            connections,
        }
    }

    /// How many reports the broker has acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// All that was acknowledged, once the devices are done.
    pub fn join(self) -> Result<Vec<Acknowledged>> {
        let mut all = Vec::new();
        for connection in self.connections {
            let joined = connection.join();
            all.extend(joined.map_err(|_| Failure::new("a connection of devices panicked"))??);
        }
        Ok(all)
    }
}

/// All messages of one connection: the first report of each of its devices, then the second.
fn messages(load: Load, connection: usize) -> impl Iterator<Item = Message> {
    let reports = (1..=load.reports)
        .flat_map(move |seq| load.devices_of(connection).map(move |device| (device, seq)));
    reports.enumerate().flat_map(move |(index, (device, seq))| {
        let report = Message {
            topic: format!("devices/{}/reported", name(device)),
            payload: match load.numbered {
                true => format!(r#"{{"reported":{{"seq":{seq}}},"session":1,"seq":{seq}}}"#),
                false => format!(r#"{{"reported":{{"seq":{seq}}}}}"#),
            }
            .into_bytes(),
            report: Some((device, seq)),
        };
        let other = load.fiftieth.filter(|_| index % 49 == 48).map(|other| {
            let (topic, payload) = other(index / 49 * CONNECTIONS + connection);
            Message {
                topic,
                payload,
                report: None,
            }
        });
        std::iter::once(report).chain(other)
    })
}

/// One connection of devices.
struct Publisher {
    number: usize,
    broker_port: u16,
    /// Sent and not acknowledged, in order, each with its packet identifier.
    in_flight: VecDeque<(u16, Message)>,
    packet_id: u16,
    acknowledged: Vec<Acknowledged>,
    total: Arc<AtomicUsize>,
}

impl Publisher {
    /// Sends all messages, over as many connections as it takes.
    fn run(&mut self, messages: &mut impl Iterator<Item = Message>) -> Result<()> {
        let mut next = messages.next();
        let mut lost: Option<Instant> = None;
        while next.is_some() || !self.in_flight.is_empty() {
            let Err(failure) = self.session(&mut next, messages, &mut lost) else {
                continue;
            };
            let since = lost.get_or_insert_with(Instant::now);
            if since.elapsed() > BROKER_AWAY {
                return Err(Failure::new(format!("devices cannot publish: {failure}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends over one connection until all is sent, or it breaks.
    fn session(
        &mut self,
        next: &mut Option<Message>,
        messages: &mut impl Iterator<Item = Message>,
        lost: &mut Option<Instant>,
    ) -> Result<()> {
        let client_id = format!("devices-{}", self.number);
        let mut connection = Connection::open(self.broker_port, client_id)?;
        for (packet_id, message) in &self.in_flight {
            connection.put(&publish(*packet_id, message))?;
        }
        while next.is_some() || !self.in_flight.is_empty() {
            while self.in_flight.len() < WINDOW {
                let Some(message) = std::mem::replace(next, messages.next()) else {
                    break;
                };
                self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
                connection.put(&publish(self.packet_id, &message))?;
                self.in_flight.push_back((self.packet_id, message));
            }
            connection.flush()?;
            let mut answer = connection.next(Duration::from_millis(10))?;
            while let Some(packet) = answer {
                *lost = None;
                self.take(&packet)?;
                answer = connection.arrived()?;
            }
        }
        connection.close();
        Ok(())
    }

    fn take(&mut self, packet: &Packet) -> Result<()> {
        let (packet_id, heard) = acknowledged(packet)?;
        let place = self.in_flight.iter().position(|(id, _)| *id == packet_id);
        let taken = place.and_then(|place| self.in_flight.remove(place));
        if let Some((_, message)) = taken {
            if let Some((device, seq)) = message.report {
                let at = Instant::now();
                self.acknowledged.push(Acknowledged {
                    device,
                    seq,
                    at,
                    heard,
                });
                self.total.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// The packet identifier that a PUBACK is for, and whether there was a subscriber.
fn acknowledged(packet: &Packet) -> Result<(u16, bool)> {
    match packet {
        Packet::PubAck(ack) if ack.reason == PubAckReason::Success => Ok((ack.pkid, true)),
        Packet::PubAck(ack) if ack.reason == PubAckReason::NoMatchingSubscribers => {
            Ok((ack.pkid, false))
        }
        other => Err(Failure::new(format!("instead of PUBACK: {other:?}"))),
    }
}

/// Publishes so many reports, each of another device, that the broker keeps.
pub fn publish_retained(broker_port: u16, count: usize) -> Result<()> {
    let mut connection = Connection::open(broker_port, "retainer".to_owned())?;
    for number in 0..count {
        let topic = format!("devices/retained-{number}/reported");
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, r#"{"reported":{"a":1}}"#, None);
        publish.pkid = 1;
        publish.retain = true;
        connection.put(&Packet::Publish(publish))?;
        connection.flush()?;
        match connection.next(BROKER_AWAY)? {
            Some(packet) => acknowledged(&packet)?,
            None => return Err(Failure::new("no PUBACK for a retained message")),
        };
    }
    connection.close();
    Ok(())
}

fn publish(packet_id: u16, message: &Message) -> Packet {
    let mut publish = Publish::new(
        message.topic.clone(),
        QoS::AtLeastOnce,
        message.payload.clone(),
        None,
    );
    publish.pkid = packet_id;
    Packet::Publish(publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poison(number: usize) -> (String, Vec<u8>) {
        (format!("poison-{number}"), Vec::new())
    }

    #[test]
    fn each_device_sends_its_reports_in_order_and_every_fiftieth_message_is_none() {
        let load = Load {
            devices: 10,
            reports: 100,
            numbered: true,
            fiftieth: Some(poison),
        };
        let all: Vec<Message> = (0..CONNECTIONS)
            .flat_map(|connection| messages(load, connection))
            .collect();
        for device in 0..10 {
            let sent: Vec<usize> = all
                .iter()
                .filter_map(|message| message.report)
                .filter(|(of, _)| *of == device)
                .map(|(_, seq)| seq)
                .collect();
            assert_eq!(sent, Vec::from_iter(1..=100), "device {device}");
        }
        let mut others: Vec<&str> = all
            .iter()
            .filter(|message| message.report.is_none())
            .map(|message| message.topic.as_str())
            .collect();
        assert_eq!(others.len(), load.others());
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), load.others(), "a number was given twice");
    }
}
