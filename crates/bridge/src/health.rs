//! One line for each loss and each recovery, whatever the number of attempts in between.

use std::time::{Duration, Instant};

/// Losses that follow each other faster than this are told once.
const QUIET: Duration = Duration::from_secs(1);

/// What became of the other side, when it is worth a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It works no more, or for another reason than before.
    Lost,
    /// It works again, after this long.
    Recovered(Duration),
    /// It works for the first time.
    Started,
}

/// The state of a connection, or of several that are one for the reader of the log.
#[derive(Debug)]
pub struct Health {
    /// Why each part does not work; `None` where it does.
    parts: Vec<Option<String>>,
    /// The reason that was told, and since when it does not work. `None` when all is well, as far
    /// as the reader of the log knows.
    told: Option<(String, Instant)>,
    last_told: Option<Instant>,
    ever: bool,
}

impl Health {
    /// All parts begin as not working, for a reason that is not worth a line.
    pub fn new(parts: usize) -> Health {
        Health {
            parts: vec![Some(String::new()); parts],
            told: None,
            last_told: None,
            ever: false,
        }
    }

    pub fn works(&self) -> bool {
        self.parts.iter().all(Option::is_none)
    }

    /// Why it does not work, if it does not.
    pub fn reason(&self) -> Option<&str> {
        self.parts.iter().flatten().next().map(String::as_str)
    }

    /// To be called on every failed attempt.
    pub fn lost(&mut self, part: usize, reason: &str, now: Instant) -> Option<Change> {
        if let Some(part) = self.parts.get_mut(part) {
            *part = Some(reason.to_owned());
        }
        let quiet = self
            .last_told
            .is_some_and(|last| now.saturating_duration_since(last) < QUIET);
        let known = self.told.as_ref().is_some_and(|(told, _)| told == reason);
        if quiet || known {
            return None;
        }
        self.last_told = Some(now);
        let since = self.told.as_ref().map_or(now, |(_, since)| *since);
        self.told = Some((reason.to_owned(), since));
        Some(Change::Lost)
    }

    pub fn up(&mut self, part: usize, now: Instant) -> Option<Change> {
        if let Some(part) = self.parts.get_mut(part) {
            *part = None;
        }
        if !self.works() {
            return None;
        }
        let told = self.told.take();
        let ever = std::mem::replace(&mut self.ever, true);
        match told {
            Some((_, since)) => Some(Change::Recovered(now.saturating_duration_since(since))),
            None if !ever => Some(Change::Started),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_change_not_per_attempt() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(2);
        assert!(!health.works());
        assert_eq!(health.up(0, start), None);
        assert_eq!(health.up(1, start), Some(Change::Started));
        assert_eq!(health.up(1, start), None);
        assert_eq!(health.lost(0, "refused", after(1)), Some(Change::Lost));
        assert_eq!(health.lost(1, "refused", after(1)), None);
        assert_eq!(health.lost(0, "refused", after(2)), None);
        assert_eq!(health.lost(0, "LOADING", after(3)), Some(Change::Lost));
        assert_eq!(health.up(0, after(4)), None);
        assert!(!health.works());
        let back = health.up(1, after(5));
        assert_eq!(back, Some(Change::Recovered(Duration::from_secs(4))));
        assert!(health.works());
    }

    #[test]
    fn what_comes_and_goes_quickly_makes_no_flood() {
        let start = Instant::now();
        let mut health = Health::new(1);
        let lines = (0..1000)
            .map(|n| {
                let now = start + Duration::from_millis(n);
                let lost = health.lost(0, &format!("reason {n}"), now).is_some();
                lost as usize + health.up(0, now).is_some() as usize
            })
            .sum::<usize>();
        assert_eq!(lines, 2);
        let after = start + Duration::from_secs(2);
        assert_eq!(health.lost(0, "x", after), Some(Change::Lost));
    }

    #[test]
    fn a_first_connection_after_failures_is_a_recovery() {
        let now = Instant::now();
        let mut health = Health::new(1);
        assert_eq!(health.lost(0, "refused", now), Some(Change::Lost));
        assert_eq!(health.up(0, now), Some(Change::Recovered(Duration::ZERO)));
        assert_eq!(health.up(0, now), None);
    }
}
