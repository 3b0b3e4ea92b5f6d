//! Reads the events of a cluster: one cursor goes round all primaries (`DEVICE.EVENTS`).
//!
//! Which node has which slot does not matter, and slots may move meanwhile: the cursor says of every slot
//! how far it was read. Of several bridges one reads, and the others stand by (see [`super::keeper`]).
//!
//! What was trimmed before it was read is the one thing that DEVICE.EVENTS does not tell. So after each
//! read the streams of the slots that gave something are looked at ([`super::trimmed`]). After a gap the
//! present state of the devices stands in for the events; the cursor is stored only behind that.

use super::events::{self, items, text, Entry};
use super::keeper::{Keeper, Taken};
use super::ledger::Mark;
use super::pause::{Condition, Part, Pause};
use super::reader::{unexpected, News};
use super::trimmed::Streams;
use crate::backoff::Backoff;
use crate::redis_link::{Link, Primary};
use redis::{Cmd, Value};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::{info, warn};

/// Between two rounds in which there was nothing.
const REST: Duration = Duration::from_millis(50);
/// Who stands by looks this often, at least.
const LOOK: Duration = Duration::from_secs(1);
/// Ids may be so far ahead of the clock after a slot has moved.
const AHEAD_MS: u64 = 60_000;

/// What stays from one connection to the next.
pub struct Rounds {
    pub keeper: Keeper,
    pub streams: Streams,
    /// Events read at a time, at most.
    pub batch: usize,
    pub place: Option<Position>,
    /// Whether the log knows that another bridge reads.
    pub stands_by: bool,
    /// Of the last batch.
    pub number: u64,
}

/// How far this bridge has come.
#[derive(Debug, Clone)]
pub struct Position {
    term: u64,
    cursor: String,
    /// Events up to this time, in milliseconds since the Unix epoch, were perhaps read before, by a bridge
    /// that has not finished them. 0: none.
    again: u64,
    renewed: Instant,
}

/// One session of the reader.
pub struct Round<'a> {
    pub rounds: &'a mut Rounds,
    pub link: &'a mut Link,
    pub news: &'a mpsc::Sender<News>,
    pub condition: &'a Condition,
    /// Begins anew when reading works.
    pub backoff: &'a mut Backoff,
}

/// Why it stops.
enum Stop {
    /// Nobody listens any more.
    Unheard,
    /// Somebody else reads, or it has to be found out from where.
    Lost,
    Pause(Pause),
}

impl From<Pause> for Stop {
    fn from(pause: Pause) -> Stop {
        Stop::Pause(pause)
    }
}

