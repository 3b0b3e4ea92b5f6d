//! What clients that wait for every reply do: one request, or a message's way through a queue.

use super::clients::Dialogue;
use super::documents::TURNS;
use super::load::command;

/// The bytes of a message.
pub const BODY: &[u8] = &[b'x'; 100];

/// One request for each operation, of one device after the other; whatever is answered.
pub struct Requests {
    /// For each turn the request of each device.
    turns: Vec<Vec<Vec<u8>>>,
    done: usize,
}

impl Requests {
    pub fn new(devices: &[usize], write: impl Fn(usize, usize, &mut Vec<u8>)) -> Requests {
        let request = |device: &usize, turn| {
            let mut out = Vec::new();
            write(*device, turn, &mut out);
            out
        };
        let of_turn = |turn| devices.iter().map(|device| request(device, turn)).collect();
        Requests {
            turns: (0..TURNS).map(of_turn).collect(),
            done: 0,
        }
    }
}

impl Dialogue for Requests {
    fn begin(&mut self, out: &mut Vec<u8>) {
        let devices = self.turns[0].len();
        let (turn, place) = (self.done / devices % TURNS, self.done % devices);
        out.extend_from_slice(&self.turns[turn][place]);
        self.done += 1;
    }

    fn hear(&mut self, _: &[u8], _: &mut Vec<u8>) -> bool {
        true
    }
}

/// A message that is added, taken and acknowledged.
pub struct Message {
    is_ours: bool,
    worker: String,
    step: usize,
}

impl Message {
    /// Through a queue of ours, or through a stream and its group `work`; the key is `q`.
    pub fn new(is_ours: bool, worker: String) -> Message {
        Message {
            is_ours,
            worker,
            step: 0,
        }
    }

    /// The id in the reply to the second step: the innermost element that looks like one.
    fn id(reply: &[u8]) -> &[u8] {
        let lines = reply
            .split(|byte| *byte == b'\n')
            .map(|line| line.trim_ascii_end());
        let is_id =
            |line: &&[u8]| line.first().is_some_and(u8::is_ascii_digit) && line.contains(&b'-');
        lines.into_iter().find(is_id).expect("a message")
    }
}

impl Dialogue for Message {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.step = 0;
        match self.is_ours {
            true => command(out, &[b"QUEUE.ADD", b"q", BODY]),
            false => command(out, &[b"XADD", b"q", b"*", b"b", BODY]),
        }
    }

    fn hear(&mut self, reply: &[u8], out: &mut Vec<u8>) -> bool {
        self.step += 1;
        let worker = self.worker.as_bytes();
        match (self.step, self.is_ours) {
            (1, true) => command(out, &[b"QUEUE.GET", b"q", worker]),
            (1, false) => {
                let read: [&[u8]; 9] = [
                    b"XREADGROUP",
                    b"GROUP",
                    b"work",
                    worker,
                    b"COUNT",
                    b"1",
                    b"STREAMS",
                    b"q",
                    b">",
                ];
                command(out, &read);
            }
            (2, true) => command(out, &[b"QUEUE.ACK", b"q", Message::id(reply)]),
            (2, false) => {
                let id = Message::id(reply);
                command(out, &[b"XACK", b"q", b"work", id]);
                command(out, &[b"XDEL", b"q", id]);
            }
            _ => assert_eq!(reply, b":1\r\n", "it was not acknowledged"),
        }
        self.step == if self.is_ours { 3 } else { 4 }
    }
}
