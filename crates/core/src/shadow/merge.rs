//! Merging a patch into a document of a shadow, by the rules of the AWS IoT Device Shadow service.
//!
//! Objects recurse; scalars, arrays and changes of type replace; `null` removes a member and leaves
//! its parent, which may become `{}`. Inside a subtree that is new, nulls are stripped, and a
//! subtree that consisted of nulls only is not created (the cloud's behaviour, which differs from
//! RFC 7396). An empty object that the client wrote is kept.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::document::{write_key, Document, Member, Node, CAPACITY};
use super::times::{Collector, Times};
use crate::json::Object;

/// What a document becomes.
#[derive(Debug)]
pub struct Merged<'a> {
    pub document: Document<'a>,
    /// When each leaf was written last; those of the patch now, changed or not.
    pub times: Times,
    /// `None`: the document is what it was.
    pub change: Option<Change>,
}

/// What changed, as the JSON text of two patches: merging `new` repeats the change, merging `old`
/// takes it back. A member that is not there is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub old: String,
    pub new: String,
}

/// Merges `patch` into `document`, whose leaves have these times.
pub fn merge<'a>(document: Document<'a>, times: &Times, patch: Object, now: u64) -> Merged<'a> {
    let mut merging = Merging {
        times: Collector::new(times, now),
        change: ChangeWriter::new(),
    };
    let document = merging.object(document, patch);
    Merged {
        document,
        times: merging.times.finish(),
        change: merging.change.finish(),
    }
}

/// Puts `patch` in the place of `document`.
pub fn replace<'a>(document: &Document<'_>, patch: Object, now: u64) -> Merged<'a> {
    let Merged {
        document: new,
        times,
        ..
    } = merge(Document::default(), &Times::default(), patch, now);
    let mut change = ChangeWriter::new();
    difference(document, &new, &mut change);
    Merged {
        document: new,
        times,
        change: change.finish(),
    }
}

struct Merging<'t> {
    times: Collector<'t>,
    change: ChangeWriter,
}

impl Merging<'_> {
    /// Both objects are sorted by key, so one walk over the two sees every member of either in the
    /// order of the result, which is also the order of the times.
    fn object<'a>(&mut self, document: Document<'a>, patch: Object) -> Document<'a> {
        let mut members = Vec::with_capacity(document.members.len() + patch.len());
        let mut document = document.members.into_iter().peekable();
        let mut patch = patch.into_iter().peekable();
        loop {
            let order = match (document.peek(), patch.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some((new, _))) => old.key.as_ref().cmp(new),
            };
            let old = document.next_if(|_| order.is_le());
            match (old, patch.next_if(|_| order.is_ge())) {
                (Some(old), None) => {
                    self.times.keep(&old.node);
                    members.push(old);
                }
                (Some(old), Some((_, new))) => members.extend(self.member(old, new)),
                (None, Some((key, new))) => {
                    if let Some(node) = without_nulls(new) {
                        self.times.write(&node);
                        self.change.add(&key, None, Some(&node));
                        let key = Cow::Owned(key);
                        members.push(Member { key, node });
                    }
                }
                (None, None) => break,
            }
        }
        Document { members }
    }

    /// A member of both.
    fn member<'a>(&mut self, old: Member<'a>, new: Value) -> Option<Member<'a>> {
        let Member { key, node } = old;
        let node = match (node, new) {
            (node, Value::Null) => {
                self.times.drop(&node);
                self.change.add(&key, Some(&node), None);
                return None;
            }
            (Node::Object(old), Value::Object(new)) => {
                let before = self.change.enter(&key);
                let both = self.object(old, new);
                self.change.leave(before);
                Node::Object(both)
            }
            (node, new) => match without_nulls(new) {
                // Only nulls, below what is no object: there is nothing to remove.
                None => {
                    self.times.keep(&node);
                    node
                }
                Some(new) => {
                    self.times.drop(&node);
                    self.times.write(&new);
                    if !node.is_same(&new) {
                        self.change.add(&key, Some(&node), Some(&new));
                    }
                    new
                }
            },
        };
        Some(Member { key, node })
    }
}

/// `None` when nothing is left: a null, or an object that held only nulls.
fn without_nulls<'a>(value: Value) -> Option<Node<'a>> {
    match value {
        Value::Null => None,
        Value::Object(object) if object.is_empty() => Some(Node::Object(Document::default())),
        Value::Object(object) => {
            let members: Vec<Member<'_>> = object
                .into_iter()
                .filter_map(|(key, value)| {
                    let node = without_nulls(value)?;
                    let key = Cow::Owned(key);
                    Some(Member { key, node })
                })
                .collect();
            (!members.is_empty()).then_some(Node::Object(Document { members }))
        }
        leaf => Some(Node::leaf(&leaf)),
    }
}

/// What turns one document into another.
fn difference(old: &Document<'_>, new: &Document<'_>, change: &mut ChangeWriter) {
    for Member { key, node } in &old.members {
        match (node, new.get(key)) {
            (Node::Object(old), Some(Node::Object(new))) => {
                let before = change.enter(key);
                difference(old, new, change);
                change.leave(before);
            }
            (old, Some(new)) if old.is_same(new) => {}
            (old, new) => change.add(key, Some(old), new),
        }
    }
    for Member { key, node } in &new.members {
        if old.get(key).is_none() {
            change.add(key, None, Some(node));
        }
    }
}

/// Writes the two patches of a [`Change`] side by side.
struct ChangeWriter {
    old: String,
    new: String,
}

/// Where an object began, so that it can be taken back if nothing comes into it.
struct Mark {
    old: usize,
    new: usize,
    empty: usize,
}

impl ChangeWriter {
    fn new() -> ChangeWriter {
        let begin = || {
            let mut text = String::with_capacity(CAPACITY);
            text.push('{');
            text
        };
        ChangeWriter {
            old: begin(),
            new: begin(),
        }
    }

    fn add(&mut self, key: &str, old: Option<&Node<'_>>, new: Option<&Node<'_>>) {
        for (text, node) in [(&mut self.old, old), (&mut self.new, new)] {
            write_key(text, key);
            match node {
                Some(node) => node.write(text),
                None => text.push_str("null"),
            }
        }
    }

    fn enter(&mut self, key: &str) -> Mark {
        let (old, new) = (self.old.len(), self.new.len());
        for text in [&mut self.old, &mut self.new] {
            write_key(text, key);
            text.push('{');
        }
        Mark {
            old,
            new,
            empty: self.new.len(),
        }
    }

    fn leave(&mut self, mark: Mark) {
        if self.new.len() == mark.empty {
            self.old.truncate(mark.old);
            self.new.truncate(mark.new);
        } else {
            self.old.push('}');
            self.new.push('}');
        }
    }

    fn finish(mut self) -> Option<Change> {
        if self.new.len() == 1 {
            return None;
        }
        self.old.push('}');
        self.new.push('}');
        Some(Change {
            old: self.old,
            new: self.new,
        })
    }
}

#[cfg(test)]
mod tests;
