//! The writes of a queue. Each changes the stream and what is remembered of it together; if one fails,
//! which the server does not let happen to a stream and groups that are there, what is remembered is
//! dropped.

use std::ffi::CStr;

use devicestate_core::queue::pending::Holder;
use devicestate_core::queue::{times, Id};

use super::groups::{Group, DEAD, GRAVE, NOBODY, WORK};
use super::open::Queue;
use crate::fleet::Result;
use crate::store::{Arg, Entry, Reply};

/// Above this, and when they have doubled, consumers that have no message are removed: workers with
/// names that change would fill the group.
const CONSUMERS: u64 = 64;

impl Queue<'_> {
    /// Makes the group `work` on first use.
    pub fn need_work(&mut self) -> Result<()> {
        if !self.known.has_our_work {
            self.create_group(WORK, NOBODY)?;
            self.known.groups.work = Some(Group::default());
            self.known.has_our_work = true;
        }
        Ok(())
    }

    fn need_dead(&mut self) -> Result<()> {
        if !self.known.has_our_dead {
            self.create_group(DEAD, GRAVE)?;
            self.known.groups.dead = Some(Group::default());
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
        if let Some(last) = last {
            self.moved_to(last);
        }
        for id in ids {
            self.known.pending.set(*id, Holder::Worker, deadline);
        }
        // It may be a lease that was made shorter, of what has expired.
        if let Some(full) = &mut self.known.full {
            full.until = full.until.min(deadline);
        }
        Ok(())
    }

    /// Leases the next new messages, `count` at most, for [`times::LEASE_BY_HAND_MS`]. None of them is
    /// pending or dead.
    pub fn lease_new(&mut self, worker: &[u8], count: usize) -> Result<Vec<Entry>> {
        let taken = self.ctx.take_new(self.key, WORK, worker, count);
        self.known.is_spoiled |= taken.is_err();
        let taken = taken?;
        let time = self.ctx.command_clock_ms();
        let deadline = time.saturating_add(times::LEASE_BY_HAND_MS);
        for entry in &taken {
            let pending = &mut self.known.pending;
            pending.set(entry.id, Holder::Worker, deadline);
        }
        if let Some(last) = taken.last() {
            self.has_written = true;
            self.moved_to(last.id);
        }
        Ok(taken)
    }

    /// Puts messages off until `deadline`: nobody has them.
    pub fn park(&mut self, ids: &[Id], deadline: u64, deliveries: u64) -> Result<()> {
        let time = times::stored(deadline);
        self.claim(WORK, NOBODY.as_bytes(), ids, time, deliveries, None)?;
        // What expired while it was leased may go now.
        self.known.full = None;
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
        if let Some(dead) = &mut self.known.groups.dead {
            dead.pending += ids.len() as u64;
        }
        for id in ids {
            self.known.pending.remove(*id);
            if *id > last {
                self.known.dead_ahead.insert(*id);
            }
        }
        Ok(())
    }

    fn moved_to(&mut self, last: Id) {
        if let Some(work) = &mut self.known.groups.work {
            work.last = work.last.max(last);
        }
        self.known.dead_ahead.retain(|id| *id > last);
    }

    /// From now on new messages are those behind `last`.
    pub fn advance(&mut self, last: Id) -> Result<()> {
        self.moved_to(last);
        let args = [
            "SETID".into(),
            self.key.into(),
            Arg::Name(WORK),
            last.into(),
        ];
        self.write(c"XGROUP", &args)?;
        Ok(())
    }

    /// The group knows nothing of these any more.
    pub fn release(&mut self, group: &'static str, ids: &[Id]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let released = self.with_ids(c"XACK", &[self.key.into(), Arg::Name(group)], ids, &[])?;
        if group == WORK {
            for id in ids {
                self.known.pending.remove(*id);
            }
        } else if let Some(dead) = &mut self.known.groups.dead {
            dead.pending = dead.pending.saturating_sub(released.int());
        }
        Ok(())
    }

    /// Deletes messages; returns how many there were.
    pub fn delete(&mut self, ids: &[Id]) -> u64 {
        if ids.is_empty() {
            return 0;
        }
        for id in ids {
            self.known.dead_ahead.remove(id);
        }
        self.ctx.delete_entries(self.key, ids)
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
        let mut after = vec![
            Arg::Name("TIME"),
            time.into(),
            Arg::Name("RETRYCOUNT"),
            deliveries.into(),
            Arg::Name("FORCE"),
            Arg::Name("JUSTID"),
        ];
        if let Some(last) = last {
            after.extend([Arg::Name("LASTID"), last.into()]);
        }
        self.with_ids(c"XCLAIM", &before, ids, &after)?;
        Ok(())
    }

    fn with_ids(
        &mut self,
        command: &CStr,
        before: &[Arg<'_>],
        ids: &[Id],
        after: &[Arg<'_>],
    ) -> Result<Reply> {
        let mut args = Vec::with_capacity(before.len() + ids.len() + after.len());
        args.extend_from_slice(before);
        args.extend(ids.iter().map(|id| Arg::Id(*id)));
        args.extend_from_slice(after);
        self.write(command, &args)
    }

    fn write(&mut self, command: &CStr, args: &[Arg<'_>]) -> Result<Reply> {
        let reply = self.ctx.write(command, args);
        self.known.is_spoiled |= reply.is_err();
        let reply = reply?;
        // A count or a list says what came of it; nothing else is answered for nothing.
        self.has_written |= !reply.is_nothing();
        Ok(reply)
    }

    /// Removes consumers that have nothing, when there are many.
    pub fn tidy_consumers(&mut self) -> Result<()> {
        let count = self.known.groups.work.map_or(0, |work| work.consumers);
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
        let left = self.known.consumers_left;
        if let Some(work) = &mut self.known.groups.work {
            work.consumers = left;
        }
        Ok(())
    }
}
