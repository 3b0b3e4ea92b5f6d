//! What one user has still to be told of one alert.
//!
//! There is one item for each user and alert; later facts merge into it: the last state, the worst
//! severity, the sum of what was counted. Raises that are suppressed write nothing here: whoever hands
//! an item out looks at the alert's own record and takes over what has been counted since.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::record::{Record, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    Firing,
    Resolved,
}

impl Told {
    pub fn name(self) -> &'static str {
        match self {
            Told::Firing => "firing",
            Told::Resolved => "resolved",
        }
    }
}

/// The record that an item is taken from, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// When the record began: a later one of the same name is another.
    pub first: u64,
    /// Its count when the item's was taken.
    pub count: u64,
}

/// An item as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    pub state: Told,
    pub severity: u32,
    /// Raises that the user has not been told of.
    pub count: u64,
    /// The first and the last fact in it, in milliseconds.
    pub first: u64,
    pub last: u64,
    /// `None`: a notification of no device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl Item {
    /// Reads what [`Item::encode`] wrote; `None` when other hands wrote what is no item.
    pub fn decode(text: &[u8]) -> Option<Item> {
        serde_json::from_slice(text).ok()
    }

    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn data(&self) -> &str {
        self.data.as_ref().map_or("null", |data| data.get())
    }

    /// A notification that somebody sends by hand.
    pub fn notice(severity: u32, data: Box<RawValue>, now: u64) -> Item {
        Item {
            state: Told::Firing,
            severity,
            count: 1,
            first: now,
            last: now,
            source: None,
            data: Some(data),
        }
    }

    /// An alert that is told now to a user who has been told of its first `reported` raises.
    pub fn of(record: &Record, state: Told, reported: u64, now: u64) -> Item {
        let mut item = Item {
            state,
            severity: record.severity,
            count: record.count.saturating_sub(reported),
            first: now,
            last: now,
            source: Some(Source {
                first: record.first,
                count: record.count,
            }),
            data: record.data.clone(),
        };
        if item.count > 1 && reported == 0 {
            item.first = record.first;
        }
        item
    }

    /// Takes over what came later.
    pub fn merge(&mut self, later: Item) {
        self.state = later.state;
        self.severity = self.severity.max(later.severity);
        self.count = self.count.saturating_add(later.count);
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        if later.source.is_some() {
            self.source = later.source;
        }
        if later.data.is_some() {
            self.data = later.data;
        }
    }

    /// How far a record has been taken over; `None` when this item is of another one.
    pub fn taken_of(&self, record: &Record) -> Option<u64> {
        self.source
            .filter(|source| source.first == record.first)
            .map(|source| source.count)
    }

    /// Takes over what the alert's record says by now. That came later than what is in the item: the
    /// first fact in it stays the first.
    pub fn refresh(&mut self, record: &Record) {
        let Some(taken) = self.taken_of(record) else {
            return;
        };
        let state = match record.state {
            State::Firing => Told::Firing,
            State::Held | State::Cleared => Told::Resolved,
        };
        let fresh = Item::of(record, state, taken, record.last);
        let first = self.first;
        self.merge(fresh);
        self.first = first;
    }
}

#[cfg(test)]
mod tests;
