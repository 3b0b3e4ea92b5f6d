//! Looks up what is stored for devices, and makes of it what they are told.
//!
//! Two or three round trips serve many devices: what they are and what is outstanding; then the
//! commands of those that are there, and their named shadows.

use super::errand::{Errand, Errands};
use super::events::{items, text};
use super::pause::Pause;
use crate::mqtt::outbox::Publication;
use crate::profile::{Command, Delta, Profiles};
use crate::redis_link::{describe, Link};
use crate::seldom::Seldom;
use redis::{Cmd, Value};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Mutex;
use std::time::Duration;
use tracing::warn;

/// Commands taken for one device at a time.
pub const COMMANDS: usize = 16;

pub struct Lookout<'a> {
    pub profiles: &'a Profiles,
    pub lease: Duration,
    /// For lines about answers that are final.
    pub refused: &'a Mutex<Seldom>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct Seen {
    pub publications: Vec<Publication>,
    /// Devices for which more commands wait.
    pub more: Errands,
}

/// One question, and what its answer is for.
struct Question<'e> {
    device: &'e str,
    errand: &'e Errand,
    about: About,
}

#[derive(Clone)]
enum About {
    Status,
    Names,
    /// With what is told whatever it is: a version that an event named.
    Shadow {
        name: Option<String>,
        told: Option<u64>,
    },
    Commands,
}

#[derive(Deserialize)]
struct Shadow<'a> {
    #[serde(borrow, default)]
    state: State<'a>,
    version: u64,
}

#[derive(Default, Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

impl Lookout<'_> {
    pub async fn look(&self, link: &mut Link, errands: &Errands) -> Result<Seen, Pause> {
        let mut seen = Seen::default();
        let mut next = Vec::new();
        let questions: Vec<Question<'_>> = errands.iter().flat_map(first_questions).collect();
        let answers = self.ask(link, &questions).await?;
        // The status of a device comes before all else that is asked about it.
        let mut there = false;
        for (question, answer) in questions.iter().zip(&answers) {
            let (device, errand) = (question.device, question.errand);
            match &question.about {
                About::Status => {
                    let status = items(answer).first().and_then(text);
                    there = errand.asked || status.as_deref() == Some("online");
                    if there && errand.commands {
                        next.push(Question {
                            device,
                            errand,
                            about: About::Commands,
                        });
                    }
                }
                About::Names => next.extend(named_questions(question, answer)),
                About::Shadow { name, told } => {
                    self.shadow(question, name.as_deref(), *told, answer, there, &mut seen);
                }
                About::Commands => {}
            }
        }
        let answers = self.ask(link, &next).await?;
        for (question, answer) in next.iter().zip(&answers) {
            match &question.about {
                About::Commands => self.commands(question, answer, &mut seen),
                // Only devices that are there have such questions.
                About::Shadow { name, told } => {
                    self.shadow(question, name.as_deref(), *told, answer, true, &mut seen);
                }
                About::Status | About::Names => {}
            }
        }
        Ok(seen)
    }

    /// Answers that are final, but no answers, come to null.
    async fn ask(&self, link: &mut Link, questions: &[Question<'_>]) -> Result<Vec<Value>, Pause> {
        let commands: Vec<Cmd> = questions.iter().map(|q| self.command(q)).collect();
        let answers = link
            .ask(&commands)
            .await
            .map_err(|error| Pause::broken(&error))?;
        let mut values = Vec::with_capacity(answers.len());
        for (question, answer) in questions.iter().zip(answers) {
            match answer {
                Ok(value) => values.push(value),
                Err(error) => {
                    if let Some(pause) = Pause::unless_final(&error) {
                        return Err(pause);
                    }
                    // A device that was removed meanwhile is nothing to talk about.
                    if error.code() != Some("NODEVICE") {
                        self.tell(question.device, &describe(&error));
                    }
                    values.push(Value::Nil);
                }
            }
        }
        Ok(values)
    }

    fn command(&self, question: &Question<'_>) -> Cmd {
        let named = |name: &str| {
            let mut command = redis::cmd(name);
            command.arg(question.device);
            command
        };
        match &question.about {
            About::Status => {
                let mut get = named("DEVICE.GET");
                get.arg("status");
                get
            }
            About::Names => named("DEVICE.SHADOW.NAMES"),
            About::Shadow { name, .. } => {
                let mut get = named("DEVICE.SHADOW.GET");
                if let Some(name) = name {
                    get.arg("NAME").arg(name);
                }
                get
            }
            About::Commands => {
                let mut take = named("DEVICE.COMMAND.TAKE");
                take.arg("COUNT").arg(COMMANDS);
                take.arg("LEASE").arg(self.lease.as_millis() as u64);
                take
            }
        }
    }

    fn shadow(
        &self,
        question: &Question<'_>,
        shadow: Option<&str>,
        told: Option<u64>,
        answer: &Value,
        there: bool,
        seen: &mut Seen,
    ) {
        let document = text(answer);
        let parsed = document.as_deref().map(serde_json::from_str::<Shadow<'_>>);
        let stored = match parsed.transpose() {
            Ok(stored) => stored,
            Err(error) => return self.tell(question.device, &error.to_string()),
        };
        let outstanding = stored.as_ref().and_then(|stored| stored.state.delta);
        let version = stored.as_ref().map(|stored| stored.version).or(told);
        let (Some(version), true) = (version, outstanding.is_some() || told.is_some()) else {
            return;
        };
        let delta = Delta {
            device: question.device,
            shadow,
            version,
            delta: outstanding.unwrap_or(nothing()),
            document: document.as_deref(),
        };
        seen.publications.extend(self.profiles.delta(&delta, there));
    }

    fn commands(&self, question: &Question<'_>, answer: &Value, seen: &mut Seen) {
        let taken = items(answer);
        for command in taken {
            let [id, json, ..] = items(command) else {
                continue;
            };
            let (Some(id), Value::BulkString(json)) = (text(id), json) else {
                continue;
            };
            let command = Command {
                device: question.device,
                id: &id,
                json,
                lease: self.lease,
            };
            seen.publications.extend(self.profiles.command(&command));
        }
        if taken.len() >= COMMANDS {
            let more = Errand {
                asked: question.errand.asked,
                ..Errand::commands()
            };
            seen.more.insert(question.device.to_owned(), more);
        }
    }

    fn tell(&self, device: &str, reason: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(others) = refused.tell() {
            let device = crate::text::one_line(device);
            warn!("cannot tell the device '{device}' anything: {reason}{others}");
        }
    }
}

fn first_questions<'e>((device, errand): (&'e String, &'e Errand)) -> Vec<Question<'e>> {
    let question = |about| Question {
        device,
        errand,
        about,
    };
    let mut questions = vec![question(About::Status)];
    if errand.classic && !errand.tell.contains_key(&None) {
        questions.push(question(About::Shadow {
            name: None,
            told: None,
        }));
    }
    questions.extend(errand.tell.iter().map(|(name, version)| {
        question(About::Shadow {
            name: name.clone(),
            told: Some(*version),
        })
    }));
    if errand.named {
        questions.push(question(About::Names));
    }
    questions
}

/// The named shadows that are not asked about anyway.
fn named_questions<'e>(question: &Question<'e>, answer: &Value) -> Vec<Question<'e>> {
    let names = items(answer).iter().filter_map(text);
    names
        .filter(|name| !question.errand.tell.contains_key(&Some(name.clone())))
        .map(|name| Question {
            device: question.device,
            errand: question.errand,
            about: About::Shadow {
                name: Some(name),
                told: None,
            },
        })
        .collect()
}

/// `{}`
fn nothing() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}
