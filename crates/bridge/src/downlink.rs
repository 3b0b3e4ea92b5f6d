//! From Redis to devices: what is outstanding for them, and their commands.
//!
//! An event of the stream is only the doorbell; what a device is told is what is stored at the moment
//! of the look. So a device is never told an older delta after a newer one, several events come to one
//! message, and an event may come twice.
//!
//! An event is acknowledged (`XACK`) when the broker has acknowledged (`PUBACK`) all that followed from
//! it. What a bridge that died had not acknowledged, it finds again when it is back, or another one
//! takes over. In a cluster, where each slot has a stream of its own, the cursor is stored then: see
//! [`source`].
//!
//! One batch is worked on at a time. That bounds the memory, and while the broker is away nothing more
//! is taken.

mod ask;
pub mod bell;
mod errand;
mod events;
mod keeper;
mod ledger;
mod look;
mod pause;
mod position;
mod reader;
mod resync;
mod rounds;
mod source;
mod trimmed;

pub use keeper::cursor_key;

use crate::backoff::Backoff;
use crate::config::DownlinkConfig;
use crate::metrics::Metrics;
use crate::mqtt::outbox::{Fate, Outbox, Publication};
use crate::profile::Profiles;
use crate::redis_link::{Link, Target};
use crate::seldom::Seldom;
use bell::Bell;
use errand::{Errand, Errands};
use events::{Entry, What};
use look::{Seen, COMMANDS};
use pause::{Condition, Pause};
use reader::{of_claim, News};
use source::{Receipts, Source};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, sleep_until, MissedTickBehavior};
use tracing::warn;

/// What the downlink works with.
pub struct Parts {
    /// One connection looks up what is stored, and one waits for events.
    pub look: Target,
    pub read: Target,
    /// The server as the log names it.
    pub redis: String,
    /// This bridge's name in the consumer group.
    pub consumer: String,
    pub profiles: Arc<Profiles>,
    pub outbox: Outbox,
    pub bell: Arc<Bell>,
    pub metrics: Arc<Metrics>,
}

/// The downlink at work, from outside. The default is none.
#[derive(Debug, Default)]
pub struct Running {
    task: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Has it end with what it has begun.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        self.task.is_empty()
    }

    /// Waits for the end. Nothing is lost when the wait is given up.
    pub async fn over(&mut self) {
        while self.task.join_next().await.is_some() {}
    }
}

pub struct Downlink {
    parts: Parts,
    /// Becomes true when it has to end.
    stop: watch::Receiver<bool>,
    receipts: Receipts,
    /// Events, or devices, that are worked on at a time, at most.
    batch: usize,
    lease: Duration,
    claim_after: Duration,
    /// How many devices are looked at together.
    devices: usize,
    link: Link,
    backoff: Backoff,
    condition: Arc<Condition>,
    refused: Mutex<Seldom>,
    held: VecDeque<Held>,
}

/// A device whose commands this bridge, or a dead one, may have taken without publishing them. When
/// the lease that they may have is over, they can be taken again; until then the event that they
/// followed from, if there is one, is not acknowledged.
struct Held {
    until: Instant,
    device: String,
    entry: Option<String>,
}

impl Downlink {
    pub fn start(config: &DownlinkConfig, parts: Parts) -> Running {
        let mut running = Running::default();
        let (source, receipts) = source::of(config, parts.read.server(), &parts.consumer);
        let downlink = Downlink::new(config, parts, receipts, running.stop.subscribe());
        running.task.spawn(downlink.run(source));
        running
    }

    fn new(
        config: &DownlinkConfig,
        parts: Parts,
        receipts: Receipts,
        stop: watch::Receiver<bool>,
    ) -> Downlink {
        Downlink {
            stop,
            receipts,
            batch: config.batch,
            lease: config.command_lease.0,
            claim_after: config.claim_after.0,
            devices: (config.max_in_flight / COMMANDS).max(1),
            link: Link::new(&parts.look),
            backoff: backoff(),
            condition: Arc::new(Condition::new(parts.redis.clone(), parts.metrics.clone())),
            refused: Mutex::default(),
            held: VecDeque::new(),
            parts,
        }
    }

