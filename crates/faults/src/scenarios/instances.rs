//! Several bridges share a subscription, and not all of them are well.

use crate::failure::{Failure, Result};
use crate::stage::{Context, Setup, Stage, Tally};
use std::thread::sleep;
use std::time::Duration;

const FROZEN: Duration = Duration::from_secs(30);

/// One of three dies and comes back; after that another one is frozen. Each keeps its share of the
/// messages while it is away.
pub fn run(context: &Context) -> Result<Tally> {
    let mut load = context.load();
    // A device for each report: of two reports of one device, two bridges could apply the newer one
    // first, and the fence would ignore the other.
    load.devices = load.reports();
    load.reports = 1;
    let instance = |number: usize| vec!["--instance".to_owned(), number.to_string()];
    let setup = Setup {
        mqtt: "share = \"fleet\"",
        bridges: (0..3).map(instance).collect(),
        ..Setup::default()
    };
    let mut stage = Stage::start(context, setup, load)?;
    let (dies, freezes) = (0, 1);
    let none = || Failure::new("there are not three bridges");
    stage.until_applied(1, 8)?;
    stage.bridges.get_mut(dies).ok_or_else(none)?.kill()?;
    stage.until_applied(2, 8)?;
    stage.bridges.get_mut(dies).ok_or_else(none)?.resume()?;
    stage.until_applied(3, 8)?;
    stage.bridges.get(freezes).ok_or_else(none)?.freeze()?;
    sleep(FROZEN);
    stage.bridges.get(freezes).ok_or_else(none)?.thaw()?;
    stage.finish()
}
