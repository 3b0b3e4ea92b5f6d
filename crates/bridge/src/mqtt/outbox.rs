//! What waits to be published, in the order it came.
//!
//! Two sorts share the way out. What the downlink publishes is waited for, and the downlink bounds
//! it. Answers to devices' requests are waited for by nobody: they are bounded here, and the oldest
//! go first, because a device that has no answer asks again.

use crate::metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, Notify};

/// In bytes: how much of answers may wait while the broker is away.
const ANSWERS: usize = 16 * 1024 * 1024;

/// A message to a device, QoS 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    pub topic: String,
    pub payload: Vec<u8>,
    pub content_type: Option<&'static str>,
    /// After this the broker need not deliver it any more, and the bridge need not publish it.
    pub expiry: Option<Duration>,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The broker has it.
    Confirmed,
    /// The broker does not take it, and would not the next time.
    Refused,
    /// Its time was over before it could be published.
    Expired,
}

/// Of one publication.
#[derive(Debug)]
pub struct Confirmation(oneshot::Receiver<Fate>);

impl Confirmation {
    pub async fn wait(self) -> Fate {
        // A publisher that is gone has lost the process with it.
        self.0.await.unwrap_or(Fate::Expired)
    }
}

/// Where messages to devices go. Clones are the same one.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    metrics: Arc<Metrics>,
}

/// Both maps go by the number of arrival.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    items: BTreeMap<u64, Item>,
    /// Those of them that nobody waits for.
    answers: BTreeSet<u64>,
    answers_size: usize,
    /// How many were taken and are neither settled nor put back.
    taken: usize,
}

/// A publication on its way.
#[derive(Debug)]
pub struct Item {
    pub publication: Publication,
    pub expires: Option<Instant>,
    /// How often the connection was lost while only this one was on its way.
    pub strikes: u32,
    /// `None` for an answer.
    waiter: Option<oneshot::Sender<Fate>>,
}

impl Item {
    fn size(&self) -> usize {
        size_of::<Item>() + self.publication.topic.len() + self.publication.payload.len()
    }

