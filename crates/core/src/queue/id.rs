//! Ids of messages: those of entries of a stream.

use std::fmt;

use crate::digits::{leading_u64, parse_u64};

/// Milliseconds since the Unix epoch, and a number within the millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub ms: u64,
    pub seq: u64,
}

impl Id {
    /// Before every message: what a group that has delivered nothing says.
    pub const ZERO: Id = Id { ms: 0, seq: 0 };

    /// Reads `ms-seq`, or `ms` for `ms-0`, as stream commands do; `None` for anything else, also for
    /// their `-`, `+`, `$` and `>`.
    pub fn parse(text: &[u8]) -> Option<Id> {
        let (ms, rest) = leading_u64(text)?;
        let seq = match rest {
            [] => 0,
            [b'-', seq @ ..] => parse_u64(seq)?,
            _ => return None,
        };
        Some(Id { ms, seq })
    }

    /// As the server writes it.
    pub fn text(self) -> IdText {
        let mut text = IdText {
            bytes: [b'-'; 41],
            length: 0,
        };
        let mut digits = itoa::Buffer::new();
        for (number, before) in [(self.ms, 0), (self.seq, 1)] {
            let digits = digits.format(number).as_bytes();
            let start = text.length + before;
            text.length = start + digits.len();
            text.bytes[start..text.length].copy_from_slice(digits);
        }
        text
    }

    /// The next possible one; `None` after the last.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id {
                ms: self.ms.checked_add(1)?,
                seq: 0,
            }),
        }
    }
}

/// An id as text.
pub struct IdText {
    /// Twice twenty digits and what stands between them.
    bytes: [u8; 41],
    length: usize,
}

impl IdText {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_id_is_none() {
        for text in [
            "",
            "-",
            "+",
            "$",
            ">",
            "1-",
            "-1",
            "1-2-3",
            "1-+2",
            "+1-2",
            " 1-2",
            "1-x",
            "1.5-0",
            "18446744073709551616-0",
            "0-18446744073709551616",
        ] {
            assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Id::parse(b"7"), Some(Id { ms: 7, seq: 0 }));
    }

    #[test]
    fn the_next_one_carries_over_and_ends() {
        let last_of_ms = Id {
            ms: 1,
            seq: u64::MAX,
        };
        assert_eq!(last_of_ms.next(), Some(Id { ms: 2, seq: 0 }));
        let last = Id {
            ms: u64::MAX,
            seq: u64::MAX,
        };
        assert_eq!(last.next(), None);
    }

    proptest! {
        #[test]
        fn text_and_back(ms: u64, seq: u64) {
            let id = Id { ms, seq };
            prop_assert_eq!(Id::parse(id.to_string().as_bytes()), Some(id));
            prop_assert_eq!(id.text().bytes().to_vec(), id.to_string().into_bytes());
        }

        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            Id::parse(&bytes);
        }
    }
}
