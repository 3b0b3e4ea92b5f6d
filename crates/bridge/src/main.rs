//! `devicestate-bridge`: carries what devices say over MQTT into devicestate.
//!
//! See `docs/bridge.md` for the topics, the payloads and what is guaranteed.

#![forbid(unsafe_code)]

mod address;
mod backoff;
mod check;
mod cli;
mod clock;
mod config;
mod dead_letters;
mod downlink;
mod health;
mod http;
mod ingress;
mod leave;
mod logs;
mod metrics;
mod mqtt;
mod probes;
mod process;
mod profile;
mod protobuf;
mod queue;
mod redis_health;
mod redis_link;
mod replay;
mod seldom;
mod serve;
mod service;
mod text;
mod tls;
mod verdict;
mod work;

use clap::Parser;
use cli::{Cli, Command};
use config::Config;
use serve::{Plan, Stop};
use std::future::Future;
use std::process::ExitCode;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::mpsc::unbounded_channel;

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::parse();
    let (config, plan) = match flags.settings() {
        Ok(settings) => settings,
        Err(reason) => return wrong(&reason),
    };
    logs::init(config.log, config.log_format);
    let outcome = match command.unwrap_or(Command::Run) {
        Command::Run => block_on(run(&config, plan)).map(|()| true),
        Command::Check => block_on(check::run(&config, plan)),
        Command::Leave => block_on(leave(&config, plan)).map(|()| true),
        Command::Process(what) => block_on(process(&config, plan, what)),
        Command::Replay(choice) => block_on(replay::run(&config, plan, &choice)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => wrong(&reason),
    }
}

/// One line, and the exit status of wrong usage.
fn wrong(reason: &str) -> ExitCode {
    eprintln!("devicestate-bridge: {reason}");
    ExitCode::from(2)
}

fn block_on<T>(task: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?
        .block_on(task)
}

async fn run(config: &Config, plan: Plan) -> Result<(), String> {
    serve::run(config, plan, stop_signals()?).await
}

async fn process(config: &Config, plan: Plan, what: process::Flags) -> Result<bool, String> {
    process::run(config, plan, what, stop_signals()?).await
}

async fn leave(config: &Config, plan: Plan) -> Result<(), String> {
    leave::run(config, plan, stop_signals()?).await
}

fn stop_signals() -> Result<Stop, String> {
    let watch = |kind| signal(kind).map_err(|e| format!("cannot watch for signals: {e}"));
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
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
