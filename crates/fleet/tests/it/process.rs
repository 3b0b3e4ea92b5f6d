//! The fleet as a process, and waiting for conditions.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A condition that does not come true in this time is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process of this test. Dropping it kills it.
pub struct Process(pub Child);

impl Process {
    pub fn terminate(&self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fleet that runs.
pub struct Fleet {
    process: Process,
    stdout: JoinHandle<String>,
    stderr: Receiver<String>,
    /// Lines of stderr that were read.
    pub said: Vec<String>,
}

impl Fleet {
    pub fn start(args: &[&str]) -> Fleet {
        let mut child = Command::new(env!("CARGO_BIN_EXE_devicestate-fleet"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, lines) = channel();
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|l| line.send(l))
        });
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Fleet {
            process: Process(child),
            stdout,
            stderr: lines,
            said: Vec::new(),
        }
    }

    /// Waits for a line on stderr.
    pub fn wait_for_line(&mut self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("no line with {part:?}, only {:?}", self.said),
            }
            if self.said.last().is_some_and(|line| line.contains(part)) {
                return;
            }
        }
    }

    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits for the end: exit status, stdout, lines of stderr.
    pub fn end(mut self) -> (ExitStatus, String, Vec<String>) {
        let stdout = self.stdout.join().unwrap();
        let status = self.process.0.wait().unwrap();
        self.said.extend(self.stderr.iter());
        (status, stdout, self.said)
    }

    /// Waits for the end and reads the summary; checks that the run went well.
    pub fn summary(self) -> (Value, Vec<String>) {
        let (status, stdout, stderr) = self.end();
        assert!(status.success(), "{status} {stderr:?}");
        (serde_json::from_str(&stdout).unwrap(), stderr)
    }
}

/// A TCP port of the loopback interface that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// The ids in one of the lists of a summary.
pub fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|d| d["id"].as_str().unwrap().to_string())
        .collect()
}
