//! A consumer works off one queue, in order: at most one consumer of all processors has messages of
//! a queue at a time.
//!
//! - With `INFLIGHT 1` the oldest message is handed out if nobody has any, so whoever has it has the
//!   queue, and may take what comes behind it. The queue is free again when all of that is done.
//! - A message that came before was not finished: its processor may have died of it. Such a message
//!   is taken alone, so that one that kills uses up nobody's deliveries but its own.
//! - What the server puts off stays in hand, and its lease is renewed. If a lease is lost, after a
//!   stall, the rest of the batch is somebody else's, and nothing more is done for it.

use super::batch::Batch;
use super::leases::{Leases, Wait};
use crate::backoff::Backoff;
use crate::ingress::jobs::Job;
use crate::ingress::worker::{Pause, Report, Worker};
use crate::profile::{Profiles, Reading};
use crate::queue::Delivery;
use crate::redis_link::Link;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{watch, Mutex, OwnedMutexGuard};
use tracing::{debug, warn};

/// What a processor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    Work,
    /// Finish what is in hand, take nothing more.
    Finish,
    /// Give back what is in hand.
    GiveUp,
}

pub struct Consumer {
    pub leases: Leases,
    pub lease: Duration,
    pub profiles: Arc<Profiles>,
    /// Does the work of one batch; it has nothing else to do.
    pub worker: Worker,
    /// What the worker says.
    pub settled: UnboundedReceiver<Report>,
    /// Where the processor hears whether Redis works.
    pub reports: UnboundedSender<Report>,
    pub order: watch::Receiver<Order>,
    /// Held while messages are worked off that came before, one after the other in all queues.
    pub first_look: Arc<Mutex<()>>,
}

/// What a consumer has between one connection and the next.
struct State {
    hand: Option<Batch>,
    /// The number of the batch.
    epoch: u64,
    backoff: Backoff,
    works: bool,
    alone: Option<OwnedMutexGuard<()>>,
}

impl Consumer {
    /// Works until it is told to stop.
    pub async fn run(mut self) {
        let mut state = State {
            hand: None,
            epoch: 0,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            works: false,
            alone: None,
        };
        let mut link = Link::new(&self.worker.target);
        loop {
            self.hold_on(&mut link, &mut state).await;
            let served = match link.open().await {
                Ok(()) => self.serve(&mut link, &mut state).await,
                Err(trouble) => Err(trouble.into()),
            };
            let Err(pause) = served else {
                return;
            };
            link.give_up();
            self.pause(pause.reason, &mut state).await;
            let order = *self.order.borrow();
            if order == Order::GiveUp || (order == Order::Finish && state.hand.is_none()) {
                return;
            }
        }
    }

    /// Keeps the lease of what is in hand while a node of a cluster is away: that of the queue may be
    /// another one, and the next processor would get no further.
    async fn hold_on(&mut self, link: &mut Link, state: &mut State) {
        let Some(batch) = state.hand.as_mut().filter(|_| link.is_cluster()) else {
            return;
        };
        self.settle(batch);
        // Trouble is told by the attempt to connect that follows.
        if batch.is_old(Instant::now()) && matches!(self.renew(link, batch).await, Ok(false)) {
            self.drop_hand(state);
        }
    }

    /// Works until it is told to stop, or until the connection is of no more use.
    async fn serve(&mut self, link: &mut Link, state: &mut State) -> Result<(), Pause> {
        if state.hand.is_some() {
            self.finish(link, state).await?;
        }
        self.look_back(link, state).await?;
        self.tell_works(state);
        while !self.is_to_stop() {
            if self.take(link, state, Wait::Awhile).await?.is_some() {
                self.finish(link, state).await?;
            }
        }
        Ok(())
    }

    /// Messages that came before are worked off first, and not at the same time as those of other
    /// queues: after a crash one of them may be its cause, and should not take others with it.
    async fn look_back(&mut self, link: &mut Link, state: &mut State) -> Result<(), Pause> {
        state.alone = Some(self.first_look.clone().lock_owned().await);
        self.leases.give_back_all(link).await?;
        while !self.is_to_stop() {
            let deliveries = self.take(link, state, Wait::No).await?;
            if deliveries.is_none_or(|deliveries| deliveries == 1) {
                state.alone = None;
            }
            if deliveries.is_some() {
                self.finish(link, state).await?;
            }
            if state.alone.is_none() {
                break;
            }
        }
        state.alone = None;
        Ok(())
    }

