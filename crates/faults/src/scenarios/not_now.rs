//! Redis is there and takes no commands. Nothing may be refused; all is sent again.
//!
//! Each fault lasts until the bridge has said in its log that it was met, and a second longer.

use crate::failure::Result;
use crate::stage::{Context, Setup, Stage, Tally};
use crate::wait;
use std::thread::{self, sleep};
use std::time::Duration;

const ROUNDS: usize = 3;
const LONGER: Duration = Duration::from_secs(1);

/// Brings a fault about, waits until the bridge has met it, and ends it; three times.
fn rounds(
    context: &Context,
    answer: &str,
    begin: impl Fn(&mut Stage) -> Result<()>,
    end: impl Fn(&mut Stage) -> Result<()>,
) -> Result<Tally> {
    let mut stage = Stage::start(context, Setup::default(), context.load())?;
    for round in 1..=ROUNDS {
        stage.until_applied(round, ROUNDS + 1)?;
        let told = stage.bridge()?.count(answer)?;
        begin(&mut stage)?;
        stage.bridge()?.wait_for(answer, told + 1)?;
        sleep(LONGER);
        end(&mut stage)?;
        stage.bridge()?.wait_for("works again after", round)?;
    }
    stage.finish()
}

/// The append-only file is read slowly, until the fault is to end.
pub fn loading(context: &Context) -> Result<Tally> {
    rounds(
        context,
        "commands: LOADING",
        |stage| {
            stage.redis.stop()?;
            stage.redis.launch(&[
                // Microseconds for each command.
                ("key-load-delay", "500"),
                // Clients are answered this often.
                ("loading-process-events-interval-bytes", "4096"),
            ])
        },
        |stage| {
            stage.redis.run("CONFIG SET key-load-delay 0")?;
            stage.redis.wait_until_loaded()
        },
    )
}

/// A replica of nobody keeps its data.
pub fn readonly(context: &Context) -> Result<Tally> {
    rounds(
        context,
        "commands: READONLY",
        |stage| stage.redis.run("REPLICAOF 127.0.0.1 1"),
        |stage| stage.redis.run("REPLICAOF NO ONE"),
    )
}

pub fn oom(context: &Context) -> Result<Tally> {
    rounds(
        context,
        "commands: OOM",
        |stage| stage.redis.run("CONFIG SET maxmemory 1mb"),
        |stage| stage.redis.run("CONFIG SET maxmemory 0"),
    )
}

pub fn busy(context: &Context) -> Result<Tally> {
    rounds(
        context,
        "commands: BUSY",
        |stage| {
            stage.redis.run("CONFIG SET busy-reply-threshold 50")?;
            let mut connection = stage.redis.connection()?;
            thread::spawn(move || {
                let mut script = redis::cmd("EVAL");
                script.arg("while true do end").arg(0);
                // It is killed below, which is its answer.
                let _ = script.exec(&mut connection);
            });
            Ok(())
        },
        |stage| {
            let redis = &stage.redis;
            wait::until("the script is killed", || {
                // An error when it has ended already.
                let _ = redis.run("SCRIPT KILL");
                Ok(redis.applied().is_ok())
            })
        },
    )
}
