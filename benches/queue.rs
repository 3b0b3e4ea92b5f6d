//! The price of a message's way through a queue: `QUEUE.ADD`, `GET` and `ACK` beside the raw stream
//! commands that do as much, `XADD`, `XREADGROUP`, `XACK` and `XDEL`, but lease nothing.
//!
//! `cargo build --release && cargo bench --bench queue`, or `scripts/bench queue`.

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use common::benchmark::pinned_server;
use common::options::Number;
use common::scenarios::info;
use common::{figures, load, machine, rounds, Options, Rounds};
use serde_json::{json, Value};
use support::*;

const NUMBERS: [Number; 5] = [
    Number {
        name: "servers",
        meaning: "pairs of fresh servers: where the data lies in memory matters",
        default: 3,
        quick: 1,
    },
    Number {
        name: "rounds",
        meaning: "interleaved rounds on each pair",
        default: 3,
        quick: 2,
    },
    Number {
        name: "messages",
        meaning: "messages that go their way in a round",
        default: 100_000,
        quick: 2_000,
    },
    Number {
        name: "batch",
        meaning: "messages per pipeline: so many are added, taken, and done",
        default: 32,
        quick: 32,
    },
    Number {
        name: "leased",
        meaning: "messages that others have leased meanwhile",
        default: 100_000,
        quick: 1_000,
    },
];

/// How messages go their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One command for each message and step.
    Ours,
    /// One command for each step of a batch.
    OursInBatches,
    Raw,
    RawInBatches,
    /// As `Raw`, with the XCLAIM that sets when the lease ends: what a client would have to send.
    RawWithLease,
}

impl Way {
    const ALL: [Way; 5] = [
        Way::Ours,
        Way::Raw,
        Way::RawWithLease,
        Way::OursInBatches,
        Way::RawInBatches,
    ];

    fn name(self) -> &'static str {
        match self {
            Way::Ours => "QUEUE.ADD, GET, ACK",
            Way::OursInBatches => "QUEUE, GET and ACK of a batch",
            Way::Raw => "XADD, XREADGROUP, XACK, XDEL",
            Way::RawInBatches => "raw, all but XADD of a batch",
            Way::RawWithLease => "raw, with XCLAIM for the lease",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Way::Ours | Way::OursInBatches)
    }

    fn is_batched(self) -> bool {
        matches!(self, Way::OursInBatches | Way::RawInBatches)
    }
}

const BODY: &[u8] = &[b'x'; 100];

/// A connection that sends pipelines and reads replies.
struct Client {
    from: BufReader<TcpStream>,
    out: Vec<u8>,
    ids: Vec<Vec<u8>>,
}

