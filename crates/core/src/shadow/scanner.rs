//! From the text of a JSON object to its tree, in one walk that also decides whether it is JSON.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::document::{plain_prefix, Document, Member, Node};
use crate::json::Object;

/// How deeply a text may nest: more than any setting allows, and little enough to walk.
const MAX_DEPTH: usize = 128;

/// Reads an object and nothing behind it; `None` where the text is no JSON object.
pub(super) fn scan(text: &str) -> Option<Document<'_>> {
    let mut scanner = Scanner {
        text,
        at: 0,
        depth_left: MAX_DEPTH,
    };
    scanner.skip_space();
    let document = scanner.object()?;
    scanner.skip_space();
    (scanner.at == text.len()).then_some(document)
}

/// Whether an object, which is JSON, has a member that `other` has too; `None` where it turns out to
/// be no object. What the members hold is passed over, so this costs far less than [`scan`].
pub(super) fn shares_a_member(text: &str, other: &Object) -> Option<bool> {
    let mut scanner = Scanner {
        text,
        at: 0,
        depth_left: MAX_DEPTH,
    };
    scanner.skip_space();
    scanner.enter(b'{')?;
    while scanner.peek() != b'}' {
        let key = scanner.key()?;
        if other.contains_key(key.as_ref()) {
            return Some(true);
        }
        scanner.expect(b':')?;
        scanner.pass_value()?;
        if scanner.peek() == b',' {
            scanner.expect(b',')?;
        }
    }
    Some(false)
}

/// Walks a text and takes it apart; every step is `None` where it is no JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth_left: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte; 0 at the end, which begins nothing.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// This byte, and the white space around it.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        if self.peek() != byte {
            return None;
        }
        self.at += 1;
        self.skip_space();
        Some(())
    }

    /// From `{` to behind its `}`.
    fn object(&mut self) -> Option<Document<'a>> {
        let mut members: Vec<Member<'a>> = Vec::with_capacity(8);
        let (mut is_sorted, mut has_null) = (true, false);
        self.enter(b'{')?;
        while self.peek() != b'}' {
            if !members.is_empty() {
                self.expect(b',')?;
            }
            let key = self.key()?;
            self.expect(b':')?;
            let node = match self.peek() {
                b'{' => Node::Object(self.object()?),
                _ => Node::Leaf(Cow::Borrowed(self.leaf()?)),
            };
            self.skip_space();
            has_null |= node.is_null();
            let last = members.last();
            is_sorted &= last.is_none_or(|last| last.key.cmp(&key) == Ordering::Less);
            members.push(Member { key, node });
        }
        self.leave();
        if !is_sorted {
            // Behind one another, the last of equal keys first.
            members.reverse();
            members.sort_by(|a, b| a.key.cmp(&b.key));
            members.dedup_by(|b, a| a.key == b.key);
        }
        if has_null {
            members.retain(|member| !member.node.is_null());
        }
        Some(Document { members })
    }

    /// Into an object or an array, up to its first member or its end.
    fn enter(&mut self, bracket: u8) -> Option<()> {
        self.depth_left = self.depth_left.checked_sub(1)?;
        self.expect(bracket)
    }

    fn leave(&mut self) {
        self.depth_left += 1;
        self.at += 1;
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        let (quoted, is_plain) = self.string()?;
        match is_plain {
            true => quoted.get(1..quoted.len() - 1).map(Cow::Borrowed),
            false => serde_json::from_str(quoted).ok().map(Cow::Owned),
        }
    }

    /// A string with its quotes, and whether it has no escapes.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at;
        let mut is_plain = true;
        if self.peek() != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += plain_prefix(rest);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    self.skip_escape()?;
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some((self.text.get(start..self.at)?, is_plain))
    }

    fn skip_escape(&mut self) -> Option<()> {
        self.at += 2;
        match self.text.as_bytes().get(self.at - 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 4;
            }
            _ => return None,
        }
        Some(())
    }

    /// A scalar or an array.
    fn leaf(&mut self) -> Option<&'a str> {
        let start = self.at;
        match self.peek() {
            b'"' => return self.string().map(|(text, _)| text),
            b'[' => self.skip_array()?,
            b'-' | b'0'..=b'9' => self.skip_number()?,
            _ => {
                let rest = &self.text[start..];
                let known = |word: &&str| rest.starts_with(*word);
                self.at += ["true", "false", "null"]
                    .iter()
                    .find(|word| known(word))?
                    .len();
            }
        }
        self.text.get(start..self.at)
    }

    /// To the comma or the brace behind a value that is JSON.
    fn pass_value(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b',' if depth == 0 => return Some(()),
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn skip_array(&mut self) -> Option<()> {
        self.enter(b'[')?;
        let mut is_first = true;
        while self.peek() != b']' {
            if !is_first {
                self.expect(b',')?;
            }
            is_first = false;
            match self.peek() {
                b'{' => drop(self.object()?),
                _ => drop(self.leaf()?),
            }
            self.skip_space();
        }
        self.leave();
        Some(())
    }

    fn skip_number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == b'-');
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.skip_digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.skip_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.skip_digits()?;
        }
        Some(())
    }

    /// At least one.
    fn skip_digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
