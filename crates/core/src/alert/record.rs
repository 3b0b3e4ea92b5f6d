//! One alert of one device: a state machine over raises, clears and the time.
//!
//! - The throttle clock starts when the alert is told and survives a clear, so flapping can't beat it.
//! - A severity above the one that was told is told whatever the clock says; a raise at or below the
//!   alert's own never lowers it.
//! - `resolved` is told only if `firing` was.
//! - A raise that is to be held back tells only when another comes at least that long after the first;
//!   a clear in between forgets it.
//!
//! Times are milliseconds since the Unix epoch, durations milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Raised, but not for long enough.
    Held,
    Firing,
    Cleared,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Held => "held",
            State::Firing => "firing",
            State::Cleared => "cleared",
        }
    }
}

/// Who raised an alert last, which decides what happens to it by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A client, who raises it again as long as it lasts.
    #[default]
    Command,
    /// A rule on a value: what was reported last still holds.
    Value,
    /// A rule on presence.
    Presence,
}

/// When an alert was told last, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub at: u64,
    pub severity: u32,
    /// As firing, and not as resolved since.
    pub firing: bool,
    /// How long a user may have been kept waiting for company.
    pub wait: u64,
    /// The count up to which it is over by what was told; 0: it never was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resolved: u64,
}

/// An alert as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub state: State,
    /// Of the raises since it fires.
    pub severity: u32,
    /// Raises, held and suppressed ones too.
    pub count: u64,
    /// The first raise of all, which also tells this record from a later one of the same name.
    pub first: u64,
    /// The last raise.
    pub last: u64,
    /// Since when it has its state.
    pub since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// How long nothing is told after something was.
    pub every: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hold: u64,
    /// Not raised for that long, it clears by itself; 0: it does not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keep: u64,
    /// Somebody takes care: nothing is told until it gets worse or is cleared.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acked: bool,
    #[serde(default, skip_serializing_if = "is_command")]
    pub by: Origin,
    /// Who was told that it fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Up to which count each user has been told, and said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reported: BTreeMap<String, u64>,
    /// What came with the last raise, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_command(origin: &Origin) -> bool {
    *origin == Origin::Command
}

/// What a raise asks for.
#[derive(Debug, Clone, Default)]
pub struct Raise {
    pub severity: u32,
    pub every: u64,
    pub hold: u64,
    pub keep: u64,
    pub data: Option<Box<RawValue>>,
    pub by: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    New,
    Suppressed,
    Repeat,
    Escalated,
    Held,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::New => "new",
            Outcome::Suppressed => "suppressed",
            Outcome::Repeat => "repeat",
            Outcome::Escalated => "escalated",
            Outcome::Held => "held",
        }
    }

    /// Whether somebody hears of it.
    pub fn is_told(self) -> bool {
        matches!(self, Outcome::New | Outcome::Repeat | Outcome::Escalated)
    }
}

/// What a clear came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// Nothing was firing; an alert that was held back is none any more.
    Nothing,
    /// It was firing, and nobody knew.
    Untold,
    /// It was firing: whoever was told so hears that it does no more.
    Resolved,
}

/// What an alert does by itself when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It was not raised for as long as it is kept.
    Lapsed,
    /// A rule's: what raised it may still be so, and then it is told now.
    Sight,
    /// Cleared, and its clock has run: nothing is left to know.
    Forgotten,
}

impl Record {
    /// Reads what [`Record::encode`] wrote; `None` when other hands wrote what is no record.
    pub fn decode(text: &[u8]) -> Option<Record> {
        serde_json::from_slice(text).ok()
    }

    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn data(&self) -> &str {
        self.data.as_ref().map_or("null", |data| data.get())
    }

    fn begin(now: u64) -> Record {
        Record {
            state: State::Cleared,
            severity: 0,
            count: 0,
            first: now,
            last: now,
            since: now,
            told: None,
            every: 0,
            hold: 0,
            keep: 0,
            acked: false,
            by: Origin::Command,
            users: Vec::new(),
            reported: BTreeMap::new(),
            data: None,
        }
    }

    /// Whether it is the same as none: nothing is held or fires, and no clock runs.
    pub fn is_forgotten(&self, now: u64) -> bool {
        let clock_ends = self
            .told
            .map_or(0, |told| told.at.saturating_add(self.every));
        self.state == State::Cleared && now >= clock_ends
    }

    /// A clock that was set back must not keep an alert silent for longer than its own, nor make it
    /// last. True when it was.
    pub fn clamp_to(&mut self, now: u64) -> bool {
        let told_at = self.told.as_mut().map(|told| &mut told.at);
        let times = [Some(&mut self.since), Some(&mut self.last), told_at];
        let mut was_set_back = false;
        for time in times.into_iter().flatten().filter(|time| **time > now) {
            *time = now;
            was_set_back = true;
        }
        was_set_back
    }

