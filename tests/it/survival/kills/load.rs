//! Traffic of every kind until the server is gone.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::ledger::{Counts, Ledger, LINE};
use crate::devices::SOON;
use crate::support::*;
use crate::workload::{Args, Workload};

/// How many connections load the server.
const CONNECTIONS: u64 = 3;
/// Commands of the random workload in each pipeline, beside a line of the ledger.
const AT_RANDOM: usize = 9;

pub struct Load {
    connections: Vec<Loader>,
}

/// One connection, with devices, queues, users and a ledger of its own.
pub struct Loader {
    pub ledger: Arc<Ledger>,
    /// Commands that were answered.
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// The last number that was said, and errors that nobody expects.
    thread: JoinHandle<(u64, Vec<String>)>,
}

impl Load {
    /// `round` makes the names of ledgers that are not those of other rounds.
    #[track_caller]
    pub fn start(server: &Server, seed: u64, round: u64) -> Load {
        let connections = (0..CONNECTIONS)
            .map(|i| Loader::start(server, seed * CONNECTIONS + i, i, round))
            .collect();
        Load { connections }
    }

    pub fn answered(&self) -> u64 {
        let answered = self.connections.iter().map(|loader| &loader.answered);
        answered.map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// How many commands of each kind each ledger has seen acknowledged.
    pub fn counts(&self) -> Vec<Counts> {
        let ledgers = self.connections.iter().map(|loader| &loader.ledger);
        ledgers.map(|ledger| ledger.counts()).collect()
    }

    /// Waits until every connection has noticed that the server is gone. Gives the ledgers and the last
    /// number that each has said.
    #[track_caller]
    pub fn end(self) -> Vec<(Arc<Ledger>, u64)> {
        for loader in &self.connections {
            loader.stop.store(true, Ordering::SeqCst);
        }
        let ends = self.connections.into_iter().map(|loader| {
            let (said, refused) = loader.thread.join().expect("no panic");
            assert!(refused.is_empty(), "refused: {refused:?}");
            (loader.ledger, said)
        });
        ends.collect()
    }
}

impl Loader {
    #[track_caller]
    fn start(server: &Server, seed: u64, number: u64, round: u64) -> Loader {
        let ledger = Arc::new(Ledger::new(format!("w{number}-{round}")));
        let answered = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        stream.set_read_timeout(Some(SOON)).expect("a time limit");
        stream.set_nodelay(true).expect("set nodelay");
        let mut traffic = Traffic {
            connection: BufReader::new(stream),
            workload: Workload::of(seed, &format!("w{number}-"), 12),
            ledger: Arc::clone(&ledger),
            answered: Arc::clone(&answered),
            said: 0,
            refused: Vec::new(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // Ends with an error when the server is gone.
            while !stopped.load(Ordering::SeqCst) && traffic.one_pipeline().is_ok() {}
            (traffic.said, traffic.refused)
        });
        Loader {
            ledger,
            answered,
            stop,
            thread,
        }
    }
}

struct Traffic {
    connection: BufReader<TcpStream>,
    workload: Workload,
    ledger: Arc<Ledger>,
    answered: Arc<AtomicU64>,
    said: u64,
    refused: Vec<String>,
}

impl Traffic {
    fn one_pipeline(&mut self) -> io::Result<()> {
        let commands: Vec<Args> = (0..AT_RANDOM).map(|_| self.workload.command()).collect();
        let mut bytes: Vec<u8> = commands.iter().flat_map(|c| resp::encode(c)).collect();
        self.said += 1;
        bytes.extend(self.ledger.line(self.said).flatten());
        self.connection.get_mut().write_all(&bytes)?;
        for command in &commands {
            let reply = self.read()?;
            match redis::parse_redis_value(&reply) {
                // Of unknown devices, or of full queues.
                Ok(redis::Value::ServerError(_)) | Err(_) => {}
                Ok(reply) => self.workload.learn(command, &reply),
            }
        }
        for kind in 0..LINE {
            let reply = self.read()?;
            if reply.starts_with(b"-") {
                self.refused.push(reply.escape_ascii().to_string());
            } else {
                self.ledger.acknowledge(kind);
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let reply = resp::read_reply(&mut self.connection)?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(reply)
    }
}
