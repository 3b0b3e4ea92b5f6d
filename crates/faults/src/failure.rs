//! What ends a scenario early: something around the bridge did not do its part. A lost message is
//! none of these, it is counted.

use std::fmt;

pub type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(error.to_string())
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Failure {
        Failure(format!("Redis: {error}"))
    }
}

impl From<rumqttc::mqttbytes::Error> for Failure {
    fn from(error: rumqttc::mqttbytes::Error) -> Failure {
        Failure(format!("MQTT: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure(format!("JSON: {error}"))
    }
}
