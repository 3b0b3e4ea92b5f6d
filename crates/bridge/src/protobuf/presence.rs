//! Which fields cannot tell "zero" from "nothing said".
//!
//! A proto3 field without `optional` is not sent when it has its default value. A device whose
//! temperature is 0 is therefore silent about it, and one that has no thermometer looks the same.

use prost_reflect::{Kind, MessageDescriptor};
use std::collections::{BTreeMap, HashSet};

/// So many fields are named in one line.
const NAMED: usize = 10;

/// The types among `roots`, and among what they contain, that have fields without presence, with the
/// names of these. Map fields are left out: merging an empty map changes nothing, so it is no loss
/// that it cannot be seen.
pub fn without(roots: impl Iterator<Item = MessageDescriptor>) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut waiting: Vec<MessageDescriptor> = roots.collect();
    while let Some(message) = waiting.pop() {
        let name = message.full_name();
        // The well-known types are written by rules of their own.
        if name.starts_with("google.protobuf.") || !seen.insert(name.to_owned()) {
            continue;
        }
        let mut fields = Vec::new();
        for field in message.fields() {
            if !field.supports_presence() && !field.is_map() && !message.is_map_entry() {
                fields.push(field.name().to_owned());
            }
            if let Kind::Message(inner) = field.kind() {
                waiting.push(inner);
            }
        }
        if !fields.is_empty() {
            found.insert(name.to_owned(), fields);
        }
    }
    found
}

/// The line that tells of them.
pub fn warning(message: &str, fields: &[String]) -> String {
    let mut named = fields.iter().take(NAMED).cloned().collect::<Vec<_>>();
    if fields.len() > NAMED {
        named.push(format!("{} more", fields.len() - NAMED));
    }
    format!(
        "fields of {message} without presence: {}. Where they are 0, false, \"\" or empty, nothing is \
         reported; declare them optional, or say in protobuf.implicit what is meant",
        named.join(", ")
    )
}
