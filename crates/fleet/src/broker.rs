//! The broker as the devices see it: its address, their topics, their wills.

use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};
use rumqttc::{LastWill, MqttOptions, QoS};

use crate::pace::Pacer;

/// Where and how the devices connect.
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// First part of every topic.
    pub prefix: String,
    pub keep_alive_s: u16,
    pub pacer: Pacer,
}

impl Broker {
    /// `<prefix>/<id>/<last>`, the id percent-encoded.
    pub fn topic(&self, id: &str, last: &str) -> String {
        format!(
            "{}/{}/{last}",
            self.prefix,
            utf8_percent_encode(id, ENCODED)
        )
    }

    /// What a device connects with: a clean session, its id as client id, its will.
    pub fn options(&self, id: &str, session: u64) -> MqttOptions {
        let will = LastWill::new(
            self.topic(id, "will"),
            farewell(session, "connection lost"),
            QoS::AtLeastOnce,
            false,
            None,
        );
        let mut options = MqttOptions::new(id, (self.host.clone(), self.port));
        options
            .set_clean_start(true)
            .set_keep_alive(self.keep_alive_s)
            .set_last_will(will);
        // One beat is on its way at a time. A small window keeps the client's tables small.
        options.set_outgoing_inflight_upper_limit(2);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user.clone(), password.clone());
        }
        options
    }
}

/// What stays as it is in a topic level: letters, digits and `-_.~` (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What is published on the will topic.
pub fn farewell(session: u64, reason: &str) -> String {
    format!(r#"{{"session":{session},"reason":"{reason}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(prefix: &str) -> Broker {
        Broker {
            host: "h".into(),
            port: 1883,
            login: None,
            prefix: prefix.into(),
            keep_alive_s: 30,
            pacer: Pacer::new(0),
        }
    }

    #[test]
    fn ids_are_percent_encoded_in_topics() {
        let topic = |prefix: &str, id, last| broker(prefix).topic(id, last);
        assert_eq!(
            topic("devices", "sim-000001", "will"),
            "devices/sim-000001/will"
        );
        assert_eq!(
            topic("a/b", "x/+#%é", "heartbeat"),
            "a/b/x%2F%2B%23%25%C3%A9/heartbeat"
        );
    }

    #[test]
    fn farewells_are_json() {
        let value: serde_json::Value = serde_json::from_str(&farewell(7, "goodbye")).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"session": 7, "reason": "goodbye"})
        );
    }
}
