//! What a steady heartbeat and the sweeper must know of a device that is online, noted beside its deadline
//! so that they need not read it in the hash.
//!
//! It holds as long as nobody else writes the hash: whoever does blanks the note, and the device is read as
//! a whole the next time. What this module writes itself it notes in the same step.

use devicestate_core::session::Stored;

use super::{Device, Fleet};

/// Some flags, and the version of the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known(u32);

impl Known {
    /// Something is known.
    const NOTED: u32 = 1;
    /// Nothing is outstanding for the device.
    const IN_SYNC: u32 = 2;
    const NO_COMMANDS: u32 = 4;
    /// It never told a session, and was seen since it came online.
    const NO_SESSION: u32 = 8;
    /// It has no timeout of its own.
    const NO_TIMEOUT: u32 = 16;
    const VERSION_AT: u32 = 5;
    /// What does not change with the version.
    const LASTING: u32 = Known::NO_COMMANDS | Known::NO_SESSION | Known::NO_TIMEOUT;

    /// The same of another version. One that is beyond what fits is not noted: then the hash is read
    /// each time.
    pub fn at_version(self, version: u64, is_in_sync: bool) -> Known {
        let lasting = self.0 & Known::LASTING;
        match u32::try_from(version) {
            Ok(version) if version.leading_zeros() >= Known::VERSION_AT => {
                let in_sync = if is_in_sync { Known::IN_SYNC } else { 0 };
                Known(version << Known::VERSION_AT | lasting | in_sync | Known::NOTED)
            }
            _ => Known(lasting),
        }
    }

    /// The version, and whether nothing is outstanding.
    pub fn get(self) -> Option<(u64, bool)> {
        let version = u64::from(self.0 >> Known::VERSION_AT);
        self.has(Known::NOTED)
            .then(|| (version, self.has(Known::IN_SYNC)))
    }

    pub fn has_no_commands(self) -> bool {
        self.has(Known::NO_COMMANDS)
    }

    pub fn has_no_session(self) -> bool {
        self.has(Known::NO_SESSION)
    }

    pub fn has_no_timeout(self) -> bool {
        self.has(Known::NO_TIMEOUT)
    }

    /// The same, with or without commands.
    pub fn with_commands(self, some: bool) -> Known {
        self.with(Known::NO_COMMANDS, !some)
    }

    /// The same, and what is in the hash of this device beside its version.
    fn with_fields_of(self, device: &Device) -> Known {
        let was_seen = device.last_seen >= device.since;
        let has_session = device.session != Stored::default();
        self.with(Known::NO_SESSION, was_seen && !has_session)
            .with(Known::NO_TIMEOUT, device.timeout.is_none())
    }

    fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    fn with(self, flag: u32, is_set: bool) -> Known {
        match is_set {
            true => Known(self.0 | flag),
            false => Known(self.0 & !flag),
        }
    }
}

impl From<u32> for Known {
    fn from(bits: u32) -> Known {
        Known(bits)
    }
}

impl From<Known> for u32 {
    fn from(known: Known) -> u32 {
        known.0
    }
}

impl Fleet {
    /// Notes what is known of a device; nothing while it is not online.
    pub(super) fn know(&self, id: &str, version: u64, is_in_sync: bool) {
        let change = |known: Known| known.at_version(version, is_in_sync);
        self.deadlines.borrow_mut().change_note(id, change);
    }

    /// The same, when all of it is at hand.
    pub(super) fn know_all(&self, device: &Device, is_in_sync: bool) {
        let (id, version) = (&device.id, device.version);
        let change = |known: Known| known.at_version(version, is_in_sync).with_fields_of(device);
        self.deadlines.borrow_mut().change_note(id, change);
    }

    /// What a device's hash holds beside its version, which may be noted or not.
    pub(super) fn know_fields(&self, device: &Device) {
        let change = |known: Known| known.with_fields_of(device);
        self.deadlines.borrow_mut().change_note(&device.id, change);
    }

    /// A device has commands, maybe.
    pub(super) fn command_waits(&self, id: &str) {
        self.note_commands(id, true);
    }

    /// A device has no commands, until [`Fleet::command_waits`].
    pub(super) fn no_command_waits(&self, id: &str) {
        self.note_commands(id, false);
    }

    fn note_commands(&self, id: &str, some: bool) {
        let change = |known: Known| known.with_commands(some);
        self.deadlines.borrow_mut().change_note(id, change);
    }

    /// Whether something is noted of a device: then nobody else changed its hash since.
    pub(super) fn knows(&self, id: &str) -> bool {
        let note = self.deadlines.borrow().note(id).unwrap_or_default();
        note.get().is_some()
    }
}
