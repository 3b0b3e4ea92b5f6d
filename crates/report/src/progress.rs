//! Where a bench is, on the standard error: one line that changes on a terminal, one line for each
//! round elsewhere.

use std::io::{stderr, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The rounds of a bench, whatever a round is: its rounds should take about equally long.
pub struct Progress {
    bench: &'static str,
    rounds: usize,
    done: usize,
    start: Instant,
}

impl Progress {
    pub fn start(bench: &'static str, rounds: usize) -> Progress {
        say(&format!("{bench}: getting ready for {rounds} rounds"));
        Progress {
            bench,
            rounds,
            done: 0,
            start: Instant::now(),
        }
    }

    /// A round is over; `setting` is what was measured in it.
    pub fn round(&mut self, setting: &str) {
        self.done += 1;
        say(&self.line(setting, self.start.elapsed()));
    }

    fn line(&self, setting: &str, elapsed: Duration) -> String {
        let left = elapsed.mul_f64(self.rounds.saturating_sub(self.done) as f64 / self.done as f64);
        format!(
            "{}: {setting}, round {} of {}, {} so far, about {} to go",
            self.bench,
            self.done,
            self.rounds.max(self.done),
            minutes(elapsed),
            minutes(left)
        )
    }
}

fn say(line: &str) {
    let mut stderr = stderr().lock();
    let written = match stderr.is_terminal() {
        // Over the last one, and away with the rest of it.
        true => write!(stderr, "\r\x1b[K{line}"),
        false => writeln!(stderr, "{line}"),
    };
    // Where nobody can be told, nobody looks.
    let _ = written.and_then(|()| stderr.flush());
}

/// Leaves the terminal to others.
impl Drop for Progress {
    fn drop(&mut self) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// `4:07`
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_tells_how_long_the_others_will_take() {
        let mut progress = Progress::start("heartbeat", 9);
        progress.done = 3;
        assert_eq!(
            progress.line("no append-only file", Duration::from_secs(62)),
            "heartbeat: no append-only file, round 3 of 9, 1:02 so far, about 2:04 to go"
        );
        progress.done = 10;
        assert!(progress
            .line("more", Duration::from_secs(1))
            .ends_with("round 10 of 10, 0:01 so far, about 0:00 to go"));
    }
}
