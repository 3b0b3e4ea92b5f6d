//! Reading the events of all streams in the order of their ids.

use devicestate_core::event_cursor::{Cursor, Position};
use devicestate_core::queue::Id;

use super::super::{Error, Fleet, Result};
use super::merge::{merge, Source};
use crate::store::{Ctx, Entry};

/// A cursor that is further ahead of the clock than this, in milliseconds, has no say in the ids of
/// events: whoever may read could use them up.
const AHEAD_MS: u64 = 60_000;

/// Entries, and the cursor behind them.
pub struct Page {
    pub cursor: Cursor,
    pub entries: Vec<Entry>,
}

/// The next entries behind the cursor, about `count` at most: entries of several streams that have the
/// same id come together.
pub fn read(ctx: &Ctx<'_>, fleet: &Fleet, cursor: &Cursor, count: usize) -> Result<Page> {
    match fleet.keys.are_by_slot() {
        false => read_single(ctx, fleet, cursor, count),
        true => read_slots(ctx, fleet, cursor, count),
    }
}

fn read_single(ctx: &Ctx<'_>, fleet: &Fleet, cursor: &Cursor, count: usize) -> Result<Page> {
    let source = |behind| {
        [Source {
            key: &fleet.keys.of("").events,
            behind,
            next: None,
        }]
    };
    let (behind, entries) = match cursor.whole() {
        Some(Position::Behind(id)) => (id, merge(ctx, &source(id), count)?.entries),
        Some(Position::Newest) => {
            // It may hold another type.
            merge(ctx, &source(Id::ZERO), 0)?;
            let newest = ctx.newest_entry(&fleet.keys.of("").events);
            (newest.unwrap_or(Id::ZERO), Vec::new())
        }
        None => {
            return Err(Error::usage(
                "AFTER: this cursor is of a cluster, and this server is none",
            ))
        }
    };
    let last = entries.last().map_or(behind, |entry| entry.id);
    Ok(Page {
        cursor: Cursor::all(Position::Behind(last)),
        entries,
    })
}

fn read_slots(ctx: &Ctx<'_>, fleet: &Fleet, cursor: &Cursor, count: usize) -> Result<Page> {
    let flags = ctx.flags();
    if !flags.is_master() {
        return Err(Error::usage(
            "a replica in a cluster does not know which slots are on their way: \
             its primary has the events",
        ));
    }
    if flags.is_in_transaction() {
        return Err(Error::usage(
            "the events of a node of a cluster are in many slots: \
             no transaction or script can read them",
        ));
    }
    let log = &fleet.event_log;
    fleet.look_at_touched(ctx);
    fleet.look_at_slots(ctx);
    let (mut inside, outside) = cursor.split(&log.answered.borrow());
    let latest_known = ctx.now_ms().saturating_add(AHEAD_MS);
    let (mut slots, mut sources) = (Vec::new(), Vec::new());
    for part in &mut inside {
        let behind = match part.position {
            Position::Behind(id) => id,
            Position::Newest => log.newest.get(),
        };
        part.position = Position::Behind(behind);
        if behind >= log.newest.get() {
            if behind.ms <= latest_known {
                log.raise(behind);
            }
            continue;
        }
        let streams = log.streams.borrow();
        for slot in part.slots() {
            let stream = streams.get(usize::from(slot.number()));
            if let Some(stream) = stream.filter(|stream| stream.newest > behind) {
                slots.push(slot);
                sources.push(Source {
                    key: &fleet.keys.of_slot(slot).events,
                    behind,
                    next: stream.next_behind(behind),
                });
            }
        }
    }
    let merged = merge(ctx, &sources, count)?;
    for left in merged.left {
        log.change(slots[left.source], |stream| {
            stream.is_left(left.behind, left.next)
        });
    }
    if let Some(last) = merged.entries.last() {
        // Whatever has a lower id in these streams was read; what is appended has a higher one.
        for part in &mut inside {
            if let Position::Behind(id) = &mut part.position {
                *id = last.id.max(*id);
            }
        }
    }
    Ok(Page {
        cursor: Cursor::join([inside, outside].concat()),
        entries: merged.entries,
    })
}

impl Fleet {
    fn look_at_touched(&self, ctx: &Ctx<'_>) {
        let touched = std::mem::take(&mut *self.event_log.touched.borrow_mut());
        for slot in touched {
            self.look_at_events_of(ctx, slot);
        }
    }

    /// Which slots are read: this node's, but none that is on its way to another one. That one may be
    /// asked first, and append events with lower ids than those that are read here; so what is newer
    /// than the last answer of the server is not read by it.
    fn look_at_slots(&self, ctx: &Ctx<'_>) {
        let log = &self.event_log;
        let newest = log.newest.get();
        let is_news = log.answered_at.replace(Some(newest)) != Some(newest);
        let revision = self.slots_revision(ctx, is_news);
        if log.answered_revision.replace(Some(revision)) != Some(revision) {
            log.answered.replace(self.settled_slots());
        }
    }
}
