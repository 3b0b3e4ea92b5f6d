//! What other clients do while a fleet dies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::driver::Wire;
use super::load;
use crate::support::*;

/// What one PING took, and when it was answered.
pub type Ping = (Instant, Duration);

/// Sends PING about once a millisecond until it is enough.
pub fn ping(server: &Server, enough: &AtomicBool) -> Vec<Ping> {
    let mut raw = Raw::connect(server);
    let mut pings = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let start = Instant::now();
        assert_eq!(raw.call(&["PING"]), b"+PONG\r\n");
        pings.push((Instant::now(), start.elapsed()));
        thread::sleep(Duration::from_millis(1));
    }
    pings
}

/// Sends `rate` heartbeats a second of the live devices, in turn and evenly, until it is enough; tells
/// how many it sent.
pub fn beat_at_rate(
    server: &Server,
    id: impl Fn(usize) -> String,
    live: usize,
    rate: usize,
    enough: &AtomicBool,
) -> usize {
    // A burst would keep the server from its deaths for as long as it lasts.
    const SLICE: Duration = Duration::from_millis(1);
    let mut wire = Wire::connect(server);
    let mut out = Vec::new();
    let start = Instant::now();
    let mut sent = 0;
    while !enough.load(Ordering::Relaxed) {
        // What is due until the next look goes out now, so that the rate is the one asked for at least.
        let due = ((start.elapsed() + SLICE).as_secs_f64() * rate as f64) as usize;
        out.clear();
        for number in sent..due {
            let id = id(number % live);
            load::command(&mut out, &[b"DEVICE.HEARTBEAT", id.as_bytes()]);
        }
        wire.send(&out);
        (sent..due).for_each(|_| wire.skip_reply());
        sent = due;
        thread::sleep(SLICE);
    }
    sent
}
