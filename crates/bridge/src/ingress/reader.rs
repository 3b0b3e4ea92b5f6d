//! What the bridge makes of a message: commands for the server, or an entry of a queue.

use crate::mqtt::Message;
use crate::profile::{Profiles, Reading};
use crate::queue::Enqueue;
use std::sync::Arc;

pub enum Reader {
    /// Messages are applied.
    Apply(Arc<Profiles>),
    /// Messages are put into queues, for the processors. What a device waits for an answer to is applied
    /// at once: an answer that may come tomorrow is none.
    Enqueue(Arc<Profiles>, Enqueue),
}

impl Reader {
    pub fn read(&self, message: &Message) -> Reading {
        match self {
            Reader::Apply(profiles) => profiles.read(message),
            Reader::Enqueue(profiles, queues) => match profiles.sender(message) {
                Some((profile, sender)) => Reading {
                    profile,
                    outcome: sender.map(|sender| queues.work(sender, message)),
                },
                None => profiles.read(message),
            },
        }
    }
}
