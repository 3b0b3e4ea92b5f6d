//! A real mosquitto, and a client that listens.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;

use crate::process::{wall_ms, Process, PATIENCE};

pub struct Mosquitto {
    port: u16,
    config: PathBuf,
    _process: Process,
}

impl Mosquitto {
    /// Starts a broker on a port of the loopback interface and waits until it listens.
    pub fn start(port: u16) -> Mosquitto {
        let name = format!("devicestate-fleet-{}-{port}.conf", std::process::id());
        let config = std::env::temp_dir().join(name);
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n");
        std::fs::write(&config, text).unwrap();
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
        let program = program
            .iter()
            .find(|p| PathBuf::from(p).exists())
            .unwrap_or(&"mosquitto");
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need mosquitto");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(child.try_wait().unwrap(), None, "mosquitto has ended");
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Mosquitto {
            port,
            config,
            _process: Process(child),
        }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.config);
    }
}

/// A message as the observer got it.
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    /// Wall-clock milliseconds of its arrival.
    pub at_ms: u64,
}

impl Message {
    /// The last level of the topic.
    pub fn last(&self) -> &str {
        self.topic.rsplit('/').next().unwrap()
    }

    /// The level before it, as it stands there: percent-encoded.
    pub fn id(&self) -> String {
        self.topic.rsplit('/').nth(1).unwrap().to_string()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// An MQTT client that hears everything on its filters, and comes back when the broker does.
pub struct Observer {
    messages: Vec<Message>,
    incoming: Receiver<Message>,
}

impl Observer {
    /// Returns when the broker has confirmed the subscription.
    pub fn start(broker: &Mosquitto, filters: &[&str]) -> Observer {
        let filters: Vec<String> = filters.iter().map(|f| f.to_string()).collect();
        let options = MqttOptions::new("observer", ("127.0.0.1", broker.port));
        let (client, mut connection) = Client::builder(options).capacity(100).build();
        let (message, incoming) = channel();
        let (ready, subscribed) = channel();
        thread::spawn(move || {
            let mut missing = filters.len();
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                        for filter in &filters {
                            client
                                .try_subscribe(filter.as_str(), QoS::AtLeastOnce)
                                .unwrap();
                        }
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        missing = missing.saturating_sub(1);
                        if missing == 0 {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Incoming(Incoming::Publish(publish))) => {
                        let received = Message {
                            topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                            payload: publish.payload.to_vec(),
                            qos: publish.qos,
                            at_ms: wall_ms(),
                        };
                        if message.send(received).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // The broker is away: no busy loop until it is back.
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        subscribed.recv_timeout(PATIENCE).expect("no subscription");
        Observer {
            messages: Vec::new(),
            incoming,
        }
    }

    /// Listens until the messages so far meet a condition.
    pub fn wait(&mut self, what: &str, condition: impl Fn(&[Message]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.messages) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(message) => self.messages.push(message),
                Err(_) => panic!("not seen: {what}, after {} messages", self.messages.len()),
            }
        }
    }

    /// All messages until now.
    pub fn all(&mut self) -> &[Message] {
        self.messages.extend(self.incoming.try_iter());
        &self.messages
    }
}