    /// Works until it is told to stop; then it finishes what it has begun.
    async fn run(mut self, source: Source) {
        let (sender, mut news) = mpsc::channel(1);
        let reading = tokio::spawn(read(
            self.parts.read.clone(),
            source,
            self.condition.clone(),
            sender,
        ));
        let bell = self.parts.bell.clone();
        let mut stop = self.stop.clone();
        let mut claim = interval(self.claim_after);
        claim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            let release = self.held.front().map(|held| held.until);
            tokio::select! {
                _ = stop.changed() => break,
                Some(news) = news.recv() => match news {
                    News::Entries { entries, again, mark } => {
                        self.receipts.begin(mark, entries.len());
                        self.on_entries(entries, again).await;
                    }
                    News::Gap(done) => {
                        if self.resync().await {
                            // A reader that is gone finds the gap again.
                            let _ = done.send(());
                        }
                    }
                },
                errands = bell.errands(self.batch) => {
                    self.run_errands(errands).await;
                }
                () = until(release) => self.release().await,
                _ = claim.tick() => self.claim().await,
            }
        }
        reading.abort();
        // It ends when it is told so.
        let _ = reading.await;
        while let Ok(news) = news.try_recv() {
            if let News::Entries {
                entries,
                again,
                mark,
            } = news
            {
                self.receipts.begin(mark, entries.len());
                self.on_entries(entries, again).await;
            }
        }
        if let Some(release) = self.receipts.release() {
            // Otherwise it is free a while later.
            let _ = self.once(&release).await;
        }
    }

    async fn on_entries(&mut self, mut entries: Vec<Entry>, again: bool) {
        self.parts.metrics.events.read.inc_by(entries.len() as u64);
        if again {
            let is_held = |id: &String| self.held.iter().any(|h| h.entry.as_ref() == Some(id));
            entries.retain(|entry| !is_held(&entry.id));
        }
        if entries.iter().any(|entry| entry.gone) {
            warn!("events that were not finished are trimmed: looking at all devices instead");
            if !self.resync().await {
                return;
            }
        }
        let mut errands = Errands::new();
        for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
            errands.entry(event.device.clone()).or_default().add(event);
        }
        let smooth = self.run_errands(errands).await;
        let mut done = Vec::with_capacity(entries.len());
        for Entry { id, event, .. } in entries {
            match event {
                Some(event) if takes_commands(&event.what) && (again || !smooth) => {
                    self.hold(event.device, Some(id));
                }
                _ => done.push(id),
            }
        }
        self.acknowledge(&done).await;
    }

    fn hold(&mut self, device: String, entry: Option<String>) {
        let until = Instant::now() + self.lease;
        self.held.push_back(Held {
            until,
            device,
            entry,
        });
    }

    /// Finishes what was held and need be no longer.
    async fn release(&mut self) {
        let now = Instant::now();
        let due = self
            .held
            .iter()
            .take_while(|held| held.until <= now)
            .count();
        let due: Vec<Held> = self.held.drain(..due).collect();
        let errands = due
            .iter()
            .map(|held| (held.device.clone(), Errand::commands()));
        let smooth = self.run_errands(errands.collect()).await;
        let mut done = Vec::new();
        for Held { device, entry, .. } in due {
            match smooth {
                true => done.extend(entry),
                false => self.hold(device, entry),
            }
        }
        self.acknowledge(&done).await;
    }

    /// Takes over what other bridges have begun and not finished.
    async fn claim(&mut self) {
        let idle = self.claim_after.as_millis() as u64;
        let mut start = "0-0".to_owned();
        loop {
            let Some(command) = self.receipts.claim(idle, &start) else {
                return;
            };
            let answer = match self.once(&command).await {
                Ok(answer) => answer,
                // It is tried again soon enough.
                Err(pause) => return self.pause(pause).await,
            };
            let (next, entries) = of_claim(&answer);
            self.on_entries(entries, true).await;
            match next {
                Some(next) if !*self.stop.borrow() => start = next,
                _ => return,
            }
        }
    }

    /// Tells devices what waits for them, and comes back when the broker has all of it. Whether it
    /// went smoothly: otherwise commands may have been taken whose answer was lost.
    async fn run_errands(&mut self, mut errands: Errands) -> bool {
        let mut smooth = true;
        while !errands.is_empty() {
            let mut some = Errands::new();
            while some.len() < self.devices {
                let Some((device, errand)) = errands.pop_first() else {
                    break;
                };
                some.insert(device, errand);
            }
            while !some.is_empty() {
                let Seen {
                    publications,
                    more,
                    trouble,
                    in_doubt,
                } = self.look(&some).await;
                let late = self.publish(publications).await.into_iter();
                let late = late.filter_map(|device| {
                    let errand = some.get(&device)?.more_commands();
                    Some((device, errand))
                });
                let late: Errands = late.collect();
                some = more;
                for (device, errand) in late {
                    some.entry(device).or_default().merge(errand);
                }
                smooth &= !in_doubt;
                if let Some(pause) = trouble {
                    self.pause(pause).await;
                }
            }
        }
        smooth
    }

    /// Publishes all of it. Returns devices whose commands were too late: the broker was away for
    /// longer than their lease, so they wait again.
    async fn publish(&self, publications: Vec<(String, Publication)>) -> BTreeSet<String> {
        let outbox = &self.parts.outbox;
        let sent: Vec<_> = publications
            .into_iter()
            .map(|(device, publication)| (device, outbox.publish(publication)))
            .collect();
        let mut expired = BTreeSet::new();
        for (device, confirmation) in sent {
            match confirmation.wait().await {
                // What the broker refuses is counted and logged by the publisher. It would not take it
                // the next time either.
                Fate::Confirmed | Fate::Refused => {}
                Fate::Expired => {
                    expired.insert(device);
                }
            }
        }
        expired
    }
}

/// Reads events for ever, over one connection after the other.
async fn read(
    target: Target,
    mut source: Source,
    condition: Arc<Condition>,
    news: mpsc::Sender<News>,
) {
    let mut backoff = backoff();
    let mut link = Link::new(&target);
    loop {
        let outcome = match link.open().await {
            Ok(()) => {
                let reading = source.read(&mut link, &news, &condition, &mut backoff);
                reading.await
            }
            Err(trouble) => Err(Pause::broken(&trouble)),
        };
        let Err(pause) = outcome else {
            return;
        };
        link.give_up();
        condition.fails(pause::Part::Read, &pause);
        sleep(backoff.pause()).await;
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// Whether commands are taken when this event is worked on.
fn takes_commands(what: &What) -> bool {
    matches!(what, What::Online | What::Command)
}

/// Until then; never where there is no time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
