//! A queue that a command works on: what is known of it, and the writes that all commands share.
//!
//! Each write changes the stream and what is remembered of it together. If one fails, which the
//! server does not let happen to a stream and groups that are there, what is remembered is dropped.

use devicestate_core::queue::pending::Holder;
use devicestate_core::queue::{times, Id};

use super::groups::{Groups, DEAD, GRAVE, NOBODY, WORK};
use super::memory::{self, Known};
use super::wake;
use crate::fleet::{Error, Result};
use crate::store::{Arg, Ctx, KeyType, RString, Reply, StreamKey};

/// Above this, and when they have doubled, consumers that have no message are removed: workers with
/// names that change would fill the group.
const CONSUMERS: u64 = 64;

pub struct Queue<'c> {
    pub ctx: &'c Ctx<'c>,
    pub key: &'c RString,
    groups: Groups,
    pub known: Box<Known>,
    db: i32,
    generation: u64,
    is_spoiled: bool,
    has_written: bool,
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

impl<'c> Queue<'c> {
    /// As [`Queue::open`], but takes what is remembered without a look at the groups: for commands
    /// that name their messages. The groups are unknown then.
    pub fn open_known(ctx: &'c Ctx<'c>, key: &'c RString) -> Result<Option<Queue<'c>>> {
        let db = ctx.selected_db();
        let (remembered, generation) = memory::take(db, key.bytes());
        match remembered.filter(|known| known.has_our_work && ctx.flags().is_master()) {
            Some(known) if is_stream(ctx, key)? => Ok(Some(Queue {
                ctx,
                key,
                groups: Groups::default(),
                known,
                db,
                generation,
                is_spoiled: false,
                has_written: false,
            })),
            _ => Queue::open(ctx, key),
        }
    }

    /// `None` when the key is missing. An error when it is no queue: another type, or a stream whose
    /// groups are not ours.
    pub fn open(ctx: &'c Ctx<'c>, key: &'c RString) -> Result<Option<Queue<'c>>> {
        if !is_stream(ctx, key)? {
            return Ok(None);
        }
        let db = ctx.selected_db();
        let (remembered, generation) = memory::take(db, key.bytes());
        // Replicas are told nothing of what changes, so they remember nothing.
        let remembered = remembered.filter(|_| ctx.flags().is_master());
        let groups = Groups::read(ctx, key)?;
        let is_new = remembered.is_none();
        let mut queue = Queue {
            ctx,
            key,
            groups,
            known: remembered.unwrap_or_default(),
            db,
            generation,
            is_spoiled: true,
            has_written: false,
        };
        groups.check(ctx, key, &mut queue.known)?;
        let pending = groups.work.map_or(0, |work| work.pending);
        // Other hands that take or settle messages leave no other trace.
        if is_new || queue.known.pending.len() as u64 != pending {
            groups.load(ctx, key, &mut queue.known)?;
        }
        queue.is_spoiled = false;
        Ok(Some(queue))
    }

    /// The last delivered id, where the groups are known.
    pub fn last(&self) -> Id {
        self.groups.work.map_or(Id::ZERO, |work| work.last)
    }

    /// How many are dead, where the groups are known.
    pub fn dead(&self) -> u64 {
        self.groups.dead.map_or(0, |dead| dead.pending)
    }

    /// Makes the group `work` on first use.
    pub fn need_work(&mut self) -> Result<()> {
        if !self.known.has_our_work {
            self.create_group(WORK, NOBODY)?;
            self.known.has_our_work = true;
        }
        Ok(())
    }

    fn need_dead(&mut self) -> Result<()> {
        if !self.known.has_our_dead {
            self.create_group(DEAD, GRAVE)?;
            self.known.has_our_dead = true;
        }
        Ok(())
    }

    fn create_group(&mut self, group: &'static str, mark: &'static str) -> Result<()> {
        let name = Arg::Name(group);
        self.write(
            c"XGROUP",
            &["CREATE".into(), self.key.into(), name, 0.into()],
        )?;
        let args = ["CREATECONSUMER".into(), self.key.into(), name, mark.into()];
        self.write(c"XGROUP", &args)?;
        Ok(())
    }

    /// Leases messages to a worker until `deadline`. `last`: they are new, and this is the last
    /// delivered id from now on.
    pub fn lease(
        &mut self,
        worker: &[u8],
        ids: &[Id],
        deadline: u64,
        deliveries: u64,
        last: Option<Id>,
    ) -> Result<()> {
        self.claim(WORK, worker, ids, times::stored(deadline), deliveries, last)?;
        for id in ids {
            self.known.pending.set(*id, Holder::Worker, deadline);
        }
        Ok(())
    }

    /// Puts messages off until `deadline`: nobody has them.
    pub fn park(&mut self, ids: &[Id], deadline: u64, deliveries: u64) -> Result<()> {
        let time = times::stored(deadline);
        self.claim(WORK, NOBODY.as_bytes(), ids, time, deliveries, None)?;
        for id in ids {
            self.known.pending.set(*id, Holder::Nobody, deadline);
        }
        Ok(())
    }

    /// Moves messages to the dead ones.
    pub fn bury(&mut self, ids: &[Id], deliveries: u64) -> Result<()> {
        self.need_dead()?;
        let (grave, now) = (GRAVE.as_bytes(), self.ctx.now_ms());
        self.claim(DEAD, grave, ids, now, deliveries, None)?;
        self.release(WORK, ids)?;
        let last = self.last();
        for id in ids {
            self.known.pending.remove(*id);
            if *id > last {
                self.known.dead_ahead.insert(*id);
            }
        }
        Ok(())
    }

    /// From now on new messages are those behind `last`.
    pub fn advance(&mut self, last: Id) -> Result<()> {
        let last = last.to_string();
        let args = [
            "SETID".into(),
            self.key.into(),
            Arg::Name(WORK),
            last.as_str().into(),
        ];
        self.write(c"XGROUP", &args)?;
        Ok(())
    }

    /// The group knows nothing of these any more.
    pub fn release(&mut self, group: &'static str, ids: &[Id]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.with_ids(c"XACK", &[self.key.into(), Arg::Name(group)], ids, &[])?;
        if group == WORK {
            for id in ids {
                self.known.pending.remove(*id);
            }
        }
        Ok(())
    }

    /// Deletes messages; returns how many there were.
    pub fn delete(&mut self, ids: &[Id]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let reply = self.with_ids(c"XDEL", &[self.key.into()], ids, &[])?;
        for id in ids {
            self.known.dead_ahead.remove(id);
        }
        Ok(reply.int())
    }

    /// `time` is what is stored.
    fn claim(
        &mut self,
        group: &'static str,
        consumer: &[u8],
        ids: &[Id],
        time: u64,
        deliveries: u64,
        last: Option<Id>,
    ) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let before = [
            self.key.into(),
            Arg::Name(group),
            consumer.into(),
            Arg::Name("0"),
        ];
        let last = last.map(|id| id.to_string());
        let mut after = vec![
            Arg::Name("TIME"),
            time.into(),
            Arg::Name("RETRYCOUNT"),
            deliveries.into(),
            Arg::Name("FORCE"),
            Arg::Name("JUSTID"),
        ];
        if let Some(last) = &last {
            after.extend([Arg::Name("LASTID"), last.as_str().into()]);
        }
        self.with_ids(c"XCLAIM", &before, ids, &after)?;
        Ok(())
    }

    fn with_ids(
        &mut self,
        command: &std::ffi::CStr,
        before: &[Arg<'_>],
        ids: &[Id],
        after: &[Arg<'_>],
    ) -> Result<Reply> {
        let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
        let mut args = Vec::with_capacity(before.len() + ids.len() + after.len());
        args.extend_from_slice(before);
        args.extend(ids.iter().map(|id| Arg::from(id.as_str())));
        args.extend_from_slice(after);
        self.write(command, &args)
    }

    fn write(&mut self, command: &std::ffi::CStr, args: &[Arg<'_>]) -> Result<Reply> {
        let reply = self.ctx.write(command, args);
        self.is_spoiled |= reply.is_err();
        let reply = reply?;
        // A count or a list says what came of it; nothing else is answered for nothing.
        self.has_written |= reply.int() > 0 || reply.len() > 0 || reply.bytes().is_some();
        Ok(reply)
    }

    /// Removes consumers that have nothing, when there are many.
    pub fn tidy_consumers(&mut self) -> Result<()> {
        let count = self.groups.work.map_or(0, |work| work.consumers);
        if count <= CONSUMERS.max(self.known.consumers_left.saturating_mul(2)) {
            return Ok(());
        }
        let args = ["CONSUMERS".into(), self.key.into(), Arg::Name(WORK)];
        let reply = self.ctx.read(c"XINFO", &args)?;
        self.known.consumers_left = 0;
        for consumer in reply.parts() {
            let (Some(name), Some(pending)) = (consumer.at(1), consumer.part(3)) else {
                continue;
            };
            if pending.int() > 0 || name == NOBODY.as_bytes() {
                self.known.consumers_left += 1;
                continue;
            }
            let args = [
                "DELCONSUMER".into(),
                self.key.into(),
                Arg::Name(WORK),
                name.into(),
            ];
            self.write(c"XGROUP", &args)?;
        }
        Ok(())
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
        let is_sure = !self.is_spoiled && !std::thread::panicking() && self.ctx.flags().is_master();
        if is_sure {
            let known = std::mem::take(&mut self.known);
            memory::put(self.db, self.key.bytes(), known, self.generation);
        }
    }
}
