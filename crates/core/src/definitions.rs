//! Definitions: the defaults of device types and the alert rules, of which every node of a cluster keeps
//! all.
//!
//! Each has a version, and the newest one wins, wherever and in whatever order it is heard of: a map of
//! last-writer-wins registers. What was deleted stays behind as an entry without a value for
//! [`DELETED_KEPT_MS`], so that a node that did not hear of it does not bring the old one back.

mod entry;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::BTreeMap;

use crate::fnv::fnv1a;

pub use entry::{Entry, Name};

/// How long it is remembered that a definition was deleted, in milliseconds: 30 days.
pub const DELETED_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Into how many parts definitions are divided when nodes compare theirs.
pub const PARTS: usize = 64;

/// Definitions by name.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    entries: BTreeMap<Name, Held>,
    digest: Digest,
    /// The newest version ever seen here.
    latest: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    entry: Entry,
    hash: u64,
}

/// What two nodes compare: a sum over the entries of each part, which are equal where the entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u64; PARTS]);

impl Default for Digest {
    fn default() -> Digest {
        Digest([0; PARTS])
    }
}

impl Digest {
    /// The parts in which another one differs.
    pub fn differing(&self, other: &Digest) -> Parts {
        let differs = |part: &usize| self.0[*part] != other.0[*part];
        Parts(
            (0..PARTS)
                .filter(differs)
                .fold(0, |all, part| all | 1 << part),
        )
    }
}

/// Some of the parts, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts(u64);

impl Parts {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn contains(self, part: usize) -> bool {
        self.0 >> part & 1 == 1
    }
}

/// Which part a definition is in, by its name.
fn part_of(name: &Name) -> usize {
    (fnv1a(&name.to_string()) % PARTS as u64) as usize
}

impl Definitions {
    pub fn get(&self, name: &Name) -> Option<&Entry> {
        self.entries.get(name).map(|held| &held.entry)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, those that were deleted too.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter().map(|(name, held)| (name, &held.entry))
    }

    /// The JSON of the defaults of each type that has any, by type.
    pub fn types(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_type = |held: &(&Name, &Entry)| matches!(held.0, Name::Type(_));
        self.iter().take_while(is_type).filter_map(|(name, entry)| {
            let json = entry.json.as_deref()?;
            Some((name.device_type(), json))
        })
    }

    /// The JSON of each rule of a type, by name.
    pub fn rules<'a>(&'a self, device_type: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = Name::rule(device_type, "");
        let is_of_type = move |held: &(&Name, &Held)| held.0.device_type() == device_type;
        let rules = self.entries.range(from..).take_while(is_of_type);
        rules.filter_map(|(name, held)| match (name, &held.entry.json) {
            (Name::Rule { rule, .. }, Some(json)) => Some((rule.as_str(), json.as_str())),
            _ => None,
        })
    }

    /// Takes a definition over if it is newer than what is known; true when it was.
    pub fn merge(&mut self, name: Name, entry: Entry) -> bool {
        self.latest = self.latest.max(entry.version);
        let before = self.entries.get(&name);
        if before.is_some_and(|before| before.entry >= entry) {
            return false;
        }
        let hash = entry.hash(&name);
        let sum = &mut self.digest.0[part_of(&name)];
        *sum = sum
            .wrapping_sub(before.map_or(0, |before| before.hash))
            .wrapping_add(hash);
        self.entries.insert(name, Held { entry, hash });
        true
    }

    /// What a change made here and now is: newer than all that is known, also where another node's clock
    /// is ahead. `json`: `None` deletes.
    pub fn change(&self, now_ms: u64, node: &str, json: Option<&str>) -> Entry {
        let version = now_ms.max(self.latest.saturating_add(1));
        Entry {
            version: version.min(Entry::MAX_VERSION),
            node: node.to_owned(),
            json: json.map(str::to_owned),
        }
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Those in some parts.
    pub fn in_parts(&self, parts: Parts) -> impl Iterator<Item = (&Name, &Entry)> {
        self.iter()
            .filter(move |(name, _)| parts.contains(part_of(name)))
    }

    /// Those that others lack, or have an older one of.
    pub fn beyond<'a>(
        &'a self,
        others: &'a Definitions,
    ) -> impl Iterator<Item = (&'a Name, &'a Entry)> {
        self.iter()
            .filter(|(name, entry)| others.get(name).is_none_or(|other| other < *entry))
    }

    /// Drops what was deleted long ago; the names.
    pub fn forget_deleted(&mut self, now_ms: u64) -> Vec<Name> {
        let is_old = |held: &(&Name, &Entry)| held.1.is_forgotten(now_ms);
        let old: Vec<Name> = self
            .iter()
            .filter(is_old)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &old {
            if let Some(held) = self.entries.remove(name) {
                let sum = &mut self.digest.0[part_of(name)];
                *sum = sum.wrapping_sub(held.hash);
            }
        }
        old
    }

    /// Drops all, but not how new the newest was.
    pub fn clear(&mut self) {
        *self = Definitions {
            latest: self.latest,
            ..Definitions::default()
        };
    }
}

/// They are alike when they hold the same.
impl PartialEq for Definitions {
    fn eq(&self, other: &Definitions) -> bool {
        self.entries == other.entries && self.digest == other.digest
    }
}

impl Eq for Definitions {}
