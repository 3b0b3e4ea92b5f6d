//! A short visit to the broker, under a name of its own: the session of a bridge that runs is not
//! taken over. The visitor's session begins clean and ends with the connection, and what it is sent
//! meanwhile is not acknowledged, so nothing is taken from anybody.

use super::address::BrokerAddress;
use super::{describe, options};
use crate::config::MqttConfig;
use crate::text::one_line;
use rumqttc::{
    AckMode, AsyncClient, ConnectionError, EventLoop, Incoming, Outgoing, QoS, RetainForwardRule,
    SubscribeFilterInput, SubscribeReasonCode,
};
use std::time::Duration;
use tokio::time::timeout;

/// How long the broker may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Trial {
    client: AsyncClient,
    events: EventLoop,
    client_id: String,
}

impl Trial {
    pub async fn connect(config: &MqttConfig, broker: &BrokerAddress) -> Result<Trial, String> {
        let client_id = format!("{}-check", config.client_id());
        let mut options = options(config, broker, client_id.clone());
        options
            .set_clean_start(true)
            .set_session_expiry_interval(Some(0))
            .set_receive_maximum(Some(1))
            .set_unlimited_incoming_packet_size()
            .set_ack_mode(AckMode::Manual);
        let (client, events) = AsyncClient::builder(options)
            .unbounded()
            .try_build()
            .map_err(|e| one_line(&e.to_string()))?;
        let mut trial = Trial {
            client,
            events,
            client_id,
        };
        trial
            .wait(|incoming| matches!(incoming, Incoming::ConnAck(_)).then_some(()))
            .await?;
        Ok(trial)
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    pub async fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        let input = SubscribeFilterInput::new(filter.to_owned(), QoS::AtLeastOnce)
            .retain_forward_rule(RetainForwardRule::Never);
        self.client
            .try_subscribe_many([input])
            .map_err(|e| one_line(&e.to_string()))?;
        let codes = self
            .wait(|incoming| match incoming {
                Incoming::SubAck(answer) => Some(answer.return_codes),
                _ => None,
            })
            .await?;
        match codes.first() {
            Some(SubscribeReasonCode::Success(QoS::AtLeastOnce)) => Ok(()),
            code => Err(format!(
                "it answered {} to the subscription {}",
                code.map_or("nothing".to_owned(), |code| format!("{code:?}")),
                one_line(filter)
            )),
        }
    }

    /// Says goodbye.
    pub async fn leave(mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        let gone = async {
            loop {
                match self.events.poll().await {
                    Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        };
        // A broker that does not care is left anyway.
        let _ = timeout(PATIENCE, gone).await;
    }

    /// Waits for the packet that `choose` takes.
    async fn wait<T>(&mut self, choose: impl Fn(Incoming) -> Option<T>) -> Result<T, String> {
        let answer = async {
            loop {
                match self.events.poll().await {
                    Ok(rumqttc::Event::Incoming(incoming)) => {
                        if let Some(chosen) = choose(incoming) {
                            return Ok(chosen);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        };
        match timeout(PATIENCE, answer).await {
            Ok(Ok(chosen)) => Ok(chosen),
            Ok(Err(ConnectionError::Timeout(_))) | Err(_) => Err("no answer in time".to_owned()),
            Ok(Err(error)) => Err(describe(&error, &self.client_id, None)),
        }
    }
}
