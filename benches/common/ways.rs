//! A message's way through a queue, or through a stream and its group `work`; the key is `q`.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use super::dialogues::BODY;
use super::load::command;
use super::Rounds;
use crate::support::*;

/// How messages go their way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One command for each message and step.
    Ours,
    /// One command for each step of a batch.
    OursInBatches,
    Raw,
    RawInBatches,
    /// As `Raw`, with the XCLAIM that sets when the lease ends: what a client would have to send.
    RawWithLease,
    /// As `Raw`; once for each batch an XAUTOCLAIM looks for what a dead worker has left. It knows one
    /// idle time for all, and counts it from the last delivery: a worker cannot ask for more time.
    RawWithAutoclaim,
}

impl Way {
    pub const ALL: [Way; 6] = [
        Way::Ours,
        Way::Raw,
        Way::RawWithLease,
        Way::RawWithAutoclaim,
        Way::OursInBatches,
        Way::RawInBatches,
    ];

    pub fn rounds(self) -> Rounds {
        match self {
            Way::Ours => Rounds::new("ours", "QUEUE.ADD, GET, ACK"),
            Way::OursInBatches => Rounds::new("ours", "QUEUE, GET and ACK of a batch"),
            Way::Raw => Rounds::new("raw", "XADD, XREADGROUP, XACK, XDEL"),
            Way::RawInBatches => Rounds::new("raw", "raw, all but XADD of a batch"),
            Way::RawWithLease => Rounds::new("leased", "raw, with XCLAIM for the lease"),
            Way::RawWithAutoclaim => Rounds::new("autoclaim", "raw, with XAUTOCLAIM for the dead"),
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Way::Ours | Way::OursInBatches)
    }

    fn is_batched(self) -> bool {
        matches!(self, Way::OursInBatches | Way::RawInBatches)
    }
}

/// A connection that sends pipelines and reads replies.
pub struct Client {
    from: BufReader<TcpStream>,
    out: Vec<u8>,
    ids: Vec<Vec<u8>>,
}

impl Client {
    pub fn new(server: &Server) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        stream.set_nodelay(true).expect("set nodelay");
        Client {
            from: BufReader::with_capacity(1 << 18, stream),
            out: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn send(&mut self) {
        self.from.get_mut().write_all(&self.out).expect("write");
        self.out.clear();
    }

    fn read(&mut self) -> Vec<u8> {
        let reply = resp::read_reply(&mut self.from).expect("a reply");
        assert!(reply[0] != b'-', "{}", reply.escape_ascii());
        reply
    }

    /// One batch goes its way; each step waits until the one before is done for all of it.
    pub fn batch(&mut self, way: Way, size: usize) {
        self.add(way, size);
        self.take(way, size);
        if way == Way::RawWithLease {
            self.lease(size);
        }
        self.acknowledge(way, size);
    }

    fn add(&mut self, way: Way, size: usize) {
        for _ in 0..size {
            match way.is_ours() {
                true => command(&mut self.out, &[b"QUEUE.ADD", b"q", BODY]),
                false => command(&mut self.out, &[b"XADD", b"q", b"*", b"b", BODY]),
            }
        }
        self.send();
        self.ids.clear();
        for _ in 0..size {
            let reply = self.read();
            let line = reply.split(|byte| *byte == b'\n').nth(1).expect("an id");
            self.ids.push(line[..line.len() - 1].to_vec());
        }
    }

    fn take(&mut self, way: Way, size: usize) {
        if way == Way::RawWithAutoclaim {
            let head: [&[u8]; 5] = [b"XAUTOCLAIM", b"q", b"work", b"w", b"86400000"];
            command(
                &mut self.out,
                &[&head[..], &[b"0-0", b"COUNT", b"10"]].concat(),
            );
        }
        let count = size.to_string();
        let (gets, count) = match way.is_batched() {
            true => (1, count.as_bytes()),
            false => (size, &b"1"[..]),
        };
        for _ in 0..gets {
            match way.is_ours() {
                true => command(&mut self.out, &[b"QUEUE.GET", b"q", b"w", b"COUNT", count]),
                false => {
                    let head: [&[u8]; 4] = [b"XREADGROUP", b"GROUP", b"work", b"w"];
                    let rest: [&[u8]; 5] = [b"COUNT", count, b"STREAMS", b"q", b">"];
                    command(&mut self.out, &[&head[..], &rest].concat());
                }
            }
        }
        self.send();
        if way == Way::RawWithAutoclaim {
            let nobody_has_died = self.read().ends_with(b"*0\r\n*0\r\n");
            assert!(nobody_has_died, "a message was claimed");
        }
        for _ in 0..gets {
            assert!(self.read().starts_with(b"*1\r\n") || gets == 1);
        }
    }

    fn lease(&mut self, size: usize) {
        for id in &self.ids {
            let head: [&[u8]; 5] = [b"XCLAIM", b"q", b"work", b"w", b"0"];
            let rest: [&[u8]; 4] = [id, b"IDLE", b"1099511597776", b"JUSTID"];
            command(&mut self.out, &[&head[..], &rest].concat());
        }
        self.send();
        for _ in 0..size {
            self.read();
        }
    }

    fn acknowledge(&mut self, way: Way, size: usize) {
        let of_ids = |out: &mut Vec<u8>, head: &[&[u8]], ids: &[Vec<u8>]| {
            let ids = ids.iter().map(Vec::as_slice);
            command(out, &head.iter().copied().chain(ids).collect::<Vec<_>>());
        };
        let chunk = if way.is_batched() { size } else { 1 };
        let mut replies = 0;
        for ids in self.ids.chunks(chunk) {
            if way.is_ours() {
                of_ids(&mut self.out, &[b"QUEUE.ACK", b"q"], ids);
                replies += 1;
            } else {
                of_ids(&mut self.out, &[b"XACK", b"q", b"work"], ids);
                of_ids(&mut self.out, &[b"XDEL", b"q"], ids);
                replies += 2;
            }
        }
        self.send();
        for _ in 0..replies {
            assert_eq!(self.read(), format!(":{chunk}\r\n").as_bytes());
        }
    }
}
