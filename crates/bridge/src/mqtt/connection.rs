//! What the connections to the broker have in common: how they are made, and why they end.

use super::address::BrokerAddress;
use super::STABLE;
use crate::config::MqttConfig;
use crate::text::one_line;
use crate::tls;
use rumqttc::{
    ConnectionError, DisconnectReasonCode, MqttOptions, StateError, TlsConfiguration, Transport,
};
use std::time::Duration;

/// What all connections to the broker have in common.
pub fn options(config: &MqttConfig, broker: &BrokerAddress, client_id: String) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, (broker.host.clone(), broker.port));
    if let Some(tls) = &broker.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
            tls.client_config(),
        )));
    }
    options.set_keep_alive(u16::try_from(config.keep_alive.0.as_secs()).unwrap_or(u16::MAX));
    match (&broker.user, &broker.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.clone().into_bytes());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, Some(password)) => {
            options.set_password(password.clone().into_bytes());
        }
        (None, None) => {}
    }
    options
}

/// Why a connection is gone that had lasted this long, in one line.
pub fn describe(error: &ConnectionError, client_id: &str, lasted: Option<Duration>) -> String {
    let name = || one_line(client_id);
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => format!("another client has connected as {}", name()),
        // Mosquitto 2.0 says no more when the session is taken over.
        ConnectionError::MqttState(StateError::ConnectionAborted)
            if lasted.is_some_and(|lasted| lasted < STABLE) =>
        {
            format!(
                "the broker closed the connection; perhaps another client connects as {}",
                name()
            )
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed the connection".to_owned()
        }
        ConnectionError::ConnectionRefused(code) => format!("it refused: {code:?}"),
        ConnectionError::Timeout(_) => "no answer in time".to_owned(),
        other => tls::explain(other).unwrap_or_else(|| one_line(&other.to_string())),
    }
}
