//! The settings of the section `[protobuf]`, as `devicestate-bridge.toml.example` documents them.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtobufConfig {
    /// Names of `.proto` files, as an `import` would name them.
    pub files: Vec<String>,
    /// Folders in which files and imports are looked for, in this order.
    pub include: Vec<String>,
    /// By the full name of a message type.
    pub implicit: BTreeMap<String, Implicit>,
    pub rule: Vec<RuleConfig>,
}

impl Default for ProtobufConfig {
    fn default() -> Self {
        ProtobufConfig {
            files: Vec::new(),
            include: vec![".".into()],
            implicit: BTreeMap::new(),
            rule: Vec::new(),
        }
    }
}

impl ProtobufConfig {
    /// Whether the server is asked for the types of devices.
    pub fn asks_for_device_types(&self) -> bool {
        self.rule.iter().any(|rule| rule.device_type.is_some())
    }
}

/// Which messages are read as which type. It has a topic, a device type or both, or else a content type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A topic pattern, see [`crate::pattern`].
    pub topic: Option<String>,
    /// The content type of an MQTT 5 message.
    pub content_type: Option<String>,
    /// The type under which a device is registered.
    pub device_type: Option<String>,
    /// The full name of a message type.
    pub message: String,
}

/// What becomes of a field without presence that has its default value (0, false, "", no elements):
/// nobody can tell whether the device said so or said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Implicit {
    /// Taken for silence: what was reported before stays.
    Skip,
    /// Taken for the value: it is reported, and replaces what was reported before.
    Write,
}
