//! The device side: a client that collects what is published to it.

use super::broker::Broker;
use super::wait_until;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// Topic and payload.
pub type Received = (String, String);

pub struct Subscriber {
    process: Child,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Subscriber {
    /// Subscribes with QoS 1 and waits until the broker has done so. The session ends with it.
    pub fn start(broker: &Broker, filters: &[&str]) -> Subscriber {
        Subscriber::start_as(broker, &[], filters)
    }

    /// With options of `mosquitto_sub`, such as `-i` and `-c`.
    pub fn start_as(broker: &Broker, options: &[&str], filters: &[&str]) -> Subscriber {
        // Something of its own tells that the subscription works.
        static PROBES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = PROBES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let probe = format!("probe/{}/{number}", std::process::id());
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string()]);
        command.args(["-V", "5", "-q", "1", "-F", "%t %p", "-t", &probe]);
        for filter in filters {
            command.args(["-t", filter]);
        }
        let mut process = command
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub must be installed");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (output, collected) = (process.stdout.take().unwrap(), received.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
                let message = (topic.to_owned(), payload.to_owned());
                collected.lock().unwrap().push(message);
            }
        });
        let subscriber = Subscriber { process, received };
        wait_until("the subscription works", || {
            broker.publish(&probe, "");
            subscriber.count(&probe) > 0
        });
        subscriber
    }

    /// Everything so far, but for the probes.
    pub fn received(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        let all = received.iter();
        all.filter(|(topic, _)| !topic.starts_with("probe/"))
            .cloned()
            .collect()
    }

    /// The payloads on this topic, in order.
    pub fn on(&self, topic: &str) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let those = received.iter().filter(|(on, _)| on == topic);
        those.map(|(_, payload)| payload.clone()).collect()
    }

    pub fn count(&self, topic: &str) -> usize {
        self.on(topic).len()
    }

    /// Waits until this was received on that topic.
    #[track_caller]
    pub fn wait_for(&self, topic: &str, payload: &str) {
        wait_until(&format!("{topic} {payload}"), || {
            self.on(topic).iter().any(|found| found == payload)
        });
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let received = self.received();
            let from = received.len().saturating_sub(50);
            eprintln!("received: {:#?}", &received[from..]);
        }
    }
}