impl Round<'_> {
    /// Reads until something is in the way. Ends without it when nobody listens any more.
    pub async fn run(mut self) -> Result<(), Pause> {
        loop {
            let stopped = match self.begin().await {
                Ok(Some(position)) => self.read(position).await,
                Ok(None) => Ok(()),
                Err(stop) => Err(stop),
            };
            match stopped {
                Ok(()) | Err(Stop::Lost) if !self.news.is_closed() => {}
                Err(Stop::Pause(pause)) => return Err(pause),
                _ => return Ok(()),
            }
        }
    }

    /// Where to go on. `None`: nowhere yet, another bridge reads.
    async fn begin(&mut self) -> Result<Option<Position>, Stop> {
        let asked = Instant::now();
        let (term, cursor, now, until) = match self.take().await? {
            Taken::Mine {
                term,
                cursor,
                now,
                until,
            } => (term, cursor, now, until),
            Taken::Theirs(rest) => {
                self.works();
                self.rounds.place = None;
                if !std::mem::replace(&mut self.rounds.stands_by, true) {
                    info!("another bridge follows the events; this one stands by");
                }
                sleep(rest.clamp(REST, LOOK)).await;
                return Ok(None);
            }
        };
        if std::mem::replace(&mut self.rounds.stands_by, false) {
            info!("the other bridge is gone; this one follows the events");
        }
        self.rounds.keeper.set_term(term);
        let here = self.rounds.place.take().filter(|place| place.term == term);
        let Some(cursor) = cursor else {
            return self.start(term, now, asked).await.map(Some);
        };
        Ok(Some(match here {
            Some(place) => Position {
                renewed: asked,
                ..place
            },
            None => Position {
                term,
                cursor,
                again: until.saturating_add(AHEAD_MS),
                renewed: asked,
            },
        }))
    }

    /// The first time: the present state, and what comes from now on. Events only ring, so those of the
    /// last minute do no harm.
    async fn start(&mut self, term: u64, now: u64, asked: Instant) -> Result<Position, Stop> {
        let key = self.rounds.keeper.key();
        warn!("there is no cursor in {key}: looking at all devices instead");
        let mut position = Position {
            term,
            cursor: format!("{}-0", now.saturating_sub(AHEAD_MS)),
            again: 0,
            renewed: asked,
        };
        self.bridge_gap(&mut position, false).await?;
        let store = self.rounds.keeper.store(term, &position.cursor);
        match self.one(&store).await? {
            Value::Int(1) => Ok(position),
            _ => Err(Stop::Lost),
        }
    }

    /// Round and round.
    async fn read(&mut self, mut position: Position) -> Result<(), Stop> {
        let stopped = loop {
            match self.once_round(&mut position).await {
                Ok(true) => {}
                Ok(false) => {
                    tokio::select! {
                        () = sleep(REST) => {}
                        () = self.news.closed() => break Stop::Unheard,
                    }
                }
                Err(stop) => break stop,
            }
        };
        self.rounds.place = Some(position);
        Err(stopped)
    }

    /// Whether there was something.
    async fn once_round(&mut self, position: &mut Position) -> Result<bool, Stop> {
        let (mut some, mut full) = (false, false);
        let primaries = self.link.primaries().await;
        for primary in primaries.map_err(|trouble| Pause::broken(&trouble))? {
            // Nothing is read before there is room for it.
            if self.news.reserve().await.is_err() {
                return Err(Stop::Unheard);
            }
            self.renew(position, true).await?;
            let (cursor, found) = self.events_of(&primary, &position.cursor).await?;
            if found.is_empty() {
                continue;
            }
            let trimmed = self
                .rounds
                .streams
                .are_trimmed(self.link, &position.cursor, &found);
            if trimmed.await? {
                warn!("events were trimmed before they were read: looking at all devices instead");
                self.bridge_gap(position, true).await?;
            }
            (some, full) = (true, full || found.len() >= self.rounds.batch);
            self.pass(position, cursor, found).await?;
        }
        self.works();
        // Whatever a predecessor had begun was there before this round.
        position.again = if full { position.again } else { 0 };
        Ok(some)
    }

    async fn events_of(
        &mut self,
        primary: &Primary,
        cursor: &str,
    ) -> Result<(String, Vec<Value>), Pause> {
        let mut read = redis::cmd("DEVICE.EVENTS");
        read.arg("AFTER").arg(cursor);
        read.arg("COUNT").arg(self.rounds.batch);
        let answers = self.link.ask_at(primary, &[read]).await;
        let answers = answers.map_err(|trouble| Pause::broken(&trouble))?;
        let answer = answers.into_iter().next().ok_or_else(unexpected)?;
        match answer.map_err(|error| Pause::of(&error))? {
            Value::Array(mut parts) if parts.len() == 2 => match (parts.pop(), parts.pop()) {
                (Some(Value::Array(found)), Some(cursor)) => {
                    Ok((text(&cursor).ok_or_else(unexpected)?, found))
                }
                _ => Err(unexpected()),
            },
            _ => Err(unexpected()),
        }
    }

    async fn pass(
        &mut self,
        position: &mut Position,
        cursor: String,
        found: Vec<Value>,
    ) -> Result<(), Stop> {
        self.rounds.number += 1;
        let number = self.rounds.number;
        let entries = events::entries(&Value::Array(found)).into_iter();
        let first = entries.as_slice().first().and_then(milliseconds);
        // The ledger counts them by their batch.
        let entries = entries.map(|entry| Entry {
            id: number.to_string(),
            ..entry
        });
        let news = News::Entries {
            entries: entries.collect(),
            again: first.is_some_and(|first| first <= position.again),
            mark: Some(Mark {
                term: position.term,
                number,
                cursor: cursor.clone(),
            }),
        };
        position.cursor = cursor;
        self.news.send(news).await.map_err(|_| Stop::Unheard)
    }

    /// Has the downlink walk the devices. `stored`: there is a cursor, which must not go away.
    async fn bridge_gap(&mut self, position: &mut Position, stored: bool) -> Result<(), Stop> {
        let (done, mut walked) = oneshot::channel();
        let sent = self.news.send(News::Gap(done)).await;
        sent.map_err(|_| Stop::Unheard)?;
        loop {
            tokio::select! {
                walked = &mut walked => return walked.map_err(|_| Stop::Unheard),
                () = sleep(self.rounds.keeper.lease() / 3) => self.renew(position, stored).await?,
            }
        }
    }

    /// Keeps the lease, if it is time for that. It is not renewed while the downlink has no room for more:
    /// a bridge that has lost its broker lets another one do it.
    async fn renew(&mut self, position: &mut Position, stored: bool) -> Result<(), Stop> {
        if position.renewed.elapsed() < self.rounds.keeper.lease() / 3 {
            return Ok(());
        }
        let asked = Instant::now();
        match self.take().await? {
            Taken::Mine { term, cursor, .. }
                if term == position.term && cursor.is_some() == stored =>
            {
                position.renewed = asked;
                Ok(())
            }
            _ => Err(Stop::Lost),
        }
    }

    async fn take(&mut self) -> Result<Taken, Pause> {
        let answer = self.one(&self.rounds.keeper.take()).await?;
        Taken::parse(&answer).ok_or_else(unexpected)
    }

    async fn one(&mut self, command: &Cmd) -> Result<Value, Pause> {
        let answers = self.link.ask(std::slice::from_ref(command)).await;
        let answers = answers.map_err(|trouble| Pause::broken(&trouble))?;
        let answer = answers.into_iter().next().ok_or_else(unexpected)?;
        answer.map_err(|error| Pause::of(&error))
    }

    fn works(&mut self) {
        self.condition.works(Part::Read);
        self.backoff.reset();
    }
}

/// When an entry was added.
fn milliseconds(entry: &Entry) -> Option<u64> {
    entry.id.split('-').next()?.parse().ok()
}

/// The device that an entry is about.
pub fn device(entry: &Value) -> Option<String> {
    let fields = items(entry).get(1)?;
    events::field(fields, "device_id").and_then(text)
}
