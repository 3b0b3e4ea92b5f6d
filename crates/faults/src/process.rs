//! A program that a scenario starts, stops, freezes and kills, always by its own handle.

use crate::failure::{Failure, Result};
use crate::wait;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

pub struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts it. What it prints is added to the file `log`.
    pub fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Process> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| Failure::new(format!("{name} does not start: {error}")))?;
        Ok(Process { name, child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// It has not been waited for, so its id is its own.
    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal])
            .arg(self.child.id().to_string())
            .status()?;
        match sent.success() {
            true => Ok(()),
            false => Err(Failure::new(format!("no signal {signal} to {}", self.name))),
        }
    }

    /// SIGSTOP: its connections stay open, and it does nothing.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// kill -9.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then its end.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let mut status = None;
        wait::until(&format!("{} ends after SIGTERM", self.name), || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        status.ok_or_else(|| Failure::new(format!("{} has no exit status", self.name)))
    }

    /// A failure when it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} ended: {status}", self.name))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
