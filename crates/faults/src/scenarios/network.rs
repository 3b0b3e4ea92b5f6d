//! The network between the bridge and its peers: cuts, silence, delay.

use crate::failure::{Failure, Result};
use crate::proxy::Proxy;
use crate::stage::{Context, Setup, Stage, Tally};
use std::time::Duration;

fn start(context: &Context) -> Result<(Stage, Proxy, Proxy)> {
    let setup = Setup {
        mqtt: "keep_alive = \"5s\"",
        broker_proxy: true,
        redis_proxy: true,
        ..Setup::default()
    };
    let mut stage = Stage::start(context, setup, context.load())?;
    let missing = || Failure::new("there is no proxy");
    let to_broker = stage.to_broker.take().ok_or_else(missing)?;
    let to_redis = stage.to_redis.take().ok_or_else(missing)?;
    Ok((stage, to_broker, to_redis))
}

pub fn cut(context: &Context) -> Result<Tally> {
    let (stage, to_broker, to_redis) = start(context)?;
    for round in 1..=5 {
        stage.until_applied(2 * round - 1, 11)?;
        to_broker.cut()?;
        stage.until_applied(2 * round, 11)?;
        to_redis.cut()?;
    }
    stage.finish()
}

pub fn half_open(context: &Context) -> Result<Tally> {
    let (mut stage, to_broker, to_redis) = start(context)?;
    stage.until_applied(1, 3)?;
    to_redis.hang();
    stage.bridge()?.wait_for("works again after", 1)?;
    to_redis.release();

    stage.until_applied(2, 3)?;
    to_broker.hang();
    stage.bridge()?.wait_for("resumed session", 1)?;
    to_broker.release();
    stage.finish()
}

/// Commands that hang on the way to Redis are sent again over a new connection. When the old ones
/// arrive after all, newer ones have been applied: they must not be. Reports have no `seq` here, so
/// Redis itself would apply each again.
pub fn late(context: &Context) -> Result<Tally> {
    let setup = Setup {
        redis_proxy: true,
        ..Setup::default()
    };
    let mut load = context.load();
    load.numbered = false;
    let mut stage = Stage::start(context, setup, load)?;
    let to_redis = stage.to_redis.take();
    let to_redis = to_redis.ok_or_else(|| Failure::new("there is no proxy"))?;
    for round in 1..=2 {
        stage.until_applied(2 * round - 1, 5)?;
        to_redis.hang_requests_of_now();
        stage.bridge()?.wait_for("works again after", round)?;
        stage.until_applied(2 * round, 5)?;
        to_redis.release();
    }
    stage.finish()
}

pub fn slow(context: &Context) -> Result<Tally> {
    let (stage, to_broker, to_redis) = start(context)?;
    to_broker.delay(Duration::from_millis(50));
    to_redis.delay(Duration::from_millis(50));
    for round in 1..=3 {
        stage.until_applied(2 * round - 1, 16)?;
        to_broker.cut()?;
        stage.until_applied(2 * round, 16)?;
        to_redis.cut()?;
    }
    to_broker.delay(Duration::ZERO);
    to_redis.delay(Duration::ZERO);
    stage.finish()
}
