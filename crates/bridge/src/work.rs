//! What a message comes to: commands for the server, and what follows when they are answered.

use crate::mqtt::outbox::Publication;
use crate::mqtt::Message;
use crate::profile::Refusal;
use crate::redis_link::Answers;
use redis::{Arg, Cmd};
use std::fmt;
use std::sync::Arc;

/// Commands that belong to one message of one device.
#[derive(Debug)]
pub struct Work {
    /// Works of one device are done one after the other.
    pub device: String,
    /// Several are run as one transaction. None, where the answer is known without the server.
    pub commands: Vec<Cmd>,
    pub then: Then,
}

/// What follows when the commands are answered. "Not now" is no answer: they are sent again.
#[derive(Debug, Clone)]
pub enum Then {
    /// An error that can never become a success sends the message to the dead letters.
    Settle,
    /// The message was on its way to the dead letters.
    IsDead,
    /// The message was on its way to a queue. Nobody has read it yet, so no error is its fault: it
    /// waits until the operator has mended what is wrong with the queue.
    IsQueued,
    /// The device is told, also of an error.
    Answer(Answer),
    /// As [`Then::Settle`]. The commands end with a heartbeat, whose answer says whether commands wait
    /// for the device.
    Heartbeat,
    /// As [`Then::Settle`]. The device asks for all that waits for it.
    Ask,
    /// The commands asked for what it takes to read the message. An error that can never become a
    /// success sends it to the dead letters.
    Read(Later),
}

/// Reads a message with the answers to the commands that came before.
#[derive(Clone)]
pub struct Later(Arc<ReadLater>);

type ReadLater = dyn Fn(&Message, &Answers) -> Result<Work, Refusal> + Send + Sync;

impl Later {
    pub fn new(
        read: impl Fn(&Message, &Answers) -> Result<Work, Refusal> + Send + Sync + 'static,
    ) -> Later {
        Later(Arc::new(read))
    }

    pub fn read(&self, message: &Message, answers: &Answers) -> Result<Work, Refusal> {
        (self.0)(message, answers)
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

/// What a device is told, from the answers to its commands: one for each, or one error for all.
#[derive(Clone)]
pub struct Answer(Arc<Tell>);

type Tell = dyn Fn(&Answers) -> Vec<Publication> + Send + Sync;

impl Answer {
    pub fn new(
        publications: impl Fn(&Answers) -> Vec<Publication> + Send + Sync + 'static,
    ) -> Answer {
        Answer(Arc::new(publications))
    }

    pub fn publications(&self, answers: &Answers) -> Vec<Publication> {
        (self.0)(answers)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Work {
    pub fn one(device: String, command: Cmd) -> Work {
        Work {
            device,
            commands: vec![command],
            then: Then::Settle,
        }
    }

    /// Bytes held in memory, about.
    pub fn size(&self) -> usize {
        let words = self.commands.iter().flat_map(Cmd::args_iter);
        let bytes: usize = words
            .map(|word| match word {
                Arg::Simple(bytes) => bytes.len(),
                _ => 0,
            })
            .sum();
        self.device.len() + self.commands.len() * size_of::<Cmd>() + bytes
    }
}
