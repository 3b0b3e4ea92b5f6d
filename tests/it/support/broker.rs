//! A real mosquitto of its own for each test that needs one.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::ports::free_port;
use super::processes::{Process, LIMIT};
use super::wait::wait_for;

/// An MQTT broker on a free loopback port, with its data in a folder that goes with it.
pub struct Mosquitto {
    process: Process,
    port: u16,
    lines: Vec<String>,
    dir: TempDir,
}

impl Mosquitto {
    /// A broker that lets anybody in and keeps nothing.
    #[track_caller]
    pub fn start() -> Mosquitto {
        Mosquitto::with(&[])
    }

    /// As [`Mosquitto::start`], with more lines of mosquitto.conf, for instance
    /// `"persistence true"` (kept in the broker's folder) or `"max_queued_messages 0"`.
    #[track_caller]
    pub fn with(lines: &[&str]) -> Mosquitto {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..10 {
            let port = free_port();
            if let Some(process) = launch_broker(dir.path(), port, &lines) {
                return Mosquitto {
                    process,
                    port,
                    lines,
                    dir,
                };
            }
        }
        panic!("mosquitto found no port it could listen on");
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's folder: mosquitto.conf, and its data where it persists.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process, to stop, continue, kill or read it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the broker if it still runs, and starts it again on the same port and folder.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.signal("CONT");
        self.process.terminate();
        let mut next = None;
        wait_for("mosquitto listens on its port again", LIMIT, || {
            next = launch_broker(self.dir.path(), self.port, &self.lines);
            next.is_some()
        });
        self.process = next.expect("the wait above ended");
    }
}

/// Starts mosquitto and waits until it takes connections; `None` if the port was taken meanwhile.
#[track_caller]
fn launch_broker(dir: &Path, port: u16, lines: &[String]) -> Option<Process> {
    let conf = dir.join("mosquitto.conf");
    let mut text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n\
         connection_messages true\npersistence_location {}/\n",
        dir.display()
    );
    // Started by root it would change to a user who may not write in this folder.
    text.push_str("user root\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    fs::write(&conf, text).expect("write mosquitto.conf");

    let mut command = Command::new(mosquitto_path());
    command.arg("-c").arg(&conf);
    let mut process = Process::spawn("mosquitto", command);
    let ready = wait_for("mosquitto is ready", LIMIT, || {
        if process.has_printed("Address already in use") {
            return Some(false);
        }
        if let Some(status) = process.exit_status() {
            panic!("mosquitto ended ({status}):\n{}", process.output());
        }
        let running = process.has_printed(" running");
        (running && TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(true)
    });
    ready.then_some(process)
}

/// Debian keeps it in /usr/sbin, which is not on everybody's PATH.
fn mosquitto_path() -> &'static str {
    match Path::new("/usr/sbin/mosquitto").is_file() {
        true => "/usr/sbin/mosquitto",
        false => "mosquitto",
    }
}
