//! `[dead_letters]`: where refused messages are kept.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLettersConfig {
    /// The stream.
    pub key: String,
    /// About how many entries it keeps; 0 keeps none.
    pub maxlen: u64,
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        DeadLettersConfig {
            key: "bridge:dead-letters".into(),
            maxlen: 10_000,
        }
    }
}

impl DeadLettersConfig {
    pub fn check(&self) -> Result<(), String> {
        if self.key.is_empty() {
            return Err("dead_letters.key is empty".into());
        }
        Ok(())
    }
}
