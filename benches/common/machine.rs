//! The machine: its cores, and who runs on which.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::*;

/// The core of the server, and that of its clients.
pub const SERVER_CORE: usize = 0;
pub const CLIENT_CORE: usize = 1;

/// How many there are, also once this program keeps to one of them.
pub fn cores() -> usize {
    static FOUND: OnceLock<usize> = OnceLock::new();
    *FOUND.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Whether servers and clients can be kept apart.
pub fn can_pin() -> bool {
    let runs = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    cores() > 1 && runs.is_ok_and(|status| status.success())
}

/// Keeps a server on its core, where that is possible.
pub fn pin(server: &Server) {
    keep_on(SERVER_CORE, server.pid());
}

/// Keeps this program, which is a client itself, on the clients' core, where that is possible.
pub fn pin_this_client() {
    keep_on(CLIENT_CORE, std::process::id());
}

fn keep_on(core: usize, pid: u32) {
    if can_pin() {
        let pinned = Command::new("taskset")
            .args(["-a", "-c", "-p", &core.to_string(), &pid.to_string()])
            .stdout(Stdio::null())
            .status()
            .expect("run taskset");
        assert!(pinned.success(), "taskset pins no process");
    }
}

/// A command that runs on the clients' core, where that is possible.
pub fn on_client_core(program: &str) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &CLIENT_CORE.to_string(), program]);
    command
}

/// What a server's main thread has used so far, in seconds.
pub fn processor_seconds(server: &Server) -> f64 {
    let info = cmd!(server.connection(), "INFO", "cpu").text();
    let used = info.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let ours = name.starts_with("used_cpu_") && name.ends_with("_main_thread");
        ours.then(|| value.trim().parse::<f64>().ok()).flatten()
    });
    used.sum()
}
