//! One definition: its name, and what it is in which version, as it is stored.

use std::fmt;

use super::DELETED_KEPT_MS;
use crate::fnv::fnv1a;
use crate::{digits, name};

/// What is defined. As text: `type <type>` or `rule <type> <rule>` (names hold no white space).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The defaults of this type.
    Type(String),
    Rule {
        device_type: String,
        rule: String,
    },
}

impl Name {
    pub fn type_defaults(device_type: &str) -> Name {
        Name::Type(device_type.to_owned())
    }

    pub fn rule(device_type: &str, rule: &str) -> Name {
        Name::Rule {
            device_type: device_type.to_owned(),
            rule: rule.to_owned(),
        }
    }

    /// The type that it is about.
    pub fn device_type(&self) -> &str {
        match self {
            Name::Type(device_type) | Name::Rule { device_type, .. } => device_type,
        }
    }

    /// `None`: no such text.
    pub fn parse(text: &[u8]) -> Option<Name> {
        let text = std::str::from_utf8(text).ok()?;
        let checked = |text| name::check_text(text).ok();
        let mut words = text.split(' ');
        let name = match words.next()? {
            "type" => Name::type_defaults(checked(words.next()?)?),
            "rule" => Name::rule(checked(words.next()?)?, checked(words.next()?)?),
            _ => return None,
        };
        words.next().is_none().then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Type(device_type) => write!(f, "type {device_type}"),
            Name::Rule { device_type, rule } => write!(f, "rule {device_type} {rule}"),
        }
    }
}

/// A version of a definition. Of two, the greater one counts: the newer; of two of the same time, that of
/// the node with the greater name. As text: `<version> <node> <JSON>`, or `<version> <node> deleted`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Milliseconds since the Unix epoch, or one more than that of the change before.
    pub version: u64,
    /// The node where it was made.
    pub node: String,
    /// `None`: it was deleted.
    pub json: Option<String>,
}

const DELETED: &str = "deleted";

/// The names of nodes are not longer.
const MAX_NODE_BYTES: usize = 64;

impl Entry {
    /// What is still a whole number in every language that reads it.
    pub const MAX_VERSION: u64 = (1 << 53) - 1;

    /// `None`: no such text. Whether the JSON is any is seen where it is used.
    pub fn parse(text: &[u8]) -> Option<Entry> {
        let text = std::str::from_utf8(text).ok()?;
        let mut words = text.splitn(3, ' ');
        let version = digits::parse_u64(words.next()?.as_bytes())?;
        let node = words.next()?;
        let json = match words.next()? {
            DELETED => None,
            json if json.starts_with('{') => Some(json.to_owned()),
            _ => return None,
        };
        let is_node = (1..=MAX_NODE_BYTES).contains(&node.len())
            && node.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_node && version <= Self::MAX_VERSION).then(|| Entry {
            version,
            node: node.to_owned(),
            json,
        })
    }

    /// Whether it says that something was deleted so long ago that nobody needs to know any more.
    pub fn is_forgotten(&self, now_ms: u64) -> bool {
        self.json.is_none() && self.version.saturating_add(DELETED_KEPT_MS) < now_ms
    }

    /// Of the entry under its name. Sums of these are compared, so bits that differ little are spread (as
    /// in MurmurHash3, "finalization mix").
    pub(super) fn hash(&self, name: &Name) -> u64 {
        let mut hash = fnv1a(&format!("{name}\n{self}"));
        for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
            hash = (hash ^ hash >> 33).wrapping_mul(factor);
        }
        hash ^ hash >> 33
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = self.json.as_deref().unwrap_or(DELETED);
        write!(f, "{} {} {json}", self.version, self.node)
    }
}
