//! Loopback ports that stay ours while the server behind them is away.

use crate::failure::{Failure, Result};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to outgoing connections (32768 and up): a server that is
/// down for a scenario must find its port free again.
const FIRST: u32 = 24_000;
const SPAN: u32 = 8_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback port that nothing listens on, a new one at each call.
pub fn free_port() -> Result<u16> {
    // Two runs at once start at different places.
    let offset = std::process::id().wrapping_mul(769);
    for _ in 0..SPAN {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + offset.wrapping_add(step) % SPAN) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::new("no free loopback port"))
}
