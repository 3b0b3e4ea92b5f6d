//! What the tests of messages to devices ask of server and device.

use super::server::Server;
use super::subscriber::Subscriber;
use redis::Value;

/// So that the bridge follows the events.
pub const ON: &str = "[downlink]\n";

/// The commands that a device was given, in order.
pub fn ids_on(subscriber: &Subscriber, device: &str) -> Vec<String> {
    let start = format!("devices/{device}/commands/");
    let received = subscriber.received();
    let topics = received.iter().map(|(topic, _)| topic);
    topics
        .filter_map(|topic| topic.strip_prefix(&start))
        .map(str::to_owned)
        .collect()
}

/// How many events the group was given and has not acknowledged.
pub fn pending(server: &Server) -> i64 {
    let summary = server.command(&["XPENDING", "devices:events", "bridge"]);
    match summary {
        Value::Array(items) => match items.first() {
            Some(Value::Int(pending)) => *pending,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Whether everything in the stream is acknowledged.
pub fn settled(server: &Server) -> bool {
    let groups: Vec<redis::Value> = server.query(&["XINFO", "GROUPS", "devices:events"]);
    let Some(Value::Array(group)) = groups.first() else {
        return false;
    };
    let last: Vec<(String, redis::Value)> =
        server.query(&["XREVRANGE", "devices:events", "+", "-", "COUNT", "1"]);
    let delivered = redis::from_redis_value::<String>(group[7].clone()).unwrap();
    last.first().is_none_or(|(id, _)| *id == delivered) && pending(server) == 0
}

pub fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// Gives a command, and returns its id.
pub fn command(server: &Server, device: &str, json: &str) -> String {
    server.query(&["DEVICE.COMMAND", device, json])
}
