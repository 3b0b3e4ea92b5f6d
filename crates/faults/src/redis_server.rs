//! A Redis of the scenario's own, with the module and an append-only file.

use crate::failure::{Failure, Result};
use crate::ports::free_port;
use crate::process::Process;
use crate::wait;
use redis::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The stream of applied reports has to hold all of a run.
const REPORTS_MAXLEN: &str = "10000000";
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

pub struct Redis {
    pub port: u16,
    folder: PathBuf,
    module: PathBuf,
    appendfsync: &'static str,
    process: Option<Process>,
}

impl Redis {
    pub fn start(folder: &Path, module: &Path, appendfsync: &'static str) -> Result<Redis> {
        let folder = folder.join("redis");
        fs::create_dir_all(&folder)?;
        let mut redis = Redis {
            port: free_port()?,
            folder,
            module: module.to_owned(),
            appendfsync,
            process: None,
        };
        redis.resume()?;
        Ok(redis)
    }

    /// Starts it again with its append-only file, and waits until it has read it.
    pub fn resume(&mut self) -> Result<()> {
        self.launch(&[])?;
        self.wait_until_loaded()
    }

    /// Starts it, with more settings, and does not wait.
    pub fn launch(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        let port = self.port.to_string();
        let folder = self.folder.to_string_lossy().into_owned();
        let module = self.module.to_string_lossy().into_owned();
        let fixed = [
            ("port", port.as_str()),
            ("bind", "127.0.0.1"),
            ("dir", &folder),
            ("save", ""),
            ("appendonly", "yes"),
            ("appendfsync", self.appendfsync),
            // The file stays a list of commands, whose reading can be slowed down.
            ("auto-aof-rewrite-percentage", "0"),
            ("hash-max-listpack-value", "4096"),
            ("enable-debug-command", "yes"),
            ("loadmodule", &module),
            ("devicestate.reports-maxlen", REPORTS_MAXLEN),
        ];
        let mut command = Command::new("redis-server");
        for (name, value) in fixed.iter().chain(settings) {
            command.arg(format!("--{name}")).arg(value);
        }
        let process = Process::start("redis-server", command, &self.folder.join("log"))?;
        self.process = Some(process);
        Ok(())
    }

    pub fn wait_until_loaded(&mut self) -> Result<()> {
        let client = self.client()?;
        let process = self.process.as_mut();
        let process = process.ok_or_else(|| Failure::new("redis-server is not started"))?;
        wait::until("redis-server answers", || {
            process.check()?;
            let pong = client
                .get_connection()
                .and_then(|mut connection| redis::cmd("PING").exec(&mut connection));
            Ok(pong.is_ok())
        })
    }

    /// SIGTERM.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
        }
        Ok(())
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

    fn client(&self) -> Result<redis::Client> {
        Ok(redis::Client::open(format!(
            "redis://127.0.0.1:{}",
            self.port
        ))?)
    }

    pub fn connection(&self) -> Result<Connection> {
        let connection = self.client()?.get_connection()?;
        connection.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(connection)
    }

    /// Runs a command: its words, separated by spaces.
    pub fn run(&self, words: &str) -> Result<()> {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        for word in words {
            command.arg(word);
        }
        Ok(command.exec(&mut self.connection()?)?)
    }

    /// How many reports have been applied.
    pub fn applied(&self) -> Result<usize> {
        self.length("devices:reports")
    }

    /// How many reports have been applied since the start, also where no stream has them.
    pub fn reports(&self) -> Result<usize> {
        let info: String = redis::cmd("INFO")
            .arg("devicestate")
            .query(&mut self.connection()?)?;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("devicestate_reports:"));
        let count = line.and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| Failure::new("INFO devicestate has no reports"))
    }

    /// How many messages are kept as refused.
    pub fn dead_letters(&self) -> Result<usize> {
        self.length("bridge:dead-letters")
    }

    fn length(&self, stream: &str) -> Result<usize> {
        let mut connection = self.connection()?;
        Ok(redis::cmd("XLEN").arg(stream).query(&mut connection)?)
    }
}
