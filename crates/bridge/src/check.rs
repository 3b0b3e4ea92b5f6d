//! `devicestate-bridge check`: tries everything that the bridge will need, and changes nothing. Each
//! line of its output is one finding; a bridge that runs already is not disturbed.

mod broker;
mod info;
mod needs;
mod server;

use crate::config::Config;
use crate::serve::Plan;
use std::fmt::{self, Display};
use std::io::Write;

/// What was found out about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Ok,
    /// The bridge will run, and something may be lost.
    Warn,
    /// The bridge will not do its work.
    Fail,
    /// It cannot be seen from here.
    Skip,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Finding::Ok => "ok",
            Finding::Warn => "warn",
            Finding::Fail => "FAIL",
            Finding::Skip => "skip",
        })
    }
}

/// Writes findings, and remembers whether something failed.
pub struct Report<W> {
    output: W,
    failed: bool,
}

impl<W: Write> Report<W> {
    pub fn new(output: W) -> Report<W> {
        Report {
            output,
            failed: false,
        }
    }

    pub fn tell(&mut self, finding: Finding, sentence: impl Display) {
        self.failed |= finding == Finding::Fail;
        // Who closes the output early still gets the exit status.
        let _ = writeln!(self.output, "{finding:<5} {sentence}");
    }

    pub fn ok(&mut self, sentence: impl Display) {
        self.tell(Finding::Ok, sentence);
    }

    pub fn fail(&mut self, sentence: impl Display) {
        self.tell(Finding::Fail, sentence);
    }
}

/// Checks everything. True if nothing failed.
pub async fn run(config: &Config, plan: Plan) -> Result<bool, String> {
    let mut report = Report::new(std::io::stdout());
    report.ok("the configuration is valid");
    for warning in &plan.warnings {
        report.tell(Finding::Warn, warning);
    }
    broker::check(&mut report, config, &plan).await;
    server::check(&mut report, config, &plan).await;
    Ok(!report.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_fails() {
        let mut report = Report::new(Vec::new());
        report.ok("a");
        report.tell(Finding::Warn, "b");
        report.tell(Finding::Skip, "c");
        assert!(!report.failed);
        report.fail("d");
        assert!(report.failed);
        assert_eq!(report.output, b"ok    a\nwarn  b\nskip  c\nFAIL  d\n");
    }
}
