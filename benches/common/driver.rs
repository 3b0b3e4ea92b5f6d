//! Many connections that each keep one pipeline in flight, as `redis-benchmark -c C -P P` does, but
//! with requests prepared beforehand, a different one for each device and turn.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::documents::TURNS;
use crate::support::*;

/// What one connection does with its devices. An operation is the whole of what is measured; it may
/// take several round trips.
pub trait Work: Send {
    /// Does the operation once on each of `batch` (a device by its place, and the turn), all in
    /// one pipeline per round trip.
    fn perform(&mut self, wire: &mut Wire, batch: &[(usize, usize)]);
}

/// Connections to one server, each with devices of its own: what one does to a device is in order.
pub struct Driver {
    lanes: Vec<Lane>,
    pipeline: usize,
}

struct Lane {
    wire: Wire,
    work: Box<dyn Work>,
    devices: usize,
    /// How many operations were done.
    done: usize,
}

impl Driver {
    /// `work` makes what a connection does from the numbers of its devices.
    pub fn connect(
        server: &Server,
        connections: usize,
        pipeline: usize,
        devices: usize,
        work: &dyn Fn(&[usize]) -> Box<dyn Work>,
    ) -> Driver {
        assert!(
            devices >= connections * pipeline,
            "a pipeline would hold a device twice: more devices, or fewer connections"
        );
        let shuffled = shuffle(devices);
        let lanes = (0..connections).map(|lane| {
            let ours: Vec<usize> = shuffled[lane..]
                .iter()
                .copied()
                .step_by(connections)
                .collect();
            Lane {
                wire: Wire::connect(server),
                work: work(&ours),
                devices: ours.len(),
                done: 0,
            }
        });
        Driver {
            lanes: lanes.collect(),
            pipeline,
        }
    }

    /// Does at least so many operations, as many on each connection; returns how many, and how long
    /// it took.
    pub fn run(&mut self, operations: usize) -> (usize, Duration) {
        let pipeline = self.pipeline;
        let batches = operations.div_ceil(pipeline * self.lanes.len()).max(1);
        let total = batches * pipeline * self.lanes.len();
        let barrier = Barrier::new(self.lanes.len() + 1);
        let start = thread::scope(|scope| {
            for lane in &mut self.lanes {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    for _ in 0..batches {
                        lane.batch(pipeline);
                    }
                });
            }
            barrier.wait();
            Instant::now()
        });
        (total, start.elapsed())
    }

    /// How many operations each device has seen, by its number.
    pub fn counts(&self, devices: usize) -> Vec<usize> {
        let mut counts = vec![0; devices];
        let shuffled = shuffle(devices);
        for (at, lane) in self.lanes.iter().enumerate() {
            let ours = shuffled[at..].iter().step_by(self.lanes.len());
            for (place, number) in ours.enumerate() {
                let more = usize::from(place < lane.done % lane.devices);
                counts[*number] = lane.done / lane.devices + more;
            }
        }
        counts
    }
}

impl Lane {
    fn batch(&mut self, pipeline: usize) {
        let batch: Vec<(usize, usize)> = (self.done..self.done + pipeline)
            .map(|operation| {
                let (turn, place) = (operation / self.devices, operation % self.devices);
                (place, turn % TURNS)
            })
            .collect();
        self.work.perform(&mut self.wire, &batch);
        self.done += pipeline;
    }
}

/// The same mixed order every time: neighbours in memory are no neighbours in time.
fn shuffle(devices: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..devices).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for at in (1..devices).rev() {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

/// Requests that were written down before, one for each device and turn; one reply to each.
pub struct Prepared {
    /// For each turn: the requests of all devices, one behind the other, and where each lies.
    turns: Vec<(Vec<u8>, Vec<Range<usize>>)>,
    out: Vec<u8>,
}

impl Prepared {
    /// `write` appends the request of a device (by its number) for a turn.
    pub fn new(devices: &[usize], write: impl Fn(usize, usize, &mut Vec<u8>)) -> Prepared {
        let turn = |turn| {
            let mut bytes = Vec::new();
            let places = devices.iter().map(|number| {
                let start = bytes.len();
                write(*number, turn, &mut bytes);
                start..bytes.len()
            });
            let places = places.collect();
            (bytes, places)
        };
        Prepared {
            turns: (0..TURNS).map(turn).collect(),
            out: Vec::new(),
        }
    }
}

impl Work for Prepared {
    fn perform(&mut self, wire: &mut Wire, batch: &[(usize, usize)]) {
        self.out.clear();
        for (place, turn) in batch {
            let (bytes, places) = &self.turns[*turn];
            self.out.extend_from_slice(&bytes[places[*place].clone()]);
        }
        wire.send(&self.out);
        for _ in batch {
            wire.skip_reply();
        }
    }
}

/// Sends the request that `write` appends for each device, and waits for all replies.
pub fn each(server: &Server, devices: Range<usize>, write: impl Fn(usize, &mut Vec<u8>)) {
    let mut wire = Wire::connect(server);
    let mut out = Vec::new();
    let numbers: Vec<usize> = devices.collect();
    for some in numbers.chunks(100) {
        out.clear();
        some.iter().for_each(|number| write(*number, &mut out));
        wire.send(&out);
        some.iter().for_each(|_| wire.skip_reply());
    }
}

/// A connection that reads replies as cheaply as it can; an error is a panic.
pub struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Wire {
    pub fn connect(server: &Server) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        stream.set_nodelay(true).expect("set nodelay");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("set the read timeout");
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone().expect("share"));
        Wire {
            stream,
            reader,
            line: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("write to the server");
    }

    /// Reads one reply, however deep, and forgets it.
    pub fn skip_reply(&mut self) {
        let mut missing = 1;
        while missing > 0 {
            missing -= 1;
            let (kind, number) = self.head();
            match kind {
                b'*' => missing += number.max(0),
                b'$' if number >= 0 => self.skip(number as usize + 2),
                _ => {}
            }
        }
    }

    /// Reads a number.
    pub fn read_int(&mut self) -> i64 {
        let (kind, number) = self.head();
        assert!(kind == b':', "no number");
        number
    }

    /// Reads a bulk string into `text`.
    pub fn read_bulk(&mut self, text: &mut Vec<u8>) {
        let (kind, length) = self.head();
        assert!(kind == b'$' && length >= 0, "a null instead of a text");
        text.resize(length as usize + 2, 0);
        self.reader.read_exact(text).expect("read a reply");
        text.truncate(length as usize);
    }

    /// The first byte of a value and the number behind it, if there is one.
    fn head(&mut self) -> (u8, i64) {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        let line = self.line.trim_ascii_end();
        let (Ok(_), Some(kind)) = (read, line.first()) else {
            panic!("the server closed the connection");
        };
        assert!(*kind != b'-', "refused: {}", line.escape_ascii());
        let number = std::str::from_utf8(&line[1..]).ok();
        (*kind, number.and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let found = self
                .reader
                .fill_buf()
                .expect("read a reply")
                .len()
                .min(bytes);
            assert!(found > 0, "the server closed the connection");
            self.reader.consume(found);
            bytes -= found;
        }
    }
}
