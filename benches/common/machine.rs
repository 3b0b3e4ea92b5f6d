//! The machine: its cores, who runs on which, and how quiet it is.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{json, Value};

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

/// The load average over the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(f64::NAN)
}

/// What a figure has to be read with. `load_before` was the load average before the bench began.
pub fn describe(server: &Server, load_before: f64) -> Value {
    let info = cmd!(server.connection(), "INFO", "server").text();
    let version = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        matches!(name, "redis_version" | "valkey_version").then(|| value.trim().to_owned())
    });
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    json!({
        "server": version,
        "cores": cores(),
        "cpu": model,
        "pinned": can_pin(),
        "load_average_before": load_before,
    })
}

/// One line about the machine, for the terminal.
pub fn print(machine: &Value) {
    println!(
        "server {}, {} cores ({}), {}, load average before: {}",
        machine["server"].as_str().unwrap_or("?"),
        machine["cores"],
        machine["cpu"].as_str().unwrap_or("?"),
        match machine["pinned"] == true {
            true => "server and clients on a core each",
            false => "nothing pinned",
        },
        machine["load_average_before"]
    );
}
