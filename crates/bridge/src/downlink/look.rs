//! Looks up what is stored for devices, and makes of it what they are told.
//!
//! A few round trips serve many devices: first what they are, which is enough for those that are not
//! there; then what is outstanding and which commands wait; last their named shadows.

use super::errand::{Errand, Errands};
use super::events::{items, text};
use super::pause::Pause;
use crate::mqtt::outbox::Publication;
use crate::profile::{Command, Delta, Profiles};
use crate::redis_link::{describe, Link};
use crate::seldom::Seldom;
use crate::text::one_line;
use redis::{Cmd, Value};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::warn;

/// Commands taken for one device at a time.
pub const COMMANDS: usize = 4;
/// Questions in one pipeline, at most.
const QUESTIONS: usize = 256;

pub struct Lookout<'a> {
    pub profiles: &'a Profiles,
    pub lease: Duration,
    /// For lines about answers that are final.
    pub refused: &'a Mutex<Seldom>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct Seen {
    /// With the device of each.
    pub publications: Vec<(String, Publication)>,
    /// What is left to do: devices for which more commands wait, and what could not be found out.
    pub more: Errands,
    /// Why some of it could not.
    pub trouble: Option<Pause>,
    /// Whether commands may have been taken whose answer was lost.
    pub in_doubt: bool,
}

/// A question, and what its answer is for.
#[derive(Debug, Clone)]
struct Question<'e> {
    device: &'e str,
    errand: &'e Errand,
    /// Whether the device is online, as far as is known.
    there: bool,
    about: About,
}

#[derive(Debug, Clone)]
enum About {
    /// Status and delta.
    Device,
    Commands,
    Names,
    Shadow {
        /// `None` is the classic one.
        name: Option<String>,
        /// An event's version of it: it is told even if nothing is outstanding.
        told: Option<u64>,
    },
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

impl<'e> Question<'e> {
    fn about(&self, about: About) -> Question<'e> {
        Question {
            about,
            ..self.clone()
        }
    }

    fn command(&self, lease: Duration) -> Cmd {
        let (name, words): (_, &[&str]) = match &self.about {
            About::Device => ("DEVICE.GET", &["status", "delta"]),
            About::Commands => ("DEVICE.COMMAND.TAKE", &[]),
            About::Names => ("DEVICE.SHADOW.NAMES", &[]),
            About::Shadow { .. } => ("DEVICE.SHADOW.GET", &[]),
        };
        let mut command = redis::cmd(name);
        command.arg(self.device).arg(words);
        match &self.about {
            About::Shadow {
                name: Some(name), ..
            } => command.arg("NAME").arg(name),
            About::Commands => command
                .arg("COUNT")
                .arg(COMMANDS)
                .arg("LEASE")
                .arg(lease.as_millis() as u64),
            _ => &mut command,
        };
        command
    }

    /// The errand that has it asked again, and nothing that was answered.
    fn again(&self) -> Errand {
        let asked = self.errand.asked;
        let nothing = Errand {
            asked,
            ..Errand::default()
        };
        match &self.about {
            About::Device => self.errand.clone(),
            About::Commands => self.errand.more_commands(),
            About::Shadow {
                name,
                told: Some(version),
            } => Errand {
                tell: [(name.clone(), *version)].into(),
                ..nothing
            },
            About::Shadow {
                name: None,
                told: None,
            } => Errand {
                classic: true,
                ..nothing
            },
            // Which of the named ones have something outstanding is only known of all together.
            About::Names | About::Shadow { .. } => Errand {
                named: true,
                ..nothing
            },
        }
    }
}

