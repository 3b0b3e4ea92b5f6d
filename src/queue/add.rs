//! QUEUE.ADD.

use devicestate_core::queue::message::{self, Message};
use devicestate_core::queue::pending::Holder;
use devicestate_core::queue::Id;

use super::groups::{self, DEAD};
use super::memory::{self, Extent, Full};
use super::open::{check_groups, is_stream, open_stream, wrong_type, Look, Queue};
use crate::fleet::{self, Error, Result};
use crate::store::{named, pair, Ctx, RString};

/// How many of the oldest messages are looked at for expired ones when a queue is full.
const OLDEST: usize = 1_000;

pub struct NewMessage<'a> {
    pub body: &'a [u8],
    pub attributes: Vec<(&'a [u8], &'a [u8])>,
    pub ttl_ms: Option<u64>,
    /// How many messages the queue may hold with this one.
    pub maxlen: Option<u64>,
    pub delay_ms: u64,
}

/// Appends a message and returns its id. It refuses where the queue is full: nothing is trimmed but
/// what has expired.
pub fn add(ctx: &Ctx<'_>, key: &RString, message: &NewMessage<'_>, now: u64) -> Result<Id> {
    // The groups may be others', and then nothing is to be written.
    let must_check = !memory::is_checked(ctx.selected_db(), key.bytes());
    if (must_check || message.maxlen.is_some()) && is_stream(ctx, key)? {
        if must_check {
            check_groups(ctx, key)?;
        }
        if let Some(maxlen) = message.maxlen {
            make_room(ctx, key, maxlen, now)?;
        }
    }
    let names: Vec<Vec<u8>> = message
        .attributes
        .iter()
        .map(|(name, _)| message::attribute_field(name))
        .collect();
    let mut fields = Vec::with_capacity(6 + 2 * names.len());
    fields.extend(named(message::BODY, message.body));
    if let Some(ttl) = message.ttl_ms {
        fields.extend(named(message::EXPIRES_AT, now.saturating_add(ttl)));
    }
    let due = now.saturating_add(message.delay_ms);
    if message.delay_ms > 0 {
        fields.extend(named(message::NOT_BEFORE, due));
    }
    for (name, (_, value)) in names.iter().zip(&message.attributes) {
        fields.extend(pair(name.as_slice(), *value));
    }
    let stream = ctx
        .open_to_append(key)
        .map_err(|found| wrong_type(key, found))?;
    let id = stream.append(&fields)?;
    if message.delay_ms > 0 {
        if let Some(mut queue) = Queue::open(ctx, key, Look::NowAndThen)? {
            queue.need_work()?;
            queue.park(&[id], due, 0)?;
            queue.arrange(now);
        }
    }
    fleet::with(|fleet| fleet.stats.queues.added.add(1));
    Ok(id)
}

/// Refuses when the queue is full, unless expired messages make room when they are deleted.
fn make_room(ctx: &Ctx<'_>, key: &RString, maxlen: u64, now: u64) -> Result<()> {
    let length = open_stream(ctx, key)?.map_or(0, |stream| stream.len());
    if length < maxlen {
        return Ok(());
    }
    if let Some(mut queue) = Queue::open(ctx, key, Look::NowAndThen)? {
        let expired = expired(&mut queue, now)?;
        if length - (expired.len() as u64).min(length) < maxlen {
            let pending: Vec<Id> = expired
                .iter()
                .copied()
                .filter(|id| queue.known.pending.get(*id).is_some())
                .collect();
            queue.release(groups::WORK, &pending)?;
            queue.delete(&expired);
            fleet::with(|fleet| fleet.stats.queues.expired.add(expired.len() as u64));
            return Ok(());
        }
    }
    fleet::with(|fleet| fleet.stats.queues.refused.add(1));
    Err(Error::queue_full(key.bytes(), length, maxlen))
}

/// Those of the oldest messages whose time to live is over, and which are neither leased nor dead.
/// A queue that stays full is not walked each time.
fn expired(queue: &mut Queue<'_>, now: u64) -> Result<Vec<Id>> {
    let mut expired = Vec::new();
    let Some(mut stream) = open_stream(queue.ctx, queue.key)? else {
        return Ok(expired);
    };
    let oldest = stream.entries(Id::ZERO, None).next();
    let extent = Extent {
        oldest: oldest.map_or(Id::ZERO, |entry| entry.id),
        newest: queue.ctx.newest_entry(queue.key).unwrap_or_default(),
        length: stream.len(),
    };
    let is_same = |full: Full| full.extent == extent && now < full.until;
    if queue.known.full.is_some_and(is_same) {
        return Ok(expired);
    }
    let mut until = u64::MAX;
    for entry in stream.entries(Id::ZERO, None).take(OLDEST) {
        let message = Message::read(entry.pairs());
        match message.expires_at {
            Some(at) if at <= now => {
                let slot = queue.known.pending.get(entry.id);
                match slot.filter(|slot| slot.holder == Holder::Worker && !slot.is_due(now)) {
                    Some(lease) => until = until.min(lease.deadline),
                    None => expired.push(entry.id),
                }
            }
            Some(at) => until = until.min(at),
            None => {}
        }
    }
    drop(stream);
    if queue.dead() > 0 {
        let mut living = Vec::with_capacity(expired.len());
        for id in expired {
            if groups::find(queue.ctx, queue.key, DEAD, id, None)?.is_none() {
                living.push(id);
            }
        }
        expired = living;
    }
    queue.known.full = expired.is_empty().then_some(Full { extent, until });
    Ok(expired)
}
