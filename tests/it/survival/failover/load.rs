//! What goes on while masters come and go.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::{Client, Connection, RedisResult};

use crate::workload::{shown, Workload};

/// How long a client waits for a server before it looks for another.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// Clients that say all commands at whichever server is the master, until this is dropped.
pub struct Talkers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Talkers {
    /// One for each of these seeds, on the same devices.
    pub fn following(
        master: impl Fn() -> Option<u16> + Clone + Send + 'static,
        seeds: std::ops::Range<u64>,
    ) -> Talkers {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let start = |seed| {
            let (stop, answered, master) = (stop.clone(), answered.clone(), master.clone());
            thread::spawn(move || talk(Workload::new(seed), master, &stop, &answered))
        };
        let threads = seeds.map(start).collect();
        Talkers {
            stop,
            answered,
            threads,
        }
    }

    /// How many commands have been answered.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// All are silent; how many commands were answered. A panic of a client is one of the test.
    pub fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok(), "a client panicked");
        }
        self.answered()
    }
}

impl Drop for Talkers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn talk(
    mut workload: Workload,
    master: impl Fn() -> Option<u16>,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) {
    let mut connection = None;
    while !stop.load(Ordering::SeqCst) {
        let Some(con) = &mut connection else {
            connection = master().and_then(|port| connect(port).ok());
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let (command, reply) = workload.say(con);
        let code = reply.as_ref().err().map(redis::RedisError::code);
        match code {
            // Gone, or no master any more.
            Some(None | Some("READONLY" | "MASTERDOWN" | "LOADING")) => connection = None,
            Some(Some("ERR")) => panic!("{}: {reply:?}", shown(&command)),
            _ => _ = answered.fetch_add(1, Ordering::SeqCst),
        }
    }
}

/// A connection on which no answer takes longer than [`PATIENCE`].
pub fn connect(port: u16) -> RedisResult<Connection> {
    let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
    let con = client.get_connection_with_timeout(PATIENCE)?;
    con.set_read_timeout(Some(PATIENCE))?;
    Ok(con)
}
