//! The names of keys and hash fields: the one place that knows them.

use std::cell::RefCell;

use crate::store::RString;

/// Key names, with the load-time prefix. Those of the indexes are made once.
pub struct Keys {
    prefix: String,
    pub registered: RString,
    pub online: RString,
    pub offline: RString,
    pub events: RString,
    pub types: RString,
    scratch: RefCell<Vec<u8>>,
}

const STATE: &str = "device:state:";
const HEARTBEAT: &str = "device:heartbeat:";
const BLOCKED: &str = "device:blocked:";
const OF_TYPE: &str = "devices:type:";
const ONLINE_OF_TYPE: &str = "devices:online:type:";

/// What a key of ours is, by its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The hash of this device.
    State(&'a [u8]),
    /// The heartbeat key of this device.
    Heartbeat(&'a [u8]),
    /// The set of the devices of this type.
    OfType(&'a [u8]),
    /// The set of the devices of this type that are online.
    OnlineOfType(&'a [u8]),
}

impl Keys {
    pub fn new(prefix: &str) -> Keys {
        let key = |name: &str| RString::new(format!("{prefix}{name}").as_bytes());
        Keys {
            registered: key("devices:registered"),
            online: key("devices:online"),
            offline: key("devices:offline"),
            events: key("devices:events"),
            types: key("devices:types"),
            prefix: prefix.to_owned(),
            scratch: RefCell::default(),
        }
    }

    pub fn state(&self, id: &str) -> RString {
        self.key(STATE, id)
    }

    pub fn heartbeat(&self, id: &str) -> RString {
        self.key(HEARTBEAT, id)
    }

    /// Exists while a removed device may not register by itself.
    pub fn blocked(&self, id: &str) -> RString {
        self.key(BLOCKED, id)
    }

    pub fn of_type(&self, device_type: &str) -> RString {
        self.key(OF_TYPE, device_type)
    }

    pub fn online_of_type(&self, device_type: &str) -> RString {
        self.key(ONLINE_OF_TYPE, device_type)
    }

    fn key(&self, kind: &str, name: &str) -> RString {
        let mut key = self.scratch.borrow_mut();
        key.clear();
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(kind.as_bytes());
        key.extend_from_slice(name.as_bytes());
        RString::new(&key)
    }

    /// The reverse: what this key is, if it is one of a device or a type.
    pub fn role<'a>(&self, key: &'a [u8]) -> Option<Role<'a>> {
        let name = key.strip_prefix(self.prefix.as_bytes())?;
        let after = |kind: &str| name.strip_prefix(kind.as_bytes());
        after(STATE)
            .map(Role::State)
            .or_else(|| after(HEARTBEAT).map(Role::Heartbeat))
            .or_else(|| after(OF_TYPE).map(Role::OfType))
            .or_else(|| after(ONLINE_OF_TYPE).map(Role::OnlineOfType))
    }
}

/// The fields of a device's hash, in the order in which they are first written: what every
/// heartbeat reads stands first, documents last, so that a listpack is searched as little as
/// possible.
pub struct Fields {
    pub version: RString,
    pub last_seen: RString,
    pub status: RString,
    pub device_id: RString,
    pub device_type: RString,
    pub status_since: RString,
    pub registered_at: RString,
    /// Why the status is what it is; absent for a device that never was online, and while it is
    /// online by its heartbeats.
    pub status_reason: RString,
    /// Absent: the type's or the default.
    pub timeout: RString,
    pub session: RString,
    pub seq: RString,
    /// How many messages were ignored as stale, the last one's reason and time.
    pub ignored: RString,
    pub ignored_reason: RString,
    pub ignored_at: RString,
    pub metadata: RString,
    pub reported_state: RString,
    pub desired_state: RString,
}

impl Fields {
    pub fn new() -> Fields {
        let field = |name: &str| RString::new(name.as_bytes());
        Fields {
            version: field("version"),
            last_seen: field("last_seen"),
            status: field("status"),
            device_id: field("device_id"),
            device_type: field("device_type"),
            status_since: field("status_since"),
            registered_at: field("registered_at"),
            status_reason: field("status_reason"),
            timeout: field("timeout"),
            session: field("session"),
            seq: field("seq"),
            ignored: field("ignored"),
            ignored_reason: field("ignored_reason"),
            ignored_at: field("ignored_at"),
            metadata: field("metadata"),
            reported_state: field("reported_state"),
            desired_state: field("desired_state"),
        }
    }
}
