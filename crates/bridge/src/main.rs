//! `devicestate-bridge`: carries what devices say over MQTT into devicestate.
//!
//! See `docs/bridge.md` for the topics, the payloads and what is guaranteed.

#![forbid(unsafe_code)]

mod backoff;
mod config;
mod counters;
mod dead_letters;
mod downlink;
mod health;
mod ingress;
mod mqtt;
mod profile;
mod protobuf;
mod redis_link;
mod seldom;
mod serve;
mod text;
mod verdict;
mod work;

use clap::Parser;
use config::{Address, Config, LogLevel};
use profile::native::{Native, Routes};
use profile::Profiles;
use serve::{Plan, Stop};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::mpsc::unbounded_channel;

/// Carries what devices say over MQTT into devicestate.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The configuration file (TOML); see devicestate-bridge.toml.example
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server with the devicestate module, e.g. redis://127.0.0.1:6379
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The broker, e.g. mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// Devices publish below this: <prefix>/<id>/heartbeat
    #[arg(long)]
    prefix: Option<String>,
    /// The name under which the broker keeps this bridge's messages
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The least important lines to show
    #[arg(long, value_name = "LEVEL")]
    log: Option<LogLevel>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let (config, plan) = match configure(flags) {
        Ok(settings) => settings,
        Err(reason) => return wrong(&reason),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(tracing::Level::from(config.log))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(|e| format!("cannot start: {e}"))
        .and_then(|runtime| runtime.block_on(start(&config, plan)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => wrong(&reason),
    }
}

/// One line, and the exit status of wrong usage.
fn wrong(reason: &str) -> ExitCode {
    eprintln!("devicestate-bridge: {reason}");
    ExitCode::from(2)
}

fn configure(flags: Flags) -> Result<(Config, Plan), String> {
    let mut config = match &flags.config {
        None => Config::default(),
        Some(file) => {
            let shown = text::one_line(&file.to_string_lossy());
            let toml = std::fs::read_to_string(file).map_err(|e| format!("{shown}: {e}"))?;
            Config::from_toml(&toml).map_err(|reason| format!("{shown}: {reason}"))?
        }
    };
    if let Some(url) = flags.redis {
        config.redis.url = Address(url);
    }
    if let Some(url) = flags.mqtt {
        config.mqtt.url = Address(url);
    }
    if let Some(prefix) = flags.prefix {
        config.mqtt.prefix = prefix;
    }
    if let Some(client_id) = flags.client_id {
        config.mqtt.client_id = client_id;
    }
    if let Some(log) = flags.log {
        config.log = log;
    }
    let peers = config.check(|name| std::env::var(name).ok())?;
    let base = flags.config.as_deref().and_then(Path::parent);
    let (routes, warnings) = Routes::load(
        &config.mqtt.prefix,
        &config.protobuf,
        base.unwrap_or(Path::new("")),
    )?;
    let native = Native::new(routes, config.mqtt.max_payload);
    let plan = Plan {
        peers,
        profiles: Profiles::new(vec![Box::new(native)]),
        warnings,
    };
    Ok((config, plan))
}

async fn start(config: &Config, plan: Plan) -> Result<(), String> {
    let stop = stop_signals().map_err(|e| format!("cannot watch for signals: {e}"))?;
    serve::run(config, plan, stop).await
}

fn stop_signals() -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, stop) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let told = tokio::select! {
                told = terminate.recv() => told,
                told = interrupt.recv() => told,
            };
            if told.is_none() || sender.send(()).is_err() {
                break;
            }
        }
    });
    Ok(stop)
}
