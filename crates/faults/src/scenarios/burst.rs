//! Devices send much faster than Redis takes. The broker's queue, if it is large enough, holds all.

use crate::failure::{Failure, Result};
use crate::stage::{Context, Setup, Stage, Tally};
use std::time::Duration;

/// One worker, 20 commands in 20 ms there and back: less than 1 000 messages a second.
const LATENCY: Duration = Duration::from_millis(10);

pub fn run(context: &Context) -> Result<Tally> {
    let setup = Setup {
        redis: "workers = 1\nbatch = 20",
        redis_proxy: true,
        ..Setup::default()
    };
    let mut stage = Stage::set(context, setup, context.load())?;
    let to_redis = stage.to_redis.take();
    let to_redis = to_redis.ok_or_else(|| Failure::new("there is no proxy"))?;
    to_redis.delay(LATENCY);
    stage.start_devices();
    stage.until_acknowledged(1, 1)?;
    let (sent, applied) = (stage.acknowledged(), stage.redis.applied()?);
    stage.expect(
        applied * 10 <= sent,
        format!("Redis had taken {applied} of {sent}, so this was no burst"),
    );
    to_redis.delay(Duration::ZERO);
    stage.finish()
}
