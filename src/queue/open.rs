//! A queue that a command works on, and what is known of it.

use devicestate_core::queue::Id;

use super::groups::Groups;
use super::memory::{self, Known};
use super::wake;
use crate::fleet::{Error, Result};
use crate::store::{monotonic_ms, Ctx, KeyType, RString, StreamKey};

pub struct Queue<'c> {
    pub ctx: &'c Ctx<'c>,
    pub key: &'c RString,
    pub known: Box<Known>,
    db: i32,
    generation: u64,
    pub(super) is_spoiled: bool,
    pub(super) has_written: bool,
}

/// Whether there is a stream; any other type is an error.
pub fn is_stream(ctx: &Ctx<'_>, key: &RString) -> Result<bool> {
    match ctx.key_type(key) {
        KeyType::Stream => Ok(true),
        KeyType::Missing => Ok(false),
        found => Err(Error::wrong_type(key.bytes(), found, KeyType::Stream)),
    }
}

/// Opens the stream to read it; no other command may run while it is open.
pub fn open_stream<'c>(ctx: &'c Ctx<'_>, key: &RString) -> Result<Option<StreamKey<'c>>> {
    ctx.open_stream(key)
        .map_err(|found| Error::wrong_type(key.bytes(), found, KeyType::Stream))
}

/// When the groups are read again, of a queue that is remembered. Other hands that take or settle
/// messages leave no trace but in them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// For commands that name their messages and find out who has them.
    Never,
    /// When that was [`LATELY_MS`] ago.
    NowAndThen,
    Always,
}

/// Reading the groups costs as much as handing out a message.
const LATELY_MS: u64 = 10;

impl<'c> Queue<'c> {
    /// `None` when the key is missing. An error when it is no queue: another type, or a stream whose
    /// groups are not ours.
    pub fn open(ctx: &'c Ctx<'c>, key: &'c RString, look: Look) -> Result<Option<Queue<'c>>> {
        // Asked first: a key whose time is over goes now, and what is remembered of it with it.
        if !is_stream(ctx, key)? {
            return Ok(None);
        }
        let db = ctx.selected_db();
        let (remembered, generation) = memory::take(db, key.bytes());
        let remembered = remembered.filter(|_| memory::is_master(ctx));
        let is_new = remembered.is_none();
        let now = monotonic_ms();
        let is_fresh = |known: &Known| match look {
            // A group that was not there may have come.
            _ if !known.has_our_work => false,
            Look::Never => true,
            Look::NowAndThen => now < known.read_at.saturating_add(LATELY_MS),
            Look::Always => false,
        };
        let must_read = !remembered.as_deref().is_some_and(is_fresh);
        let mut queue = Queue {
            ctx,
            key,
            known: remembered.unwrap_or_default(),
            db,
            generation,
            is_spoiled: false,
            has_written: false,
        };
        if must_read {
            queue.is_spoiled = true;
            queue.read(is_new)?;
            queue.known.read_at = now;
            queue.is_spoiled = false;
        }
        Ok(Some(queue))
    }

    /// Reads the groups, and the pending lists where they are not as they are remembered.
    fn read(&mut self, is_new: bool) -> Result<()> {
        let groups = Groups::read(self.ctx, self.key)?;
        groups.check(self.ctx, self.key, &mut self.known)?;
        let pending = groups.work.map_or(0, |work| work.pending);
        if is_new || self.known.pending.len() as u64 != pending {
            groups.load(self.ctx, self.key, &mut self.known)?;
        }
        self.known.groups = groups;
        Ok(())
    }

    /// The last delivered id.
    pub fn last(&self) -> Id {
        self.known.groups.work.map_or(Id::ZERO, |work| work.last)
    }

    /// How many are dead.
    pub fn dead(&self) -> u64 {
        self.known.groups.dead.map_or(0, |dead| dead.pending)
    }

    /// What is remembered can't be relied on, until [`Queue::trust`].
    pub fn doubt(&mut self) {
        self.is_spoiled = true;
    }

    pub fn trust(&mut self) {
        self.is_spoiled = false;
    }

    /// Sees to it that those who wait look again when the next message becomes due.
    pub fn arrange(&self, now: u64) {
        self.look_again_at(self.known.pending.next_deadline(now));
    }

    /// Sees to it that those who wait look again then.
    pub fn look_again_at(&self, at: Option<u64>) {
        if wake::is_waited(self.db, self.key.bytes()) {
            wake::set_alarm(self.ctx, self.db, self.key.bytes(), at);
        }
    }

    /// Those who wait may find something now.
    pub fn signal(&self) {
        if wake::is_waited(self.db, self.key.bytes()) {
            self.ctx.signal_ready(self.key);
        }
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        if self.has_written {
            // The server itself signals no change of a group.
            self.ctx.touched(self.key);
        }
        if !self.is_spoiled && !std::thread::panicking() && memory::is_master(self.ctx) {
            let known = std::mem::take(&mut self.known);
            memory::put(self.db, self.key.bytes(), known, self.generation);
        }
    }
}
