//! The workers: each takes what waits for it, sends it in one pipeline, and says what became of it.
//!
//! A worker never gives up and never skips: a command is done when the server confirmed it, or when
//! it can never succeed (see [`crate::verdict`]). Everything else is sent again.

use crate::backoff::Backoff;
use crate::counters::Counters;
use crate::queue::{Job, Queue};
use crate::redis_link::{describe, Identity, Link, Target};
use crate::refusals::Refusals;
use crate::verdict::{judge, Verdict};
use crate::window::Ticket;
use redis::{RedisError, RedisResult, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

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
            size: job.size(),
        }
    }
}

pub struct Worker {
    pub number: usize,
    pub target: Target,
    pub batch: usize,
    pub queue: Arc<Queue>,
    pub refusals: Arc<Refusals>,
    pub counters: Arc<Counters>,
    pub reports: UnboundedSender<Report>,
}

/// Why a round with the server has to be followed by a pause.
struct Pause {
    reason: String,
    reconnect: bool,
}

impl Worker {
    /// Works for ever. Ends only with the task it runs in.
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut link: Option<Link> = None;
        let mut previous: Option<Identity> = None;
        let mut works = false;
        loop {
            let round = match &mut link {
                Some(link) => self.round(link).await,
                None => match Link::open(&self.target, previous.as_ref()).await {
                    Ok(new) => {
                        previous.clone_from(&new.identity);
                        link = Some(new);
                        Ok(())
                    }
                    Err(error) => Err(Pause {
                        reason: describe(&error),
                        reconnect: true,
                    }),
                },
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
                        link = None;
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
    async fn round(&self, link: &mut Link) -> Result<(), Pause> {
        let Ok(batch) = tokio::time::timeout(IDLE_PING, self.queue.batch(self.batch)).await else {
            return link.ping().await.map_err(|error| Pause {
                reason: describe(&error),
                reconnect: true,
            });
        };
        match link.send(&batch).await {
            Ok(answers) => self.settle(batch, answers),
            Err(error) => {
                self.again(batch);
                Err(Pause {
                    reason: describe(&error),
                    reconnect: true,
                })
            }
        }
    }

    fn settle(&self, batch: Vec<Job>, answers: Vec<RedisResult<Value>>) -> Result<(), Pause> {
        let mut done = Vec::with_capacity(batch.len());
        let mut again = Vec::new();
        let mut pause: Option<Pause> = None;
        for (job, answer) in batch.into_iter().zip(answers) {
            let Err(error) = answer else {
                self.counters.applied.add(1);
                done.push(Settled::from(&job));
                continue;
            };
            match verdict(&error) {
                Verdict::Refuse => {
                    let device = Some(job.command.device.as_str());
                    self.refusals.refuse(&job.topic, device, &describe(&error));
                    done.push(Settled::from(&job));
                }
                verdict => {
                    let reconnect = verdict == Verdict::Reconnect;
                    match &mut pause {
                        Some(pause) => pause.reconnect |= reconnect,
                        None => {
                            pause = Some(Pause {
                                reason: describe(&error),
                                reconnect,
                            })
                        }
                    }
                    again.push(job);
                }
            }
        }
        self.report(Report::Settled(done));
        self.again(again);
        pause.map_or(Ok(()), Err)
    }

    /// These jobs go out again, except for those that the broker will send again anyway.
    fn again(&self, jobs: Vec<Job>) {
        self.counters.retried.add(jobs.len() as u64);
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

/// An error without a code is none of the server's: the answer could not be read.
fn verdict(error: &RedisError) -> Verdict {
    match error.code() {
        Some(code) => judge(code, error.detail().unwrap_or_default()),
        None => Verdict::Reconnect,
    }
}
