//! The keys that belong to many devices.

use devicestate_core::slot::Slot;

use super::{
    ALERTS_DUE, ALERTS_OF_USER, ALERT_RULES, DEFINITIONS, EVENTS, OFFLINE, OF_TYPE, ONLINE,
    ONLINE_OF_TYPE, OUT_OF_SYNC, REGISTERED, REPORTS, TYPES,
};
use crate::store::RString;

/// The indexes, streams and settings that devices share: all of a single server's, or those of one slot
/// of a cluster.
pub struct Indexes {
    pub registered: RString,
    pub online: RString,
    pub offline: RString,
    pub out_of_sync: RString,
    pub events: RString,
    pub reports: RString,
    pub types: RString,
    /// A copy of all definitions, in a cluster.
    pub definitions: RString,
    pub alerts_due: RString,
    /// Never exists, for asking whether the server takes writes.
    pub probe: RString,
    prefix: String,
    slot: Option<Slot>,
    /// `{tag}`, behind each name; nothing on a single server.
    tag: String,
}

impl Indexes {
    pub(super) fn new(prefix: &str, place: Option<(Slot, &str)>) -> Indexes {
        let tag = place.map_or_else(String::new, |(_, tag)| format!("{{{tag}}}"));
        let separator = if tag.is_empty() { "" } else { ":" };
        let key = |name: &str| RString::new(format!("{prefix}{name}{separator}{tag}").as_bytes());
        Indexes {
            registered: key(REGISTERED),
            online: key(ONLINE),
            offline: key(OFFLINE),
            out_of_sync: key(OUT_OF_SYNC),
            events: key(EVENTS),
            reports: key(REPORTS),
            types: key(TYPES),
            definitions: key(DEFINITIONS),
            alerts_due: key(ALERTS_DUE),
            probe: RString::new(format!("devicestate:probe{separator}{tag}").as_bytes()),
            prefix: prefix.to_owned(),
            slot: place.map(|(slot, _)| slot),
            tag,
        }
    }

    /// `None` on a single server.
    pub fn slot(&self) -> Option<Slot> {
        self.slot
    }

    pub fn of_type(&self, device_type: &str) -> RString {
        self.key(OF_TYPE, device_type)
    }

    pub fn online_of_type(&self, device_type: &str) -> RString {
        self.key(ONLINE_OF_TYPE, device_type)
    }

    /// What a user has still to be told.
    pub fn user(&self, user: &str) -> RString {
        self.key(ALERTS_OF_USER, user)
    }

    /// The alert rules of a device type.
    pub fn rules(&self, device_type: &str) -> RString {
        self.key(ALERT_RULES, device_type)
    }

    fn key(&self, kind: &str, name: &str) -> RString {
        let separator = if self.tag.is_empty() { "" } else { ":" };
        let key = [&self.prefix, kind, &self.tag, separator, name].concat();
        RString::new(key.as_bytes())
    }
}
