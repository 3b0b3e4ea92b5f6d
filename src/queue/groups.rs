//! The two consumer groups of a queue. Each holds a consumer that marks it as ours: a stream of
//! other hands may have groups of these names, and those are left alone.

use devicestate_core::queue::times::deadline;
use devicestate_core::queue::{pending::Holder, Id};

use super::memory::Known;
use crate::fleet::{Error, Result};
use crate::store::{Arg, Ctx, RString, Reply};

/// What is to be done or being done.
pub const WORK: &str = "work";
/// What failed for good.
pub const DEAD: &str = "dead";
/// The consumer in `work` that holds what no worker has. It marks the group.
pub const NOBODY: &str = "-";
/// The consumer in `dead`. It marks the group.
pub const GRAVE: &str = "dead";

/// How many entries of a pending list are read at once.
const PAGE: u64 = 1_000;

/// A group as `XINFO GROUPS` shows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Group {
    pub consumers: u64,
    pub pending: u64,
    /// The last delivered id.
    pub last: Id,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Groups {
    pub work: Option<Group>,
    pub dead: Option<Group>,
}

impl Groups {
    /// Of a stream that is there.
    pub fn read(ctx: &Ctx<'_>, key: &RString) -> Result<Groups> {
        let reply = ctx.read(c"XINFO", &["GROUPS".into(), key.into()])?;
        let mut groups = Groups::default();
        for part in reply.parts() {
            let (mut name, mut group) = (None, Group::default());
            for at in (0..part.len()).step_by(2) {
                let value = || part.part(at + 1);
                match part.at(at) {
                    Some(b"name") => name = part.at(at + 1),
                    Some(b"consumers") => group.consumers = value().map_or(0, |v| v.int()),
                    Some(b"pending") => group.pending = value().map_or(0, |v| v.int()),
                    Some(b"last-delivered-id") => {
                        group.last = part.at(at + 1).and_then(Id::parse).unwrap_or_default();
                    }
                    _ => {}
                }
            }
            match name {
                Some(name) if name == WORK.as_bytes() => groups.work = Some(group),
                Some(name) if name == DEAD.as_bytes() => groups.dead = Some(group),
                _ => {}
            }
        }
        Ok(groups)
    }

    /// Groups of these names that other hands made are none of ours.
    pub fn check(&self, ctx: &Ctx<'_>, key: &RString, known: &mut Known) -> Result<()> {
        if self.work.is_some() && !known.has_our_work {
            check_mark(ctx, key, WORK, NOBODY)?;
        }
        if self.dead.is_some() && !known.has_our_dead {
            check_mark(ctx, key, DEAD, GRAVE)?;
        }
        known.has_our_work = self.work.is_some();
        known.has_our_dead = self.dead.is_some();
        Ok(())
    }

    /// Reads the pending lists, from the server into `known`.
    pub fn load(&self, ctx: &Ctx<'_>, key: &RString, known: &mut Known) -> Result<()> {
        known.pending = Default::default();
        known.dead_ahead.clear();
        known.none_new_to = Id::ZERO;
        let Some(work) = self.work else {
            return Ok(());
        };
        walk(ctx, key, WORK, Id::ZERO, |taken| {
            known.pending.set(taken.id, taken.holder(), taken.deadline);
        })?;
        let ahead = work.last.next().filter(|_| self.dead.is_some());
        if let Some(first) = ahead {
            walk(ctx, key, DEAD, first, |taken| {
                known.dead_ahead.insert(taken.id);
            })?;
        }
        Ok(())
    }
}

fn check_mark(ctx: &Ctx<'_>, key: &RString, group: &'static str, mark: &str) -> Result<()> {
    let reply = ctx.read(c"XINFO", &["CONSUMERS".into(), key.into(), group.into()])?;
    // Each consumer is a list that begins with its name.
    let is_marked = reply
        .parts()
        .any(|consumer| consumer.at(1) == Some(mark.as_bytes()));
    if is_marked {
        Ok(())
    } else {
        Err(Error::foreign_group(key.bytes(), group, mark))
    }
}

/// An entry of a pending list.
pub struct Taken {
    pub id: Id,
    pub consumer: Vec<u8>,
    pub deadline: u64,
    pub deliveries: u64,
}

impl Taken {
    fn read(entry: &Reply, now: u64) -> Option<Taken> {
        Some(Taken {
            id: Id::parse(entry.at(0)?)?,
            consumer: entry.at(1)?.to_vec(),
            deadline: deadline(entry.part(2)?.int(), now),
            deliveries: entry.part(3)?.int(),
        })
    }

    pub fn holder(&self) -> Holder {
        if self.consumer == NOBODY.as_bytes() {
            Holder::Nobody
        } else {
            Holder::Worker
        }
    }
}

/// The entry of one message; with `consumer` only if that one has it.
pub fn find(
    ctx: &Ctx<'_>,
    key: &RString,
    group: &'static str,
    id: Id,
    consumer: Option<&[u8]>,
) -> Result<Option<Taken>> {
    let mut args = vec![key.into(), Arg::Name(group), id.into(), id.into(), 1.into()];
    args.extend(consumer.map(Arg::from));
    let now = ctx.command_clock_ms();
    let reply = ctx.read(c"XPENDING", &args)?;
    Ok(reply.part(0).and_then(|entry| Taken::read(&entry, now)))
}

/// Entries of a group, oldest first, from `first` on, `count` at most.
pub fn page(
    ctx: &Ctx<'_>,
    key: &RString,
    group: &'static str,
    first: Id,
    count: u64,
) -> Result<Vec<Taken>> {
    let args = [
        key.into(),
        group.into(),
        first.into(),
        "+".into(),
        count.into(),
    ];
    let now = ctx.command_clock_ms();
    let reply = ctx.read(c"XPENDING", &args)?;
    let entries = reply.parts();
    Ok(entries
        .filter_map(|entry| Taken::read(&entry, now))
        .collect())
}

/// All entries of a group from `first` on.
fn walk(
    ctx: &Ctx<'_>,
    key: &RString,
    group: &'static str,
    first: Id,
    mut each: impl FnMut(Taken),
) -> Result<()> {
    let mut next = Some(first);
    while let Some(first) = next {
        let entries = page(ctx, key, group, first, PAGE)?;
        let is_last = (entries.len() as u64) < PAGE;
        next = entries.last().and_then(|taken| taken.id.next());
        entries.into_iter().for_each(&mut each);
        if is_last {
            return Ok(());
        }
    }
    Ok(())
}
