//! What a key is, by its name.

use super::*;

/// What a key of ours is.
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
    /// The defaults of types.
    Types,
    /// A copy of all definitions.
    Definitions,
    Index(Index),
}

impl Role<'_> {
    /// Whether the check looks at such a key: an index, or what an index says.
    pub fn is_checked(&self) -> bool {
        matches!(
            self,
            Role::State(_)
                | Role::Heartbeat(_)
                | Role::User(_)
                | Role::OfType(_)
                | Role::OnlineOfType(_)
                | Role::Index(_)
        )
    }
}

/// Which devices there are in some state, or users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    Registered,
    Online,
    Offline,
    OutOfSync,
    AlertsDue,
}

const INDEXES: [(&str, Index); 5] = [
    (REGISTERED, Index::Registered),
    (ONLINE, Index::Online),
    (OFFLINE, Index::Offline),
    (OUT_OF_SYNC, Index::OutOfSync),
    (ALERTS_DUE, Index::AlertsDue),
];

/// How the names of such keys begin, and what the rest of one makes of it.
type Kind<'a> = (&'static str, fn(&'a [u8]) -> Role<'a>);

impl Keys {
    /// What this key is, if it is one of ours that the module must know again.
    pub fn role<'a>(&self, key: &'a [u8]) -> Option<Role<'a>> {
        let name = key.strip_prefix(self.prefix.as_bytes())?;
        let after = |kind: &str| name.strip_prefix(kind.as_bytes());
        let of_device: [Kind<'a>; 7] = [
            (STATE, Role::State),
            (HEARTBEAT, Role::Heartbeat),
            (SHADOWS, Role::OfDevice),
            (HISTORY, Role::OfDevice),
            (OUTCOMES, Role::OfDevice),
            (COMMANDS, Role::Commands),
            (ALERTS, Role::Alerts),
        ];
        for (kind, role) in of_device {
            if let Some(id) = after(kind) {
                return self.in_braces(id).map(role);
            }
        }
        let of_others: [Kind<'a>; 4] = [
            (ALERTS_OF_USER, Role::User),
            (ALERT_RULES, Role::Rules),
            (OF_TYPE, Role::OfType),
            (ONLINE_OF_TYPE, Role::OnlineOfType),
        ];
        for (kind, role) in of_others {
            if let Some(name) = after(kind) {
                return self.behind_tag(name).map(role);
            }
        }
        if after(TYPES).is_some_and(|rest| self.is_tag(rest)) {
            return Some(Role::Types);
        }
        let is_copy = |rest| self.are_by_slot() && self.is_tag(rest);
        if after(DEFINITIONS).is_some_and(is_copy) {
            return Some(Role::Definitions);
        }
        INDEXES.into_iter().find_map(|(kind, index)| {
            let is_one = after(kind).is_some_and(|rest| self.is_tag(rest));
            is_one.then_some(Role::Index(index))
        })
    }

    /// The id in what follows the kind of a device's key.
    fn in_braces<'a>(&self, id: &'a [u8]) -> Option<&'a [u8]> {
        match self.are_by_slot() {
            false => Some(id),
            true => id.strip_prefix(b"{")?.strip_suffix(b"}"),
        }
    }

    /// The name in what follows the kind of a type's or user's key: `{tag}:name`.
    fn behind_tag<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        if !self.are_by_slot() {
            return Some(name);
        }
        let end = name.iter().position(|byte| *byte == b'}')?;
        name.starts_with(b"{").then_some(())?;
        name[end + 1..].strip_prefix(b":")
    }

    /// Whether this is all that follows the kind of an index: nothing, or `:{tag}`.
    fn is_tag(&self, rest: &[u8]) -> bool {
        match self.are_by_slot() {
            false => rest.is_empty(),
            true => rest.starts_with(b":{") && rest.ends_with(b"}"),
        }
    }
}
