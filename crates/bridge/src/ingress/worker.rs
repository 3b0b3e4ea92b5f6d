//! The workers: each takes what waits for it, sends it in one pipeline, and says what became of it.
//!
//! A worker never gives up and never skips: a command is done when the server confirmed it, or when
//! it can never succeed (see [`crate::verdict`]). Everything else is sent again.

use super::jobs::{Job, Queue};
use super::refusals::Refusals;
use super::window::Ticket;
use crate::backoff::Backoff;
use crate::dead_letters::DeadLetters;
use crate::downlink::bell::Bell;
use crate::metrics::Metrics;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::Message;
use crate::probes::REDIS;
use crate::profile::Refusal;
use crate::redis_link::{Answers, Link, Reply, Target, Trouble};
use crate::verdict::Outcome;
use crate::work::{Answer, Then, Work};
use devicestate_core::escape::Quoted;
use redis::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, error};

/// An idle connection is tried this often, so that a loss is noticed before it is needed.
const IDLE_PING: Duration = Duration::from_secs(5);

/// What the bridge hears from its workers.
#[derive(Debug)]
pub enum Report {
    /// These jobs are done: confirmed, refused, or needless.
    Settled(Vec<Settled>),
    /// The worker does its work.
    Works { worker: usize },
    /// The worker waits and tries again.
    Waits { worker: usize, reason: String },
}

#[derive(Debug)]
pub struct Settled {
    pub ticket: Option<Ticket>,
    pub size: usize,
}

impl From<&Job> for Settled {
    fn from(job: &Job) -> Self {
        Settled {
            ticket: job.ticket,
            size: job.size,
        }
    }
}

pub struct Worker {
    pub number: usize,
    pub target: Target,
    pub batch: usize,
    pub queue: Arc<Queue>,
    pub refusals: Arc<Refusals>,
    pub dead_letters: Arc<DeadLetters>,
    pub metrics: Arc<Metrics>,
    pub outbox: Outbox,
    pub bell: Arc<Bell>,
    pub reports: UnboundedSender<Report>,
}

/// Why a round with the server has to be followed by a pause.
pub struct Pause {
    pub reason: String,
    pub reconnect: bool,
}

impl From<Trouble> for Pause {
    fn from(trouble: Trouble) -> Pause {
        Pause {
            reason: trouble.to_string(),
            reconnect: true,
        }
    }
}