impl Client {
    fn new(server: &Server) -> Client {
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

    /// One batch goes its way.
    fn batch(&mut self, way: Way, size: usize) {
        for _ in 0..size {
            match way.is_ours() {
                true => load::command(&mut self.out, &[b"QUEUE.ADD", b"q", BODY]),
                false => load::command(&mut self.out, &[b"XADD", b"q", b"*", b"b", BODY]),
            }
        }
        self.send();
        self.ids.clear();
        for _ in 0..size {
            let reply = self.read();
            let line = reply.split(|byte| *byte == b'\n').nth(1).expect("an id");
            self.ids.push(line[..line.len() - 1].to_vec());
        }
        let count = size.to_string();
        let (gets, count) = match way.is_batched() {
            true => (1, count.as_bytes()),
            false => (size, &b"1"[..]),
        };
        for _ in 0..gets {
            match way.is_ours() {
                true => load::command(&mut self.out, &[b"QUEUE.GET", b"q", b"w", b"COUNT", count]),
                false => load::command(
                    &mut self.out,
                    &[
                        b"XREADGROUP",
                        b"GROUP",
                        b"work",
                        b"w",
                        b"COUNT",
                        count,
                        b"STREAMS",
                        b"q",
                        b">",
                    ],
                ),
            }
        }
        self.send();
        for _ in 0..gets {
            assert!(self.read().starts_with(b"*1\r\n") || gets == 1);
        }
        if way == Way::RawWithLease {
            for id in &self.ids {
                let words: [&[u8]; 9] = [
                    b"XCLAIM",
                    b"q",
                    b"work",
                    b"w",
                    b"0",
                    id,
                    b"IDLE",
                    b"1099511597776",
                    b"JUSTID",
                ];
                load::command(&mut self.out, &words);
            }
            self.send();
            for _ in 0..size {
                self.read();
            }
        }
        let of_ids = |out: &mut Vec<u8>, head: &[&[u8]], ids: &[Vec<u8>]| {
            let ids = ids.iter().map(Vec::as_slice);
            load::command(out, &head.iter().copied().chain(ids).collect::<Vec<_>>());
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

/// A server with the module and one without; on each a queue of which others have leased a part.
struct Pair {
    module: Server,
    plain: Server,
}

impl Pair {
    fn start(options: &Options, append_only: bool) -> Pair {
        let pair = Pair {
            module: pinned_server(Server::builder(), append_only),
            plain: pinned_server(Server::builder().without_module(), append_only),
        };
        cmd!(pair.plain.connection(), "XGROUP CREATE q work 0 MKSTREAM").text();
        for (server, way) in [(&pair.module, Way::Ours), (&pair.plain, Way::Raw)] {
            let mut con = server.connection();
            let mut left = options.get("leased");
            while left > 0 {
                let some = left.min(10_000);
                let mut pipe = redis::pipe();
                for _ in 0..some {
                    match way.is_ours() {
                        true => pipe.cmd("QUEUE.ADD").arg("q").arg(BODY).ignore(),
                        false => pipe
                            .cmd("XADD")
                            .arg("q")
                            .arg("*")
                            .arg("b")
                            .arg(BODY)
                            .ignore(),
                    };
                }
                pipe.query::<()>(&mut con).expect("messages");
                match way.is_ours() {
                    true => cmd!(con, "QUEUE.GET q other LEASE 1d COUNT", some),
                    false => cmd!(
                        con,
                        "XREADGROUP GROUP work other COUNT",
                        some,
                        "STREAMS",
                        "q",
                        ">"
                    ),
                }
                .items();
                left -= some;
            }
        }
        pair
    }

    fn server(&self, way: Way) -> &Server {
        match way.is_ours() {
            true => &self.module,
            false => &self.plain,
        }
    }

    /// Messages per second, and the server's processor time for one in microseconds.
    fn run(&self, way: Way, messages: usize, batch: usize) -> (f64, f64) {
        let server = self.server(way);
        let batches = messages.div_ceil(batch);
        let mut client = Client::new(server);
        client.batch(way, batch);
        let before = machine::processor_seconds(server);
        let start = Instant::now();
        for _ in 0..batches {
            client.batch(way, batch);
        }
        let messages = (batches * batch) as f64;
        let rate = messages / start.elapsed().as_secs_f64();
        let used = machine::processor_seconds(server) - before;
        (rate, used * 1e6 / messages)
    }

    /// All that went its way is gone, and nothing else.
    fn check(&self, options: &Options) {
        for server in [&self.module, &self.plain] {
            let mut con = server.connection();
            assert_eq!(cmd!(con, "XLEN q").int(), options.get("leased") as i64);
        }
        assert_eq!(info(&mut self.module.connection(), "queue_redelivered"), 0);
    }
}

/// The tables of one kind of servers: in pipelines, and one message after the other.
fn measure(options: &Options, append_only: bool) -> [Vec<Rounds>; 2] {
    let table = || Way::ALL.map(|way| Rounds::new(way.name())).into();
    let mut tables: [Vec<Rounds>; 2] = [table(), table()];
    let (messages, batch) = (options.get("messages"), options.get("batch"));
    for _ in 0..options.get("servers") {
        let pair = Pair::start(options, append_only);
        for round in 0..options.get("rounds") {
            for at in 0..Way::ALL.len() {
                let at = (at + round) % Way::ALL.len();
                for (table, messages, batch) in
                    [(0, messages, batch), (1, messages.div_ceil(10), 1)]
                {
                    let (rate, micros) = pair.run(Way::ALL[at], messages, batch);
                    tables[table][at].add(rate, micros);
                }
                eprint!(".");
            }
        }
        pair.check(options);
    }
    eprintln!();
    tables
}

fn main() {
    let options = Options::read("The price of a message's way through a queue.", &NUMBERS);
    let load = machine::load_average();
    machine::pin_this_client();
    let machine = machine::describe(&Server::builder().without_module().start(), load);
    machine::print(&machine);
    println!(
        "one client, {} messages of {} bytes per pipeline, {} others leased, \
         {} rounds on each of {} pairs of servers",
        options.get("batch"),
        BODY.len(),
        options.get("leased"),
        options.get("rounds"),
        options.get("servers"),
    );
    let show = |title: &str, [pipelined, alone]: [Vec<Rounds>; 2]| {
        let pipelined = show_both(&format!("{title}, in pipelines"), pipelined);
        let alone = rounds::show(&format!("{title}, each step waits"), "ours", &alone[..3]);
        json!({"in pipelines": pipelined, "each step waits": alone})
    };
    let memory = show("no append-only file", measure(&options, false));
    let file = show(
        "append-only file, fsync every second",
        measure(&options, true),
    );
    let figures = json!({
        "machine": machine,
        "quick": options.quick,
        "messages": options.get("messages"),
        "leased": options.get("leased"),
        "servers": options.get("servers"),
        "rounds": options.get("rounds"),
        "batch": options.get("batch"),
        "no append-only file": memory,
        "appendfsync everysec": file,
        "load_average_after": machine::load_average(),
    });
    figures::write("queue", &figures);
}

/// Message by message against the raw commands, and batches against batches.
fn show_both(title: &str, all: Vec<Rounds>) -> Value {
    let single = rounds::show(&format!("{title}: message by message"), "ours", &all[..3]);
    let batched = rounds::show(&format!("{title}: in batches"), "ours", &all[3..]);
    json!({"message by message": single, "in batches": batched})
}
