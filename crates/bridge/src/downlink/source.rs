//! Two ways to follow the events: as a member of a consumer group of the one stream of a server, or with
//! one cursor over all streams of a cluster.

use super::keeper::Keeper;
use super::ledger::{Ledger, Mark};
use super::pause::{Condition, Pause};
use super::reader::{Membership, News, Reader};
use super::rounds::{Round, Rounds};
use super::trimmed::Streams;
use crate::backoff::Backoff;
use crate::config::DownlinkConfig;
use crate::redis_link::{Link, Server};
use redis::{Cmd, Value};
use tokio::sync::mpsc;

/// Identifiers of events in one command.
const RECEIPTS: usize = 1000;

/// Where events come from.
pub enum Source {
    Group(Membership),
    Rounds(Box<Rounds>),
}

/// How it is kept which of them are finished.
pub enum Receipts {
    Group(Membership),
    Cursor { keeper: Keeper, ledger: Ledger },
}

/// `consumer`: this bridge's name among those that share the events.
pub fn of(config: &DownlinkConfig, server: &Server, consumer: &str) -> (Source, Receipts) {
    if server.is_cluster() {
        let keeper = Keeper::new(&config.group, consumer, config.claim_after.0);
        let rounds = Rounds {
            keeper: keeper.clone(),
            streams: Streams::new(&config.stream),
            batch: config.batch,
            place: None,
            stands_by: false,
            number: 0,
        };
        let ledger = Ledger::default();
        let receipts = Receipts::Cursor { keeper, ledger };
        return (Source::Rounds(Box::new(rounds)), receipts);
    }
    let membership = Membership {
        stream: config.stream.clone(),
        group: config.group.clone(),
        consumer: consumer.to_owned(),
        batch: config.batch,
    };
    (
        Source::Group(membership.clone()),
        Receipts::Group(membership),
    )
}

impl Source {
    /// Reads over one connection, until something is in the way. Ends without it when nobody listens any
    /// more.
    pub async fn read(
        &mut self,
        link: &mut Link,
        news: &mpsc::Sender<News>,
        condition: &Condition,
        backoff: &mut Backoff,
    ) -> Result<(), Pause> {
        match self {
            Source::Group(membership) => {
                let reader = Reader {
                    membership,
                    link,
                    news,
                    condition,
                    backoff,
                };
                reader.run().await
            }
            Source::Rounds(rounds) => {
                let round = Round {
                    rounds,
                    link,
                    news,
                    condition,
                    backoff,
                };
                Box::pin(round.run()).await
            }
        }
    }
}

impl Receipts {
    /// Events that have come.
    pub fn begin(&mut self, mark: Option<Mark>, events: usize) {
        if let (Receipts::Cursor { ledger, .. }, Some(mark)) = (self, mark) {
            ledger.begin(mark, events);
        }
    }

    /// What it takes to keep that these are finished.
    pub fn finish(&mut self, ids: &[String]) -> Vec<Cmd> {
        match self {
            Receipts::Group(group) => {
                let chunks = ids.chunks(RECEIPTS);
                chunks.map(|ids| group.acknowledge(ids)).collect()
            }
            Receipts::Cursor { keeper, ledger } => {
                let batches = ids.iter().filter_map(|id| id.parse().ok());
                let reached = ledger.finish(batches).into_iter();
                let store = reached.map(|(term, cursor)| keeper.store(term, &cursor));
                store.collect()
            }
        }
    }

    /// The answer to that.
    pub fn heard(&mut self, answer: &Value) {
        if let (Receipts::Cursor { ledger, .. }, Value::Int(0)) = (self, answer) {
            ledger.clear();
        }
    }

    /// Takes over what others have begun and not finished in this time. `None`: whoever reads next finds
    /// it by itself.
    pub fn claim(&self, idle_ms: u64, start: &str) -> Option<Cmd> {
        match self {
            Receipts::Group(group) => Some(group.claim(idle_ms, start)),
            Receipts::Cursor { .. } => None,
        }
    }

    /// Lets others go on at once, when this bridge ends.
    pub fn release(&self) -> Option<Cmd> {
        match self {
            Receipts::Group(_) => None,
            Receipts::Cursor { keeper, .. } => keeper.release(),
        }
    }
}
