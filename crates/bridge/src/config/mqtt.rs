//! `[mqtt]`: the broker, and what is asked of it.

use super::limits::{between, within, SECOND};
use super::login::Env;
use super::tls::anchor;
use super::{Address, Login, Span, TlsConfig};
use crate::mqtt::address::BrokerAddress;
use crate::profile::native::check_prefix;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    pub url: Address,
    /// A file with the password; none if empty.
    pub password_file: PathBuf,
    /// What the client ids of all instances begin with.
    #[serde(rename = "client_id")]
    pub base_client_id: String,
    /// Which of several bridges this one is.
    pub instance: u16,
    /// The bridges of one name share the messages among them. Empty: each gets all of them.
    pub share: String,
    /// Whether to ask the broker how many messages it drops.
    pub watch_drops: bool,
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
    pub tls: TlsConfig,
}

impl Default for MqttConfig {
    fn default() -> Self {
        MqttConfig {
            url: Address("mqtt://127.0.0.1:1883".into()),
            password_file: PathBuf::new(),
            base_client_id: "devicestate-bridge".into(),
            instance: 0,
            share: String::new(),
            watch_drops: true,
            prefix: "devices".into(),
            receive_maximum: 1000,
            session_expiry: Span(Duration::from_secs(7 * 86_400)),
            keep_alive: Span(Duration::from_secs(30)),
            max_payload: 262_144,
            qos1_buffer: 67_108_864,
            qos0_buffer: 16_777_216,
            tls: TlsConfig::default(),
        }
    }
}

impl MqttConfig {
    pub fn check(&self) -> Result<(), String> {
        check_prefix(&self.prefix).map_err(|reason| format!("mqtt.prefix {reason}"))?;
        let id = &self.base_client_id;
        if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
            return Err("mqtt.client_id is not 1 to 256 bytes without control characters".into());
        }
        let wrong = |c: char| c.is_control() || "/+#".contains(c);
        if self.share.len() > 256 || self.share.contains(wrong) {
            return Err(
                "mqtt.share is not up to 256 bytes without /, +, # and control characters".into(),
            );
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

    /// Under which name the broker keeps this bridge's session.
    pub fn client_id(&self) -> String {
        format!("{}-{}", self.base_client_id, self.instance)
    }

    /// Counts relative paths from `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        anchor(&mut self.password_file, folder);
        self.tls.anchor(folder);
    }

    /// Where to connect, with the login and the certificates.
    pub fn broker(&self, env: Env<'_>) -> Result<BrokerAddress, String> {
        let mut broker =
            BrokerAddress::parse(&self.url.0).map_err(|reason| format!("mqtt.url {reason}"))?;
        let login = Login::find(env, "MQTT", "mqtt.password_file", &self.password_file)?;
        broker.user = login.user.or(broker.user);
        broker.password = login.password.or(broker.password);
        if broker.secure {
            broker.tls = Some(self.tls.load("mqtt.tls")?);
        } else {
            self.tls
                .check_unused("mqtt.tls", "mqtt.url does not begin with mqtts")?;
        }
        Ok(broker)
    }
}