impl Lookout<'_> {
    pub async fn look(&self, link: &mut Link, errands: &Errands) -> Seen {
        let mut seen = Seen::default();
        let mut questions: Vec<Question<'_>> = errands.iter().map(first).collect();
        while !questions.is_empty() {
            let mut next = Vec::new();
            for some in questions.chunks(QUESTIONS) {
                let answers = self.ask(link, some, &mut seen).await;
                for (question, answer) in some.iter().zip(&answers) {
                    let Some(answer) = answer else {
                        let more = seen.more.entry(question.device.to_owned());
                        more.or_default().merge(question.again());
                        continue;
                    };
                    match &question.about {
                        About::Device => next.extend(self.second(question, answer)),
                        About::Commands => self.commands(question, answer, &mut seen),
                        About::Names => next.extend(named(question, answer)),
                        About::Shadow { name, told } => {
                            let told = (name.as_deref(), *told);
                            seen.publications
                                .extend(self.shadow(question, told, answer));
                        }
                    }
                }
            }
            questions = next;
        }
        seen
    }

    /// `None`: not now. Answers that are final, but say nothing, come to null.
    async fn ask(
        &self,
        link: &mut Link,
        questions: &[Question<'_>],
        seen: &mut Seen,
    ) -> Vec<Option<Value>> {
        let commands: Vec<Cmd> = questions.iter().map(|q| q.command(self.lease)).collect();
        let answers = link.ask_each(&commands).await;
        let mut values = Vec::with_capacity(answers.len());
        for (question, answer) in questions.iter().zip(answers) {
            let pause = match answer {
                Ok(Ok(value)) => {
                    values.push(Some(value));
                    continue;
                }
                Ok(Err(error)) => Pause::unless_final(&error).ok_or(error),
                Err(trouble) => {
                    seen.in_doubt |= matches!(question.about, About::Commands);
                    Ok(Pause::broken(&trouble))
                }
            };
            values.push(match pause {
                Ok(pause) => {
                    match &mut seen.trouble {
                        Some(first) => first.reconnect |= pause.reconnect,
                        none => *none = Some(pause),
                    }
                    None
                }
                Err(error) => {
                    // A device that was removed meanwhile is nothing to talk about.
                    if error.code() != Some("NODEVICE") {
                        self.warn(question.device, &describe(&error));
                    }
                    Some(Value::Nil)
                }
            });
        }
        values
    }

    /// What else is to be asked, now that it is known whether the device is there.
    fn second<'e>(&self, question: &Question<'e>, answer: &Value) -> Vec<Question<'e>> {
        let errand = question.errand;
        let (status, outstanding) = match items(answer) {
            [status, delta, ..] => (text(status), *delta != Value::Nil),
            _ => (None, false),
        };
        let question = Question {
            there: errand.asked || status.as_deref() == Some("online"),
            ..question.clone()
        };
        let mut next = Vec::new();
        if question.there || self.profiles.tell_offline() {
            let classic = errand.classic && outstanding && !errand.tell.contains_key(&None);
            if classic {
                let (name, told) = (None, None);
                next.push(question.about(About::Shadow { name, told }));
            }
            next.extend(errand.tell.iter().map(|(name, version)| {
                let (name, told) = (name.clone(), Some(*version));
                question.about(About::Shadow { name, told })
            }));
            if errand.named {
                next.push(question.about(About::Names));
            }
        }
        if question.there && errand.commands {
            next.push(question.about(About::Commands));
        }
        next
    }

    fn shadow(
        &self,
        question: &Question<'_>,
        (shadow, told): (Option<&str>, Option<u64>),
        answer: &Value,
    ) -> Vec<(String, Publication)> {
        let document = text(answer);
        let parsed = document.as_deref().map(serde_json::from_str::<Shadow<'_>>);
        let stored = match parsed.transpose() {
            Ok(stored) => stored,
            Err(error) => {
                self.warn(question.device, &error.to_string());
                return Vec::new();
            }
        };
        let outstanding = stored.as_ref().and_then(|stored| stored.state.delta);
        let version = stored.as_ref().map(|stored| stored.version).or(told);
        let (Some(version), true) = (version, outstanding.is_some() || told.is_some()) else {
            return Vec::new();
        };
        let delta = Delta {
            device: question.device,
            shadow,
            version,
            delta: outstanding.unwrap_or(nothing()),
            document: document.as_deref(),
        };
        let publications = self.profiles.delta(&delta, question.there);
        of(question.device, publications).collect()
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
            let publications = self.profiles.command(&command);
            seen.publications.extend(of(question.device, publications));
        }
        if taken.len() >= COMMANDS {
            let more = question.errand.more_commands();
            let known = seen.more.entry(question.device.to_owned()).or_default();
            known.merge(more);
        }
    }

    fn warn(&self, device: &str, reason: &str) {
        let refused = self.refused.lock();
        let told = refused.unwrap_or_else(PoisonError::into_inner).tell();
        if let Some(others) = told {
            let device = one_line(device);
            warn!("cannot look up what waits for the device '{device}': {reason}{others}");
        }
    }
}

fn first<'e>((device, errand): (&'e String, &'e Errand)) -> Question<'e> {
    Question {
        device,
        errand,
        there: errand.asked,
        about: About::Device,
    }
}

/// The named shadows that are not asked about anyway.
fn named<'e>(question: &Question<'e>, answer: &Value) -> Vec<Question<'e>> {
    let names = items(answer).iter().filter_map(text).map(Some);
    names
        .filter(|name| !question.errand.tell.contains_key(name))
        .map(|name| question.about(About::Shadow { name, told: None }))
        .collect()
}

fn of(
    device: &str,
    publications: Vec<Publication>,
) -> impl Iterator<Item = (String, Publication)> + use<'_> {
    let publications = publications.into_iter();
    publications.map(|publication| (device.to_owned(), publication))
}

/// `{}`
fn nothing() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}
