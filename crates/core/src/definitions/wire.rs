//! What nodes tell each other about their definitions, as bytes.
//!
//! `DSdf`, a version (1), a kind, then what the kind says; integers are little-endian. Messages may be
//! lost, come twice or in any order. One that is not exactly so is from another version, or from nobody we
//! know: it is no message.
//!
//! | kind | name | holds |
//! |---|---|---|
//! | 1 | digest | a sum of 8 bytes for each part |
//! | 2 | ask | 8 bytes, a bit for each part wanted |
//! | 3 | entries | for each: length of the name (2 bytes), of the entry (4), both as text |

use super::{Digest, Entry, Name, Parts};

const HEAD: [u8; 5] = *b"DSdf\x01";
const DIGEST: u8 = 1;
const ASK: u8 = 2;
const ENTRIES: u8 = 3;

/// A message with several entries is not longer than about this.
const LONG_BYTES: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// What the sender has.
    Digest(Box<Digest>),
    /// The sender wants what is in these parts.
    Ask(Parts),
    Entries(Vec<(Name, Entry)>),
}

/// `None`: no message.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let (kind, body) = bytes.strip_prefix(&HEAD)?.split_first()?;
    match *kind {
        DIGEST => {
            let mut digest = Box::<Digest>::default();
            let mut rest = body;
            for sum in &mut digest.0 {
                *sum = u64::from_le_bytes(take(&mut rest)?);
            }
            rest.is_empty().then_some(Message::Digest(digest))
        }
        ASK => Some(Message::Ask(Parts(u64::from_le_bytes(
            body.try_into().ok()?,
        )))),
        ENTRIES => entries(body).map(Message::Entries),
        _ => None,
    }
}

fn entries(mut rest: &[u8]) -> Option<Vec<(Name, Entry)>> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let name_bytes = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let entry_bytes = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(name_bytes)?;
        let (entry, behind) = behind.split_at_checked(entry_bytes)?;
        entries.push((Name::parse(name)?, Entry::parse(entry)?));
        rest = behind;
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn head(kind: u8) -> Vec<u8> {
    let mut message = HEAD.to_vec();
    message.push(kind);
    message
}

/// Tells what this node has.
pub fn digest(digest: &Digest) -> Vec<u8> {
    let mut message = head(DIGEST);
    for sum in digest.0 {
        message.extend(sum.to_le_bytes());
    }
    message
}

/// Asks for what is in some parts.
pub fn ask(parts: Parts) -> Vec<u8> {
    let mut message = head(ASK);
    message.extend(parts.0.to_le_bytes());
    message
}

/// Tells of definitions, in as many messages as it takes. One that is too long for any message is told
/// nobody.
pub fn tell<'a>(definitions: impl Iterator<Item = (&'a Name, &'a Entry)>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut message = head(ENTRIES);
    for (name, entry) in definitions {
        let (name, entry) = (name.to_string(), entry.to_string());
        let lengths = (u16::try_from(name.len()), u32::try_from(entry.len()));
        let (Ok(name_bytes), Ok(entry_bytes)) = lengths else {
            continue;
        };
        let is_begun = message.len() > head(ENTRIES).len();
        if is_begun && message.len() + name.len() + entry.len() > LONG_BYTES {
            messages.push(std::mem::replace(&mut message, head(ENTRIES)));
        }
        message.extend(name_bytes.to_le_bytes());
        message.extend(entry_bytes.to_le_bytes());
        message.extend(name.as_bytes());
        message.extend(entry.as_bytes());
    }
    if message.len() > head(ENTRIES).len() {
        messages.push(message);
    }
    messages
}
