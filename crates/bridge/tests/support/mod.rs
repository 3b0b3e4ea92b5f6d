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
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a condition may take on a slow machine before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Below the range that the kernel hands out to outgoing connections (32768 and up), so that none of
/// them can sit on a port that a server is about to take or to take again.
const FIRST_PORT: u32 = 10_240;
/// Neither do the buses of a cluster's nodes, 10000 above their ports, meet other ports.
const PORTS: u32 = 9_216;
const BUS: u16 = 10_000;

/// A loopback port that nothing listens on, nor on the one of its bus. None is handed out twice before
/// all were.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Two test processes at once start at different places.
    let offset = std::process::id().wrapping_mul(769);
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST_PORT + offset.wrapping_add(step) % PORTS) as u16;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + BUS) {
            return port;
        }
    }
    panic!("no free loopback port");
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

/// Starts a server and waits until it is up. One that ends is started again: its port may be held for a
/// moment by a process that another thread starts, which has what was open here until it begins.
#[track_caller]
pub fn start(program: &mut Command, is_up: impl Fn() -> bool) -> Child {
    let name = program.get_program().to_string_lossy().into_owned();
    let program = program
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut launch = || match program.spawn() {
        Ok(process) => process,
        Err(error) => panic!("{name} must be installed: {error}"),
    };
    let mut process = launch();
    wait_until(&format!("{name} is up"), || {
        if process.try_wait().unwrap().is_some() {
            process = launch();
        }
        is_up()
    });
    process
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
