//! Free loopback ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range the kernel hands out to outgoing connections (32768 and up), so that no client
/// can sit on a port a server is about to take or to take again; and low enough that a cluster
/// bus, 10000 above its port, stays below it too.
const FIRST: u32 = 10_240;
const SPAN: u32 = 12_288;

/// How far this process has walked through the range. No port is handed out twice before the range
/// is used up, so a server that restarts finds its port free.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback port nobody listens on. Another process may still take it before its user does, so
/// whoever binds it must be ready to ask for another.
pub fn free_port() -> u16 {
    // Two test processes at once start at different places.
    let offset = std::process::id().wrapping_mul(769);
    for _ in 0..SPAN {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + offset.wrapping_add(step) % SPAN) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free loopback port from {FIRST} to {}", FIRST + SPAN);
}
