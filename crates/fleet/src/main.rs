//! `devicestate-fleet`: simulated devices, the load generator of demo, tests and benches.
//!
//! `docs/fleet.md` describes it for users. This file starts a run, waits for its end and tells what
//! happened.

mod broker;
mod commands;
mod console;
mod device;
mod flags;
mod fleet;
mod latency;
mod pace;
mod plan;
mod resp;
mod rng;
mod stats;
mod summary;
mod values;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::select;
use tokio::signal::unix::{signal, SignalKind};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::broker::Broker;
use crate::flags::{Flags, Target};
use crate::fleet::Fleet;
use crate::summary::Run;

/// Files that are open beside the devices' connections: standard streams, the runtime's, spare ones.
const OTHER_FILES: u64 = 32;

/// Exit codes: 0 after a run; 1 after a run in which no device ever connected, or when the machine
/// cannot run it at all; 2 for flags that make no sense and for a limit of open files that is too low.
fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        // --help and --version.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => return refuse(&one_line(&error.to_string())),
    };
    let (plan, target) = match flags.plan().and_then(|plan| Ok((plan, flags.target()?))) {
        Ok(both) => both,
        Err(text) => return refuse(&text),
    };
    if let Target::Mqtt(_) = target {
        if let Err(text) = enough_files(flags.devices) {
            return refuse(&text);
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("devicestate-fleet: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };

    let fleet = Arc::new(Fleet::new(plan, flags.seed, flags.timeout_ms()));
    let mode = if flags.redis.is_some() {
        "redis"
    } else {
        "mqtt"
    };
    if let Err(error) = runtime.block_on(run(fleet.clone(), target, flags.duration)) {
        eprintln!("devicestate-fleet: signals cannot be caught: {error}");
        return ExitCode::FAILURE;
    }

    let totals = fleet.stats.totals();
    let run = Run {
        mode,
        devices: flags.devices,
        interval_ms: flags.interval,
        timeout_ms: fleet.timeout_ms,
        seed: flags.seed,
    };
    let text = match flags.json {
        true => format!("{}\n", summary::json(&run, &totals)),
        false => summary::text(&run, &totals),
    };
    // Whoever reads the summary may have gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if totals.connected == 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn refuse(text: &str) -> ExitCode {
    eprintln!("devicestate-fleet: {text}");
    ExitCode::from(2)
}

/// The first paragraph of clap's message, as one line. The rest is advice.
fn one_line(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_string()
}

/// Every MQTT device needs a socket. Refuses a fleet that the limit of open files does not hold.
fn enough_files(devices: u32) -> Result<(), String> {
    // Where there is no such file there is nothing to know.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let needed = u64::from(devices) + OTHER_FILES;
    match soft_file_limit(&limits) {
        Some(limit) if limit < needed => Err(format!(
            "--devices: {devices} connections need {needed} open files and the limit is {limit}; \
             run `ulimit -n {needed}` first"
        )),
        _ => Ok(()),
    }
}

/// The soft limit of `Max open files` in /proc/self/limits (proc(5)); None if unlimited or not there.
fn soft_file_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Runs the fleet until its duration is over or SIGINT or SIGTERM comes.
async fn run(fleet: Arc<Fleet>, target: Target, duration: Option<u64>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let over = async {
        match duration {
            None => std::future::pending().await,
            Some(ms) => {
                fleet.has_begun().await;
                sleep(Duration::from_millis(ms)).await;
            }
        }
    };
    let watch = async {
        select! {
            () = over => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        fleet.stop();
    };
    let work = async {
        match target {
            Target::Mqtt(broker) => run_mqtt(fleet.clone(), Arc::new(broker)).await,
            Target::Redis(server) => resp::run(fleet.clone(), Arc::new(server)).await,
        }
    };
    let all = async { tokio::join!(work, watch) };
    select! {
        _ = all => {}
        () = progress(&fleet) => {}
    }
    fleet.console.clear();
    Ok(())
}

async fn run_mqtt(fleet: Arc<Fleet>, broker: Arc<Broker>) {
    fleet.begin();
    let mut devices = JoinSet::new();
    for number in 0..fleet.plan.devices() {
        devices.spawn(device::run(fleet.clone(), broker.clone(), number));
    }
    while devices.join_next().await.is_some() {}
    // All have left by plan: the run still takes its time, as a test that watches it expects.
    fleet.stopped().await;
}

/// Shows a progress line each second, for ever; on something that is no terminal: nothing.
async fn progress(fleet: &Fleet) {
    if !fleet.console.wants_progress() {
        std::future::pending::<()>().await;
    }
    let mut second = interval(Duration::from_secs(1));
    let mut before = 0;
    loop {
        second.tick().await;
        let (sent, acknowledged, errors) = fleet.stats.progress();
        fleet.console.progress(&format!(
            "{:>6.0} s  {} connected  {} beaten  {sent} sent  {acknowledged} acknowledged \
             ({}/s)  {errors} errors",
            fleet.elapsed_us() as f64 / 1e6,
            fleet.stats.online.get(),
            fleet.stats.beaten.get(),
            acknowledged - before,
        ));
        before = acknowledged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line() {
        let message = "error: these were not provided:\n  --redis <URL>\n\nUsage: x\n\nFor more";
        assert_eq!(one_line(message), "these were not provided: --redis <URL>");
    }

    #[test]
    fn the_file_limit_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_file_limit(limits), Some(1024));
        assert_eq!(
            soft_file_limit("Max open files   unlimited   unlimited   files"),
            None
        );
        assert_eq!(soft_file_limit(""), None);
    }
}
