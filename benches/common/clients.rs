//! Clients that wait for every reply, one thread for all of them: how long requests take at a given
//! load.
//!
//! Under a given load, requests come at random moments, whether earlier ones are answered or not (an
//! open loop). One that finds all connections busy waits for the first that is free, and that counts:
//! its time begins when it was due. At full load each connection asks again as soon as it is answered.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use devicestate_report::Spread;

use crate::support::*;

/// What a client asks, and what it makes of the replies.
pub trait Dialogue {
    /// Appends the first request of an operation.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// Takes a reply, which is no error; appends what is to be asked next. True: the operation is done.
    fn hear(&mut self, reply: &[u8], out: &mut Vec<u8>) -> bool;
}

impl Dialogue for Box<dyn Dialogue> {
    fn begin(&mut self, out: &mut Vec<u8>) {
        (**self).begin(out);
    }

    fn hear(&mut self, reply: &[u8], out: &mut Vec<u8>) -> bool {
        (**self).hear(reply, out)
    }
}

/// What came of a run.
pub struct Served {
    /// Operations per second.
    pub rate: f64,
    /// From the moment an operation was due to its last reply, in microseconds.
    pub micros: Spread,
}

/// Connections to one server.
pub struct Clients<D> {
    lines: Vec<Line<D>>,
    random: u64,
    /// How many operations were done, of all runs.
    pub done: usize,
}

struct Line<D> {
    stream: TcpStream,
    dialogue: D,
    out: Vec<u8>,
    heard: Vec<u8>,
    /// When the operation that it is busy with was due.
    due: Option<Instant>,
}

impl<D: Dialogue> Clients<D> {
    pub fn connect(server: &Server, dialogues: impl IntoIterator<Item = D>) -> Clients<D> {
        let lines = dialogues.into_iter().map(|dialogue| {
            let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
            stream.set_nodelay(true).expect("set nodelay");
            stream.set_nonblocking(true).expect("set nonblocking");
            Line {
                stream,
                dialogue,
                out: Vec::new(),
                heard: Vec::new(),
                due: None,
            }
        });
        Clients {
            lines: lines.collect(),
            random: 0x2545_f491_4f6c_dd1d,
            done: 0,
        }
    }

    /// Works for so long; `rate` operations per second, or as many as it can.
    pub fn run(&mut self, rate: Option<f64>, time: Duration) -> Served {
        let start = Instant::now();
        let end = start + time;
        let mut next = start;
        let mut waiting = VecDeque::new();
        let mut took = Vec::new();
        loop {
            let now = Instant::now();
            if let Some(rate) = rate {
                while next <= now && next < end {
                    waiting.push_back(next);
                    next += Duration::from_secs_f64(self.gap(rate));
                }
            }
            let (mut busy, mut idle) = (0, true);
            for line in &mut self.lines {
                if line.due.is_none() {
                    line.due = match rate {
                        Some(_) => waiting.pop_front(),
                        None => (now < end).then_some(now),
                    };
                    if line.due.is_some() {
                        line.dialogue.begin(&mut line.out);
                        line.send();
                    }
                }
                if line.due.is_some() && line.listen(&mut idle) {
                    let due = line.due.take().expect("it is busy");
                    took.push(due.elapsed().as_secs_f64() * 1e6);
                }
                busy += usize::from(line.due.is_some());
            }
            if busy == 0 && waiting.is_empty() && now >= end {
                break;
            }
            if idle {
                thread::yield_now();
            }
        }
        self.done += took.len();
        Served {
            rate: took.len() as f64 / start.elapsed().as_secs_f64(),
            micros: Spread::new(took),
        }
    }

    /// Seconds to the next request: as random as if many devices each spoke when they like.
    fn gap(&mut self, rate: f64) -> f64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - share).ln() / rate
    }
}

impl<D: Dialogue> Line<D> {
    /// Requests are smaller than the buffers of a connection that waits for every reply.
    fn send(&mut self) {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).expect("write");
            self.out.clear();
        }
    }

    /// Reads what there is; true once the operation is done.
    fn listen(&mut self, idle: &mut bool) -> bool {
        let mut bytes = [0; 16_384];
        match self.stream.read(&mut bytes) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(read) => self.heard.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("read: {error}"),
        }
        *idle = false;
        let mut done = false;
        while let Some(length) = whole_reply(&self.heard) {
            let reply = &self.heard[..length];
            assert!(reply[0] != b'-', "refused: {}", reply.escape_ascii());
            assert!(!done, "a reply too many");
            done = self.dialogue.hear(reply, &mut self.out);
            self.heard.drain(..length);
        }
        self.send();
        done
    }
}

/// The length of the first reply, if all of it is there.
fn whole_reply(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut missing = 1;
    while missing > 0 {
        missing -= 1;
        let line = bytes[at..].iter().position(|byte| *byte == b'\n')?;
        let head = &bytes[at..at + line];
        at += line + 1;
        let number = || -> i64 {
            let text = std::str::from_utf8(head[1..].trim_ascii_end()).ok();
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        match head[0] {
            b'*' => missing += number().max(0),
            b'$' if number() >= 0 => at += number() as usize + 2,
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}
