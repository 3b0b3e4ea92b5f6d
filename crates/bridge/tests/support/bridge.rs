//! The program under test, as a process, with what it has written.

use super::{signal, terminate, wait_until};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::NamedTempFile;

pub struct Bridge {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
    _config: NamedTempFile,
}

impl Bridge {
    /// Starts it and waits until it is ready.
    pub fn start(mqtt: &str, redis: &str, config: &str) -> Bridge {
        let bridge = Bridge::launch(mqtt, redis, config);
        bridge.wait_for("bridge ready");
        bridge
    }

    /// Messages to devices are off unless the configuration has a section for them: they are tests of
    /// their own.
    pub fn launch(mqtt: &str, redis: &str, config: &str) -> Bridge {
        Bridge::launch_as(&[], mqtt, redis, config)
    }

    /// Starts a processor of the queues, with these flags, and waits until it is ready. It needs no
    /// broker.
    pub fn process(flags: &[&str], redis: &str, config: &str) -> Bridge {
        let bridge = Bridge::launch_processor(flags, redis, config);
        bridge.wait_for("processor ready");
        bridge
    }

    pub fn launch_processor(flags: &[&str], redis: &str, config: &str) -> Bridge {
        let words = [&["process"], flags].concat();
        Bridge::launch_as(&words, "mqtt://127.0.0.1:1", redis, config)
    }

    /// With a subcommand, or with flags of its own.
    pub fn launch_as(words: &[&str], mqtt: &str, redis: &str, config: &str) -> Bridge {
        let file = NamedTempFile::new().unwrap();
        let off = match config.contains("[downlink]") {
            true => "",
            false => "\n[downlink]\nenabled = false\n",
        };
        std::fs::write(file.path(), format!("{config}{off}")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
            .args(words)
            .arg("--config")
            .arg(file.path())
            .args(["--mqtt", mqtt, "--redis", redis, "--log", "debug"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, written) = (process.stderr.take().unwrap(), lines.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                written.lock().unwrap().push(line);
            }
        });
        Bridge {
            process,
            lines,
            _config: file,
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|l| l.contains(text)).count()
    }

    /// Waits for a line that contains `text`, and returns it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        let mut found = None;
        wait_until(&format!("the line {text:?} in {:#?}", self.lines()), || {
            found = self.lines().into_iter().find(|line| line.contains(text));
            found.is_some()
        });
        found.unwrap()
    }

    /// Stops all its work, until [`Bridge::thaw`].
    pub fn freeze(&self) {
        signal(&self.process, "-STOP");
    }

    pub fn thaw(&self) {
        signal(&self.process, "-CONT");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn terminate(&self) {
        terminate(&self.process);
    }

    /// Waits for its end, and returns the exit status and its last line.
    pub fn exit(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("the bridge ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        let code = status.unwrap().code();
        let last = self.wait_for(if code == Some(0) { "stopped:" } else { ":" });
        (code, last)
    }

    /// Ends it, and asserts that it has done all that it took.
    #[track_caller]
    pub fn end_with_nothing_left(&mut self) {
        self.terminate();
        let (status, summary) = self.exit();
        assert_eq!(status, Some(0));
        assert!(summary.contains("refused 0"), "{summary}");
        assert!(summary.contains("left to the broker 0"), "{summary}");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("the bridge wrote:\n{}", self.lines().join("\n"));
        }
    }
}
