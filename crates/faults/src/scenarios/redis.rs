//! Redis goes away and comes back.

use crate::failure::Result;
use crate::stage::{Context, Setup, Stage, Tally};
use std::thread::sleep;
use std::time::Duration;

pub fn stop(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for round in 1..=3 {
        stage.until_applied(round, 4)?;
        stage.redis.stop()?;
        sleep(Duration::from_secs(3));
        stage.redis.resume()?;
        stage.bridge()?.wait_for("works again after", round)?;
    }
    stage.finish()
}

/// 12 s is longer than the bridge waits for an answer: it gives the connections up, with commands
/// in them that the server runs when it wakes up.
pub fn freeze(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for (round, seconds) in [(1, 1), (2, 12)] {
        stage.until_applied(round, 3)?;
        stage.redis.freeze()?;
        sleep(Duration::from_secs(seconds));
        stage.redis.thaw()?;
    }
    stage.bridge()?.wait_for("works again after", 1)?;
    stage.finish()
}

/// With `everysec`, a Redis that is killed may lose what it has confirmed: while an fsync is under
/// way it puts the write to its file off for up to two seconds, and answers even so (`aof.c`,
/// `flushAppendOnlyFile`). That is no matter of the bridge.
pub fn kill(context: &Context) -> Result<Tally> {
    let setup = Setup {
        appendfsync: Some("always"),
        ..Setup::default()
    };
    let mut stage = Stage::start(context, setup, context.load())?;
    for round in 1..=5 {
        stage.until_applied(round, 6)?;
        stage.redis.kill()?;
        stage.redis.resume()?;
    }
    stage.finish()
}
