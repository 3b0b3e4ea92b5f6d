//! Entries of streams, and taking new ones for a consumer of a group.

use std::rc::Rc;

use devicestate_core::queue::Id;
use devicestate_core::resp::{Item, Reader};

use super::{Arg, CallError, Ctx, RString, Reply};

/// One entry.
pub struct Entry {
    pub id: Id,
    content: Content,
}

enum Content {
    Strings(Vec<(RString, RString)>),
    /// So many texts in a reply, which begin so many bytes before its end: not copied.
    Texts {
        reply: Rc<Reply>,
        left: usize,
        count: usize,
    },
}

impl Entry {
    pub(super) fn new(id: Id, fields: Vec<(RString, RString)>) -> Entry {
        Entry {
            id,
            content: Content::Strings(fields),
        }
    }

    /// Fields and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (strings, texts, count) = match &self.content {
            Content::Strings(strings) => (strings.as_slice(), &[][..], 0),
            Content::Texts { reply, left, count } => {
                let wire = reply.wire();
                (&[][..], &wire[wire.len().saturating_sub(*left)..], *count)
            }
        };
        let strings = strings.iter();
        let mut texts = Reader::new(texts);
        let texts = (0..count / 2).map_while(move |_| {
            let (field, value) = (texts.next()?, texts.next()?);
            Some((field.text()?, value.text()?))
        });
        strings
            .map(|(field, value)| (field.bytes(), value.bytes()))
            .chain(texts)
    }
}

impl Ctx<'_> {
    /// Takes the next entries that a group has not delivered yet, `count` at most, for a consumer: it
    /// has them from now on, for the first time. The group is there.
    pub fn take_new(
        &self,
        key: &RString,
        group: &'static str,
        consumer: &[u8],
        count: usize,
    ) -> Result<Vec<Entry>, CallError> {
        let count = match count {
            1 => Arg::Name("1"),
            count => (count as u64).into(),
        };
        let args = [
            Arg::Name("GROUP"),
            Arg::Name(group),
            consumer.into(),
            Arg::Name("COUNT"),
            count,
            Arg::Name("STREAMS"),
            key.into(),
            Arg::Name(">"),
        ];
        let reply = Rc::new(self.write(c"XREADGROUP", &args)?);
        if reply.is_nothing() {
            return Ok(Vec::new());
        }
        entries_of(&reply)
            .ok_or_else(|| CallError("ERR a reply that is none of streams".to_owned()))
    }
}

/// The entries in a reply that tells those of one stream: `[[key, [[id, [field, value ...]] ...]]]`.
fn entries_of(reply: &Rc<Reply>) -> Option<Vec<Entry>> {
    let mut items = Reader::new(reply.wire());
    let (Item::Array(1), Item::Array(2), Item::Text(_)) =
        (items.next()?, items.next()?, items.next()?)
    else {
        return None;
    };
    let total = items.next()?.array().filter(|total| *total > 0)?;
    let mut entries = Vec::with_capacity(total);
    loop {
        items.next()?.array()?;
        let id = Id::parse(items.next()?.text()?)?;
        let count = items.next()?.array()?;
        let content = Content::Texts {
            reply: reply.clone(),
            left: items.left(),
            count,
        };
        entries.push(Entry { id, content });
        if entries.len() == total {
            return Some(entries);
        }
        for _ in 0..count {
            items.next()?;
        }
    }
}
