//! What the broker grants when a connection is made, and what the reader of the log should know of
//! it. A broker that cannot do what the bridge needs says so here, and nowhere else.

use crate::config::MqttConfig;
use rumqttc::ConnAck;
use std::time::Duration;

/// From the broker's CONNACK. What it does not mention is as MQTT 5 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    max_qos: u8,
    wildcards: bool,
    sharing: bool,
    /// Where it is not as asked for. A broker may repeat what was asked for.
    session_expiry: Option<Duration>,
    keep_alive: Option<Duration>,
    /// How many QoS 1 messages the broker takes at a time.
    receive_maximum: u16,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            max_qos: 2,
            wildcards: true,
            sharing: true,
            session_expiry: None,
            keep_alive: None,
            receive_maximum: u16::MAX,
        }
    }
}

impl Terms {
    pub fn read(answer: &ConnAck) -> Terms {
        let Some(properties) = &answer.properties else {
            return Terms::default();
        };
        let available = |flag: Option<u8>| flag != Some(0);
        let interval = |seconds: u32| Duration::from_secs(seconds.into());
        Terms {
            max_qos: properties.max_qos.unwrap_or(2),
            wildcards: available(properties.wildcard_subscription_available),
            sharing: available(properties.shared_subscription_available),
            session_expiry: properties.session_expiry_interval.map(interval),
            keep_alive: properties.server_keep_alive.map(u32::from).map(interval),
            receive_maximum: properties.receive_max.unwrap_or(u16::MAX),
        }
    }

    /// Lines for the log, the worst first.
    pub fn advice(&self, config: &MqttConfig) -> Vec<Advice> {
        let mut advice = Vec::new();
        if self.max_qos == 0 {
            advice.push(Advice::Error(
                "the broker carries QoS 0 only: messages can be lost anywhere".to_owned(),
            ));
        }
        if !self.wildcards {
            advice.push(Advice::Error(
                "the broker has no wildcard subscriptions, and the bridge needs them".to_owned(),
            ));
        }
        if !self.sharing && !config.share.is_empty() {
            advice.push(Advice::Error(
                "mqtt.share is set, and the broker has no shared subscriptions".to_owned(),
            ));
        }
        let asked = config.session_expiry.0;
        if let Some(expiry) = self.session_expiry.filter(|expiry| *expiry < asked) {
            advice.push(Advice::Warn(format!(
                "the broker keeps messages for an absent bridge for {expiry:?} only, not for {asked:?} \
                 (mqtt.session_expiry)"
            )));
        }
        if let Some(interval) = self.keep_alive.filter(|i| *i != config.keep_alive.0) {
            advice.push(Advice::Info(format!(
                "the broker sets keep_alive to {interval:?}"
            )));
        }
        advice.push(Advice::Debug(format!(
            "the broker takes {} unconfirmed messages at a time",
            self.receive_maximum
        )));
        advice
    }
}

/// What is to be known of a broker that has just begun to keep messages for this bridge.
pub fn new_session() -> Advice {
    Advice::Info(
        "the session is new: what devices have sent before now is not in it. From now on the broker \
         keeps what comes while the bridge is away, as far as its own settings let it; \
         in mosquitto.conf: persistence true, autosave_interval 1, autosave_on_changes true, \
         max_queued_messages 1000000"
            .to_owned(),
    )
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    Error(String),
    Warn(String),
    Info(String),
    Debug(String),
}

impl Advice {
    pub fn tell(&self) {
        match self {
            Advice::Error(text) => tracing::error!("{text}"),
            Advice::Warn(text) => tracing::warn!("{text}"),
            Advice::Info(text) => tracing::info!("{text}"),
            Advice::Debug(text) => tracing::debug!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(terms: Terms, config: &MqttConfig) -> Vec<Advice> {
        let mut advice = terms.advice(config);
        advice.retain(|line| !matches!(line, Advice::Debug(_)));
        advice
    }

    #[test]
    fn a_broker_that_grants_everything_is_worth_no_line() {
        let config = MqttConfig::default();
        assert_eq!(advice(Terms::default(), &config), []);
        let as_asked = Terms {
            session_expiry: Some(config.session_expiry.0),
            keep_alive: Some(config.keep_alive.0),
            max_qos: 1,
            ..Terms::default()
        };
        assert_eq!(advice(as_asked, &config), []);
    }

    #[test]
    fn what_is_not_granted_is_told() {
        let poor = Terms {
            max_qos: 0,
            wildcards: false,
            sharing: false,
            session_expiry: Some(Duration::from_secs(60)),
            keep_alive: Some(Duration::from_secs(10)),
            receive_maximum: 20,
        };
        let kinds = |config: &MqttConfig| {
            let kind = |line| match line {
                Advice::Error(_) => 'e',
                Advice::Warn(_) => 'w',
                Advice::Info(_) => 'i',
                Advice::Debug(_) => 'd',
            };
            advice(poor, config)
                .into_iter()
                .map(kind)
                .collect::<String>()
        };
        let mut config = MqttConfig::default();
        assert_eq!(kinds(&config), "eewi");
        config.share = "fleet".to_owned();
        assert_eq!(kinds(&config), "eeewi");
    }
}
