//! What the deadline index holds of each device, side by side in large blocks: twelve bytes and the id,
//! in one piece, because finding one among a million is one look into memory, and nearly nothing
//! else. A device of an id of twelve bytes takes 24.
//!
//! Each block knows a time since which all of its devices were seen, so that to find the few who were
//! not for long, few blocks are read.
//!
//! A record never moves, so its place is its name. One that is given back waits for the next of its
//! size.

use super::lead::{self, Lead};

/// Where a record is, counted in [`STEP`]s from the first byte of the first block.
pub type Slot = u32;

/// The deadline of a device that has none, and of a record that is free.
pub const NEVER: u64 = (1 << LEAD_AT) - 1;

const STEP: usize = 4;
const BLOCK: usize = 16 * 1_024;
const STEPS_IN_BLOCK: usize = BLOCK / STEP;

/// 43 bits of deadline, 13 of the [`Lead`] and 8 of the length of the id less one.
const WORD: usize = 8;
const LEAD_AT: u32 = 43;
const LENGTH_AT: u32 = LEAD_AT + lead::BITS;
/// Where the note is, and then the id.
const NOTE: usize = WORD;
const ID: usize = NOTE + 4;
const LONGEST_ID: usize = 256;
const SIZES: usize = (ID + LONGEST_ID) / STEP + 1;

pub struct Records {
    blocks: Vec<Block>,
    /// Free records, by their size in steps.
    free: Vec<Vec<Slot>>,
}

struct Block {
    bytes: Box<[u8]>,
    /// So many bytes from the first on are records, used or free.
    used: usize,
    /// All devices in it were seen since then.
    seen_since: u64,
}

impl Default for Records {
    fn default() -> Records {
        Records {
            blocks: Vec::new(),
            free: vec![Vec::new(); SIZES],
        }
    }
}

