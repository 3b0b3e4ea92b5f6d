//! `[mqtt]`: the broker, and what is asked of it.

use super::limits::{between, within, SECOND};
use super::{Address, Span};
use crate::mqtt::address::BrokerAddress;
use crate::profile::native::check_prefix;
use serde::Deserialize;
use std::time::Duration;

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

impl MqttConfig {
    pub fn check(&self) -> Result<(), String> {
        check_prefix(&self.prefix).map_err(|reason| format!("mqtt.prefix {reason}"))?;
        if self.client_id.is_empty()
            || self.client_id.len() > 256
            || self.client_id.chars().any(char::is_control)
        {
            return Err("mqtt.client_id is not 1 to 256 bytes without control characters".into());
        }
        within("mqtt.receive_maximum", self.receive_maximum, 1..=65_535)?;
        within("mqtt.max_payload", self.max_payload, 1024..=268_435_455)?;
        within("mqtt.qos1_buffer", self.qos1_buffer, 65_536..=1 << 40)?;
        within("mqtt.qos0_buffer", self.qos0_buffer, 0..=1 << 40)?;
        let longest = SECOND * (u32::MAX - 1);
        between(
            "mqtt.session_expiry",
            self.session_expiry,
            SECOND * 60,
            longest,
        )?;
        between(
            "mqtt.keep_alive",
            self.keep_alive,
            SECOND * 5,
            SECOND * 65_535,
        )
    }

    /// Where to connect, with the login. `env` looks up an environment variable.
    pub fn broker(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<BrokerAddress, String> {
        let mut broker =
            BrokerAddress::parse(&self.url.0).map_err(|reason| format!("mqtt.url {reason}"))?;
        if let Some(user) = env("DEVICESTATE_MQTT_USER") {
            broker.user = Some(user);
        }
        if let Some(password) = env("DEVICESTATE_MQTT_PASSWORD") {
            broker.password = Some(password);
        }
        Ok(broker)
    }
}
