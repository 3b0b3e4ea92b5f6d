//! The receiver's half: from a message to the command that puts it into its queue.

use super::{attribute, number};
use crate::clock::now_ms;
use crate::config::QueueConfig;
use crate::mqtt::Message;
use crate::profile::Sender;
use crate::work::{Then, Work};

pub struct Enqueue {
    config: QueueConfig,
}

impl Enqueue {
    pub fn new(config: QueueConfig) -> Enqueue {
        Enqueue { config }
    }

    /// What it takes to keep a message of this sender for the processors.
    pub fn work(&self, sender: Sender, message: &Message) -> Work {
        let Sender { device, session } = sender;
        let config = &self.config;
        let mut add = redis::cmd("QUEUE.ADD");
        add.arg(config.key(number(&device, config.count)))
            .arg(&*message.payload);
        let mut attribute = |name: &str, value: &[u8]| {
            add.arg("ATTR").arg(name).arg(value);
        };
        attribute(attribute::TOPIC, &message.topic);
        attribute(attribute::DEVICE, device.as_bytes());
        let received_at = now_ms().to_string();
        attribute(attribute::RECEIVED_AT, received_at.as_bytes());
        if let Some(session) = session {
            attribute(attribute::SESSION, session.to_string().as_bytes());
        }
        if let Some(content_type) = &message.content_type {
            attribute(attribute::CONTENT_TYPE, content_type.as_bytes());
        }
        if message.retained {
            attribute(attribute::RETAINED, b"1");
        }
        add.arg("TTL").arg(config.ttl.0.as_millis() as u64);
        if config.maxlen > 0 {
            add.arg("MAXLEN").arg(config.maxlen);
        }
        Work {
            device,
            commands: vec![add],
            then: Then::IsQueued,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(work: &Work) -> Vec<String> {
        let words = work.commands[0].args_iter().map(|word| match word {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        words.collect()
    }

    #[test]
    fn the_payload_goes_as_it_came_with_all_that_reading_it_takes() {
        let config = QueueConfig {
            count: 1,
            maxlen: 10,
            ..QueueConfig::default()
        };
        let message = Message {
            topic: (*b"devices/a/reported").into(),
            payload: (*b"not looked at").into(),
            content_type: Some("application/json".into()),
            retained: true,
            ..Message::default()
        };
        let sender = Sender {
            device: "a".into(),
            session: Some(7),
        };
        let work = Enqueue::new(config).work(sender, &message);
        let mut words = words(&work);
        let received_at = words.remove(11);
        assert!(received_at.parse::<u64>().is_ok_and(|ms| ms > 0));
        let expected =
            "QUEUE.ADD ingest:0 not looked at ATTR topic devices/a/reported ATTR device \
                        a ATTR received_at ATTR session 7 ATTR content_type application/json ATTR retained 1 \
                        TTL 86400000 MAXLEN 10";
        assert_eq!(words.join(" "), expected);
        assert_eq!(work.device, "a");
    }
}
