//! The broker ends, with and without having saved what it holds.

use crate::failure::Result;
use crate::stage::{Context, Setup, Stage, Tally};
use std::time::{Duration, Instant};

pub fn restart(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for round in 1..=5 {
        stage.until_acknowledged(round, 6)?;
        stage.broker.stop()?;
        stage.broker.resume()?;
    }
    stage.finish()
}

/// A broker without persistence forgets its sessions. What it held then is gone, and what it takes
/// before the bridge has subscribed again; all that comes after must be there.
pub fn forget(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    stage.excuse_unheard();
    let started = Instant::now();
    for round in 1..=3 {
        stage.until_acknowledged(round, 4)?;
        stage.broker.stop()?;
        stage.broker.forget()?;
        stage.excuse(started, Instant::now());
        stage.broker.resume()?;
        stage.bridge()?.wait_for("new session", round + 1)?;
    }
    stage.finish()
}

/// Mosquitto saves after changes, not before it acknowledges: what it acknowledged just before it
/// was killed may be gone, and no bridge can help that.
const EXCUSED: Duration = Duration::from_secs(2);

/// Mosquitto writes all it holds at each change: about a thousand messages a second are what it
/// manages so.
const MOST: usize = 10_000;

pub fn kill(context: &Context) -> Result<Tally> {
    let setup = Setup {
        broker: "autosave_on_changes true\nautosave_interval 1",
        ..Setup::default()
    };
    let mut load = context.load();
    load.reports = load.reports.min(MOST.div_ceil(load.devices));
    let mut stage = Stage::start(context, setup, load)?;
    for round in 1..=3 {
        stage.until_acknowledged(round, 4)?;
        stage.broker.kill()?;
        let killed = Instant::now();
        stage.excuse(killed.checked_sub(EXCUSED).unwrap_or(killed), killed);
        stage.broker.resume()?;
    }
    stage.finish()
}
