//! Lines about what happens once per message are written once in a while.

use std::fmt;
use std::time::{Duration, Instant};

/// Between two lines.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    left_out: u64,
}

/// How many lines were left out before this one, as the end of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Others(u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} lines like this were left out)"),
        }
    }
}

impl Seldom {
    /// Whether it is time for a line.
    pub fn tell(&mut self) -> Option<Others> {
        if self.told.is_some_and(|told| told.elapsed() < QUIET) {
            self.left_out += 1;
            return None;
        }
        self.told = Some(Instant::now());
        Some(Others(std::mem::take(&mut self.left_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_and_then_one_in_a_while() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.tell(), Some(Others(0)));
        assert_eq!((seldom.tell(), seldom.tell()), (None, None));
        seldom.told = None;
        let line = seldom.tell().map(|others| others.to_string());
        assert_eq!(line.as_deref(), Some(" (2 lines like this were left out)"));
    }
}
