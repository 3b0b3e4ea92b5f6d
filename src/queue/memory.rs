//! What is remembered of queues between commands: the pending list by deadline, so that a GET finds
//! what is due without a walk over what is not. It is dropped whenever other hands may have changed
//! the truth, and made anew by the next command that needs it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use devicestate_core::queue::pending::Pending;
use devicestate_core::queue::Id;

use super::groups::Groups;
use crate::store::Ctx;

/// Of one queue.
#[derive(Default)]
pub struct Known {
    pub pending: Pending,
    /// The dead ones behind the last delivered id: they are not to be delivered when it comes to them.
    pub dead_ahead: BTreeSet<Id>,
    /// Behind the last delivered id and up to this one there is no new message.
    pub none_new_to: Id,
    pub groups: Groups,
    /// When the groups were read, by the monotonic clock, in milliseconds.
    pub read_at: u64,
    /// The groups were seen to be ours.
    pub has_our_work: bool,
    pub has_our_dead: bool,
    /// How many consumers were left after those without messages were removed.
    pub consumers_left: u64,
    /// The queue was found full, and nothing in it to make room.
    pub full: Option<Full>,
}

/// A queue in which nothing was found to have expired that could go.
#[derive(Clone, Copy)]
pub struct Full {
    pub extent: Extent,
    /// When the next of the oldest messages expires, or comes back from who had it then.
    pub until: u64,
}

/// As long as this stays the same, no entry came and none went: a new one has a higher id than any
/// before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub oldest: Id,
    pub newest: Id,
    pub length: u64,
}

/// Queues of which nothing is pending may be forgotten when there are more than so many.
const KEEP: usize = 10_000;

/// Where something stays between commands. It is empty while a command has what was in it, and nobody
/// finds it again once the queue is forgotten.
#[derive(Clone, Default)]
pub struct Place(Rc<Kept>);

#[derive(Default)]
struct Kept {
    known: Cell<Option<Box<Known>>>,
    /// The groups were seen to be ours, or not to be there.
    is_checked: Cell<bool>,
}

impl Place {
    pub fn take(&self) -> Option<Box<Known>> {
        self.0.known.take()
    }

    pub fn note_checked(&self) {
        self.0.is_checked.set(true);
    }

    fn has_pending(&self) -> bool {
        let known = self.0.known.take();
        let has_pending = known
            .as_ref()
            .is_some_and(|known| !known.pending.is_empty());
        self.0.known.set(known);
        has_pending
    }
}

/// Something taken out of its place, which goes back there when this is dropped, unless the panic or
/// the error on the way leaves it in doubt.
pub struct Lent {
    /// `None` only while it goes back.
    known: Option<Box<Known>>,
    place: Place,
    pub is_spoiled: bool,
}

impl Lent {
    pub fn new(known: Box<Known>, place: Place) -> Lent {
        Lent {
            known: Some(known),
            place,
            is_spoiled: false,
        }
    }

    pub fn note_checked(&self) {
        self.place.note_checked();
    }
}

impl Deref for Lent {
    type Target = Known;

    fn deref(&self) -> &Known {
        match &self.known {
            Some(known) => known,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Known {
        self.known.get_or_insert_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_spoiled && !std::thread::panicking() {
            self.place.0.known.set(self.known.take());
        }
    }
}

/// By key.
type OfDatabase = HashMap<Box<[u8]>, Place>;

#[derive(Default)]
struct Memory {
    /// By the number of the database.
    queues: Vec<OfDatabase>,
    count: usize,
    tidy_at: usize,
    /// Whether this server is a master: asked for once, until the role changes.
    is_master: Option<bool>,
}

thread_local!(static MEMORY: RefCell<Memory> = RefCell::default());

/// Where what is known of a queue is, or will be. Replicas are not told of what changes, so they
/// remember nothing.
pub fn place(ctx: &Ctx<'_>, db: i32, key: &[u8]) -> Place {
    let is_master = is_master(ctx);
    MEMORY.with_borrow_mut(|memory| {
        if !is_master {
            return Place::default();
        }
        let db = usize::try_from(db).unwrap_or(0);
        if memory.queues.len() <= db {
            memory.queues.resize_with(db + 1, HashMap::new);
        }
        if let Some(place) = memory.queues[db].get(key) {
            return place.clone();
        }
        memory.tidy();
        memory.count += 1;
        let place = Place::default();
        memory.queues[db].insert(key.into(), place.clone());
        place
    })
}

pub fn is_master(ctx: &Ctx<'_>) -> bool {
    MEMORY.with_borrow_mut(|memory| {
        let ask = || ctx.flags().is_master();
        *memory.is_master.get_or_insert_with(ask)
    })
}

/// Whether no group of the stream was another program's, and nobody changed them since.
pub fn is_checked(db: i32, key: &[u8]) -> bool {
    MEMORY.with_borrow(|memory| {
        let db = usize::try_from(db).unwrap_or(0);
        let place = memory.queues.get(db).and_then(|queues| queues.get(key));
        place.is_some_and(|place| place.0.is_checked.get())
    })
}

/// Forgets one queue.
pub fn forget(db: i32, key: &[u8]) {
    MEMORY.with_borrow_mut(|memory| {
        let db = usize::try_from(db).unwrap_or(0);
        let queues = memory.queues.get_mut(db);
        if queues.is_some_and(|queues| queues.remove(key).is_some()) {
            memory.count -= 1;
        }
    });
}

/// Forgets everything.
pub fn forget_all() {
    MEMORY.with_borrow_mut(|memory| {
        memory.queues.clear();
        memory.count = 0;
        memory.is_master = None;
    });
}

impl Memory {
    /// What is quickly made anew need not stay.
    fn tidy(&mut self) {
        if self.count <= self.tidy_at.max(KEEP) {
            return;
        }
        for queues in &mut self.queues {
            queues.retain(|_, place| place.has_pending());
        }
        self.count = self.queues.iter().map(HashMap::len).sum();
        self.tidy_at = self.count * 2;
    }
}
