//! What a message comes to: commands for the server, and what follows when they are answered.

use redis::{Arg, Cmd};

/// Commands that belong to one message of one device.
#[derive(Debug)]
pub struct Work {
    /// Works of one device are done one after the other.
    pub device: String,
    /// Several are run as one transaction.
    pub commands: Vec<Cmd>,
    pub then: Then,
}

/// What becomes of an error that can never become a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The message goes to the dead letters.
    Settle,
    /// The message was on its way to the dead letters.
    IsDead,
    /// The message was on its way to a queue. Nobody has read it yet, so no error is its fault: it
    /// waits until the operator has mended what is wrong with the queue.
    IsQueued,
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