    /// Takes the next batch in hand. Returns how often its first message was delivered.
    async fn take(
        &mut self,
        link: &mut Link,
        state: &mut State,
        wait: Wait,
    ) -> Result<Option<u64>, Pause> {
        state.epoch += 1;
        let (lease, asked) = (self.jittered_lease(state.epoch), Instant::now());
        let Some(head) = self.leases.head(link, lease, wait).await? else {
            return Ok(None);
        };
        let deliveries = head.deliveries;
        let mut batch = Batch::new(state.epoch, lease, asked);
        self.accept(&mut batch, head);
        let most = self.worker.batch;
        let behind = if deliveries == 1 && most > 1 {
            self.leases.behind_head(link, lease, most).await
        } else {
            Ok(Vec::new())
        };
        let behind = behind.map(|behind| {
            for delivery in behind {
                self.accept(&mut batch, delivery);
            }
        });
        state.hand = Some(batch);
        behind?;
        Ok(Some(deliveries))
    }

    /// Leases that were asked for at the same time should not end at the same time: of what comes
    /// back then, one message may be a killer.
    fn jittered_lease(&self, epoch: u64) -> Duration {
        let share = (RandomState::new().hash_one(epoch) % 256) as u32;
        self.lease - self.lease * share / 1024
    }

    fn accept(&self, batch: &mut Batch, delivery: Delivery) {
        let Delivery { id, message, .. } = delivery;
        let ticket = batch.add(id);
        let Reading { profile, outcome } = self.profiles.read(&message);
        self.worker.metrics.messages.received.add(profile, 1);
        let work = match outcome {
            Ok(work) => Some(work),
            Err(refusal) => self.worker.bury(profile, &message, &refusal),
        };
        match work {
            Some(work) => {
                let job = Job::new(profile, work, message, Some(ticket));
                self.worker.queue.push(job);
            }
            None => batch.settle(ticket),
        }
    }

    /// Does the work of the batch in hand, until that is empty.
    async fn finish(&mut self, link: &mut Link, state: &mut State) -> Result<(), Pause> {
        while let Some(batch) = &mut state.hand {
            self.settle(batch);
            // First of all: what somebody else has by now must not be acknowledged either. They may
            // have repeated a part of it, and have to repeat the rest.
            if batch.is_old(Instant::now()) && !self.renew(link, batch).await? {
                self.drop_hand(state);
                break;
            }
            let give_up = *self.order.borrow() == Order::GiveUp;
            if batch.left().is_empty() || give_up {
                self.leases.acknowledge(link, &batch.settled()).await?;
                batch.acknowledged();
                self.leases.give_back(link, &batch.left()).await?;
                self.drop_hand(state);
                break;
            }
            match self.worker.round(link).await {
                Ok(()) => self.tell_works(state),
                Err(pause) if pause.reconnect => return Err(pause),
                Err(pause) => self.pause(pause.reason, state).await,
            }
        }
        Ok(())
    }

    /// Hears what the worker has settled.
    fn settle(&mut self, batch: &mut Batch) {
        while let Ok(report) = self.settled.try_recv() {
            if let Report::Settled(jobs) = report {
                let tickets = jobs.iter().filter_map(|job| job.ticket);
                tickets.for_each(|ticket| batch.settle(ticket));
            }
        }
    }

    /// False where the batch, or a part of it, is somebody else's by now.
    async fn renew(&self, link: &mut Link, batch: &mut Batch) -> Result<bool, Pause> {
        let (asked, held) = (Instant::now(), batch.held());
        if self.leases.renew(link, batch.lease(), &held).await? {
            batch.renewed(asked);
            self.leases.acknowledge(link, &batch.settled()).await?;
            batch.acknowledged();
            return Ok(true);
        }
        let (lost, queue) = (held.len(), &self.leases.key);
        warn!("lost the lease of {lost} messages of the queue {queue}; they come again");
        self.leases.give_back(link, &held).await?;
        Ok(false)
    }

    /// What is not done is not for this consumer any more.
    fn drop_hand(&self, state: &mut State) {
        if let Some(batch) = state.hand.take() {
            self.worker.queue.forget(0..batch.epoch() + 1);
        }
    }

    fn is_to_stop(&self) -> bool {
        *self.order.borrow() > Order::Work
    }

    fn tell_works(&self, state: &mut State) {
        state.backoff.reset();
        if !std::mem::replace(&mut state.works, true) {
            self.report(Report::Works {
                worker: self.worker.number,
            });
        }
    }

    /// Tells the reason, and waits. The others need not: what waits was no killer.
    async fn pause(&mut self, reason: String, state: &mut State) {
        debug!("the queue {} waits: {reason}", self.leases.key);
        state.works = false;
        state.alone = None;
        self.report(Report::Waits {
            worker: self.worker.number,
            reason,
        });
        let give_up = self.order.wait_for(|order| *order == Order::GiveUp);
        let pause = state.backoff.pause();
        // No lease ends meanwhile.
        let pause = match &state.hand {
            Some(batch) => pause.min(batch.lease() / 3),
            None => pause,
        };
        // Either way it goes on: the order is looked at where that matters.
        let _ = tokio::time::timeout(pause, give_up).await;
    }

    fn report(&self, report: Report) {
        // The processor is gone only when the process ends.
        let _ = self.reports.send(report);
    }
}
