//! What workers and operators say about messages: QUEUE.ACK, NACK, TOUCH and KICK.

use std::collections::BTreeMap;

use devicestate_core::queue::message::Message;
use devicestate_core::queue::Id;

use super::groups::{find, DEAD, WORK};
use super::open::{open_stream, Look, Queue};
use crate::fleet::{self, Result};
use crate::store::{Ctx, RString};

/// Messages are done, or not wanted any more: they go, whatever state they are in. Returns how many
/// there were.
pub fn ack(ctx: &Ctx<'_>, key: &RString, ids: &[Id]) -> Result<u64> {
    let Some(mut queue) = Queue::open(ctx, key, Look::Never)? else {
        return Ok(0);
    };
    let mut others = Vec::new();
    if queue.known.has_our_dead {
        let is_pending = |id: &&Id| queue.known.pending.get(**id).is_some();
        others.extend(ids.iter().filter(|id| !is_pending(id)));
    }
    if queue.known.has_our_work {
        queue.release(WORK, ids)?;
    }
    queue.release(DEAD, &others)?;
    let removed = queue.delete(ids);
    fleet::with(|fleet| fleet.stats.queues.acked.add(removed));
    // In order, the next one may go now.
    queue.signal();
    Ok(removed)
}

/// How a worker gives messages back.
#[derive(Clone, Copy)]
pub enum GiveBack {
    /// To be delivered again after so many milliseconds.
    After(u64),
    /// Not to be delivered again.
    Dead,
}

/// A worker gives back what it has. Returns how many of these it had.
pub fn nack(
    ctx: &Ctx<'_>,
    key: &RString,
    worker: &[u8],
    ids: &[Id],
    how: GiveBack,
    now: u64,
) -> Result<u64> {
    let Some(mut queue) = Queue::open(ctx, key, Look::Never)? else {
        return Ok(0);
    };
    let mut held: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
    for (id, deliveries) in held_by(&queue, worker, ids)? {
        held.entry(deliveries).or_default().push(id);
    }
    for (deliveries, ids) in &held {
        match how {
            GiveBack::After(ms) => queue.park(ids, now.saturating_add(ms), *deliveries)?,
            GiveBack::Dead => queue.bury(ids, *deliveries)?,
        }
    }
    let count = held.values().map(Vec::len).sum::<usize>() as u64;
    fleet::with(|fleet| {
        let stats = &fleet.stats.queues;
        stats.nacked.add(count);
        if matches!(how, GiveBack::Dead) {
            stats.dead.add(count);
        }
    });
    if count > 0 {
        queue.arrange(now);
        queue.signal();
    }
    Ok(count)
}

/// A worker keeps what it has for `ms` from now on, but not beyond the time to live of the message.
/// Returns how many of these it still has.
pub fn touch(
    ctx: &Ctx<'_>,
    key: &RString,
    worker: &[u8],
    ms: u64,
    ids: &[Id],
    now: u64,
) -> Result<u64> {
    let Some(mut queue) = Queue::open(ctx, key, Look::Never)? else {
        return Ok(0);
    };
    let held = held_by(&queue, worker, ids)?;
    let mut renewed: BTreeMap<(u64, u64), Vec<Id>> = BTreeMap::new();
    for (id, deliveries) in &held {
        let wanted = now.saturating_add(ms);
        let deadline = match expires_at(&queue, *id)? {
            Some(Some(end)) if end < wanted => {
                let current = queue
                    .known
                    .pending
                    .get(*id)
                    .map_or(now, |slot| slot.deadline);
                current.min(wanted).max(end)
            }
            _ => wanted,
        };
        let same = renewed.entry((deadline, *deliveries)).or_default();
        same.push(*id);
    }
    for ((deadline, deliveries), ids) in &renewed {
        queue.lease(worker, ids, *deadline, *deliveries, None)?;
    }
    queue.arrange(now);
    Ok(held.len() as u64)
}

/// Dead messages are to be delivered again, as if for the first time. Returns how many of these were
/// dead; one whose time to live is over stays so.
pub fn kick(ctx: &Ctx<'_>, key: &RString, ids: &[Id], now: u64) -> Result<u64> {
    let Some(mut queue) = Queue::open(ctx, key, Look::Never)? else {
        return Ok(0);
    };
    let mut revived = Vec::new();
    if queue.known.has_our_dead {
        for id in ids {
            if find(ctx, key, DEAD, *id, None)?.is_none() {
                continue;
            }
            let end = expires_at(&queue, *id)?;
            if end.is_some_and(|end| end.is_none_or(|end| now < end)) {
                revived.push(*id);
            }
        }
    }
    if !revived.is_empty() {
        queue.need_work()?;
        queue.release(DEAD, &revived)?;
        queue.park(&revived, now, 0)?;
        for id in &revived {
            queue.known.dead_ahead.remove(id);
        }
        queue.arrange(now);
        queue.signal();
    }
    Ok(revived.len() as u64)
}

/// Which of these messages the worker has, and how often each was delivered.
fn held_by(queue: &Queue<'_>, worker: &[u8], ids: &[Id]) -> Result<Vec<(Id, u64)>> {
    let mut held = Vec::new();
    if queue.known.has_our_work {
        for id in ids {
            if let Some(found) = find(queue.ctx, queue.key, WORK, *id, Some(worker))? {
                held.push((*id, found.deliveries));
            }
        }
    }
    Ok(held)
}

/// When a message expires, if it is there and does.
fn expires_at(queue: &Queue<'_>, id: Id) -> Result<Option<Option<u64>>> {
    let entry = open_stream(queue.ctx, queue.key)?.and_then(|mut stream| stream.entry(id));
    Ok(entry.map(|entry| Message::read(entry.pairs()).expires_at))
}
