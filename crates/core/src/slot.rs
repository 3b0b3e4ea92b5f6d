//! Slots of a cluster: which one a key is in, and a short tag for each.
//!
//! A cluster spreads its keys over 16 384 slots by a checksum of the key, or of what stands in its
//! first pair of braces (Redis Cluster specification, "Key distribution model" and "Hash tags"). A
//! device is in the slot of its id; what belongs to all devices of a slot is kept under keys that
//! carry the slot's tag in braces, so that it is in that slot too and moves with it.

use crc::{Crc, CRC_16_XMODEM};

/// How many slots a cluster has.
pub const COUNT: usize = 16_384;

/// How many of a set stand in one of its words.
const WORD: usize = u64::BITS as usize;

const CHECKSUM: Crc<u16, crc::Table<16>> = Crc::<u16, crc::Table<16>>::new(&CRC_16_XMODEM);

/// One of the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// `None`: there is no such slot.
    pub fn new(number: u64) -> Option<Slot> {
        let number = u16::try_from(number).ok()?;
        (usize::from(number) < COUNT).then_some(Slot(number))
    }

    /// The slot of a key.
    pub fn of(key: &[u8]) -> Slot {
        Slot(CHECKSUM.checksum(hashed(key)) % COUNT as u16)
    }

    pub fn number(self) -> u16 {
        self.0
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Slot> {
        (0..COUNT as u16).map(Slot)
    }
}

/// A set of slots, two kilobytes whatever is in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SlotSet {
    /// None while nothing was put in.
    words: Vec<u64>,
}

impl SlotSet {
    pub fn insert(&mut self, slot: Slot) {
        self.words.resize(COUNT / WORD, 0);
        self.words[slot.index() / WORD] |= 1 << (slot.index() % WORD);
    }

    pub fn remove(&mut self, slot: Slot) {
        if let Some(word) = self.words.get_mut(slot.index() / WORD) {
            *word &= !(1 << (slot.index() % WORD));
        }
    }

    pub fn contains(&self, slot: Slot) -> bool {
        let word = self.words.get(slot.index() / WORD);
        word.is_some_and(|word| word >> (slot.index() % WORD) & 1 == 1)
    }
}

/// The part of a key that decides: what stands between the first `{` and the next `}`, unless that is
/// nothing; else all of it.
fn hashed(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// A tag for each slot: the shortest text of the characters `0`-`9` and `a`-`z` that is in that slot, and of
/// those the first. None is longer than four.
///
/// Keys hold these tags: they must never change.
pub struct Tags {
    tags: Vec<Tag>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tag {
    bytes: [u8; Tags::LONGEST],
    length: u8,
}

impl Tags {
    const LONGEST: usize = 4;
    const DIGITS: &'static [u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// Finds them by trying, which takes some milliseconds.
    pub fn find() -> Tags {
        let mut tags = vec![Tag::default(); COUNT];
        let mut missing = COUNT;
        let mut length = 1;
        while missing > 0 {
            let base = Self::DIGITS.len();
            for number in 0..base.pow(u32::from(length)) {
                let tag = Tag::of(number, length);
                let found = &mut tags[Slot::of(tag.bytes()).index()];
                if found.length == 0 {
                    *found = tag;
                    missing -= 1;
                }
            }
            length += 1;
        }
        Tags { tags }
    }

    pub fn of(&self, slot: Slot) -> &str {
        // The digits are ASCII.
        std::str::from_utf8(self.tags[slot.index()].bytes()).unwrap_or_default()
    }
}

impl Tag {
    /// The text that is this number with so many digits.
    fn of(mut number: usize, length: u8) -> Tag {
        let mut bytes = [0; Tags::LONGEST];
        for digit in bytes[..usize::from(length)].iter_mut().rev() {
            *digit = Tags::DIGITS[number % Tags::DIGITS.len()];
            number /= Tags::DIGITS.len();
        }
        Tag { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's test vector, and what `CLUSTER KEYSLOT` answers.
    #[test]
    fn keys_are_where_the_servers_have_them() {
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0x31c3);
        for (key, slot) in [
            ("foo", 12_182),
            ("bar", 5_061),
            ("", 0),
            ("{user1000}.following", 3_443),
            ("user1000", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
        ] {
            assert_eq!(Slot::of(key.as_bytes()).number(), slot, "{key}");
        }
    }

    #[test]
    fn every_slot_has_a_tag_that_is_in_it() {
        let tags = Tags::find();
        for slot in Slot::all() {
            let tag = tags.of(slot);
            let key = format!("devices:online:{{{tag}}}");
            assert_eq!(Slot::of(key.as_bytes()), slot, "{tag}");
            assert!((1..=Tags::LONGEST).contains(&tag.len()), "{tag}");
        }
    }

    #[test]
    fn a_set_has_what_was_put_in_and_not_taken_out() {
        let slot = |number| Slot::new(number).expect("a slot");
        let mut set = SlotSet::default();
        assert!(!set.contains(slot(0)));
        set.remove(slot(63));
        for number in [0, 63, 64, 16_383] {
            set.insert(slot(number));
        }
        set.remove(slot(63));
        let all: Vec<u16> = Slot::all()
            .filter(|slot| set.contains(*slot))
            .map(Slot::number)
            .collect();
        assert_eq!(all, [0, 64, 16_383]);
    }

    /// Keys in people's data hold these.
    #[test]
    fn tags_never_change() {
        let tags = Tags::find();
        let all: Vec<&str> = Slot::all().map(|slot| tags.of(slot)).collect();
        assert_eq!(all[..4], ["1bz", "emj", "7lw", "6i7"]);
        assert_eq!(crate::fnv::fnv1a(&all.join(" ")), 0xa9d6_4ed5_0534_5647);
    }
}
