//! A subscriber outside the server, on a thread of its own.

use std::io::BufReader;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::Value;

use super::client::{now_ms, Reply};
use super::resp;
use super::server::Server;
use super::wait::wait_for;

/// What a subscriber was told.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel it came on.
    pub channel: String,
    /// The message; not UTF-8 is replaced.
    pub payload: String,
    /// When it was read, in milliseconds since the Unix epoch: to compare with times of the server.
    pub at_ms: i64,
    /// When it was read, by the monotonic clock.
    pub at: Instant,
}

impl Message {
    /// The JSON document in the message.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.payload) {
            Ok(json) => json,
            Err(error) => panic!("not JSON ({error}): {}", self.payload),
        }
    }
}

#[derive(Default)]
struct Heard {
    messages: Vec<Message>,
    /// Why there will be no more, once there will be none.
    closed: Option<String>,
}

/// Collects everything that comes on its channels until it is dropped.
pub struct Subscriber {
    heard: Arc<Mutex<Heard>>,
    stream: TcpStream,
    reader: Option<JoinHandle<()>>,
}

impl Subscriber {
    /// Subscribes to channels by name; they are confirmed when this returns.
    #[track_caller]
    pub fn channels(server: &Server, channels: &[&str]) -> Subscriber {
        Subscriber::start(server, "SUBSCRIBE", channels)
    }

    /// Subscribes to patterns such as `__keyevent@0__:*`; they are confirmed when this returns.
    #[track_caller]
    pub fn patterns(server: &Server, patterns: &[&str]) -> Subscriber {
        Subscriber::start(server, "PSUBSCRIBE", patterns)
    }

    #[track_caller]
    fn start(server: &Server, subscribe: &str, names: &[&str]) -> Subscriber {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        let mut reader = BufReader::with_capacity(1 << 18, stream.try_clone().expect("share"));
        if let Some(password) = server.password() {
            ask(&stream, &["AUTH", password]);
            let reply = resp::read_reply(&mut reader).expect("read");
            assert_eq!(reply, b"+OK\r\n");
        }
        ask(&stream, &[&[subscribe], names].concat());
        for _ in names {
            let reply = resp::read_reply(&mut reader).expect("read a confirmation");
            assert!(
                reply.starts_with(b"*3"),
                "{subscribe}: {}",
                reply.escape_ascii()
            );
        }
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        let reader = thread::spawn(move || listen(reader, &shared));
        Subscriber {
            heard,
            stream,
            reader: Some(reader),
        }
    }

    /// All messages so far, in the order they came.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// The payloads so far on one channel.
    pub fn payloads(&self, channel: &str) -> Vec<String> {
        let heard = self.lock();
        let on = heard
            .messages
            .iter()
            .filter(|message| message.channel == channel);
        on.map(|message| message.payload.clone()).collect()
    }

    /// How many messages came so far.
    pub fn count(&self) -> usize {
        self.lock().messages.len()
    }

    /// Forgets the messages so far and gives them.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.lock().messages)
    }

    /// Why the server closed the connection, if it did.
    pub fn closed(&self) -> Option<String> {
        self.lock().closed.clone()
    }

    /// Waits until at least `count` messages came, and gives all of them.
    #[track_caller]
    pub fn wait_for_count(&self, count: usize, limit: Duration) -> Vec<Message> {
        self.wait_until(&format!("{count} messages"), limit, |messages| {
            messages.len() >= count
        })
    }

    /// Waits for the first message for which `is` is true.
    #[track_caller]
    pub fn wait_for_message(
        &self,
        what: &str,
        limit: Duration,
        is: impl Fn(&Message) -> bool,
    ) -> Message {
        let all = self.wait_until(what, limit, |messages| messages.iter().any(&is));
        all.into_iter().find(&is).expect("the wait above found it")
    }

    /// Waits until `enough` is true of the messages, and gives all of them.
    #[track_caller]
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        enough: impl Fn(&[Message]) -> bool,
    ) -> Vec<Message> {
        wait_for(&format!("{what} at a subscriber"), limit, || {
            let heard = self.lock();
            if enough(&heard.messages) {
                return Some(heard.messages.clone());
            }
            let count = heard.messages.len();
            if let Some(why) = heard.closed.clone() {
                drop(heard);
                panic!("waited for {what}, but the connection closed after {count}: {why}");
            }
            None
        })
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Ends the read the thread is waiting in.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if thread::panicking() {
            let heard = self.lock();
            eprintln!(
                "--- a subscriber heard {} messages, the last:",
                heard.messages.len()
            );
            for message in heard.messages.iter().rev().take(10).rev() {
                eprintln!("{} {} {}", message.at_ms, message.channel, message.payload);
            }
        }
    }
}

fn ask(mut stream: &TcpStream, args: &[&str]) {
    use std::io::Write;
    stream
        .write_all(&resp::encode(args))
        .expect("write to the server");
}

/// The thread: reads until the connection ends.
fn listen(mut reader: BufReader<TcpStream>, heard: &Mutex<Heard>) {
    let why = loop {
        let message = match resp::read_reply(&mut reader) {
            Ok(reply) => understand(&reply),
            Err(error) => break error.to_string(),
        };
        let mut heard = heard
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        heard.messages.extend(message);
    };
    heard
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .closed = Some(why);
}

/// `message channel payload` or `pmessage pattern channel payload`; anything else is none.
fn understand(reply: &[u8]) -> Option<Message> {
    let (at_ms, at) = (now_ms(), Instant::now());
    let Ok(Value::Array(items)) = redis::parse_redis_value(reply) else {
        return None;
    };
    let [.., Value::BulkString(channel), Value::BulkString(payload)] = items.as_slice() else {
        return None;
    };
    if !items[0].text().ends_with("message") {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Message {
        channel: text(channel),
        payload: text(payload),
        at_ms,
        at,
    })
}
