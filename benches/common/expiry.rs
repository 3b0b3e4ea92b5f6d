//! Detection without the module: keys, or fields of a hash, that expire, and a subscriber of the
//! server's events about it. Who is never told of is counted and not waited for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use devicestate_report::Spread;

use super::load::{command, pipeline};
use super::machine;
use super::meanwhile::ping;
use crate::support::*;

/// What a device's life hangs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `device:heartbeat:<id>` with a time to live; the event is `expired`.
    Key,
    /// The field `heartbeat` of `device:state:<id>` with a time to live, which Redis has since 7.4;
    /// the event is `hexpired`, which names the hash.
    Field,
}

/// What subscribers heard of the deaths.
pub struct Told {
    /// Milliseconds from the end of the time to live to the subscriber, of those that were told.
    pub lateness: Spread,
    pub dying: usize,
    /// From the first event to the last one, in milliseconds.
    pub span_ms: f64,
    /// PING on a second connection from the first event to the last one, in milliseconds.
    pub pings: Spread,
}

impl Form {
    fn event(self) -> &'static str {
        match self {
            Form::Key => "__keyevent@0__:expired",
            Form::Field => "__keyevent@0__:hexpired",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Form::Key => "device:heartbeat:",
            Form::Field => "device:state:",
        }
    }

    /// A server that can do it, without the module; `None` where none is at hand.
    pub fn server(self) -> Option<Server> {
        let builder = Server::builder().without_module();
        let builder = match self {
            Form::Key => builder,
            Form::Field => {
                let program = redis_8()?;
                builder
                    .program(program.display().to_string())
                    .config("notify-keyspace-events", "Exh")
            }
        };
        let server = builder.start();
        machine::pin(&server);
        Some(server)
    }

    /// Gives each device of a range its life; it ends at a moment of its own.
    fn load(
        self,
        server: &Server,
        devices: usize,
        kind: &str,
        end_ms: impl Fn(usize) -> i64 + Sync,
    ) {
        let reply: &[u8] = match self {
            Form::Key => b"+OK\r\n",
            Form::Field => b":1\r\n",
        };
        pipeline(server, 0..devices, reply, |number, out| {
            let key = format!("{}{kind}-{number:07}", self.prefix());
            let (key, end) = (key.as_bytes(), end_ms(number).to_string());
            match self {
                Form::Key => command(out, &[b"SET", key, b"1", b"PXAT", end.as_bytes()]),
                Form::Field => {
                    let head: [&[u8]; 4] = [b"HSETEX", key, b"PXAT", end.as_bytes()];
                    let field: [&[u8]; 4] = [b"FIELDS", b"1", b"heartbeat", b"1"];
                    command(out, &[head, field].concat());
                }
            }
        });
    }

    /// `live` devices, and `dying` ones whose lives end over `window`, one after the other; waits for
    /// `patience` after the last one.
    pub fn die(
        self,
        server: &Server,
        live: usize,
        dying: usize,
        window: Duration,
        patience: Duration,
    ) -> Told {
        const DAY_MS: i64 = 86_400_000;
        let far = now_ms() + DAY_MS;
        let start = Instant::now();
        self.load(server, live, "live", |_| far);
        // None dies before all are loaded.
        let lead_ms =
            2_000 + 2 * start.elapsed().as_millis() as i64 * dying as i64 / live.max(1) as i64;
        let lead_ms = if live == 0 {
            2_000 + dying as i64 / 50
        } else {
            lead_ms
        };
        let first = now_ms() + lead_ms;
        let step = window.as_secs_f64() * 1_000.0 / dying as f64;
        let end = |number: usize| first + (number as f64 * step) as i64;
        let subscriber = Subscriber::channels(server, &[self.event()]);
        self.load(server, dying, "dies", end);
        assert!(
            now_ms() < first,
            "loading took so long that devices died of it"
        );

        let enough = AtomicBool::new(false);
        let last = Duration::from_millis((end(dying) - now_ms()) as u64) + patience;
        let pings = thread::scope(|scope| {
            let pings = scope.spawn(|| ping(server, &enough));
            let start = Instant::now();
            while subscriber.count() < dying && start.elapsed() < last {
                thread::sleep(Duration::from_millis(5));
            }
            enough.store(true, Ordering::Relaxed);
            pings.join().expect("the thread that sends PING")
        });
        let messages = subscriber.take();
        let dies = format!("{}dies-", self.prefix());
        let mut told = vec![false; dying];
        let lateness = messages.iter().map(|message| {
            let number = message.payload.strip_prefix(&dies);
            let number: usize = number.and_then(|n| n.parse().ok()).expect("a dying device");
            assert!(!told[number], "{} was told twice", message.payload);
            told[number] = true;
            (message.at_ms - end(number)) as f64
        });
        let lateness = Spread::new(lateness.collect());
        let (from, to) = match (messages.first(), messages.last()) {
            (Some(first), Some(last)) => (first.at, last.at),
            _ => panic!("nobody was told of\n{}", server.log()),
        };
        let during = pings
            .iter()
            .filter(|(answered, took)| *answered >= from && *answered - *took <= to);
        Told {
            lateness,
            dying,
            span_ms: (to - from).as_secs_f64() * 1_000.0,
            pings: Spread::new(
                during
                    .map(|(_, took)| took.as_secs_f64() * 1_000.0)
                    .collect(),
            ),
        }
    }
}

/// Where `scripts/servers` puts a Redis that has fields with a time to live.
fn redis_8() -> Option<PathBuf> {
    let module = target_binary("libdevicestate.so");
    let target = module.parent()?.parent()?;
    let program = target.join("servers/redis-8.0/server");
    program.is_file().then_some(program)
}
