//! QUEUE.PENDING and QUEUE.STAT. Both work on replicas.

use devicestate_core::queue::pending::{Counts, Holder};
use devicestate_core::queue::Id;

use super::groups::{page, Groups, Taken, DEAD, WORK};
use super::memory::Known;
use super::open::{is_stream, open_stream, Look, Queue};
use crate::fleet::Result;
use crate::store::{Ctx, RString};

/// What has become of a message that somebody had or that was put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Leased,
    /// Put off, by DELAY or by who had it.
    Delayed,
    /// The lease or the delay is over.
    Ready,
    Dead,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Leased => "leased",
            State::Delayed => "delayed",
            State::Ready => "ready",
            State::Dead => "dead",
        }
    }
}

/// One message of the list.
pub struct Row {
    pub id: Id,
    pub worker: Option<Vec<u8>>,
    pub deliveries: u64,
    /// Until it is delivered again, in milliseconds; none for a dead one.
    pub left_ms: Option<u64>,
    pub state: State,
}

impl Row {
    fn of_work(taken: Taken, now: u64) -> Row {
        let holder = taken.holder();
        Row {
            id: taken.id,
            worker: (holder == Holder::Worker).then_some(taken.consumer),
            deliveries: taken.deliveries,
            left_ms: Some(taken.deadline.saturating_sub(now)),
            state: match holder {
                _ if taken.deadline <= now => State::Ready,
                Holder::Worker => State::Leased,
                Holder::Nobody => State::Delayed,
            },
        }
    }

    fn of_dead(taken: Taken) -> Row {
        Row {
            id: taken.id,
            worker: None,
            deliveries: taken.deliveries,
            left_ms: None,
            state: State::Dead,
        }
    }
}

/// The messages of both pending lists, oldest first, `count` at most.
pub fn pending(ctx: &Ctx<'_>, key: &RString, count: u64, now: u64) -> Result<Vec<Row>> {
    if !is_stream(ctx, key)? {
        return Ok(Vec::new());
    }
    let groups = Groups::read(ctx, key)?;
    groups.check(ctx, key, &mut Known::default())?;
    let mut rows = Vec::new();
    if groups.work.is_some() {
        let work = page(ctx, key, WORK, Id::ZERO, count)?;
        rows.extend(work.into_iter().map(|taken| Row::of_work(taken, now)));
    }
    if groups.dead.is_some() {
        let dead = page(ctx, key, DEAD, Id::ZERO, count)?;
        rows.extend(dead.into_iter().map(Row::of_dead));
    }
    rows.sort_by_key(|row| row.id);
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(rows)
}

/// How many messages are what.
#[derive(Default)]
pub struct Stat {
    pub ready: u64,
    pub delayed: u64,
    pub leased: u64,
    pub dead: u64,
    /// Since the oldest message that is not dead was added, in milliseconds.
    pub oldest_age: Option<u64>,
}

/// Exact as long as only queue commands remove messages.
pub fn stat(ctx: &Ctx<'_>, key: &RString, now: u64) -> Result<Stat> {
    let Some(mut queue) = Queue::open(ctx, key, Look::Always)? else {
        return Ok(Stat::default());
    };
    let oldest = [queue.known.pending.first(), first_new(&mut queue)?];
    let oldest = oldest.into_iter().flatten().min();
    let counts = queue.known.pending.counts(now);
    Ok(Stat {
        ready: ready(&queue, counts),
        delayed: counts.parked as u64,
        leased: counts.leased as u64,
        dead: queue.dead(),
        oldest_age: oldest.map(|id| now.saturating_sub(id.ms)),
    })
}

/// How many messages could be handed out now, as [`stat`] counts them.
pub fn count_ready(ctx: &Ctx<'_>, key: &RString, now: u64) -> Result<u64> {
    let queue = Queue::open(ctx, key, Look::Always)?;
    Ok(queue.map_or(0, |queue| ready(&queue, queue.known.pending.counts(now))))
}

/// What is neither pending nor dead is new.
fn ready(queue: &Queue<'_>, counts: Counts) -> u64 {
    let had = queue.known.pending.len() as u64 + queue.dead();
    queue.length.saturating_sub(had) + counts.due as u64
}

/// The oldest message that nobody had yet. Those that are put off before anybody comes to them lie
/// among the new ones: each of them is read once, not with each look.
fn first_new(queue: &mut Queue<'_>) -> Result<Option<Id>> {
    let seen = queue.last().max(queue.known.none_new_to);
    let Some(mut stream) = open_stream(queue.ctx, queue.key)? else {
        return Ok(None);
    };
    let Some(first) = seen.next() else {
        return Ok(None);
    };
    for entry in stream.entries(first, None) {
        let known = &mut queue.known;
        if known.pending.get(entry.id).is_none() && !known.dead_ahead.contains(&entry.id) {
            return Ok(Some(entry.id));
        }
        known.none_new_to = entry.id;
    }
    Ok(None)
}
