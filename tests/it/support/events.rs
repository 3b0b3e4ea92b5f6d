//! The stream of events, read whole.

use std::collections::BTreeMap;
use std::ops::Deref;

use redis::Connection;

use super::client::{cmd, Reply};

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The stream id, `ms-seq`: the total order of everything that happened.
    pub id: String,
    /// The fields, flat. A field that comes twice is a panic in the reader.
    pub fields: BTreeMap<String, String>,
}

impl Event {
    /// The field `type`, empty where there is none.
    pub fn kind(&self) -> &str {
        self.get("type")
    }

    /// The field `device_id`, empty where there is none.
    pub fn device(&self) -> &str {
        self.get("device_id")
    }

    /// A field, empty where there is none.
    pub fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    /// A field that must be there and hold a number.
    #[track_caller]
    pub fn int(&self, field: &str) -> i64 {
        match self.get(field).parse() {
            Ok(n) => n,
            Err(_) => panic!("no number in {field:?} of {self:?}"),
        }
    }
}

/// Entries in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Events(pub Vec<Event>);

impl Events {
    /// Those with this `type`.
    pub fn of_type(&self, kind: &str) -> Events {
        self.only(|event| event.kind() == kind)
    }

    /// Those about this device.
    pub fn of_device(&self, id: &str) -> Events {
        self.only(|event| event.device() == id)
    }

    /// Those for which `keep` is true.
    pub fn only(&self, keep: impl Fn(&Event) -> bool) -> Events {
        Events(self.0.iter().filter(|event| keep(event)).cloned().collect())
    }

    /// One field of each entry, in order: `events.field("status")`.
    pub fn field(&self, field: &str) -> Vec<&str> {
        self.0.iter().map(|event| event.get(field)).collect()
    }
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.0
    }
}

/// The whole stream `devices:events`.
#[track_caller]
pub fn events(con: &mut Connection) -> Events {
    stream(con, "devices:events")
}

/// The entries of `devices:events` about one device.
#[track_caller]
pub fn events_of(con: &mut Connection, device: &str) -> Events {
    events(con).of_device(device)
}

/// Any stream, whole; empty where there is no such key.
#[track_caller]
pub fn stream(con: &mut Connection, key: &str) -> Events {
    const PAGE: usize = 10_000;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let from = events
            .last()
            .map_or("-".to_owned(), |last| format!("({}", last.id));
        let page = cmd!(con, "XRANGE", key, from, "+", "COUNT", PAGE).items();
        let full = page.len() == PAGE;
        events.extend(page.iter().map(|e| Event {
            id: e.at(0).text(),
            fields: e.at(1).text_fields(),
        }));
        if !full {
            return Events(events);
        }
    }
}
