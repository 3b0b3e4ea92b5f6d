//! redis-benchmark against one server, and the servers that it is run against.

use std::process::Stdio;

use super::machine;
use crate::support::*;

/// Starts a server on its own core, whose append-only file is never written anew meanwhile.
pub fn pinned_server(builder: Builder, append_only: bool) -> Server {
    let server = builder
        .config("appendonly", if append_only { "yes" } else { "no" })
        .config("appendfsync", "everysec")
        .config("auto-aof-rewrite-percentage", 0)
        .start();
    machine::pin(&server);
    server
}

/// Runs a command; `__rand_int__` in it stands for one of `ids` numbers. Commands per second, and the
/// server's processor time per command in microseconds.
pub fn redis_benchmark(
    server: &Server,
    args: &[String],
    requests: usize,
    pipeline: usize,
    ids: usize,
) -> (f64, f64) {
    let before = machine::processor_seconds(server);
    let output = machine::on_client_core("redis-benchmark")
        .args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "--csv"])
        .args(["-P", &pipeline.to_string(), "-c", "50"])
        .args(["-n", &requests.to_string(), "-r", &ids.to_string()])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("run redis-benchmark");
    let used = machine::processor_seconds(server) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps",... and then the figures; the name of the test may hold anything.
    let rate = text.lines().last().and_then(|line| {
        let columns: Vec<&str> = line.rsplit("\",\"").collect();
        columns.get(6).and_then(|rate| rate.parse::<f64>().ok())
    });
    match rate {
        Some(rate) if output.status.success() => (rate, used * 1e6 / requests as f64),
        _ => panic!(
            "redis-benchmark {args:?}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}
