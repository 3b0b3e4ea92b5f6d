//! What the bridge makes of a message: commands for the server, or an entry of a queue.

use crate::mqtt::Message;
use crate::profile::{Profiles, Reading};
use crate::queue::Enqueue;
use std::sync::Arc;

pub struct Reader {
    pub profiles: Arc<Profiles>,
    /// Messages are put into queues for the processors; without it they are applied.
    pub queues: Option<Enqueue>,
}

impl Reader {
    pub fn read(&self, message: &Message) -> Reading {
        let Some(queues) = &self.queues else {
            return self.profiles.read(message);
        };
        match self.profiles.sender(message) {
            Some((profile, sender)) => Reading {
                profile,
                outcome: sender.map(|sender| queues.work(sender, message)),
            },
            // What a device waits for an answer to is applied at once: an answer that may come
            // tomorrow is none.
            None => self.profiles.read(message),
        }
    }
}
