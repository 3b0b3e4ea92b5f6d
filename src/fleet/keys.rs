//! The names of keys: the one place that knows them.
//!
//! On a single server a device's hash is `device:state:<id>`, and there is one of each index. On a node
//! of a cluster it is `device:state:{<id>}`, and there is one of each index for every slot, under a key
//! that carries the slot's tag (`devices:online:{<tag>}`): so all that one step of a device touches is
//! in the slot of its id, and moves with it.

mod indexes;
mod role;

use std::cell::{OnceCell, RefCell};

use devicestate_core::slot::{self, Slot, Tags};

use crate::store::RString;

pub use indexes::Indexes;
pub use role::{Index, Role};

/// Key names, with the load-time prefix. Those of the indexes are made once.
pub struct Keys {
    prefix: String,
    layout: Layout,
    /// What fleet-wide commands ask permission for, whatever the layout.
    pub permission: Permissions,
    scratch: RefCell<Vec<u8>>,
}

/// How many of each index there are.
enum Layout {
    Single(Indexes),
    /// By slot, each made when it is first needed.
    Cluster {
        tags: Tags,
        slots: Box<[OnceCell<Indexes>]>,
    },
}

/// Keys that stand for the whole fleet in ACL patterns.
pub struct Permissions {
    pub registered: RString,
    pub types: RString,
    pub alerts_due: RString,
    pub events: RString,
    rules: String,
}

impl Permissions {
    fn new(prefix: &str) -> Permissions {
        let key = |name: &str| RString::new(format!("{prefix}{name}").as_bytes());
        Permissions {
            registered: key(REGISTERED),
            types: key(TYPES),
            alerts_due: key(ALERTS_DUE),
            events: key(EVENTS),
            rules: format!("{prefix}{ALERT_RULES}"),
        }
    }

    pub fn rules(&self, device_type: &str) -> RString {
        RString::new(format!("{}{device_type}", self.rules).as_bytes())
    }
}

const STATE: &str = "device:state:";
const HEARTBEAT: &str = "device:heartbeat:";
const SHADOWS: &str = "device:shadows:";
const HISTORY: &str = "device:history:";
const BLOCKED: &str = "device:blocked:";
const COMMANDS: &str = "device:commands:";
const OUTCOMES: &str = "device:outcomes:";
const ALERTS: &str = "device:alerts:";
const FENCE: &str = "device:fence:";
const ALERTS_OF_USER: &str = "alerts:user:";
const ALERT_RULES: &str = "alerts:rules:";
const OF_TYPE: &str = "devices:type:";
const ONLINE_OF_TYPE: &str = "devices:online:type:";
const REGISTERED: &str = "devices:registered";
const ONLINE: &str = "devices:online";
const OFFLINE: &str = "devices:offline";
const OUT_OF_SYNC: &str = "devices:outofsync";
const EVENTS: &str = "devices:events";
const REPORTS: &str = "devices:reports";
const TYPES: &str = "devices:types";
const DEFINITIONS: &str = "devices:definitions";
const ALERTS_DUE: &str = "alerts:due";

impl Keys {
    pub fn new(prefix: &str, is_cluster: bool) -> Keys {
        Keys {
            prefix: prefix.to_owned(),
            layout: match is_cluster {
                false => Layout::Single(Indexes::new(prefix, None)),
                true => Layout::Cluster {
                    tags: Tags::find(),
                    slots: (0..slot::COUNT).map(|_| OnceCell::new()).collect(),
                },
            },
            permission: Permissions::new(prefix),
            scratch: RefCell::default(),
        }
    }

    /// Whether there is one of each index for every slot.
    pub fn are_by_slot(&self) -> bool {
        matches!(self.layout, Layout::Cluster { .. })
    }

    /// The indexes that a device is in, or a user: those of the slot of its name.
    pub fn of(&self, name: &str) -> &Indexes {
        match &self.layout {
            Layout::Single(indexes) => indexes,
            Layout::Cluster { .. } => self.of_slot(Slot::of(name.as_bytes())),
        }
    }

    /// The indexes that this key of ours is one of, or belongs to.
    pub fn beside(&self, key: &[u8]) -> &Indexes {
        self.of_slot(Slot::of(key))
    }

    /// The indexes of a slot; on a single server all slots have the same.
    pub fn of_slot(&self, slot: Slot) -> &Indexes {
        match &self.layout {
            Layout::Single(indexes) => indexes,
            Layout::Cluster { tags, slots } => slots[usize::from(slot.number())]
                .get_or_init(|| Indexes::new(&self.prefix, Some((slot, tags.of(slot))))),
        }
    }

    /// The stream of events of a slot, for whoever looks at all of them.
    pub fn events_of(&self, slot: Slot) -> RString {
        match &self.layout {
            Layout::Single(indexes) => RString::new(indexes.events.bytes()),
            Layout::Cluster { tags, .. } => {
                RString::new(format!("{}{EVENTS}:{{{}}}", self.prefix, tags.of(slot)).as_bytes())
            }
        }
    }

    /// Whether this key is a stream of events.
    pub fn is_events(&self, key: &[u8]) -> bool {
        match &self.layout {
            Layout::Single(indexes) => indexes.events.bytes() == key,
            Layout::Cluster { .. } => {
                let name = key.strip_prefix(self.prefix.as_bytes());
                let rest = name.and_then(|name| name.strip_prefix(EVENTS.as_bytes()));
                rest.is_some_and(|rest| rest.starts_with(b":{") && rest.ends_with(b"}"))
            }
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

    /// Never exists: in the slot of this device or user, for asking whether that is settled.
    pub fn fence(&self, name: &str) -> RString {
        self.key(FENCE, name)
    }

    /// What the keys of alerts begin with, and what is in them: those of devices, and of users.
    pub fn alerts_names(&self) -> (&str, &'static str) {
        (&self.prefix, "alerts:")
    }

    fn key(&self, kind: &str, id: &str) -> RString {
        let (open, close) = match self.layout {
            Layout::Single(_) => ("", ""),
            Layout::Cluster { .. } => ("{", "}"),
        };
        let mut key = self.scratch.borrow_mut();
        key.clear();
        for part in [&self.prefix, kind, open, id, close] {
            key.extend_from_slice(part.as_bytes());
        }
        RString::new(&key)
    }
}
