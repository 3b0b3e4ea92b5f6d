//! A queue that a command works on, and what is known of it.

use devicestate_core::queue::Id;

use super::groups::Groups;
use super::memory::{self, Known, Lent};
use super::wake;
use crate::fleet::{Error, Result};
use crate::store::{monotonic_ms, Ctx, KeyType, RString, StreamKey};

pub struct Queue<'c> {
    pub ctx: &'c Ctx<'c>,
    pub key: &'c RString,
    pub known: Lent,
    /// How many messages it held when it was opened.
    pub length: u64,
    db: i32,
    pub(super) has_written: bool,
}

/// Whether there is a stream; any other type is an error.
pub fn is_stream(ctx: &Ctx<'_>, key: &RString) -> Result<bool> {
    Ok(length(ctx, key)?.is_some())
}

/// How many entries the stream has, if there is one; any other type is an error.
fn length(ctx: &Ctx<'_>, key: &RString) -> Result<Option<u64>> {
    ctx.stream_length(key)
        .map_err(|found| wrong_type(key, found))
}

pub fn wrong_type(key: &RString, found: KeyType) -> Error {
    Error::wrong_type(key.bytes(), found, KeyType::Stream)
}

/// Opens the stream to read it; no other command may run while it is open.
pub fn open_stream<'c>(ctx: &'c Ctx<'_>, key: &RString) -> Result<Option<StreamKey<'c>>> {
    ctx.open_stream(key).map_err(|found| wrong_type(key, found))
}

/// An error when a stream that is there is no queue. To know that, its pending list need not be read.
pub fn check_groups(ctx: &Ctx<'_>, key: &RString) -> Result<()> {
    let place = memory::place(ctx, ctx.selected_db(), key.bytes());
    Groups::read(ctx, key)?.check(ctx, key, &mut Known::default())?;
    place.note_checked();
    Ok(())
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

/// Refuses what is no queue: another type, or a stream whose groups are not ours.
pub fn check(ctx: &Ctx<'_>, key: &RString) -> Result<()> {
    Queue::open(ctx, key, Look::Never).map(drop)
}

impl<'c> Queue<'c> {
    /// `None` when the key is missing. An error when it is no queue: another type, or a stream whose
    /// groups are not ours.
    pub fn open(ctx: &'c Ctx<'c>, key: &'c RString, look: Look) -> Result<Option<Queue<'c>>> {
        // Asked first: a key whose time is over goes now, and what is remembered of it with it.
        let Some(length) = length(ctx, key)? else {
            return Ok(None);
        };
        let db = ctx.selected_db();
        let place = memory::place(ctx, db, key.bytes());
        let remembered = place.take();
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
            known: Lent::new(remembered.unwrap_or_default(), place),
            length,
            db,
            has_written: false,
        };
        if must_read {
            queue.doubt();
            queue.read(is_new)?;
            queue.known.read_at = now;
            queue.trust();
        }
        Ok(Some(queue))
    }

    /// Reads the groups, and the pending lists where they are not as they are remembered.
    fn read(&mut self, is_new: bool) -> Result<()> {
        let groups = Groups::read(self.ctx, self.key)?;
        groups.check(self.ctx, self.key, &mut self.known)?;
        self.known.note_checked();
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
        self.known.is_spoiled = true;
    }

    pub fn trust(&mut self) {
        self.known.is_spoiled = false;
    }

    /// Whether a client waits for it.
    pub fn is_waited(&self) -> bool {
        wake::is_waited(self.db, self.key.bytes())
    }

    /// Sees to it that those who wait look again when the next message becomes due.
    pub fn arrange(&self, now: u64) {
        if self.is_waited() {
            self.look_again_at(self.known.pending.next_deadline(now));
        }
    }

    /// Sees to it that those who wait look again then.
    pub fn look_again_at(&self, at: Option<u64>) {
        if self.is_waited() {
            wake::set_alarm(self.ctx, self.db, self.key.bytes(), at);
        }
    }

    /// Those who wait may find something now.
    pub fn signal(&self) {
        if self.is_waited() {
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
    }
}
