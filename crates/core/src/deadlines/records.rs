//! What the deadline index holds of each device, side by side in large blocks: twelve bytes and the id,
//! in one piece, because finding one among a million is one look into memory, and nearly nothing
//! else. A device of an id of twelve bytes takes 24.
//!
//! A record never moves, so its place is its name. One that is given back waits for the next of its
//! size.

/// Where a record is, counted in [`STEP`]s from the first byte of the first block.
pub type Slot = u32;

/// The deadline of a device that has none, and of a record that is free.
pub const NEVER: u64 = (1 << 48) - 1;

const STEP: usize = 4;
const BLOCK: usize = 16 * 1_024;
const STEPS_IN_BLOCK: usize = BLOCK / STEP;

/// Six bytes of deadline, one of the length of the id less one, one that is nothing.
const WORD: usize = 8;
/// Where the note is, and then the id.
const NOTE: usize = WORD;
const ID: usize = NOTE + 4;
const LONGEST_ID: usize = 256;
const SIZES: usize = (ID + LONGEST_ID) / STEP + 1;

pub struct Records {
    blocks: Vec<Box<[u8]>>,
    /// How much of the last block is used.
    used: usize,
    /// Free records, by their size in steps.
    free: Vec<Vec<Slot>>,
}

impl Default for Records {
    fn default() -> Records {
        Records {
            blocks: Vec::new(),
            used: BLOCK,
            free: vec![Vec::new(); SIZES],
        }
    }
}

impl Records {
    /// A record without a deadline, with a blank note; `None` for an id that is empty or too long to
    /// be one.
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
        let word = NEVER | (id.len() as u64 - 1) << 48;
        record[..WORD].copy_from_slice(&word.to_le_bytes());
        record[NOTE..ID].fill(0);
        record[ID..ID + id.len()].copy_from_slice(id.as_bytes());
        Some(slot)
    }

    /// Gives a record back.
    pub fn remove(&mut self, slot: Slot) {
        let steps = steps_of(self.id_length(slot));
        self.set_deadline(slot, NEVER);
        self.free[steps].push(slot);
    }

    pub fn id(&self, slot: Slot) -> &str {
        std::str::from_utf8(self.id_bytes(slot)).unwrap_or_default()
    }

    pub fn has_id(&self, slot: Slot, id: &str) -> bool {
        self.id_bytes(slot) == id.as_bytes()
    }

    pub fn deadline(&self, slot: Slot) -> u64 {
        self.word(slot) & NEVER
    }

    pub fn set_deadline(&mut self, slot: Slot, deadline: u64) {
        let word = self.word(slot) & !NEVER | deadline;
        self.bytes_mut(slot)[..WORD].copy_from_slice(&word.to_le_bytes());
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
            + self.blocks.capacity() * size_of::<Box<[u8]>>()
            + free * size_of::<Slot>()
    }

    /// Room for a record that was never used; `None` once there are 16 GB of them.
    fn grow(&mut self, steps: usize) -> Option<Slot> {
        if self.used + steps * STEP > BLOCK {
            self.blocks.push(vec![0; BLOCK].into_boxed_slice());
            self.used = 0;
        }
        let first = (self.blocks.len() - 1) * STEPS_IN_BLOCK;
        let slot = Slot::try_from(first + self.used / STEP).ok()?;
        self.used += steps * STEP;
        Some(slot)
    }

    fn word(&self, slot: Slot) -> u64 {
        let mut word = [0; WORD];
        word.copy_from_slice(&self.bytes(slot)[..WORD]);
        u64::from_le_bytes(word)
    }

    fn id_length(&self, slot: Slot) -> usize {
        (self.word(slot) >> 48) as usize % LONGEST_ID + 1
    }

    fn id_bytes(&self, slot: Slot) -> &[u8] {
        let length = self.id_length(slot);
        &self.bytes(slot)[ID..ID + length]
    }

    /// From the record on, to the end of its block.
    fn bytes(&self, slot: Slot) -> &[u8] {
        let slot = slot as usize;
        &self.blocks[slot / STEPS_IN_BLOCK][slot % STEPS_IN_BLOCK * STEP..]
    }

    fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        let slot = slot as usize;
        &mut self.blocks[slot / STEPS_IN_BLOCK][slot % STEPS_IN_BLOCK * STEP..]
    }
}

fn steps_of(id_length: usize) -> usize {
    (ID + id_length).div_ceil(STEP)
}
