//! Profiles: the ways in which devices speak over MQTT. A profile knows its topics and its payloads,
//! and says which commands a message comes to. It never waits and never talks to anybody, so that one
//! more is one file: the bridge does the carrying.

pub mod native;

use crate::mqtt::Message;
use crate::work::Work;

pub trait Profile: Send + Sync {
    /// What to subscribe to.
    fn filters(&self) -> Vec<Filter>;

    /// What a message comes to, or why it comes to nothing. `None` where its topic is none of this
    /// profile's.
    fn read(&self, message: &Message) -> Option<Result<Work, Refusal>>;
}

/// A filter of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub filter: String,
    /// Whether several bridges may share the subscription. Mosquitto delivers nothing for a shared
    /// one to topics that begin with `$`.
    pub shareable: bool,
}

/// Why a message can never succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose message it was, where that could be told.
    pub device: Option<String>,
    /// A sentence for the log and the dead letters. It may quote the message.
    pub reason: String,
}

/// All profiles that are in use. Their topics do not overlap.
pub struct Profiles(Vec<Box<dyn Profile>>);

impl Profiles {
    pub fn new(profiles: Vec<Box<dyn Profile>>) -> Profiles {
        Profiles(profiles)
    }

    pub fn filters(&self) -> Vec<Filter> {
        self.0
            .iter()
            .flat_map(|profile| profile.filters())
            .collect()
    }

    pub fn read(&self, message: &Message) -> Result<Work, Refusal> {
        self.0
            .iter()
            .find_map(|profile| profile.read(message))
            .unwrap_or_else(|| {
                Err(Refusal {
                    device: None,
                    reason:
                        "the topic is of no profile and of no rule (a subscription of an earlier \
                             configuration is still in the broker's session for this client id)"
                            .to_owned(),
                })
            })
    }
}