    /// Whether somebody waited for it who does so no longer.
    fn is_given_up(&self) -> bool {
        self.waiter.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

impl Outbox {
    pub fn new(metrics: Arc<Metrics>) -> Outbox {
        let shared = Shared {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            metrics,
        };
        Outbox {
            shared: Arc::new(shared),
        }
    }

    /// Publishes without waiting. When there is no room, the oldest such messages are dropped.
    pub fn answer(&self, publication: Publication) {
        self.push(publication, None);
    }

    /// Publishes; what becomes of it can be waited for. Who gives up the wait gives up the message,
    /// too, unless it is on its way.
    pub fn publish(&self, publication: Publication) -> Confirmation {
        let (waiter, fate) = oneshot::channel();
        self.push(publication, Some(waiter));
        Confirmation(fate)
    }

    /// Whether everything is published.
    pub fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.items.is_empty() && waiting.taken == 0
    }

    fn push(&self, publication: Publication, waiter: Option<oneshot::Sender<Fate>>) {
        let item = Item {
            expires: publication.expiry.map(|expiry| Instant::now() + expiry),
            publication,
            strikes: 0,
            waiter,
        };
        let mut waiting = self.lock();
        let dropped = match &item.waiter {
            Some(_) => 0,
            None => waiting.make_room(item.size()),
        };
        let number = waiting.next;
        waiting.next += 1;
        waiting.insert(number, item);
        drop(waiting);
        self.shared
            .metrics
            .publications
            .answers_dropped
            .inc_by(dropped);
        self.shared.arrived.notify_one();
    }

    /// The oldest one, once there is one. Nothing is lost when the wait is given up.
    pub(super) async fn take(&self) -> (u64, Item) {
        loop {
            if let Some(taken) = self.lock().take() {
                return taken;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// One that was taken is to be published again, in its old place.
    pub(super) fn put_back(&self, number: u64, item: Item) {
        let mut waiting = self.lock();
        waiting.taken = waiting.taken.saturating_sub(1);
        waiting.insert(number, item);
        drop(waiting);
        self.shared.arrived.notify_one();
    }

    /// One that was taken needs no more work.
    pub(super) fn settle(&self, item: Item, fate: Fate) {
        let mut waiting = self.lock();
        waiting.taken = waiting.taken.saturating_sub(1);
        drop(waiting);
        let publications = &self.shared.metrics.publications;
        match fate {
            Fate::Confirmed => publications.published.inc(),
            Fate::Refused => publications.refused.inc(),
            Fate::Expired => 0,
        };
        if let Some(waiter) = item.waiter {
            // Who has given up the wait does not want to know.
            let _ = waiter.send(fate);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.shared.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn insert(&mut self, number: u64, item: Item) {
        if item.waiter.is_none() {
            self.answers.insert(number);
            self.answers_size += item.size();
        }
        self.items.insert(number, item);
    }

    fn remove(&mut self, number: u64) -> Option<Item> {
        let item = self.items.remove(&number)?;
        if self.answers.remove(&number) {
            self.answers_size = self.answers_size.saturating_sub(item.size());
        }
        Some(item)
    }

    fn take(&mut self) -> Option<(u64, Item)> {
        loop {
            let (&number, _) = self.items.first_key_value()?;
            let item = self.remove(number)?;
            if !item.is_given_up() {
                self.taken += 1;
                return Some((number, item));
            }
        }
    }

    /// Drops answers until there is room for `size` bytes, and says how many.
    fn make_room(&mut self, size: usize) -> u64 {
        let mut dropped = 0;
        while self.answers_size + size > ANSWERS {
            let Some(&oldest) = self.answers.first() else {
                break;
            };
            self.remove(oldest);
            dropped += 1;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(topic: &str, size: usize) -> Publication {
        Publication {
            topic: topic.to_owned(),
            payload: vec![0; size],
            ..Publication::default()
        }
    }

    fn topics(outbox: &Outbox) -> Vec<String> {
        let mut waiting = outbox.lock();
        std::iter::from_fn(|| waiting.take())
            .map(|(_, item)| item.publication.topic)
            .collect()
    }

    #[test]
    fn what_is_put_back_is_in_its_old_place() {
        let outbox = Outbox::new(Arc::new(Metrics::new(&[])));
        for topic in ["a", "b", "c"] {
            outbox.answer(publication(topic, 1));
        }
        let taken: Vec<_> = (0..2).filter_map(|_| outbox.lock().take()).collect();
        for (number, item) in taken {
            outbox.put_back(number, item);
        }
        assert_eq!(topics(&outbox), ["a", "b", "c"]);
    }

    #[test]
    fn the_oldest_answers_make_room() {
        let metrics = Arc::new(Metrics::new(&[]));
        let outbox = Outbox::new(metrics.clone());
        let (waiter, _fate) = oneshot::channel();
        outbox.push(publication("awaited", ANSWERS), Some(waiter));
        for topic in ["a", "b", "c"] {
            outbox.answer(publication(topic, ANSWERS / 3));
        }
        assert_eq!(topics(&outbox), ["awaited", "b", "c"]);
        assert_eq!(metrics.publications.answers_dropped.get(), 1);
    }

    #[tokio::test]
    async fn who_gives_up_the_wait_gives_up_the_message() {
        let outbox = Outbox::new(Arc::new(Metrics::new(&[])));
        let confirmation = outbox.publish(publication("a", 1));
        let waited = tokio::time::timeout(Duration::ZERO, confirmation.wait()).await;
        assert!(waited.is_err() && !outbox.is_empty());
        assert_eq!(topics(&outbox), Vec::<String>::new());
        assert!(outbox.is_empty());
    }
}
