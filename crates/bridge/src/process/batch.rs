//! The messages of a queue that a consumer has in hand.

use crate::ingress::window::Ticket;
use std::time::{Duration, Instant};

/// Messages that are leased to this consumer. Each has a ticket, and is done when that is settled.
#[derive(Debug)]
pub struct Batch {
    /// Tickets of other batches settle nothing here.
    epoch: u64,
    /// The ids of the messages; `None` where one is done and Redis knows it.
    messages: Vec<(Option<String>, bool)>,
    lease: Duration,
    renewed: Instant,
}

impl Batch {
    /// `asked`: when the lease was asked for. It began no earlier.
    pub fn new(epoch: u64, lease: Duration, asked: Instant) -> Batch {
        Batch {
            epoch,
            messages: Vec::new(),
            lease,
            renewed: asked,
        }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn lease(&self) -> Duration {
        self.lease
    }

    pub fn add(&mut self, id: String) -> Ticket {
        let sequence = self.messages.len() as u64;
        self.messages.push((Some(id), false));
        Ticket {
            epoch: self.epoch,
            sequence,
        }
    }

    pub fn settle(&mut self, ticket: Ticket) {
        let place = usize::try_from(ticket.sequence).ok();
        let message = place.and_then(|place| self.messages.get_mut(place));
        if let Some((_, settled)) = message.filter(|_| ticket.epoch == self.epoch) {
            *settled = true;
        }
    }

    /// What is done and not acknowledged.
    pub fn settled(&self) -> Vec<&str> {
        self.ids(|settled| settled)
    }

    /// What is not done.
    pub fn left(&self) -> Vec<&str> {
        self.ids(|settled| !settled)
    }

    /// What is not acknowledged.
    pub fn held(&self) -> Vec<&str> {
        self.ids(|_| true)
    }

    fn ids(&self, choice: impl Fn(bool) -> bool) -> Vec<&str> {
        let chosen = self.messages.iter().filter(|(_, settled)| choice(*settled));
        chosen.filter_map(|(id, _)| id.as_deref()).collect()
    }

    /// Redis has acknowledged what was settled.
    pub fn acknowledged(&mut self) {
        for (id, _) in self.messages.iter_mut().filter(|(_, settled)| *settled) {
            *id = None;
        }
    }

    /// Whether the lease has to be renewed before anything else is done: a third of it is over.
    pub fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) >= self.lease / 3
    }

    /// `asked`: when the renewal was asked for.
    pub fn renewed(&mut self, asked: Instant) {
        self.renewed = asked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_acknowledged_once() {
        let mut batch = Batch::new(3, Duration::from_secs(3), Instant::now());
        let tickets = ["1-0", "2-0", "3-0"].map(|id| batch.add(id.into()));
        assert_eq!(batch.left(), ["1-0", "2-0", "3-0"]);
        batch.settle(tickets[1]);
        batch.settle(Ticket {
            epoch: 2,
            ..tickets[0]
        });
        assert_eq!(
            (batch.settled(), batch.left()),
            (vec!["2-0"], vec!["1-0", "3-0"])
        );
        assert_eq!(batch.held(), ["1-0", "2-0", "3-0"]);
        batch.acknowledged();
        assert!(batch.settled().is_empty());
        assert_eq!(batch.held(), ["1-0", "3-0"]);
        batch.settle(tickets[0]);
        batch.settle(tickets[2]);
        assert_eq!(
            (batch.settled(), batch.left()),
            (vec!["1-0", "3-0"], vec![])
        );
    }

    #[test]
    fn a_lease_is_renewed_in_time() {
        let asked = Instant::now();
        let mut batch = Batch::new(0, Duration::from_secs(3), asked);
        let after = |ms| asked + Duration::from_millis(ms);
        assert!(!batch.is_old(after(999)));
        assert!(batch.is_old(after(1000)));
        batch.renewed(after(1000));
        assert!(!batch.is_old(after(1999)));
        assert!(batch.is_old(after(2000)));
    }
}
