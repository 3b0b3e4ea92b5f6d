//! The names of keys and hash fields: the one place that knows them.

use std::cell::RefCell;

use crate::store::RString;

/// Key names, with the load-time prefix. Those of the indexes are made once.
pub struct Keys {
    prefix: String,
    pub registered: RString,
    pub online: RString,
    pub offline: RString,
    pub out_of_sync: RString,
    pub events: RString,
    pub reports: RString,
    pub types: RString,
    pub alerts_due: RString,
    scratch: RefCell<Vec<u8>>,
}

const STATE: &str = "device:state:";
const HEARTBEAT: &str = "device:heartbeat:";
const SHADOWS: &str = "device:shadows:";
const HISTORY: &str = "device:history:";
const BLOCKED: &str = "device:blocked:";
const COMMANDS: &str = "device:commands:";
const OUTCOMES: &str = "device:outcomes:";
const ALERTS: &str = "device:alerts:";
const ALERTS_OF_USER: &str = "alerts:user:";
const ALERT_RULES: &str = "alerts:rules:";
const OF_TYPE: &str = "devices:type:";
const ONLINE_OF_TYPE: &str = "devices:online:type:";

/// What a key of ours is, by its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The hash of this device.
    State(&'a [u8]),
    /// The heartbeat key of this device.
    Heartbeat(&'a [u8]),
    /// The named shadows, the history or the outcomes of commands of this device.
    OfDevice(&'a [u8]),
    /// The commands of this device.
    Commands(&'a [u8]),
    /// The alerts of this device.
    Alerts(&'a [u8]),
    /// What this user has still to be told.
    User(&'a [u8]),
    /// The alert rules of this type.
    Rules(&'a [u8]),
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
            out_of_sync: key("devices:outofsync"),
            events: key("devices:events"),
            reports: key("devices:reports"),
            types: key("devices:types"),
            alerts_due: key("alerts:due"),
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

    /// The named shadows of a device.
    pub fn shadows(&self, id: &str) -> RString {
        self.key(SHADOWS, id)
    }

    pub fn history(&self, id: &str) -> RString {
        self.key(HISTORY, id)
    }

    /// Exists while a removed device may not register by itself.
    pub fn blocked(&self, id: &str) -> RString {
        self.key(BLOCKED, id)
    }

    /// The queue of a device's commands.
    pub fn commands(&self, id: &str) -> RString {
        self.key(COMMANDS, id)
    }

    /// What became of the last commands of a device.
    pub fn outcomes(&self, id: &str) -> RString {
        self.key(OUTCOMES, id)
    }

    /// The alerts of a device.
    pub fn alerts(&self, id: &str) -> RString {
        self.key(ALERTS, id)
    }

    /// What a user has still to be told.
    pub fn user(&self, user: &str) -> RString {
        self.key(ALERTS_OF_USER, user)
    }

    /// The alert rules of a device type.
    pub fn rules(&self, device_type: &str) -> RString {
        self.key(ALERT_RULES, device_type)
    }

    /// How the keys of all devices' alerts begin.
    pub fn alerts_prefix(&self) -> String {
        format!("{}{ALERTS}", self.prefix)
    }

    pub fn of_type(&self, device_type: &str) -> RString {
        self.key(OF_TYPE, device_type)
    }

    pub fn online_of_type(&self, device_type: &str) -> RString {
        self.key(ONLINE_OF_TYPE, device_type)
    }

    /// Whether the check looks at this key: an index, or what an index says.
    pub fn is_checked(&self, key: &[u8]) -> bool {
        let role = self.role(key);
        let indexes = [
            &self.registered,
            &self.online,
            &self.offline,
            &self.out_of_sync,
            &self.alerts_due,
        ];
        indexes.iter().any(|index| index.bytes() == key)
            || matches!(
                role,
                Some(
                    Role::State(_)
                        | Role::Heartbeat(_)
                        | Role::User(_)
                        | Role::OfType(_)
                        | Role::OnlineOfType(_)
                )
            )
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
            .or_else(|| {
                after(SHADOWS)
                    .or_else(|| after(HISTORY))
                    .or_else(|| after(OUTCOMES))
                    .map(Role::OfDevice)
            })
            .or_else(|| after(COMMANDS).map(Role::Commands))
            .or_else(|| after(ALERTS).map(Role::Alerts))
            .or_else(|| after(ALERTS_OF_USER).map(Role::User))
            .or_else(|| after(ALERT_RULES).map(Role::Rules))
            .or_else(|| after(OF_TYPE).map(Role::OfType))
            .or_else(|| after(ONLINE_OF_TYPE).map(Role::OnlineOfType))
    }
}

/// The fields of a device's hash, in the order in which they are first written: what every
/// heartbeat reads stands first, documents last, so that a listpack is searched as little as
/// possible.
pub struct Fields {
    /// Of the classic shadow; its version is what every hash that we wrote has.
    pub shadow: ShadowFields,
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
}

/// The fields of one shadow: in the device's own hash for the classic one, in
/// `device:shadows:<id>` for a named one.
pub struct ShadowFields {
    pub version: RString,
    /// There while the shadow exists.
    pub reported: RString,
    /// There while it is not empty.
    pub desired: RString,
    /// When each leaf was written (see `devicestate_core::shadow::times`).
    pub reported_meta: RString,
    pub desired_meta: RString,
    /// What is outstanding; there while it is not empty.
    pub delta: RString,
}

impl ShadowFields {
    fn classic() -> ShadowFields {
        let field = |name: &str| RString::new(name.as_bytes());
        ShadowFields {
            version: RString::new(field::VERSION),
            reported: field("reported_state"),
            desired: field("desired_state"),
            reported_meta: field("reported_meta"),
            desired_meta: field("desired_meta"),
            delta: field("delta"),
        }
    }

    pub fn named(name: &str) -> ShadowFields {
        let field = |part: &str| RString::new(format!("{part}{name}").as_bytes());
        ShadowFields {
            version: field(VERSION_OF),
            reported: field("reported:"),
            desired: field("desired:"),
            reported_meta: field("reported_meta:"),
            desired_meta: field("desired_meta:"),
            delta: field("delta:"),
        }
    }
}

/// Begins the field that holds the version of a named shadow that exists.
pub const VERSION_OF: &str = "version:";

/// Holds the version of a named shadow that was deleted: one that is made anew goes on from there.
pub fn deleted_field(name: &str) -> RString {
    RString::new(format!("deleted:{name}").as_bytes())
}

/// The names of those that [`super::Device`] holds.
pub mod field {
    pub const VERSION: &[u8] = b"version";
    pub const LAST_SEEN: &[u8] = b"last_seen";
    pub const STATUS: &[u8] = b"status";
    pub const DEVICE_ID: &[u8] = b"device_id";
    pub const DEVICE_TYPE: &[u8] = b"device_type";
    pub const STATUS_SINCE: &[u8] = b"status_since";
    pub const TIMEOUT: &[u8] = b"timeout";
    pub const SESSION: &[u8] = b"session";
    pub const SEQ: &[u8] = b"seq";
}

impl Fields {
    pub fn new() -> Fields {
        let field = |name: &str| RString::new(name.as_bytes());
        Fields {
            shadow: ShadowFields::classic(),
            last_seen: RString::new(field::LAST_SEEN),
            status: RString::new(field::STATUS),
            device_id: RString::new(field::DEVICE_ID),
            device_type: RString::new(field::DEVICE_TYPE),
            status_since: RString::new(field::STATUS_SINCE),
            registered_at: field("registered_at"),
            status_reason: field("status_reason"),
            timeout: RString::new(field::TIMEOUT),
            session: RString::new(field::SESSION),
            seq: RString::new(field::SEQ),
            ignored: field("ignored"),
            ignored_reason: field("ignored_reason"),
            ignored_at: field("ignored_at"),
            metadata: field("metadata"),
        }
    }

    /// Those of [`field`].
    pub fn of_device(&self) -> [&RString; 9] {
        [
            &self.shadow.version,
            &self.last_seen,
            &self.status,
            &self.device_id,
            &self.device_type,
            &self.status_since,
            &self.timeout,
            &self.session,
            &self.seq,
        ]
    }
}