impl Worker {
    /// Works for ever. Ends only with the task it runs in.
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut link = Link::new(&self.target);
        let (mut connected, mut works) = (false, false);
        loop {
            let round = match link.is_open() {
                true => self.round(&mut link).await,
                false => {
                    let opened = link.open().await;
                    if opened.is_ok() && std::mem::replace(&mut connected, true) {
                        self.metrics.connections.again(REDIS);
                    }
                    opened.map_err(|trouble| self.waits_for(trouble))
                }
            };
            match round {
                Ok(()) => {
                    backoff.reset();
                    if !std::mem::replace(&mut works, true) {
                        self.report(Report::Works {
                            worker: self.number,
                        });
                    }
                }
                Err(pause) => {
                    works = false;
                    if pause.reconnect {
                        link.give_up();
                    }
                    self.report(Report::Waits {
                        worker: self.number,
                        reason: pause.reason,
                    });
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// One batch, or a sign of life when there is nothing to do.
    pub async fn round(&self, link: &mut Link) -> Result<(), Pause> {
        let Ok(batch) = tokio::time::timeout(IDLE_PING, self.queue.batch(self.batch)).await else {
            let alive = link.ping().await;
            return alive.map_err(|trouble| self.waits_for(trouble));
        };
        let sent = Instant::now();
        let replies = link.send(batch.iter().map(|job| &job.work)).await;
        let pipelines = &self.metrics.pipelines;
        pipelines.messages.observe(batch.len() as f64);
        pipelines.round_trip.observe(sent.elapsed().as_secs_f64());
        self.settle(batch, replies)
    }

    fn waits_for(&self, trouble: Trouble) -> Pause {
        if let Some(node) = trouble.node() {
            self.metrics.nodes.waits(node);
        }
        trouble.into()
    }

    fn settle(&self, batch: Vec<Job>, replies: Vec<Reply>) -> Result<(), Pause> {
        let messages = &self.metrics.messages;
        let mut done = Vec::with_capacity(batch.len());
        let mut again = Vec::new();
        let mut waits_for = BTreeSet::new();
        let mut pause: Option<Pause> = None;
        for (job, reply) in batch.into_iter().zip(replies) {
            let outcome = match Outcome::of(&reply) {
                Outcome::Refused(reason) if matches!(job.work.then, Then::IsQueued) => {
                    Outcome::NotNow {
                        reason,
                        reconnect: false,
                    }
                }
                outcome => outcome,
            };
            let answers = reply.answers.unwrap_or_default();
            match outcome {
                Outcome::Confirmed => {
                    match &job.work.then {
                        Then::Settle => messages.applied.add(job.profile, 1),
                        Then::Heartbeat => {
                            messages.applied.add(job.profile, 1);
                            if commands_wait(&answers) {
                                self.bell.commands_wait(&job.work.device);
                            }
                        }
                        Then::Ask => {
                            messages.applied.add(job.profile, 1);
                            self.bell.asked(&job.work.device);
                        }
                        Then::IsDead => messages.dead.add(job.profile, 1),
                        Then::IsQueued => messages.queued.add(job.profile, 1),
                        Then::Answer(answer) => {
                            messages.applied.add(job.profile, 1);
                            self.answer(answer, &answers);
                        }
                        Then::Read(later) => {
                            match later.read(&job.message, &answers) {
                                Ok(work) => again.push(job.with(work)),
                                Err(refusal) => match self.give_up(job, &refusal) {
                                    Ok(dead) => again.push(dead),
                                    Err(settled) => done.push(settled),
                                },
                            }
                            continue;
                        }
                    }
                    done.push(Settled::from(&job));
                }
                Outcome::Refused(reason) => match &job.work.then {
                    Then::Answer(answer) => {
                        let topic = Quoted(&job.message.topic);
                        debug!("answered a request on topic {topic} with an error: {reason}");
                        messages.answered_no.add(job.profile, 1);
                        self.answer(answer, &answers);
                        done.push(Settled::from(&job));
                    }
                    _ => match self.refuse(job, reason) {
                        Ok(dead) => again.push(dead),
                        Err(settled) => done.push(settled),
                    },
                },
                Outcome::NotNow { reason, reconnect } => {
                    messages.retried.add(job.profile, 1);
                    waits_for.extend(reply.node);
                    let pause = pause.get_or_insert(Pause {
                        reason,
                        reconnect: false,
                    });
                    pause.reconnect |= reconnect;
                    again.push(job);
                }
            }
        }
        for node in waits_for {
            self.metrics.nodes.waits(&node);
        }
        self.report(Report::Settled(done));
        self.put_back(again);
        pause.map_or(Ok(()), Err)
    }

    fn answer(&self, answer: &Answer, answers: &Answers) {
        for publication in answer.publications(answers) {
            self.outbox.answer(publication);
        }
    }

    /// What is next for a message that the server will never take: the dead letters, if they are kept
    /// and if it was not on its way there.
    fn refuse(&self, mut job: Job, reason: String) -> Result<Job, Settled> {
        if matches!(job.work.then, Then::IsDead) {
            self.metrics.messages.lost.add(job.profile, 1);
            error!(
                reason,
                "a refused message could not be put to the dead letters: {reason}"
            );
            return Err(Settled::from(&job));
        }
        let refusal = Refusal {
            device: Some(std::mem::take(&mut job.work.device)),
            reason,
        };
        self.give_up(job, &refusal)
    }

    fn give_up(&self, job: Job, refusal: &Refusal) -> Result<Job, Settled> {
        match self.bury(job.profile, &job.message, refusal) {
            Some(work) => Ok(job.with(work)),
            None => Err(Settled::from(&job)),
        }
    }

    /// What keeps a message that can never succeed. `None` where none are kept.
    pub fn bury(
        &self,
        profile: &'static str,
        message: &Message,
        refusal: &Refusal,
    ) -> Option<Work> {
        self.refusals.refuse(profile, &message.topic, refusal);
        self.dead_letters.work(message, refusal)
    }

    /// These jobs are next, except for those that the broker will send again anyway.
    fn put_back(&self, jobs: Vec<Job>) {
        let needless = self.queue.put_back(jobs);
        if !needless.is_empty() {
            let settled = needless.iter().map(Settled::from).collect();
            self.report(Report::Settled(settled));
        }
    }

    fn report(&self, report: Report) {
        // The bridge is gone only when the process ends.
        let _ = self.reports.send(report);
    }
}

/// Whether the answer to a heartbeat, the last one of these, says that commands wait.
fn commands_wait(answers: &Answers) -> bool {
    match answers.last() {
        Some(Ok(Value::Array(answer))) => matches!(answer.get(4), Some(Value::Int(1..))),
        _ => false,
    }
}
