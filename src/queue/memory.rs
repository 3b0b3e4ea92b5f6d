//! What is remembered of queues between commands: the pending list by deadline, so that a GET finds
//! what is due without a walk over what is not. It is dropped whenever other hands may have changed
//! the truth, and made anew by the next command that needs it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

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
    pub groups: Groups,
    /// When the groups were read, by the monotonic clock, in milliseconds.
    pub read_at: u64,
    /// The groups were seen to be ours.
    pub has_our_work: bool,
    pub has_our_dead: bool,
    /// How many consumers were left after those without messages were removed.
    pub consumers_left: u64,
    /// When the queue was found full: its oldest entry, and when the next of the oldest ones expires.
    pub full: Option<(Id, u64)>,
}

/// Queues of which nothing is pending may be forgotten when there are more than so many.
const KEEP: usize = 10_000;

/// By key; `None` while a command has it.
type OfDatabase = HashMap<Box<[u8]>, Option<Box<Known>>>;

#[derive(Default)]
struct Memory {
    queues: HashMap<i32, OfDatabase>,
    count: usize,
    tidy_at: usize,
    /// Grows when something is forgotten.
    generation: u64,
    /// Whether this server is a master: asked for once, until the role changes.
    is_master: Option<bool>,
}

thread_local!(static MEMORY: RefCell<Memory> = RefCell::default());

/// What was taken out of the memory for the length of a command, or nothing; and the generation it
/// belongs to.
pub fn take(db: i32, key: &[u8]) -> (Option<Box<Known>>, u64) {
    MEMORY.with_borrow_mut(|memory| {
        let queues = memory.queues.get_mut(&db);
        let known = queues.and_then(|queues| queues.get_mut(key)?.take());
        (known, memory.generation)
    })
}

/// Puts it back, unless something was forgotten meanwhile: that may have been this.
pub fn put(db: i32, key: &[u8], known: Box<Known>, generation: u64) {
    MEMORY.with_borrow_mut(|memory| {
        if memory.generation != generation {
            return;
        }
        let queues = memory.queues.entry(db).or_default();
        match queues.get_mut(key) {
            Some(slot) => *slot = Some(known),
            None => {
                queues.insert(key.into(), Some(known));
                memory.count += 1;
                memory.tidy();
            }
        }
    });
}

/// Replicas are not told of what changes, so they remember nothing.
pub fn is_master(ctx: &Ctx<'_>) -> bool {
    MEMORY.with_borrow_mut(|memory| {
        let ask = || ctx.flags().is_master();
        *memory.is_master.get_or_insert_with(ask)
    })
}

/// Forgets one queue.
pub fn forget(db: i32, key: &[u8]) {
    MEMORY.with_borrow_mut(|memory| {
        let queues = memory.queues.get_mut(&db);
        if queues.is_some_and(|queues| queues.remove(key).is_some()) {
            memory.count -= 1;
            memory.generation += 1;
        }
    });
}

/// Forgets everything.
pub fn forget_all() {
    MEMORY.with_borrow_mut(|memory| {
        memory.queues.clear();
        memory.count = 0;
        memory.generation += 1;
        memory.is_master = None;
    });
}

impl Memory {
    /// What is quickly made anew need not stay.
    fn tidy(&mut self) {
        if self.count <= self.tidy_at.max(KEEP) {
            return;
        }
        let is_kept = |known: &Option<Box<Known>>| {
            known
                .as_ref()
                .is_some_and(|known| !known.pending.is_empty())
        };
        for queues in self.queues.values_mut() {
            queues.retain(|_, known| is_kept(known));
        }
        self.count = self.queues.values().map(HashMap::len).sum();
        self.tidy_at = self.count * 2;
    }
}
