//! The raise that comes most often, of an alert that fires, was told not long ago, and is raised as it
//! was before. All that changes of its record is its count and when it was raised last, so both are
//! written over where they stand in the text, for a small part of what it takes to parse a record and
//! to write it anew.
//!
//! The text is read as [`super::Record::encode`] writes it, to its end. Whatever is not so (another
//! state, a user whose name is not plain ASCII, a text that other hands wrote) is left to
//! [`super::Record::raise`].

use std::ops::Range;

use serde_json::value::RawValue;

use super::record::{Origin, Raise};
use crate::digits::leading_u64;

/// What became of the record.
#[derive(Debug, PartialEq, Eq)]
pub struct Again {
    /// How often it was raised by now.
    pub count: u64,
    /// The text, where it is longer than it was and so was not changed in its place.
    pub longer: Option<Vec<u8>>,
}

/// Raises an alert once more in the text of its record. `None`, with nothing changed, where the
/// outcome may be another than [`super::Outcome::Suppressed`], or the record changes in other ways.
pub fn raise_again(text: &mut [u8], raise: &Raise, now: u64) -> Option<Again> {
    if raise.data.is_some() || raise.by != Origin::Command {
        return None;
    }
    let found = Found::read(text)?;
    let is_as_before = raise.severity <= found.severity
        && [raise.every, raise.hold, raise.keep] == [found.every, found.hold, found.keep];
    // A severity above the one that was told is told at once.
    let is_suppressed = found.severity <= found.told_severity
        && (found.is_acked || now.saturating_sub(found.told_at.ms()) < found.every);
    let (mut count_digits, mut now_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let now_digits = now_digits.format(now).as_bytes();
    let now = Time::read(now_digits)?;
    // A clock that was set back moves the other times too.
    let is_past = found.since.max(found.last).max(found.told_at) <= now;
    if !(is_as_before && is_suppressed && is_past) {
        return None;
    }
    let count = found.count.checked_add(1)?;
    let count_digits = count_digits.format(count).as_bytes();
    text[found.last_at..][..now_digits.len()].copy_from_slice(now_digits);
    let count_at = found.count_at;
    let longer = match count_digits.len() == count_at.len() {
        true => {
            text[count_at].copy_from_slice(count_digits);
            None
        }
        false => Some([&text[..count_at.start], count_digits, &text[count_at.end..]].concat()),
    };
    Some(Again { count, longer })
}

/// A time as it stands in a text: 13 digits, as they all have from 2001 to 2286. Two of them compare
/// as their numbers do, and so do their first and their last eight digits, which fit into a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Time([u64; 2]);

impl Time {
    const DIGITS: usize = 13;

    /// The time that a text begins with.
    #[inline]
    fn read(text: &[u8]) -> Option<Time> {
        let digits: &[u8; Time::DIGITS] = text.first_chunk()?;
        let words =
            [digits.first_chunk()?, digits.last_chunk()?].map(|word| u64::from_be_bytes(*word));
        let are_digits = words.into_iter().all(are_digits) && digits[0] != b'0';
        are_digits.then_some(Time(words))
    }

    fn ms(self) -> u64 {
        let [first, last] = self.0.map(u64::to_be_bytes);
        let digits = first.iter().chain(&last[16 - Time::DIGITS..]);
        digits.fold(0, |ms, digit| ms * 10 + u64::from(digit & 0xf))
    }
}

/// Whether each byte of a word is a digit.
#[inline]
fn are_digits(word: u64) -> bool {
    // Digits become 0 to 9, and adding 0x76 to more reaches the high bit of the byte.
    let bytes = word ^ 0x3030_3030_3030_3030;
    (bytes | bytes.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 == 0
}

/// What the text of a record that fires says, as far as it matters here.
struct Found {
    severity: u32,
    count: u64,
    count_at: Range<usize>,
    last: Time,
    last_at: usize,
    since: Time,
    told_at: Time,
    told_severity: u32,
    every: u64,
    hold: u64,
    keep: u64,
    is_acked: bool,
}

impl Found {
    fn read(text: &[u8]) -> Option<Found> {
        let mut reader = Reader {
            text,
            rest: text.strip_suffix(b"}")?,
        };
        let severity = reader.severity(br#"{"state":"firing","severity":"#)?;
        let (count, count_at) = reader.number_at(br#","count":"#)?;
        reader.time(br#","first":"#)?;
        let last = reader.time(br#","last":"#)?;
        let last_at = reader.offset() - Time::DIGITS;
        let since = reader.time(br#","since":"#)?;
        let told_at = reader.time(br#","told":{"at":"#)?;
        let told_severity = reader.severity(br#","severity":"#)?;
        if !reader.passes(br#","firing":true"#) && !reader.passes(br#","firing":false"#) {
            return None;
        }
        reader.number(br#","wait":"#)?;
        reader.number_if_there(br#","resolved":"#)?;
        reader.pass(b"}")?;
        let every = reader.number(br#","every":"#)?;
        let hold = reader.number_if_there(br#","hold":"#)?;
        let keep = reader.number_if_there(br#","keep":"#)?;
        let is_acked = reader.passes(br#","acked":true"#);
        reader.users()?;
        reader.reported()?;
        reader.data()?;
        reader.rest.is_empty().then_some(Found {
            severity,
            count,
            count_at,
            last,
            last_at,
            since,
            told_at,
            told_severity,
            every,
            hold,
            keep,
            is_acked,
        })
    }
}

/// What of a record is still to be read.
struct Reader<'a> {
    /// All of it.
    text: &'a [u8],
    /// Without the brace at the end.
    rest: &'a [u8],
}

impl Reader<'_> {
    #[inline]
    fn passes(&mut self, literal: &[u8]) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn pass(&mut self, literal: &[u8]) -> Option<()> {
        self.passes(literal).then_some(())
    }

    fn offset(&self) -> usize {
        // The rest lacks the brace.
        self.text.len() - 1 - self.rest.len()
    }

    /// A whole number as JSON has it: without leading zeros.
    #[inline]
    fn digits(&mut self) -> Option<u64> {
        let (value, rest) = leading_u64(self.rest)?;
        let length = self.rest.len() - rest.len();
        if self.rest.first() == Some(&b'0') && length > 1 {
            return None;
        }
        self.rest = rest;
        Some(value)
    }

    #[inline]
    fn number(&mut self, name: &[u8]) -> Option<u64> {
        self.pass(name)?;
        self.digits()
    }

    /// A number and where it stands.
    #[inline]
    fn number_at(&mut self, name: &[u8]) -> Option<(u64, Range<usize>)> {
        self.pass(name)?;
        let start = self.offset();
        let value = self.digits()?;
        Some((value, start..self.offset()))
    }

    #[inline]
    fn time(&mut self, name: &[u8]) -> Option<Time> {
        self.pass(name)?;
        let time = Time::read(self.rest)?;
        self.rest = &self.rest[Time::DIGITS..];
        Some(time)
    }

    #[inline]
    fn severity(&mut self, name: &[u8]) -> Option<u32> {
        u32::try_from(self.number(name)?).ok()
    }

    /// A number that is left out when it is 0.
    #[inline]
    fn number_if_there(&mut self, name: &[u8]) -> Option<u64> {
        match self.passes(name) {
            true => self.digits(),
            false => Some(0),
        }
    }

    /// A text in which every byte stands for itself, with its quotes.
    fn plain_text(&mut self) -> Option<()> {
        self.pass(b"\"")?;
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let length = self.rest.iter().take_while(|byte| is_plain(byte)).count();
        self.rest = &self.rest[length..];
        self.pass(b"\"")
    }

    fn users(&mut self) -> Option<()> {
        if !self.passes(br#","users":["#) {
            return Some(());
        }
        self.plain_text()?;
        while self.passes(b",") {
            self.plain_text()?;
        }
        self.pass(b"]")
    }

    fn reported(&mut self) -> Option<()> {
        if !self.passes(br#","reported":{"#) {
            return Some(());
        }
        loop {
            self.plain_text()?;
            self.number(b":")?;
            if !self.passes(b",") {
                return self.pass(b"}");
            }
        }
    }

    /// The last of all.
    fn data(&mut self) -> Option<()> {
        if self.passes(br#","data":"#) {
            serde_json::from_slice::<&RawValue>(self.rest).ok()?;
            self.rest = &[];
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
