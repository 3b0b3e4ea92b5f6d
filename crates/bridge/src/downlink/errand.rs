//! What is to be looked up, and told, for one device. Several events of a device come to one errand:
//! an event only rings, what is told is what is stored when the errand is run.

use super::events::{Event, What};
use std::collections::BTreeMap;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Shadows whose delta is told whatever it is, `{}` included, with the version that an event
    /// named: it counts where the shadow is gone. `None` is the classic one.
    pub tell: BTreeMap<Option<String>, u64>,
    /// The classic shadow's delta is told if something is outstanding.
    pub classic: bool,
    /// So are those of the named ones.
    pub named: bool,
    /// Commands that wait are given.
    pub commands: bool,
    /// The device has just spoken to the bridge: it is there, whatever its status.
    pub asked: bool,
}

/// Errands by device.
pub type Errands = BTreeMap<String, Errand>;

impl Errand {
    pub fn commands() -> Errand {
        Errand {
            commands: true,
            ..Errand::default()
        }
    }

    /// After commands were taken for the device: those that still wait.
    pub fn more_commands(&self) -> Errand {
        Errand {
            commands: true,
            asked: self.asked,
            ..Errand::default()
        }
    }

    /// Everything, for a device that asks.
    pub fn asked() -> Errand {
        Errand {
            tell: [(None, 0)].into(),
            classic: true,
            named: true,
            commands: true,
            asked: true,
        }
    }

    pub fn add(&mut self, event: &Event) {
        match &event.what {
            What::Delta { shadow, version } => {
                let known = self.tell.entry(shadow.clone()).or_default();
                *known = (*known).max(*version);
            }
            What::Online => {
                self.classic = true;
                self.named = true;
                self.commands = true;
            }
            What::Command => self.commands = true,
        }
    }

    pub fn merge(&mut self, other: Errand) {
        for (shadow, version) in other.tell {
            let known = self.tell.entry(shadow).or_default();
            *known = (*known).max(version);
        }
        self.classic |= other.classic;
        self.named |= other.named;
        self.commands |= other.commands;
        self.asked |= other.asked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(shadow: Option<&str>, version: u64) -> Event {
        Event {
            device: "a".into(),
            what: What::Delta {
                shadow: shadow.map(str::to_owned),
                version,
            },
        }
    }

    #[test]
    fn several_events_come_to_one_errand() {
        let mut errand = Errand::default();
        for event in [delta(None, 3), delta(Some("wifi"), 1), delta(None, 2)] {
            errand.add(&event);
        }
        errand.merge(Errand::commands());
        let expected = Errand {
            tell: [(None, 3), (Some("wifi".into()), 1)].into(),
            commands: true,
            ..Errand::default()
        };
        assert_eq!(errand, expected);
    }
}
