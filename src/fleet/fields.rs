//! The names of hash fields: the one place that knows them.

use crate::store::RString;

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
