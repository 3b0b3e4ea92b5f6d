//! Lines on stderr: notices, and on a terminal a progress line below them.

use std::io::{stderr, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same trouble is told again after this time at the earliest.
const AGAIN: Duration = Duration::from_secs(5);

pub struct Console {
    terminal: bool,
    last_trouble: Mutex<Option<Instant>>,
}

impl Console {
    pub fn new() -> Self {
        Console {
            terminal: stderr().is_terminal(),
            last_trouble: Mutex::new(None),
        }
    }

    /// One line.
    pub fn say(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        // With stderr gone there is nobody to tell.
        let _ = writeln!(stderr(), "{clear}devicestate-fleet: {text}");
    }

    /// One line about a connection that failed. A thousand devices fail at once when a broker goes
    /// away, so one line stands for all that follow within five seconds.
    pub fn trouble(&self, target: &str, text: &str) {
        let mut last = self
            .last_trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= AGAIN) {
            *last = Some(Instant::now());
            self.say(&format!("{target}: {text}; trying again"));
        }
    }

    pub fn wants_progress(&self) -> bool {
        self.terminal
    }

    /// Replaces the progress line.
    pub fn progress(&self, text: &str) {
        let _ = write!(stderr(), "\r\x1b[K{text}");
        let _ = stderr().flush();
    }

    /// Takes the progress line away.
    pub fn clear(&self) {
        if self.terminal {
            self.progress("");
        }
    }
}
