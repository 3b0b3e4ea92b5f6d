//! A Mosquitto of the scenario's own, with a persistent store.

use crate::failure::Result;
use crate::ports::free_port;
use crate::process::Process;
use crate::wait;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Broker {
    pub port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl Broker {
    /// Starts it in `folder`; `lines` are more lines of mosquitto.conf.
    pub fn start(folder: &Path, lines: &str) -> Result<Broker> {
        let folder = folder.join("mosquitto");
        fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let settings = format!(
            "listener {port} 127.0.0.1\n\
             allow_anonymous true\n\
             user root\n\
             set_tcp_nodelay true\n\
             persistence true\n\
             persistence_location {}/\n\
             max_queued_messages 1000000\n\
             max_inflight_messages 1000\n\
             log_type error\n\
             log_type warning\n\
             log_type notice\n\
             {lines}\n",
            folder.display()
        );
        fs::write(folder.join("mosquitto.conf"), settings)?;
        let mut broker = Broker {
            port,
            folder,
            process: None,
        };
        broker.resume()?;
        Ok(broker)
    }

    /// Starts it again, with the sessions and messages that are on disk.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.join("mosquitto.conf"));
        let mut process = Process::start("mosquitto", command, &self.folder.join("log"))?;
        wait::until("mosquitto listens", || {
            process.check()?;
            Ok(TcpStream::connect(("127.0.0.1", self.port)).is_ok())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGTERM: sessions and messages are on disk afterwards.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
        }
        Ok(())
    }

    /// Drops what a stopped broker had on disk.
    pub fn forget(&self) -> Result<()> {
        Ok(fs::remove_file(self.folder.join("mosquitto.db"))?)
    }

    /// kill -9.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }
}
