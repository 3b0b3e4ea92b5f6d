//! What is asked of the broker: the profiles' filters, shared among bridges where that is wished, and
//! how many messages it drops.

use crate::config::MqttConfig;
use crate::profile::Filter;
use crate::text::one_line;
use rumqttc::{Publish, QoS, RetainForwardRule, SubAck, SubscribeFilterInput, SubscribeReasonCode};

/// Where Mosquitto tells, every `sys_interval`, how many messages it has dropped since its start
/// because a client's queue was full.
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

#[derive(Debug, Clone)]
pub struct Subscriptions {
    filters: Vec<String>,
    /// The same messages as they are subscribed to without sharing, or by the first instance. A
    /// session of an earlier configuration may hold them, and would get every message twice.
    obsolete: Vec<String>,
    watch_drops: bool,
}

impl Subscriptions {
    pub fn new(config: &MqttConfig, all: Vec<Filter>) -> Result<Subscriptions, String> {
        let (mut filters, mut obsolete) = (Vec::new(), Vec::new());
        for Filter { filter, shareable } in all {
            if config.share.is_empty() {
                filters.push(filter);
            } else if shareable {
                filters.push(format!("$share/{}/{filter}", config.share));
                obsolete.push(filter);
            } else if config.instance == 0 {
                filters.push(filter);
            } else {
                obsolete.push(filter);
            }
        }
        if filters.is_empty() {
            return Err(
                "mqtt.share leaves nothing to subscribe to: what the configured profiles need \
                 cannot be shared, and is for instance 0 alone"
                    .to_owned(),
            );
        }
        Ok(Subscriptions {
            filters,
            obsolete,
            watch_drops: config.watch_drops,
        })
    }

    pub fn inputs(&self) -> impl Iterator<Item = SubscribeFilterInput> + '_ {
        let filters = self.filters.iter().map(|filter| {
            SubscribeFilterInput::new(filter.clone(), QoS::AtLeastOnce)
                .retain_forward_rule(RetainForwardRule::OnNewSubscribe)
        });
        let dropped = self.watch_drops.then(|| {
            SubscribeFilterInput::new(DROPPED, QoS::AtMostOnce)
                .retain_forward_rule(RetainForwardRule::OnEverySubscribe)
        });
        filters.chain(dropped)
    }

    /// To be ended once the others are there.
    pub fn obsolete(&self) -> &[String] {
        &self.obsolete
    }

    /// Everything that a session may hold.
    pub fn all(&self) -> Vec<String> {
        let own = self.filters.iter().chain(&self.obsolete).cloned();
        own.chain([DROPPED.to_owned()]).collect()
    }

    /// What the broker refused of [`Subscriptions::inputs`]. Not being told of drops is no fault.
    pub fn read_answer(&self, answer: &SubAck) -> Result<(), String> {
        for (filter, code) in self.filters.iter().zip(&answer.return_codes) {
            if *code != SubscribeReasonCode::Success(QoS::AtLeastOnce) {
                return Err(format!(
                    "the broker answered {code:?} to the subscription {}",
                    one_line(filter)
                ));
            }
        }
        Ok(())
    }
}

/// Whether this message is the broker's number of dropped messages.
pub fn is_dropped(publish: &Publish) -> bool {
    publish.topic == DROPPED
}

/// The number in it.
pub fn read_dropped(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters() -> Vec<Filter> {
        [("d/+/heartbeat", true), ("$aws/things/+/shadow/+", false)]
            .map(|(filter, shareable)| Filter {
                filter: filter.to_owned(),
                shareable,
            })
            .into()
    }

    fn of(share: &str, instance: u16) -> Subscriptions {
        let config = MqttConfig {
            share: share.to_owned(),
            instance,
            ..MqttConfig::default()
        };
        Subscriptions::new(&config, filters()).unwrap()
    }

    #[test]
    fn without_a_share_every_instance_has_all() {
        for instance in [0, 1] {
            let subscriptions = of("", instance);
            assert_eq!(
                subscriptions.filters,
                ["d/+/heartbeat", "$aws/things/+/shadow/+"]
            );
            assert!(subscriptions.obsolete.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_shared_is_the_first_instances() {
        let (first, second) = (of("fleet", 0), of("fleet", 1));
        let shared = "$share/fleet/d/+/heartbeat";
        assert_eq!(first.filters, [shared, "$aws/things/+/shadow/+"]);
        assert_eq!(first.obsolete, ["d/+/heartbeat"]);
        assert_eq!(second.filters, [shared]);
        assert_eq!(second.obsolete, ["d/+/heartbeat", "$aws/things/+/shadow/+"]);
        assert_eq!(first.inputs().count(), 3);
    }

    #[test]
    fn an_instance_with_nothing_to_do_is_a_mistake() {
        let config = MqttConfig {
            share: "fleet".to_owned(),
            instance: 1,
            ..MqttConfig::default()
        };
        let unshareable = filters().split_off(1);
        assert!(Subscriptions::new(&config, unshareable).is_err());
    }

    #[test]
    fn numbers_of_dropped_messages() {
        assert_eq!(read_dropped(b"17"), Some(17));
        assert_eq!(read_dropped(b"-1"), None);
        assert_eq!(read_dropped(b""), None);
        assert_eq!(read_dropped(b"\xff"), None);
    }
}