impl Records {
    /// A record with a blank note, which is nobody's until [`Records::set`]; `None` for an id that is
    /// empty or too long to be one.
    pub fn add(&mut self, id: &str) -> Option<Slot> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return None;
        }
        let steps = steps_of(id.len());
        let slot = match self.free[steps].pop() {
            Some(slot) => slot,
            None => self.grow(steps)?,
        };
        let record = self.bytes_mut(slot);
        let length = (id.len() as u64 - 1) << LENGTH_AT;
        let word = length | Lead::FREE.bits() << LEAD_AT | NEVER;
        record[..WORD].copy_from_slice(&word.to_le_bytes());
        record[NOTE..ID].fill(0);
        record[ID..ID + id.len()].copy_from_slice(id.as_bytes());
        Some(slot)
    }

    /// Gives a record back.
    pub fn remove(&mut self, slot: Slot) {
        let steps = steps_of(self.id_length(slot));
        self.put(slot, NEVER, Lead::FREE);
        self.free[steps].push(slot);
    }

    pub fn id(&self, slot: Slot) -> &str {
        std::str::from_utf8(self.id_bytes(slot)).unwrap_or_default()
    }

    pub fn has_id(&self, slot: Slot, id: &str) -> bool {
        self.id_bytes(slot) == id.as_bytes()
    }

    pub fn deadline(&self, slot: Slot) -> u64 {
        match self.word(slot) {
            word if lead_of(word) == Lead::SEEN => NEVER,
            word => word & NEVER,
        }
    }

    /// Sets the deadline of a device, and when it was seen at the earliest; `None`: nobody knows.
    pub fn set(&mut self, slot: Slot, deadline: u64, seen_since: Option<u64>) {
        match seen_since {
            Some(seen) if deadline == NEVER => self.put(slot, seen.min(NEVER), Lead::SEEN),
            Some(seen) => self.put(slot, deadline, Lead::of(deadline.saturating_sub(seen))),
            None => self.put(slot, deadline, Lead::UNKNOWN),
        }
        let seen_since = self.seen_since(slot);
        let block = &mut self.blocks[slot as usize / STEPS_IN_BLOCK];
        block.seen_since = block.seen_since.min(seen_since);
    }

    /// Takes the deadline from a device; when it was seen stays known.
    pub fn take_deadline(&mut self, slot: Slot) {
        match self.seen_since(slot) {
            0 => self.put(slot, NEVER, Lead::UNKNOWN),
            seen => self.put(slot, seen, Lead::SEEN),
        }
    }

    /// A device was seen since this moment, if not later.
    pub fn was_seen(&mut self, slot: Slot, moment: u64) {
        if moment > self.seen_since(slot) {
            self.set(slot, self.deadline(slot), Some(moment));
        }
    }

    /// A moment since which a device was seen; 0 when nobody knows.
    fn seen_since(&self, slot: Slot) -> u64 {
        seen_since(self.word(slot))
    }

    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Hands over the devices of a block that may not have been seen after `moment`.
    pub fn unseen(&mut self, block: usize, moment: u64, mut each: impl FnMut(&str)) {
        if self.blocks[block].seen_since > moment {
            return;
        }
        let (mut at, mut least) = (0, u64::MAX);
        while at < self.blocks[block].used {
            let slot = (block * STEPS_IN_BLOCK + at / STEP) as Slot;
            let word = self.word(slot);
            at += steps_of(self.id_length(slot)) * STEP;
            if lead_of(word) == Lead::FREE {
                continue;
            }
            let seen = seen_since(word);
            least = least.min(seen);
            if seen <= moment {
                each(self.id(slot));
            }
        }
        self.blocks[block].seen_since = least;
    }

    pub fn note(&self, slot: Slot) -> u32 {
        let mut note = [0; 4];
        note.copy_from_slice(&self.bytes(slot)[NOTE..ID]);
        u32::from_le_bytes(note)
    }

    pub fn set_note(&mut self, slot: Slot, note: u32) {
        self.bytes_mut(slot)[NOTE..ID].copy_from_slice(&note.to_le_bytes());
    }

    pub fn memory_usage(&self) -> usize {
        let free: usize = self.free.iter().map(Vec::capacity).sum();
        self.blocks.len() * BLOCK
            + self.blocks.capacity() * size_of::<Block>()
            + free * size_of::<Slot>()
    }

    /// Room for a record that was never used; `None` once there are 16 GB of them.
    fn grow(&mut self, steps: usize) -> Option<Slot> {
        let is_full = |block: &Block| block.used + steps * STEP > BLOCK;
        if self.blocks.last().is_none_or(is_full) {
            self.blocks.push(Block {
                bytes: vec![0; BLOCK].into_boxed_slice(),
                used: 0,
                seen_since: u64::MAX,
            });
        }
        let first = (self.blocks.len() - 1) * STEPS_IN_BLOCK;
        let block = self.blocks.last_mut()?;
        let slot = Slot::try_from(first + block.used / STEP).ok()?;
        block.used += steps * STEP;
        Some(slot)
    }

    fn put(&mut self, slot: Slot, deadline: u64, lead: Lead) {
        let length = self.word(slot) >> LENGTH_AT << LENGTH_AT;
        let word = length | lead.bits() << LEAD_AT | deadline;
        self.bytes_mut(slot)[..WORD].copy_from_slice(&word.to_le_bytes());
    }

    fn word(&self, slot: Slot) -> u64 {
        let mut word = [0; WORD];
        word.copy_from_slice(&self.bytes(slot)[..WORD]);
        u64::from_le_bytes(word)
    }

    fn id_length(&self, slot: Slot) -> usize {
        (self.word(slot) >> LENGTH_AT) as usize + 1
    }

    fn id_bytes(&self, slot: Slot) -> &[u8] {
        let length = self.id_length(slot);
        &self.bytes(slot)[ID..ID + length]
    }

    /// From the record on, to the end of its block.
    fn bytes(&self, slot: Slot) -> &[u8] {
        let slot = slot as usize;
        &self.blocks[slot / STEPS_IN_BLOCK].bytes[slot % STEPS_IN_BLOCK * STEP..]
    }

    fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        let slot = slot as usize;
        &mut self.blocks[slot / STEPS_IN_BLOCK].bytes[slot % STEPS_IN_BLOCK * STEP..]
    }
}

fn lead_of(word: u64) -> Lead {
    Lead::from_bits(word >> LEAD_AT)
}

fn seen_since(word: u64) -> u64 {
    match (lead_of(word), word & NEVER) {
        (Lead::SEEN, seen) => seen,
        (lead, deadline) => lead.ms().map_or(0, |ms| deadline.saturating_sub(ms)),
    }
}

fn steps_of(id_length: usize) -> usize {
    (ID + id_length).div_ceil(STEP)
}
