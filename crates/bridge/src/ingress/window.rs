//! The window: QoS 1 messages that the broker has sent and that are not acknowledged yet.
//!
//! Two rules of MQTT 5 meet here. Acknowledgements leave in the order the messages came
//! ([MQTT-4.6.0-2]), although workers finish out of order: so only the settled prefix is released.
//! And an acknowledgement belongs to one network connection: packet identifiers start afresh on the
//! next one, so a late answer must never acknowledge what now has the same number. Every ticket
//! carries its connection's epoch for that.
//!
//! The window is also the back-pressure: the broker sends no more than Receive Maximum messages
//! that are not acknowledged (MQTT 5, 3.1.2.11.3), so withholding acknowledgements is all it takes.

use std::collections::VecDeque;
use std::time::Instant;

/// Names one message of one connection (in a processor: of one batch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub epoch: u64,
    pub sequence: u64,
}

#[derive(Debug)]
struct Slot {
    packet_id: u16,
    came: Instant,
    settled: bool,
}

/// Un-acknowledged messages of the current connection, oldest first.
#[derive(Debug, Default)]
pub struct Window {
    epoch: u64,
    /// The sequence number of the front slot.
    first: u64,
    slots: VecDeque<Slot>,
    /// When the oldest message came first, if that was on an earlier connection.
    came_before: Option<Instant>,
}

impl Window {
    /// Forgets the connection before: none of its tickets will acknowledge anything any more.
    pub fn start_epoch(&mut self) {
        self.came_before = self.oldest().or(self.came_before);
        self.epoch += 1;
        self.first = 0;
        self.slots.clear();
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes in a message the broker has just sent.
    pub fn admit(&mut self, packet_id: u16) -> Ticket {
        let sequence = self.first + self.slots.len() as u64;
        self.slots.push_back(Slot {
            packet_id,
            came: Instant::now(),
            settled: false,
        });
        Ticket {
            epoch: self.epoch,
            sequence,
        }
    }

    /// Marks a message as confirmed or refused. Tickets of older connections, and those settled
    /// before, change nothing.
    pub fn settle(&mut self, ticket: Ticket) {
        if ticket.epoch != self.epoch {
            return;
        }
        let slot = ticket
            .sequence
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.slots.get_mut(index));
        if let Some(slot) = slot {
            slot.settled = true;
        }
    }

    /// The next packet identifier to acknowledge, if the oldest message is settled.
    pub fn pop_settled(&mut self) -> Option<u16> {
        if !self.slots.front()?.settled {
            return None;
        }
        self.first += 1;
        self.came_before = None;
        self.slots.pop_front().map(|slot| slot.packet_id)
    }

    /// When the oldest message came. A broker that resumes a session sends the same messages again,
    /// in the same order.
    pub fn oldest(&self) -> Option<Instant> {
        let front = self.slots.front()?;
        Some(self.came_before.unwrap_or(front.came))
    }

    /// The broker has forgotten the session: what it sends now is new.
    pub fn forget_session(&mut self) {
        self.came_before = None;
    }

    /// How many messages are not acknowledged.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acks(window: &mut Window) -> Vec<u16> {
        std::iter::from_fn(|| window.pop_settled()).collect()
    }

    #[test]
    fn nothing_is_acknowledged_before_it_is_settled() {
        let mut window = Window::default();
        let first = window.admit(1);
        window.admit(2);
        assert!(acks(&mut window).is_empty());
        window.settle(first);
        assert_eq!(acks(&mut window), [1]);
        assert_eq!(window.len(), 1);
    }

    #[test]
    fn acks_leave_in_the_order_the_messages_came() {
        let mut window = Window::default();
        let tickets: Vec<_> = [7, 8, 9].map(|id| window.admit(id)).into();
        window.settle(tickets[2]);
        window.settle(tickets[1]);
        assert!(acks(&mut window).is_empty());
        window.settle(tickets[0]);
        assert_eq!(acks(&mut window), [7, 8, 9]);
    }

    #[test]
    fn an_answer_for_an_older_connection_acknowledges_nothing() {
        let mut window = Window::default();
        let old = window.admit(1);
        window.start_epoch();
        let new = window.admit(1);
        window.settle(old);
        assert!(acks(&mut window).is_empty());
        window.settle(new);
        assert_eq!(acks(&mut window), [1]);
    }

    #[test]
    fn settling_twice_or_after_the_ack_is_harmless() {
        let mut window = Window::default();
        let ticket = window.admit(1);
        window.settle(ticket);
        window.settle(ticket);
        assert_eq!(acks(&mut window), [1]);
        window.settle(ticket);
        window.admit(2);
        assert!(acks(&mut window).is_empty());
    }

    #[test]
    fn a_message_keeps_its_age_when_it_is_sent_again() {
        let mut window = Window::default();
        assert_eq!(window.oldest(), None);
        window.admit(1);
        let came = window.oldest();
        assert!(came.is_some());
        window.start_epoch();
        window.start_epoch();
        assert_eq!(window.oldest(), None);
        let again = window.admit(1);
        window.admit(2);
        assert_eq!(window.oldest(), came);
        window.settle(again);
        assert_eq!(acks(&mut window), [1]);
        assert!(window.oldest() > came);
        window.start_epoch();
        window.forget_session();
        window.admit(1);
        assert!(window.oldest() > came);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit,
        /// Settles one of the tickets ever given out, of any epoch, any number of times.
        Settle(prop::sample::Index),
        Reconnect,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => Just(Step::Admit),
            5 => any::<prop::sample::Index>().prop_map(Step::Settle),
            1 => Just(Step::Reconnect),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against the plainest model: each connection acknowledges exactly the longest prefix of
        /// its own messages that was settled, in order, once.
        #[test]
        fn acks_are_the_settled_prefix_of_their_own_connection(steps in steps()) {
            let mut window = Window::default();
            let mut given: Vec<(u64, usize, Ticket)> = Vec::new();
            let (mut epoch, mut sent) = (0, Vec::<bool>::new());
            let mut acked = 0;
            for step in steps {
                match step {
                    Step::Admit => {
                        let packet_id = sent.len() as u16 + 1;
                        given.push((epoch, sent.len(), window.admit(packet_id)));
                        sent.push(false);
                    }
                    Step::Settle(index) if !given.is_empty() => {
                        let (of, message, ticket) = given[index.index(given.len())];
                        window.settle(ticket);
                        if of == epoch {
                            sent[message] = true;
                        }
                    }
                    Step::Settle(_) => {}
                    Step::Reconnect => {
                        window.start_epoch();
                        epoch += 1;
                        sent.clear();
                        acked = 0;
                    }
                }
                while let Some(packet_id) = window.pop_settled() {
                    prop_assert_eq!(usize::from(packet_id), acked + 1);
                    prop_assert!(sent[acked]);
                    acked += 1;
                }
                prop_assert!(sent.get(acked).is_none_or(|settled| !settled));
                prop_assert_eq!(window.len(), sent.len() - acked);
            }
        }
    }
}
