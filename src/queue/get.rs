//! QUEUE.GET: what is due again comes first, then what nobody had yet.
//!
//! First everything is looked at and decided, then it is written: an error on the way changes nothing.

use std::collections::BTreeMap;

use devicestate_core::queue::fate::{self, Fate};
use devicestate_core::queue::message::Message;
use devicestate_core::queue::pending::Holder;
use devicestate_core::queue::Id;

use super::groups::{self, WORK};
use super::open::{open_stream, Look, Queue};
use crate::fleet::{self, Result};
use crate::store::{Ctx, Entry, RString};

/// How many messages one command looks at; those that expired are many, at times.
pub(super) const LOOKS: usize = 10_000;

/// What a worker asks for.
pub struct Ask {
    pub worker: Vec<u8>,
    pub count: usize,
    pub lease_ms: u64,
    /// How often a message may be delivered; 0: as often as it takes.
    pub max: u64,
    /// In order: only the oldest so many that are not done are handed out.
    pub in_flight: Option<usize>,
}

/// A message that is handed out.
pub struct Delivery {
    pub entry: Entry,
    /// With this one.
    pub deliveries: u64,
}

/// What a look found.
#[derive(Default)]
pub struct Taken {
    pub deliveries: Vec<Delivery>,
    /// If nothing was found: there may be more then, if nobody changes the queue before.
    pub look_again_at: Option<u64>,
}

/// Hands out messages and leases them to the worker.
pub fn get(ctx: &Ctx<'_>, key: &RString, ask: &Ask, now: u64) -> Result<Taken> {
    let Some(mut queue) = Queue::open(ctx, key, Look::NowAndThen)? else {
        return Ok(Taken::default());
    };
    queue.need_work()?;
    // What is remembered runs ahead of what is written.
    queue.doubt();
    let mut walk = Walk::new(&mut queue, ask, now);
    match ask.in_flight {
        Some(in_flight) => walk.in_order(in_flight)?,
        None => walk.by_deadline()?,
    }
    let (deliveries, is_cut_short) = walk.write()?;
    queue.tidy_consumers()?;
    queue.trust();
    let look_again_at = match is_cut_short {
        true => Some(now.saturating_add(1)),
        // Nobody asks.
        false if !deliveries.is_empty() && !queue.is_waited() => None,
        false => queue.known.pending.next_deadline(now),
    };
    queue.look_again_at(look_again_at);
    Ok(Taken {
        deliveries,
        look_again_at,
    })
}

/// What a look at a message came to.
enum Outcome {
    HandedOut,
    Later,
    Gone,
}

pub(super) struct Walk<'q, 'c> {
    pub(super) queue: &'q mut Queue<'c>,
    pub(super) ask: &'q Ask,
    pub(super) now: u64,
    /// When the leases given here end.
    deadline: u64,
    pub(super) looks: usize,
    is_cut_short: bool,
    /// The server's own command takes what is new.
    is_plain: bool,
    /// Up to here the new messages have been walked over.
    pub(super) last: Id,
    /// Some of them are pending or dead already.
    has_skipped: bool,
    pub(super) out: Vec<Delivery>,
    /// What is to be written.
    new: Vec<Id>,
    again: BTreeMap<u64, Vec<Id>>,
    pub(super) parked: BTreeMap<u64, Vec<Id>>,
    buried: BTreeMap<u64, Vec<Id>>,
    pub(super) released: Vec<Id>,
    pub(super) expired: Vec<Id>,
}

impl<'q, 'c> Walk<'q, 'c> {
    fn new(queue: &'q mut Queue<'c>, ask: &'q Ask, now: u64) -> Walk<'q, 'c> {
        Walk {
            last: queue.last(),
            queue,
            ask,
            now,
            deadline: now.saturating_add(ask.lease_ms),
            looks: 0,
            is_cut_short: false,
            is_plain: false,
            has_skipped: false,
            out: Vec::new(),
            new: Vec::new(),
            again: BTreeMap::new(),
            parked: BTreeMap::new(),
            buried: BTreeMap::new(),
            released: Vec::new(),
            expired: Vec::new(),
        }
    }

    /// What has been due for longest, then what is new.
    fn by_deadline(&mut self) -> Result<()> {
        while self.out.len() < self.ask.count && self.may_look() {
            let Some(id) = self.queue.known.pending.first_due(self.now) else {
                break;
            };
            self.look_at(id)?;
        }
        self.is_plain = self.looks == 0 && self.is_plain();
        if !self.is_plain {
            self.walk_new(self.ask.count, None)?;
        }
        Ok(())
    }

    /// In the order of ids, within the `in_flight` oldest messages that are not done. One that is
    /// leased or put off keeps its place among them.
    fn in_order(&mut self, in_flight: usize) -> Result<()> {
        let leased = self.queue.known.pending.counts(self.now).leased;
        let room = in_flight.saturating_sub(leased).min(self.ask.count);
        let (mut places, mut behind) = (in_flight, Id::ZERO);
        loop {
            while places > 0 && self.out.len() < room && self.may_look() {
                let next = self.queue.known.pending.next_by_id(behind, self.last);
                let Some((id, slot)) = next else {
                    break;
                };
                behind = id;
                if !slot.is_due(self.now) || !matches!(self.look_at(id)?, Outcome::Gone) {
                    places -= 1;
                }
            }
            match self.walk_new(room, Some(&mut places))? {
                // The walk came to one that is pending already.
                Some(before) => behind = before,
                None => return Ok(()),
            }
        }
    }