    /// A raise. Where the outcome is told, the caller tells it and says so by [`Record::told_now`].
    pub fn raise(stored: Option<Record>, raise: &Raise, now: u64) -> (Record, Outcome) {
        let mut record = stored
            .filter(|record| !record.is_forgotten(now))
            .unwrap_or_else(|| Record::begin(now));
        record.clamp_to(now);
        record.count = record.count.saturating_add(1);
        record.last = now;
        record.every = raise.every;
        record.hold = raise.hold;
        record.keep = raise.keep;
        record.by = raise.by;
        if raise.data.is_some() {
            record.data.clone_from(&raise.data);
        }
        let outcome = record.sight(raise.severity, now);
        (record, outcome)
    }

    /// The same without counting: what raised it is still so.
    pub fn sight(&mut self, severity: u32, now: u64) -> Outcome {
        match self.state {
            State::Cleared if self.hold > 0 => {
                self.enter(State::Held, severity, now);
                return Outcome::Held;
            }
            State::Held if now.saturating_sub(self.since) < self.hold => {
                self.severity = self.severity.max(severity);
                return Outcome::Held;
            }
            State::Cleared => self.enter(State::Firing, severity, now),
            State::Held => self.enter(State::Firing, severity.max(self.severity), now),
            State::Firing if severity > self.severity => {
                self.severity = severity;
                self.acked = false;
            }
            State::Firing => {}
        }
        match self.told {
            None => Outcome::New,
            Some(told) if self.severity > told.severity => Outcome::Escalated,
            Some(told) if now.saturating_sub(told.at) < self.every => Outcome::Suppressed,
            Some(_) if self.acked => Outcome::Suppressed,
            Some(_) => Outcome::Repeat,
        }
    }

    fn enter(&mut self, state: State, severity: u32, now: u64) {
        self.state = state;
        self.severity = severity;
        self.since = now;
        self.acked = false;
    }

    /// It was told that the alert fires, to `users` among others; `wait` is how long they may be
    /// kept waiting.
    pub fn told_now(&mut self, users: &[String], wait: u64, now: u64) {
        if !self.told.is_some_and(|told| told.firing) {
            self.users.clear();
        }
        for user in users {
            if !self.users.contains(user) {
                self.users.push(user.clone());
            }
        }
        self.told = Some(Told {
            at: now,
            severity: self.severity,
            firing: true,
            wait,
            resolved: 0,
        });
    }

    /// It is so no more. The clock goes on.
    pub fn clear(&mut self, now: u64) -> Cleared {
        self.clamp_to(now);
        let was = self.state;
        if was != State::Cleared {
            self.state = State::Cleared;
            self.since = now;
            self.acked = false;
        }
        let told = match (was, &mut self.told) {
            (State::Firing, Some(told)) => {
                told.resolved = self.count;
                std::mem::take(&mut told.firing)
            }
            _ => false,
        };
        match was {
            State::Firing if told => Cleared::Resolved,
            State::Firing => Cleared::Untold,
            State::Held | State::Cleared => Cleared::Nothing,
        }
    }

    /// Whether this user learned from a batch that it fires again, though that was not told.
    pub fn is_known_to_fire_by(&self, user: &str) -> bool {
        let told = self.told.filter(|told| !told.firing);
        let is_unsaid = |told: Told| self.reported.get(user).is_some_and(|n| *n > told.resolved);
        self.state == State::Firing && told.is_some_and(is_unsaid)
    }

    /// Somebody takes care of it; false when nothing fires, or somebody does already.
    pub fn ack(&mut self) -> bool {
        let changes = self.state == State::Firing && !self.acked;
        self.acked |= changes;
        changes
    }

    /// When it does something by itself, and what; `None`: it waits for others. `not_before` says
    /// when silence of that many milliseconds may count at the earliest: a server that was deaf
    /// gives everybody time to speak up.
    pub fn next(&self, not_before: impl Fn(u64) -> u64) -> Option<(u64, Due)> {
        let lapse = (self.keep > 0 && self.state != State::Cleared).then(|| {
            let ends = self.last.saturating_add(self.keep);
            (ends.max(not_before(self.keep)), Due::Lapsed)
        });
        let is_rule = self.by != Origin::Command;
        let clock_ends = self
            .told
            .map_or(0, |told| told.at.saturating_add(self.every));
        let own = match self.state {
            State::Cleared => Some((clock_ends, Due::Forgotten)),
            State::Held if is_rule => {
                let ends = self.since.saturating_add(self.hold);
                Some((ends.max(not_before(0)), Due::Sight))
            }
            // Raised again while its clock ran: nobody knows that it fires.
            State::Firing if is_rule && !self.acked && !self.told.is_some_and(|t| t.firing) => {
                Some((clock_ends.max(not_before(0)), Due::Sight))
            }
            State::Held | State::Firing => None,
        };
        [own, lapse].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests;
