//! `profiles`: the ways in which devices may speak. And `[aws_shadow]`, for one of them.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// devicestate's own topics, and those of rules for protobuf.
    Native,
    /// The topics of the AWS IoT Device Shadow service.
    AwsShadow,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsShadowConfig {
    /// Whether each accepted update is told on `update/documents`, too.
    pub documents: bool,
    /// Whether an update with a reported document counts as a heartbeat.
    pub presence: bool,
}

impl Default for AwsShadowConfig {
    fn default() -> Self {
        AwsShadowConfig {
            documents: true,
            presence: true,
        }
    }
}

pub fn check(profiles: &[ProfileName]) -> Result<(), String> {
    if profiles.is_empty() {
        return Err("profiles is empty".into());
    }
    let twice = |(index, name)| profiles[..index].contains(name);
    if profiles.iter().enumerate().any(twice) {
        return Err("profiles names one of them twice".into());
    }
    Ok(())
}
