//! Child processes: the binaries of this workspace and others. Each is stopped by its own handle,
//! and what it printed is shown when a test fails.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::wait::wait_for;

/// How long a process may take to get ready or to end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A file in the folder of the build profile this test belongs to, such as
/// `target/release/libdevicestate.so`. The test itself is in its `deps/`.
#[track_caller]
pub fn target_binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let found = test
        .ancestors()
        .skip(2)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        let flag = if cfg!(debug_assertions) {
            ""
        } else {
            " --release"
        };
        panic!(
            "no {name} above {}: run `cargo build --workspace{flag}` first",
            test.parent().unwrap_or(&test).display()
        )
    })
}

/// Sends a signal (`TERM`, `INT`, `STOP`, `CONT`, ...) to a process that this test started and has
/// not yet waited for, so its id cannot belong to another one.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
        .status()
        .expect("run sh");
    assert!(sent.success(), "no signal {name} for process {pid}");
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A running program whose output is collected line by line.
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    output: Arc<Mutex<Vec<String>>>,
    collectors: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program of this workspace, such as `devicestate-bridge`.
    #[track_caller]
    pub fn binary<A: AsRef<OsStr>>(name: &str, args: &[A]) -> Process {
        let mut command = Command::new(target_binary(name));
        command.args(args);
        Process::spawn(name, command)
    }

    /// Starts `devicestate-bridge` and waits for its line `bridge ready`.
    #[track_caller]
    pub fn bridge<A: AsRef<OsStr>>(args: &[A]) -> Process {
        let mut bridge = Process::binary("devicestate-bridge", args);
        bridge.wait_for_line("bridge ready");
        bridge
    }

    /// Starts `devicestate-fleet` and waits for its line `fleet ready`.
    #[track_caller]
    pub fn fleet<A: AsRef<OsStr>>(args: &[A]) -> Process {
        let mut fleet = Process::binary("devicestate-fleet", args);
        fleet.wait_for_line("fleet ready");
        fleet
    }

    /// Starts any command, with nothing to read and both outputs collected.
    #[track_caller]
    pub fn spawn(name: &str, command: Command) -> Process {
        Process::spawn_with(name, command, Stdio::null())
    }

    /// As [`Process::spawn`], with `input` to read.
    #[track_caller]
    pub fn spawn_fed(name: &str, command: Command, input: &str) -> Process {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(input.as_bytes())
            .expect("write to a temporary file");
        file.rewind().expect("rewind a temporary file");
        Process::spawn_with(name, command, Stdio::from(file))
    }

    #[track_caller]
    fn spawn_with(name: &str, mut command: Command, stdin: Stdio) -> Process {
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{name} does not start ({command:?}): {error}"),
        };
        let output = Arc::new(Mutex::new(Vec::new()));
        let stdout = child.stdout.take().map(|from| collect(from, &output));
        let stderr = child.stderr.take().map(|from| collect(from, &output));
        Process {
            name: name.to_owned(),
            child,
            status: None,
            output,
            collectors: stdout.into_iter().chain(stderr).collect(),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process printed so far, both outputs in the order of arrival.
    pub fn output(&self) -> String {
        lock(&self.output).join("\n")
    }

    /// All that a process printed until its end, which this waits for.
    #[track_caller]
    pub fn output_at_exit(&mut self) -> String {
        self.wait_for_exit();
        let what = format!("{} and what it started close their outputs", self.name);
        wait_for(&what, LIMIT, || {
            self.collectors.iter().all(JoinHandle::is_finished)
        });
        self.output()
    }

    /// Whether a line with this text was printed.
    pub fn has_printed(&self, text: &str) -> bool {
        lock(&self.output).iter().any(|line| line.contains(text))
    }

    /// Waits for a line that contains `text` and gives it; panics with the output when the process
    /// ends without it.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        self.wait_for_line_within(text, LIMIT)
    }

    /// As [`Process::wait_for_line`], with a limit of its own.
    #[track_caller]
    pub fn wait_for_line_within(&mut self, text: &str, limit: Duration) -> String {
        let what = format!("{} prints {text:?}", self.name);
        wait_for(&what, limit, || {
            let ended = self.exit_status();
            let line = lock(&self.output)
                .iter()
                .find(|line| line.contains(text))
                .cloned();
            if line.is_none() {
                if let Some(status) = ended {
                    panic!(
                        "{} ended ({status}) before: {what}\n{}",
                        self.name,
                        self.output()
                    );
                }
            }
            line
        })
    }

    /// Whether the process runs.
    pub fn is_alive(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// The status of a process that has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .expect("ask for the status of a child");
        }
        self.status
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait_for(&what, LIMIT, || self.exit_status())
    }

    /// Sends a signal by name (`TERM`, `INT`, `STOP`, `CONT`).
    pub fn signal(&mut self, name: &str) {
        if self.is_alive() {
            signal(self.pid(), name);
        }
    }

    /// Asks the process to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_exit()
    }

    /// Kills the process (SIGKILL) and waits until it is gone.
    pub fn kill_hard(&mut self) {
        if self.is_alive() {
            self.child.kill().expect("kill a child");
            self.status = Some(self.child.wait().expect("wait for a child"));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_hard();
        if thread::panicking() {
            eprintln!(
                "--- the last of {}:\n{}",
                self.name,
                tail(&self.output(), 40)
            );
        }
    }
}

/// Reads lines on a thread of its own until the process closes its end.
fn collect(from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            lock(&into).push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    })
}

/// A panic of another thread must not hide what was collected.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
