//! A Mosquitto of the test's own, with a persistent store, that can be stopped and started.

use super::{free_port, start, terminate};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub struct Broker {
    pub port: u16,
    folder: TempDir,
    process: Option<Child>,
}

impl Broker {
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// With lines of mosquitto.conf of its own. They come last, and may begin another listener.
    pub fn start_with(lines: &[&str]) -> Broker {
        let mut broker = Broker::stopped_with(lines);
        broker.resume();
        broker
    }

    /// One that has a port, but does not run yet.
    pub fn stopped() -> Broker {
        Broker::stopped_with(&[])
    }

    fn stopped_with(lines: &[&str]) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n\
             persistence true\npersistence_location {}/\nmax_queued_messages 100000\n\
             max_inflight_messages 1000\nlog_dest none\n{}\n",
            folder.path().display(),
            lines.join("\n")
        );
        std::fs::write(folder.path().join("mosquitto.conf"), settings).unwrap();
        Broker {
            port,
            folder,
            process: None,
        }
    }

    pub fn resume(&mut self) {
        let mut mosquitto = Command::new("mosquitto");
        mosquitto
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"));
        self.process = Some(start(&mut mosquitto, || is_broker(self.port)));
    }

    /// Stops it; sessions and messages are on disk afterwards.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            terminate(&process);
            process.wait().unwrap();
        }
    }

    /// Drops what a stopped broker had on disk.
    pub fn forget(&self) {
        std::fs::remove_file(self.folder.path().join("mosquitto.db")).unwrap();
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Publishes one message at QoS 1 and waits until the broker has it.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        self.publish_as(&["-q", "1"], topic, payload);
    }

    pub fn publish_as(&self, options: &[&str], topic: &str, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        let source = if payload.is_empty() { "-n" } else { "-s" };
        let mut client = self.client(options, topic, source);
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(payload).unwrap();
        drop(stdin);
        assert!(client.wait().unwrap().success(), "publish to {topic}");
    }

    /// Publishes one message per line at QoS 1, in order, and waits until the broker has them.
    pub fn publish_lines(&self, topic: &str, lines: impl Iterator<Item = String>) {
        let mut client = self.client(&["-q", "1"], topic, "-l");
        let mut stdin = client.stdin.take().unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
        drop(stdin);
        assert!(client.wait().unwrap().success(), "publish to {topic}");
    }

    fn client(&self, options: &[&str], topic: &str, source: &str) -> Child {
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "5"])
            .args(options)
            .args(["-t", topic, source])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub must be installed")
    }
}

/// Whether it is a broker that listens there: it answers a CONNECT of MQTT 3.1.1, without a name and with
/// ten seconds to keep alive.
fn is_broker(port: u16) -> bool {
    const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";
    const CONNACK: u8 = 0x20;
    const DISCONNECT: &[u8] = b"\xe0\x00";
    let answer = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(CONNECT)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        stream.write_all(DISCONNECT)?;
        io::Result::Ok(answer)
    };
    answer().is_ok_and(|answer| answer[0] == CONNACK)
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
