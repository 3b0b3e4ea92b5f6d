//! How far a consumer of the fleet's events has come, slot by slot.
//!
//! On a single server that is the id of an entry. In a cluster every slot has a stream of its own, and
//! slots move, so the cursor names them: `0-5460@1795-3;5461-9000@1790-0`. Each node takes up the parts
//! of the slots that it answers for and leaves the others as they are. So one cursor goes round all nodes,
//! and round again when the slots are elsewhere.

use std::fmt;

use crate::digits::leading_u64;
use crate::queue::Id;
use crate::slot::{self, Slot};

const LAST: u16 = slot::COUNT as u16 - 1;

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// Behind the entry with this id.
    Behind(Id),
    /// Behind the newest one, whichever that is when the cursor is used first: `$`.
    Newest,
}

impl Position {
    /// Before all entries.
    const OLDEST: Position = Position::Behind(Id::ZERO);

    fn parse(text: &[u8]) -> Option<Position> {
        match text {
            b"$" => Some(Position::Newest),
            id => Id::parse(id).map(Position::Behind),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Behind(id) => id.fmt(f),
            Position::Newest => f.write_str("$"),
        }
    }
}

/// Slots next to each other, first and last, with the place to which their streams were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    pub first: u16,
    pub last: u16,
    pub position: Position,
}

impl Part {
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        (u64::from(self.first)..=u64::from(self.last)).filter_map(Slot::new)
    }

    /// What of it is from `first` to `last`.
    fn within(self, first: u16, last: u16) -> Option<Part> {
        let first = self.first.max(first);
        let last = self.last.min(last);
        (first <= last).then_some(Part {
            first,
            last,
            ..self
        })
    }

    fn parse(text: &[u8]) -> Option<Part> {
        let at = text.iter().position(|byte| *byte == b'@')?;
        let (first, rest) = leading_u64(&text[..at])?;
        let last = match rest {
            [] => first,
            [b'-', last @ ..] => crate::digits::parse_u64(last)?,
            _ => return None,
        };
        Some(Part {
            first: Slot::new(first)?.number(),
            last: Slot::new(last)?.number(),
            position: Position::parse(&text[at + 1..])?,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        write!(f, "@{}", self.position)
    }
}

/// Slots as ranges: those of a node, which are many next to each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u16, u16)>);

impl Ranges {
    /// Of slots in their order.
    pub fn of(slots: impl Iterator<Item = Slot>) -> Ranges {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in slots.map(Slot::number) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(slot) => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        Ranges(ranges)
    }
}

/// A place in the stream of each slot: before its oldest entry where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// In their order, none of them at the beginning, neighbours at different places.
    parts: Vec<Part>,
}

impl Cursor {
    /// Every stream at this place.
    pub fn all(position: Position) -> Cursor {
        Cursor::join(vec![Part {
            first: 0,
            last: LAST,
            position,
        }])
    }

    /// Reads a cursor, or one place for all streams; `None` for anything else. Parts stand in their
    /// order and share no slot.
    pub fn parse(text: &[u8]) -> Option<Cursor> {
        if let Some(position) = Position::parse(text) {
            return Some(Cursor::all(position));
        }
        let parts: Option<Vec<Part>> = text.split(|byte| *byte == b';').map(Part::parse).collect();
        let parts = parts?;
        let is_in_order = parts.iter().all(|part| part.first <= part.last)
            && parts.windows(2).all(|pair| pair[0].last < pair[1].first);
        is_in_order.then(|| Cursor::join(parts))
    }

    /// The place of all streams, if that is one.
    pub fn whole(&self) -> Option<Position> {
        match self.parts[..] {
            [] => Some(Position::OLDEST),
            [Part {
                first: 0,
                last: LAST,
                position,
            }] => Some(position),
            _ => None,
        }
    }

    /// Takes it apart: the places of the streams of these slots, and of all others.
    pub fn split(&self, ranges: &Ranges) -> (Vec<Part>, Vec<Part>) {
        let all = self.with_the_unnamed();
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        // The slots between ranges, too, are ranges.
        let mut next = 0;
        for (first, last) in &ranges.0 {
            if next < *first {
                outside.extend(all.iter().filter_map(|part| part.within(next, first - 1)));
            }
            inside.extend(all.iter().filter_map(|part| part.within(*first, *last)));
            next = last + 1;
        }
        outside.extend(all.iter().filter_map(|part| part.within(next, LAST)));
        (inside, outside)
    }

    /// Puts parts together that share no slot.
    pub fn join(mut parts: Vec<Part>) -> Cursor {
        parts.retain(|part| part.position != Position::OLDEST);
        parts.sort_unstable_by_key(|part| part.first);
        parts.dedup_by(|part, before| {
            let continues = before.last + 1 == part.first && before.position == part.position;
            if continues {
                before.last = part.last;
            }
            continues
        });
        Cursor { parts }
    }

    /// All slots, those as well of which nothing is said.
    fn with_the_unnamed(&self) -> Vec<Part> {
        let mut all = Vec::with_capacity(2 * self.parts.len() + 1);
        let mut next = 0;
        let oldest = |first, last| Part {
            first,
            last,
            position: Position::OLDEST,
        };
        for part in &self.parts {
            if next < part.first {
                all.push(oldest(next, part.first - 1));
            }
            all.push(*part);
            next = part.last + 1;
        }
        if next <= LAST {
            all.push(oldest(next, LAST));
        }
        all
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.whole() {
            return position.fmt(f);
        }
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                f.write_str(";")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
