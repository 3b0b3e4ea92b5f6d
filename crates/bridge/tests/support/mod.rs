//! What the tests run the bridge against: a real Mosquitto, and either a Redis whose answers the test
//! decides or a real server with the module. Every wait is for a condition; a condition that never comes fails the test.

#![allow(dead_code)] // each test file uses another part

pub mod bridge;
pub mod broker;
pub mod certificates;
pub mod cluster;
pub mod events;
pub mod http;
pub mod monitor;
pub mod redis;
pub mod reports;
pub mod sentinel;
pub mod server;
pub mod subscriber;

use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a condition may take on a slow machine before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A loopback port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until `condition` holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Asks a process to end, as an operator would.
pub fn terminate(child: &Child) {
    signal(child, "-TERM");
}

pub fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
}

pub fn heartbeat(device: &str) -> String {
    format!("devices/{device}/heartbeat")
}

/// The payload of a numbered heartbeat.
pub fn numbered(seq: usize) -> String {
    format!("{{\"session\":1,\"seq\":{seq}}}")
}
