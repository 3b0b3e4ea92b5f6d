//! The processors' half: from an element of `QUEUE.GET`'s reply back to the message it was.

use super::attribute;
use crate::mqtt::Message;
use redis::{FromRedisValue, ParsingError, Value};
use std::collections::HashMap;

/// A message that was handed out.
#[derive(Debug)]
pub struct Delivery {
    pub id: String,
    pub message: Message,
    /// How often it was handed out, with this time.
    pub deliveries: u64,
}

impl FromRedisValue for Delivery {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Element = (String, Option<Vec<u8>>, HashMap<String, Vec<u8>>, u64);
        let (id, body, mut attributes, deliveries) = Element::from_redis_value(value)?;
        // Any program may add to a queue. What is missing is refused when the message is read.
        let mut take = |name: &str| attributes.remove(name);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let message = Message {
            topic: take(attribute::TOPIC).unwrap_or_default().into(),
            payload: body.unwrap_or_default().into(),
            content_type: take(attribute::CONTENT_TYPE).and_then(text).map(Into::into),
            retained: take(attribute::RETAINED).is_some(),
            received_at: take(attribute::RECEIVED_AT)
                .and_then(text)
                .and_then(|ms| ms.parse().ok()),
            ..Message::default()
        };
        Ok(Delivery {
            id,
            message,
            deliveries,
        })
    }
}