    pub(super) fn may_look(&mut self) -> bool {
        self.is_cut_short |= self.looks >= LOOKS;
        !self.is_cut_short
    }

    /// One that is said to be due: the truth about it, and what becomes of it.
    fn look_at(&mut self, id: Id) -> Result<Outcome> {
        self.looks += 1;
        let (ctx, key) = (self.queue.ctx, self.queue.key);
        let pending = &mut self.queue.known.pending;
        let Some(found) = groups::find(ctx, key, WORK, id, None)? else {
            pending.remove(id);
            // Its entry may still be there, as if it were new.
            self.queue.known.none_new_to = Id::ZERO;
            return Ok(Outcome::Gone);
        };
        if found.deadline > self.now {
            pending.set(id, found.holder(), found.deadline);
            return Ok(Outcome::Later);
        }
        let entry = open_stream(ctx, key)?.and_then(|mut stream| stream.entry(id));
        let Some(entry) = entry else {
            pending.remove(id);
            self.released.push(id);
            return Ok(Outcome::Gone);
        };
        let message = Message::read(entry.pairs());
        let fate = fate::of_due(&message, found.deliveries, self.ask.max, self.now);
        if matches!(fate, Fate::Expire | Fate::Bury(_)) && id > self.last {
            // When the walk over new messages comes to it, it is none.
            self.queue.known.dead_ahead.insert(id);
        }
        let pending = &mut self.queue.known.pending;
        match fate {
            Fate::Deliver(deliveries) => {
                pending.set(id, Holder::Worker, self.deadline);
                self.again.entry(deliveries).or_default().push(id);
                self.out.push(Delivery { entry, deliveries });
                Ok(Outcome::HandedOut)
            }
            Fate::Park(at) => {
                pending.set(id, Holder::Nobody, at);
                self.parked.entry(at).or_default().push(id);
                Ok(Outcome::Later)
            }
            Fate::Expire => {
                pending.remove(id);
                self.released.push(id);
                self.expired.push(id);
                Ok(Outcome::Gone)
            }
            Fate::Bury(deliveries) => {
                pending.remove(id);
                self.buried.entry(deliveries).or_default().push(id);
                Ok(Outcome::Gone)
            }
        }
    }

    /// Messages that nobody had yet, until `limit` are handed out or the places are taken. With places
    /// it stops at one that is pending already, and returns the id it had come to before.
    fn walk_new(&mut self, limit: usize, mut places: Option<&mut usize>) -> Result<Option<Id>> {
        let Some(first) = self.last.next().filter(|_| self.out.len() < limit) else {
            return Ok(None);
        };
        let Some(mut stream) = open_stream(self.queue.ctx, self.queue.key)? else {
            return Ok(None);
        };
        let has_place = |places: &Option<&mut usize>| places.as_ref().is_none_or(|n| **n > 0);
        let mut entries = stream.entries(first, None);
        while self.out.len() < limit && has_place(&places) && self.may_look() {
            let Some(entry) = entries.next() else {
                break;
            };
            self.looks += 1;
            let id = entry.id;
            let before = std::mem::replace(&mut self.last, id);
            let known = &mut self.queue.known;
            let is_pending = known.pending.get(id).is_some();
            if is_pending || known.dead_ahead.contains(&id) {
                self.has_skipped = true;
                if is_pending && places.is_some() {
                    return Ok(Some(before));
                }
                continue;
            }
            match fate::of_new(&Message::read(entry.pairs()), self.now) {
                Fate::Deliver(deliveries) => {
                    known.pending.set(id, Holder::Worker, self.deadline);
                    self.new.push(id);
                    self.out.push(Delivery { entry, deliveries });
                }
                Fate::Park(at) => {
                    known.pending.set(id, Holder::Nobody, at);
                    self.parked.entry(at).or_default().push(id);
                }
                Fate::Expire | Fate::Bury(_) => {
                    self.expired.push(id);
                    continue;
                }
            }
            if let Some(places) = &mut places {
                **places -= 1;
            }
        }
        Ok(None)
    }

    /// Writes what was decided.
    fn write(mut self) -> Result<(Vec<Delivery>, bool)> {
        if self.is_plain {
            self.take_plain()?;
        }
        let queue = self.queue;
        queue.release(WORK, &self.released)?;
        queue.delete(&self.expired);
        for (deliveries, ids) in &self.buried {
            queue.bury(ids, *deliveries)?;
        }
        for (at, ids) in &self.parked {
            queue.park(ids, *at, 0)?;
        }
        let worker = &self.ask.worker;
        for (deliveries, ids) in &self.again {
            queue.lease(worker, ids, self.deadline, *deliveries, None)?;
        }
        if !self.new.is_empty() {
            queue.lease(worker, &self.new, self.deadline, 1, Some(self.last))?;
        } else if self.last > queue.last() && (self.has_skipped || !self.parked.is_empty()) {
            queue.advance(self.last)?;
        }
        let count = |ids: &BTreeMap<u64, Vec<Id>>| ids.values().map(Vec::len).sum::<usize>() as u64;
        // Not the first time of one that was put off, or revived.
        let first_times = self.again.get(&1).map_or(0, Vec::len) as u64;
        fleet::with(|fleet| {
            let stats = &fleet.stats.queues;
            stats.delivered.add(self.out.len() as u64);
            stats.redelivered.add(count(&self.again) - first_times);
            stats.dead.add(count(&self.buried));
            stats.expired.add(self.expired.len() as u64);
        });
        Ok((self.out, self.is_cut_short))
    }
}
