//! Messages that can never succeed are kept, with the reason, in a stream. Somebody can look at them
//! there, and `devicestate-bridge replay` tries them again.

use crate::clock::now_ms;
use crate::config::DeadLettersConfig;
use crate::mqtt::Message;
use crate::profile::Refusal;
use crate::work::{Then, Work};

/// Fields of an entry.
pub mod field {
    pub const TOPIC: &str = "topic";
    pub const DEVICE: &str = "device";
    pub const REASON: &str = "reason";
    /// Milliseconds since the Unix epoch.
    pub const RECEIVED_AT: &str = "received_at";
    pub const CONTENT_TYPE: &str = "content_type";
    pub const RETAINED: &str = "retained";
    pub const PAYLOAD: &str = "payload";
    /// Only where the payload was cut: how many bytes it had.
    pub const SIZE: &str = "size";
}

/// Where dead letters go.
#[derive(Debug)]
pub struct DeadLetters {
    config: DeadLettersConfig,
    /// Bytes. Of a larger payload only the beginning is kept.
    max_payload: usize,
}

impl DeadLetters {
    pub fn new(config: DeadLettersConfig, max_payload: usize) -> DeadLetters {
        DeadLetters {
            config,
            max_payload,
        }
    }

    /// What it takes to keep a message. `None` where none are kept.
    pub fn work(&self, message: &Message, refusal: &Refusal) -> Option<Work> {
        if self.config.maxlen == 0 {
            return None;
        }
        let mut add = redis::cmd("XADD");
        add.arg(&self.config.key)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.config.maxlen)
            .arg("*");
        add.arg(field::TOPIC).arg(&*message.topic);
        if let Some(device) = &refusal.device {
            add.arg(field::DEVICE).arg(device);
        }
        add.arg(field::REASON).arg(&refusal.reason);
        let received_at = message.received_at.unwrap_or_else(now_ms);
        add.arg(field::RECEIVED_AT).arg(received_at);
        if let Some(content_type) = &message.content_type {
            add.arg(field::CONTENT_TYPE).arg(&**content_type);
        }
        if message.retained {
            add.arg(field::RETAINED).arg(1);
        }
        let size = message.payload.len();
        let kept = size.min(self.max_payload);
        add.arg(field::PAYLOAD).arg(&message.payload[..kept]);
        if kept < size {
            add.arg(field::SIZE).arg(size);
        }
        let topic = || String::from_utf8_lossy(&message.topic).into_owned();
        Some(Work {
            device: refusal.device.clone().unwrap_or_else(topic),
            commands: vec![add],
            then: Then::IsDead,
        })
    }
}
