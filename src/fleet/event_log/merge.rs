//! The entries of many streams in the order of their ids.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use devicestate_core::queue::Id;

use super::super::{Error, Result};
use crate::store::{Ctx, Entry, KeyType, RString, StreamReader};

/// A stream to read.
pub struct Source<'k> {
    pub key: &'k RString,
    /// From here on.
    pub behind: Id,
    /// Its next entry has at least this id, if that is known. Then it is opened when that comes up.
    pub next: Option<Id>,
}

/// What was found.
pub struct Merged {
    pub entries: Vec<Entry>,
    /// Of those sources that were opened.
    pub left: Vec<Left>,
}

/// What is left of a source: behind this id, its next entry, if there is one.
pub struct Left {
    pub source: usize,
    pub behind: Id,
    pub next: Option<Id>,
}

/// A source that is open, read up to here.
struct Open<'c> {
    reader: StreamReader<'c>,
    behind: Id,
}

fn open<'c>(ctx: &'c Ctx<'_>, source: &Source<'_>) -> Result<Open<'c>> {
    let wrong = |found| Error::wrong_type(source.key.bytes(), found, KeyType::Stream);
    let reader = ctx.read_behind(source.key, source.behind).map_err(wrong)?;
    Ok(Open {
        reader,
        behind: source.behind,
    })
}

/// The next entries of all sources, about `count` at most: those of the same id come together.
pub fn merge(ctx: &Ctx<'_>, sources: &[Source<'_>], count: usize) -> Result<Merged> {
    let mut opened: Vec<Option<Open<'_>>> = sources.iter().map(|_| None).collect();
    let mut heads = Vec::with_capacity(sources.len());
    for (at, source) in sources.iter().enumerate() {
        let next = match source.next {
            Some(next) => Some(next),
            None => opened[at].insert(open(ctx, source)?).reader.head(),
        };
        heads.extend(next.map(|id| Reverse((id, at))));
    }
    let mut heads = BinaryHeap::from(heads);
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(Reverse((id, at))) = heads.pop() {
        if entries.len() >= count && entries.last().is_none_or(|last| last.id != id) {
            break;
        }
        let source = match &mut opened[at] {
            Some(source) => source,
            closed => closed.insert(open(ctx, &sources[at])?),
        };
        if source.reader.head() == Some(id) {
            entries.extend(source.reader.take());
            source.behind = id;
        }
        let next = source.reader.head();
        heads.extend(next.map(|id| Reverse((id, at))));
    }
    let left = |(source, open): (usize, Option<Open<'_>>)| {
        let open = open?;
        Some(Left {
            source,
            behind: open.behind,
            next: open.reader.head(),
        })
    };
    Ok(Merged {
        entries,
        left: opened.into_iter().enumerate().filter_map(left).collect(),
    })
}
