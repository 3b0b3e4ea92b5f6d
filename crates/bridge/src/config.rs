//! Settings: each beside its default, as `devicestate-bridge.toml.example` documents them.
//!
//! Flags win over the file, the environment over the logins in addresses. Nothing here prints an
//! address as it was given, because it may hold a password.

mod address;
mod dead_letters;
mod downlink;
mod http;
mod limits;
mod log;
mod login;
mod mqtt;
mod profiles;
mod queue;
mod redis;
mod span;
mod tls;

pub use self::address::Address;
pub use self::dead_letters::DeadLettersConfig;
pub use self::downlink::DownlinkConfig;
pub use self::http::HttpConfig;
pub use self::log::{LogFormat, LogLevel};
pub use self::login::Login;
pub use self::mqtt::MqttConfig;
pub use self::profiles::{AwsShadowConfig, ProfileName};
pub use self::queue::QueueConfig;
pub use self::redis::RedisConfig;
pub use self::span::Span;
pub use self::tls::TlsConfig;

use self::limits::{between, HOUR};
use crate::mqtt::address::BrokerAddress;
use crate::protobuf::ProtobufConfig;
use crate::redis_link::Server;
use crate::text::one_line;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub log: LogLevel,
    pub log_format: LogFormat,
    /// How long a stop waits for Redis to confirm what is on its way.
    pub drain_timeout: Span,
    /// The ways in which devices may speak.
    pub profiles: Vec<ProfileName>,
    pub mqtt: MqttConfig,
    pub redis: RedisConfig,
    pub dead_letters: DeadLettersConfig,
    pub downlink: DownlinkConfig,
    pub http: HttpConfig,
    pub protobuf: ProtobufConfig,
    pub aws_shadow: AwsShadowConfig,
    pub queue: QueueConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            log: LogLevel::Info,
            log_format: LogFormat::Text,
            drain_timeout: Span(Duration::from_secs(5)),
            profiles: vec![ProfileName::Native],
            mqtt: MqttConfig::default(),
            redis: RedisConfig::default(),
            dead_letters: DeadLettersConfig::default(),
            downlink: DownlinkConfig::default(),
            http: HttpConfig::default(),
            protobuf: ProtobufConfig::default(),
            aws_shadow: AwsShadowConfig::default(),
            queue: QueueConfig::default(),
        }
    }
}

/// Where to connect, with the logins.
#[derive(Debug)]
pub struct Peers {
    pub broker: BrokerAddress,
    pub redis: Server,
}

impl Config {
    /// Reads the text of a configuration file. The error names the line, and never quotes it.
    pub fn from_toml(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|e| {
            let line = e
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", one_line(e.message()))
        })
    }

    /// Counts the relative paths of all files from `folder`, except for those of `[protobuf]`.
    pub fn anchor(&mut self, folder: &Path) {
        self.mqtt.anchor(folder);
        self.redis.anchor(folder);
    }

    /// Checks all settings and resolves the addresses. `env` looks up an environment variable.
    pub fn check(&self, env: impl Fn(&str) -> Option<String>) -> Result<Peers, String> {
        profiles::check(&self.profiles)?;
        self.mqtt.check()?;
        self.redis.check()?;
        self.dead_letters.check()?;
        self.downlink.check()?;
        self.http.address()?;
        self.queue.check()?;
        between("drain_timeout", self.drain_timeout, Duration::ZERO, HOUR)?;
        Ok(Peers {
            broker: self.mqtt.broker(&env)?,
            redis: self.redis.server(&env)?,
        })
    }
}

#[cfg(test)]
mod tests;
