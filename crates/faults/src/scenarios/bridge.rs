//! The bridge itself ends, with and without a goodbye.

use crate::failure::Result;
use crate::stage::{Context, Setup, Stage, Tally};

pub fn kill(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for round in 1..=10 {
        stage.until_applied(round, 11)?;
        stage.bridge()?.kill()?;
        stage.bridge()?.resume()?;
    }
    stage.finish()
}

pub fn terminate(context: &Context) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for round in 1..=5 {
        stage.until_applied(round, 6)?;
        stage.bridge()?.stop()?;
        stage.bridge()?.resume()?;
        stage.bridge()?.wait_until_ready()?;
    }
    let mut tally = stage.finish()?;
    // Devices and Redis were never disturbed: whatever comes again, the bridge has taken and not
    // acknowledged.
    let again = tally.findings.again;
    if again > 0 {
        tally.complaints.push(format!("{again} reports came again"));
    }
    Ok(tally)
}
