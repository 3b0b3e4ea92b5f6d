//! Healthy devices: threads that beat for many of them, whatever happens to the server.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::{Connection, Value};

use crate::devices::SOON;
use crate::support::*;

/// How many connections a group of devices shares.
const CONNECTIONS: usize = 4;

/// Devices that beat at regular intervals until this is dropped or stopped. A refusal of the server
/// and a broken connection are met as a device would: it goes on with its next beat.
pub struct Beaters {
    stop: Arc<AtomicBool>,
    /// Rounds that each connection has completed with all replies read.
    rounds: Vec<Arc<AtomicUsize>>,
    /// How much later than planned a round was begun, without its server being to blame.
    late_ms: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Beaters {
    /// Each device beats every `every` with this timeout. All of them have beaten once when this
    /// returns.
    #[track_caller]
    pub fn start(server: &Server, ids: &[String], every: Duration, timeout: u64) -> Beaters {
        let port = server.port();
        Beaters::following(move || Some(port), SOON, ids, every, timeout)
    }

    /// The same wherever the master is, as far as `master` knows its port. A server that keeps a
    /// device waiting for longer than `patience`, or that takes no writes, is left.
    #[track_caller]
    pub fn following(
        master: impl Fn() -> Option<u16> + Clone + Send + 'static,
        patience: Duration,
        ids: &[String],
        every: Duration,
        timeout: u64,
    ) -> Beaters {
        let stop = Arc::new(AtomicBool::new(false));
        let late_ms = Arc::new(AtomicU64::new(0));
        let (mut rounds, mut threads) = (Vec::new(), Vec::new());
        let share = ids.len().div_ceil(CONNECTIONS).max(1);
        for ids in ids.chunks(share) {
            let timeout = timeout.to_string();
            let mut round = Vec::new();
            for id in ids {
                let beat = ["DEVICE.HEARTBEAT", id, "TIMEOUT", &timeout];
                round.extend_from_slice(&resp::encode(&beat));
            }
            let (master, count) = (master.clone(), ids.len());
            let connect = move || connect(master()?, patience).ok();
            let done = Arc::new(AtomicUsize::new(0));
            let (stop, mine) = (Arc::clone(&stop), Arc::clone(&done));
            let late_ms = Arc::clone(&late_ms);
            threads.push(thread::spawn(move || {
                beat(connect, &round, count, every, &stop, &mine, &late_ms)
            }));
            rounds.push(done);
        }
        let beaters = Beaters {
            stop,
            rounds,
            late_ms,
            threads,
        };
        beaters.wait_for_rounds(1);
        beaters
    }

    /// Waits until every device has beaten this often from now on.
    #[track_caller]
    pub fn wait_for_rounds(&self, more: usize) {
        let done = || self.rounds.iter().map(|r| r.load(Ordering::SeqCst));
        // A round under way may have begun before the call.
        let wanted: Vec<usize> = done().map(|done| done + more + 1).collect();
        wait_for("every device beats", SOON, || {
            done().zip(&wanted).all(|(done, wanted)| done >= *wanted)
        });
    }

    /// The worst that this machine did to a round, in milliseconds: where a device was told offline
    /// although it is not silent, this tells whether the test itself kept it from beating.
    pub fn late_ms(&self) -> u64 {
        self.late_ms.load(Ordering::SeqCst)
    }

    /// All fall silent; returns when no beat is under way any more.
    pub fn stop(self) {}
}

impl Drop for Beaters {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The thread: `round` holds one beat of each of `count` devices.
fn beat(
    connect: impl Fn() -> Option<BufReader<TcpStream>>,
    round: &[u8],
    count: usize,
    every: Duration,
    stop: &AtomicBool,
    done: &AtomicUsize,
    late_ms: &AtomicU64,
) {
    let mut connection = None;
    let mut next = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        if connection.is_none() {
            connection = connect();
        }
        let beaten = connection.as_mut().map(|c| one_round(c, round, count));
        match beaten {
            Some(Ok(())) => {
                done.fetch_add(1, Ordering::SeqCst);
                // After a stall the rounds that were missed are not made up for.
                next = (next + every).max(Instant::now());
            }
            _ => {
                connection = None;
                next = Instant::now() + Duration::from_millis(20);
            }
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let late = Instant::now().saturating_duration_since(next).as_millis();
        late_ms.fetch_max(late as u64, Ordering::SeqCst);
    }
}

fn connect(port: u16, patience: Duration) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

fn one_round(connection: &mut BufReader<TcpStream>, round: &[u8], count: usize) -> io::Result<()> {
    connection.get_mut().write_all(round)?;
    for _ in 0..count {
        let reply = resp::read_reply(connection)?;
        if reply.starts_with(b"-READONLY") {
            return Err(io::Error::other("this is no master any more"));
        }
    }
    Ok(())
}

/// `name-0` and so on.
pub fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{name}-{i}")).collect()
}

/// One pipeline of commands; every one must be answered without an error.
#[track_caller]
pub fn all(con: &mut Connection, lines: impl IntoIterator<Item = String>) -> Vec<Value> {
    let mut pipe = redis::pipe();
    for line in lines {
        pipe.add_command(command(&line));
    }
    match pipe.query(con) {
        Ok(replies) => replies,
        Err(error) => panic!("the server refused: {error}"),
    }
}
