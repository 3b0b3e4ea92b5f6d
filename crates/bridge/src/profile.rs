//! Profiles: the ways in which devices speak over MQTT. A profile knows its topics and its payloads,
//! and says which commands a message comes to. It never waits and never talks to anybody, so that one
//! more is one file: the bridge does the carrying.

pub mod aws_shadow;
pub mod native;

use crate::metrics::NONE;
use crate::mqtt::outbox::Publication;
use crate::mqtt::Message;
use crate::work::Work;
use serde_json::value::RawValue;
use std::time::Duration;

pub trait Profile: Send + Sync {
    /// What it is called in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// What to subscribe to.
    fn filters(&self) -> Vec<Filter>;

    /// What a message comes to, or why it comes to nothing. `None` where its topic is none of this
    /// profile's.
    fn read(&self, message: &Message) -> Option<Result<Work, Refusal>>;

    /// Who sends a message that may wait in a queue until a processor reads it. `None` where the topic is
    /// none of this profile's, or where the device waits for an answer.
    fn sender(&self, _message: &Message) -> Option<Result<Sender, Refusal>> {
        None
    }

    /// Whether deltas are told to devices that are offline, too.
    fn tells_offline(&self) -> bool {
        false
    }

    /// How a device is told what is outstanding. `None` where this profile does not tell it.
    fn delta(&self, _: &Delta<'_>) -> Option<Publication> {
        None
    }

    /// How a device is given a command.
    fn command(&self, _: &Command<'_>) -> Option<Publication> {
        None
    }
}

/// What is outstanding of one shadow of a device, as it is stored at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Delta<'a> {
    pub device: &'a str,
    /// `None` is the classic one.
    pub shadow: Option<&'a str>,
    pub version: u64,
    /// A JSON object; `{}` when nothing is outstanding.
    pub delta: &'a RawValue,
    /// The whole shadow, as `DEVICE.SHADOW.GET` gives it. `None` when there is none.
    pub document: Option<&'a str>,
}

/// A command that was taken for a device.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    pub device: &'a str,
    pub id: &'a str,
    /// JSON.
    pub json: &'a [u8],
    /// How long nobody else is given it.
    pub lease: Duration,
}

/// A filter of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub filter: String,
    /// Whether several bridges may share the subscription. Mosquitto delivers nothing for a shared
    /// one to topics that begin with `$`.
    pub shareable: bool,
}

/// Who sends a message, told without understanding all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sender {
    pub device: String,
    /// The number of its connection, where the message says it.
    pub session: Option<u64>,
}

/// Why a message can never succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose message it was, where that could be told.
    pub device: Option<String>,
    /// A sentence for the log and the dead letters. It may quote the message.
    pub reason: String,
}

/// What a message is, to the profile whose topic it has.
#[derive(Debug)]
pub struct Reading {
    pub profile: &'static str,
    pub outcome: Result<Work, Refusal>,
}

/// All profiles that are in use. Their topics do not overlap.
pub struct Profiles(Vec<Box<dyn Profile>>);

impl Profiles {
    /// Whether deltas of devices that are offline are of any use.
    pub fn tell_offline(&self) -> bool {
        self.0.iter().any(|profile| profile.tells_offline())
    }

    /// What a device is told, on the topics of each profile: which of them it speaks is not known.
    pub fn delta(&self, delta: &Delta<'_>, online: bool) -> Vec<Publication> {
        let profiles = self.0.iter();
        profiles
            .filter(|profile| online || profile.tells_offline())
            .filter_map(|profile| profile.delta(delta))
            .collect()
    }

    pub fn command(&self, command: &Command<'_>) -> Vec<Publication> {
        let profiles = self.0.iter();
        profiles
            .filter_map(|profile| profile.command(command))
            .collect()
    }

    pub fn new(profiles: Vec<Box<dyn Profile>>) -> Profiles {
        Profiles(profiles)
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|profile| profile.name()).collect()
    }

    pub fn filters(&self) -> Vec<Filter> {
        self.0
            .iter()
            .flat_map(|profile| profile.filters())
            .collect()
    }

    /// The device of a message that may wait in a queue, by the profile of that name.
    pub fn sender(&self, message: &Message) -> Option<(&'static str, Result<Sender, Refusal>)> {
        let mut profiles = self.0.iter();
        profiles.find_map(|profile| Some((profile.name(), profile.sender(message)?)))
    }

    pub fn read(&self, message: &Message) -> Reading {
        let mut profiles = self.0.iter();
        let reading = profiles.find_map(|profile| {
            let outcome = profile.read(message)?;
            let profile = profile.name();
            Some(Reading { profile, outcome })
        });
        reading.unwrap_or_else(|| Reading {
            profile: NONE,
            outcome: Err(Refusal {
                device: None,
                reason: "the topic is of no profile and of no rule (a subscription of an earlier \
                         configuration is still in the broker's session for this client id)"
                    .to_owned(),
            }),
        })
    }
}
