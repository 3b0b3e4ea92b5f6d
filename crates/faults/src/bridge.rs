//! The program under test. Only its command line, its configuration file, its signals and its log
//! are used.

use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::wait;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it logs once both sides work.
const READY: &str = "bridge ready";

/// What stands in its configuration file.
pub struct Settings {
    pub broker_port: u16,
    pub redis_port: u16,
    /// More lines of the tables `[mqtt]` and `[redis]`.
    pub mqtt: String,
    pub redis: String,
}

pub struct Bridge {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    flags: Vec<String>,
    process: Option<Process>,
    /// How many lines `bridge ready` there are once the present process is.
    ready: usize,
}

/// The figures of the last line of its log, over all its processes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub refused: usize,
    pub left: usize,
}

impl Bridge {
    /// Writes its configuration and starts it. `name` is that of its files in `folder`.
    pub fn start(
        program: &Path,
        folder: &Path,
        name: &str,
        settings: &Settings,
        flags: &[String],
    ) -> Result<Bridge> {
        let Settings {
            broker_port,
            redis_port,
            mqtt,
            redis,
        } = settings;
        let config = folder.join(format!("{name}.toml"));
        let text = format!(
            "drain_timeout = \"30s\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n{mqtt}\n\
             [redis]\nurl = \"redis://127.0.0.1:{redis_port}\"\nresponse_timeout = \"5s\"\n{redis}\n\
             [dead_letters]\nmaxlen = 1000000\n"
        );
        fs::write(&config, text)?;
        let mut bridge = Bridge {
            program: program.to_owned(),
            config,
            log: folder.join(format!("{name}.log")),
            flags: flags.to_vec(),
            process: None,
            ready: 0,
        };
        fs::write(&bridge.log, "")?;
        bridge.resume()?;
        Ok(bridge)
    }

    /// Starts it again, and does not wait.
    pub fn resume(&mut self) -> Result<()> {
        self.ready = self.count(READY)? + 1;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).args(&self.flags);
        self.process = Some(Process::start("devicestate-bridge", command, &self.log)?);
        Ok(())
    }

    /// The id of its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_for(READY, self.ready)
    }

    /// Waits until its log has `count` lines with this text.
    pub fn wait_for(&mut self, text: &str, count: usize) -> Result<()> {
        let what = format!("{count} lines of the bridge with {text:?}");
        wait::until(&what, || {
            if let Some(process) = &mut self.process {
                process.check()?;
            }
            Ok(self.count(text)? >= count)
        })
    }

    /// How many lines of its log contain `text`.
    pub fn count(&self, text: &str) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        Ok(log.lines().filter(|line| line.contains(text)).count())
    }

    /// kill -9.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::freeze)
    }

    pub fn thaw(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::thaw)
    }

    /// SIGTERM. It has to end with status 0.
    pub fn stop(&mut self) -> Result<()> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        match process.terminate()? {
            status if status.success() => Ok(()),
            status => Err(Failure::new(format!("the bridge ended with {status}"))),
        }
    }

    /// What its processes said when they were stopped.
    pub fn summary(&self) -> Result<Summary> {
        let log = fs::read_to_string(&self.log)?;
        let mut summary = Summary::default();
        for line in log.lines() {
            if let Some((_, figures)) = line.split_once("stopped: ") {
                summary.refused += figure(figures, "refused ");
                summary.left = figure(figures, "left to the broker ");
            }
        }
        Ok(summary)
    }
}

fn figure(line: &str, name: &str) -> usize {
    let rest = line.split_once(name).map_or("", |(_, rest)| rest);
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_last_line_are_read() {
        let line = "stopped: received 9, applied 8, refused 12, retried 0, left to the broker 3";
        assert_eq!(figure(line, "refused "), 12);
        assert_eq!(figure(line, "left to the broker "), 3);
        assert_eq!(figure(line, "dropped "), 0);
    }
}
