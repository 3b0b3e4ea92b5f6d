//! Commands and deltas on their way to devices, and the results that come back:
//! `<prefix>/<id>/delta`, `<prefix>/<id>/delta/<shadow>`, `<prefix>/<id>/commands/<command>` and
//! `<prefix>/<id>/commands/<command>/result`.

use super::topic::{decode_id, encode_id, TopicError, Topics};
use crate::mqtt::outbox::Publication;
use crate::profile::{Command, Delta};

/// What it says about itself, for devices that look.
const JSON: &str = "application/json";

/// Whose command a result is about.
#[derive(Debug, PartialEq, Eq)]
pub struct ResultTopic {
    pub device: String,
    pub command: String,
}

/// Reads a topic of a result. `None` where it is another one.
pub fn read_result(topics: &Topics, topic: &[u8]) -> Option<Result<ResultTopic, TopicError>> {
    let (level, rest) = topics.below(topic)?.split_once('/')?;
    let command = rest.strip_prefix("commands/")?.strip_suffix("/result")?;
    // The server says what is no id of a command.
    let command = command.to_owned();
    let device = decode_id(level);
    Some(device.map(|device| ResultTopic { device, command }))
}

pub fn delta(topics: &Topics, delta: &Delta<'_>) -> Publication {
    let rest = match delta.shadow {
        None => "delta".to_owned(),
        Some(shadow) => format!("delta/{}", encode_id(shadow)),
    };
    let (version, json) = (delta.version, delta.delta.get());
    Publication {
        topic: topics.of(&encode_id(delta.device), &rest),
        payload: format!("{{\"version\":{version},\"delta\":{json}}}").into_bytes(),
        content_type: Some(JSON),
        expiry: None,
    }
}

/// The broker need not keep it for longer than its lease: after that it is given again.
pub fn command(topics: &Topics, command: &Command<'_>) -> Publication {
    let rest = format!("commands/{}", command.id);
    Publication {
        topic: topics.of(&encode_id(command.device), &rest),
        payload: command.json.to_vec(),
        content_type: Some(JSON),
        expiry: Some(command.lease),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::time::Duration;

    fn result(topic: &str) -> Option<Result<(String, String), TopicError>> {
        let read = read_result(&Topics::new("a/b"), topic.as_bytes())?;
        Some(read.map(|found| (found.device, found.command)))
    }

    #[test]
    fn results_name_device_and_command() {
        let found = result("a/b/plant%2F7/commands/17-0/result");
        assert_eq!(found, Some(Ok(("plant/7".into(), "17-0".into()))));
        assert_eq!(
            result("a/b/%/commands/17-0/result"),
            Some(Err(TopicError::Encoding))
        );
        for other in [
            "a/b/x/commands/17-0",
            "a/b/x/commands/result",
            "a/b/x/heartbeat",
            "b/x/commands/17-0/result",
            "a/b/commands/17-0/result",
        ] {
            assert_eq!(result(other), None, "{other}");
        }
    }

    #[test]
    fn what_devices_are_told() {
        let topics = Topics::new("devices");
        let json = RawValue::from_string("{\"a\":1.0}".into()).unwrap();
        let told = |shadow| {
            let document = None;
            let (device, version, delta_json) = ("plant/7", 4, &*json);
            let publication = delta(
                &topics,
                &Delta {
                    device,
                    shadow,
                    version,
                    delta: delta_json,
                    document,
                },
            );
            let payload = String::from_utf8(publication.payload).unwrap();
            (publication.topic, payload, publication.expiry)
        };
        let payload = "{\"version\":4,\"delta\":{\"a\":1.0}}".to_owned();
        let classic = ("devices/plant%2F7/delta".to_owned(), payload.clone(), None);
        assert_eq!(told(None), classic);
        assert_eq!(told(Some("up/time")).0, "devices/plant%2F7/delta/up%2Ftime");
        let lease = Duration::from_secs(60);
        let given = command(
            &topics,
            &Command {
                device: "a",
                id: "17-0",
                json: b"{}",
                lease,
            },
        );
        assert_eq!(given.topic, "devices/a/commands/17-0");
        assert_eq!((given.payload, given.expiry), (b"{}".into(), Some(lease)));
    }
}
