//! Settings: each beside its default, as `devicestate-bridge.toml.example` documents them.
//!
//! Flags win over the file, the environment over the logins in addresses. Nothing here prints an
//! address as it was given, because it may hold a password.

use crate::downlink::settings::DownlinkConfig;
use crate::mqtt::address::BrokerAddress;
use crate::profile::native::check_prefix;
use crate::protobuf::ProtobufConfig;
use crate::text::one_line;
use clap::ValueEnum;
use devicestate_core::duration;
use redis::IntoConnectionInfo;
use serde::de::{self, Deserializer, Visitor};
use serde::Deserialize;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub log: LogLevel,
    /// How long a stop waits for Redis to confirm what is on its way.
    pub drain_timeout: Span,
    pub mqtt: MqttConfig,
    pub redis: RedisConfig,
    pub dead_letters: DeadLettersConfig,
    pub downlink: DownlinkConfig,
    pub protobuf: ProtobufConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            log: LogLevel::Info,
            drain_timeout: Span(Duration::from_secs(5)),
            mqtt: MqttConfig::default(),
            redis: RedisConfig::default(),
            dead_letters: DeadLettersConfig::default(),
            downlink: DownlinkConfig::default(),
            protobuf: ProtobufConfig::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    pub url: Address,
    pub client_id: String,
    pub prefix: String,
    /// How many QoS 1 messages the broker may send before the first of them is acknowledged.
    pub receive_maximum: u16,
    /// How long the broker keeps the session of a bridge that is away.
    pub session_expiry: Span,
    pub keep_alive: Span,
    /// Bytes. Messages with a larger payload are refused.
    pub max_payload: usize,
    /// Bytes of QoS 1 messages that may be held; beyond, nothing more is read until there is room.
    pub qos1_buffer: usize,
    /// Bytes of QoS 0 messages that may wait for Redis; what comes beyond is dropped and counted.
    pub qos0_buffer: usize,
}

impl Default for MqttConfig {
    fn default() -> Self {
        MqttConfig {
            url: Address("mqtt://127.0.0.1:1883".into()),
            client_id: "devicestate-bridge-0".into(),
            prefix: "devices".into(),
            receive_maximum: 1000,
            session_expiry: Span(Duration::from_secs(7 * 86_400)),
            keep_alive: Span(Duration::from_secs(30)),
            max_payload: 262_144,
            qos1_buffer: 67_108_864,
            qos0_buffer: 16_777_216,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    pub url: Address,
    /// Connections. Messages of one device always take the same one.
    pub workers: usize,
    /// Commands in one pipeline, at most.
    pub batch: usize,
    pub connect_timeout: Span,
    pub response_timeout: Span,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            url: Address("redis://127.0.0.1:6379".into()),
            workers: 2,
            batch: 256,
            connect_timeout: Span(Duration::from_secs(5)),
            response_timeout: Span(Duration::from_secs(10)),
        }
    }
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        }
    }
}

/// An address as it was given; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Address(pub String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<address>")
    }
}

/// A duration: in the file whole milliseconds, or a text such as `"90s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"90s\", or whole milliseconds")
            }

            fn visit_i64<E: de::Error>(self, milliseconds: i64) -> Result<Span, E> {
                let milliseconds = u64::try_from(milliseconds)
                    .map_err(|_| E::custom("a duration cannot be negative"))?;
                Ok(Span(Duration::from_millis(milliseconds)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                match duration::parse(text.as_bytes()) {
                    Ok(milliseconds) => Ok(Span(Duration::from_millis(milliseconds))),
                    Err(reason) => Err(E::custom(format_args!("the duration {reason}"))),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Where to connect, with the logins.
#[derive(Debug)]
pub struct Peers {
    pub broker: BrokerAddress,
    pub redis: redis::ConnectionInfo,
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

    /// Checks all settings and resolves the addresses. `env` looks up an environment variable.
    pub fn check(&self, env: impl Fn(&str) -> Option<String>) -> Result<Peers, String> {
        let mqtt = &self.mqtt;
        check_prefix(&mqtt.prefix).map_err(|reason| format!("mqtt.prefix {reason}"))?;
        if mqtt.client_id.is_empty()
            || mqtt.client_id.len() > 256
            || mqtt.client_id.chars().any(char::is_control)
        {
            return Err("mqtt.client_id is not 1 to 256 bytes without control characters".into());
        }
        within("mqtt.receive_maximum", mqtt.receive_maximum, 1..=65_535)?;
        within("mqtt.max_payload", mqtt.max_payload, 1024..=268_435_455)?;
        within("mqtt.qos1_buffer", mqtt.qos1_buffer, 65_536..=1 << 40)?;
        within("mqtt.qos0_buffer", mqtt.qos0_buffer, 0..=1 << 40)?;
        let second = Duration::from_secs(1);
        let longest = second * (u32::MAX - 1);
        between(
            "mqtt.session_expiry",
            mqtt.session_expiry,
            second * 60,
            longest,
        )?;
        between(
            "mqtt.keep_alive",
            mqtt.keep_alive,
            second * 5,
            second * 65_535,
        )?;
        if self.dead_letters.key.is_empty() {
            return Err("dead_letters.key is empty".into());
        }
        let redis = &self.redis;
        within("redis.workers", redis.workers, 1..=64)?;
        within("redis.batch", redis.batch, 1..=10_000)?;
        // Shorter ones would take a server that is merely busy for one that is gone.
        let hour = second * 3600;
        between(
            "redis.response_timeout",
            redis.response_timeout,
            second * 5,
            hour,
        )?;
        between(
            "redis.connect_timeout",
            redis.connect_timeout,
            second / 10,
            hour,
        )?;
        self.downlink.check()?;
        between("drain_timeout", self.drain_timeout, Duration::ZERO, hour)?;
        Ok(Peers {
            broker: self.broker(&env)?,
            redis: self.redis(&env)?,
        })
    }

    fn broker(&self, env: impl Fn(&str) -> Option<String>) -> Result<BrokerAddress, String> {
        let mut broker = BrokerAddress::parse(&self.mqtt.url.0)
            .map_err(|reason| format!("mqtt.url {reason}"))?;
        if let Some(user) = env("DEVICESTATE_MQTT_USER") {
            broker.user = Some(user);
        }
        if let Some(password) = env("DEVICESTATE_MQTT_PASSWORD") {
            broker.password = Some(password);
        }
        Ok(broker)
    }

    fn redis(&self, env: impl Fn(&str) -> Option<String>) -> Result<redis::ConnectionInfo, String> {
        let url = self.redis.url.0.as_str();
        if url.starts_with("rediss:") {
            return Err("redis.url asks for TLS, which this version does not have".into());
        }
        let info = url
            .into_connection_info()
            .map_err(|_| "redis.url is not redis://[user[:password]@]host[:port]".to_owned())?;
        let mut login = info.redis_settings().clone();
        if login.db() != 0 {
            return Err("redis.url names a database; devices live in database 0".into());
        }
        if let Some(password) = env("DEVICESTATE_REDIS_PASSWORD") {
            login = login.set_password(password);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(info.set_redis_settings(login).set_tcp_settings(tcp))
    }
}

pub fn within<T: PartialOrd + fmt::Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(format!("{name} is {value}, not within {least} to {most}"))
}

pub fn between(name: &str, value: Span, least: Duration, most: Duration) -> Result<(), String> {
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    let value = value.0;
    Err(format!(
        "{name} is {value:?}, not within {least:?} to {most:?}"
    ))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
