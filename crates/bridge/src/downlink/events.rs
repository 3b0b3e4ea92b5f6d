//! From entries of the stream of events to what they mean for a device; see `docs/events.md`.

use redis::Value;

/// An entry of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    /// `None` where nothing follows from it: it only has to be acknowledged.
    pub event: Option<Event>,
    /// It was trimmed before it was acknowledged: nobody knows what it was.
    pub gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub device: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Delta {
        /// `None` is the classic one.
        shadow: Option<String>,
        version: u64,
    },
    Online,
    /// One was given.
    Command,
}

/// Reads `[[id, [name, value, ...]], ...]`. A trimmed entry that was still pending has null for fields.
pub fn entries(value: &Value) -> Vec<Entry> {
    items(value)
        .iter()
        .filter_map(|entry| {
            let [id, rest @ ..] = items(entry) else {
                return None;
            };
            Some(Entry {
                id: text(id)?,
                event: rest.first().and_then(event),
                gone: rest.first() == Some(&Value::Nil),
            })
        })
        .collect()
}

fn event(value: &Value) -> Option<Event> {
    let field = |name: &str| field(value, name).and_then(text);
    let what = match field("type")?.as_str() {
        "delta" => What::Delta {
            shadow: field("name"),
            version: field("version")?.parse().ok()?,
        },
        "online" => What::Online,
        "command" if field("outcome").is_none() => What::Command,
        _ => return None,
    };
    Some(Event {
        device: field("device_id")?,
        what,
    })
}

/// The elements of an array; none for anything else.
pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// A member of a map that comes as a flat array.
pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let mut pairs = items(value).chunks_exact(2);
    pairs.find_map(|pair| (text(&pair[0])? == name).then_some(&pair[1]))
}

pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        let fields = fields.iter().map(|word| bulk(word)).collect();
        Value::Array(vec![bulk(id), Value::Array(fields)])
    }

    fn read(fields: &[&str]) -> Option<What> {
        let mut all = vec!["device_id", "a", "timestamp", "5"];
        all.extend(fields);
        let found = entries(&Value::Array(vec![entry("1-0", &all)]));
        assert_eq!((found.len(), found[0].id.as_str()), (1, "1-0"));
        assert!(!found[0].gone);
        let event = found[0].event.clone()?;
        assert_eq!(event.device, "a");
        Some(event.what)
    }

    #[test]
    fn events_that_concern_a_device() {
        let delta = |shadow: Option<&str>, version| What::Delta {
            shadow: shadow.map(str::to_owned),
            version,
        };
        let plain = ["type", "delta", "version", "7", "delta", "{}"];
        assert_eq!(read(&plain), Some(delta(None, 7)));
        let named = ["type", "delta", "name", "wifi", "version", "1"];
        assert_eq!(read(&named), Some(delta(Some("wifi"), 1)));
        assert_eq!(read(&["type", "online"]), Some(What::Online));
        let given = ["type", "command", "command_id", "1-0"];
        assert_eq!(read(&given), Some(What::Command));
    }

    #[test]
    fn other_events_are_only_acknowledged() {
        for fields in [
            &["type", "command", "outcome", "OK"][..],
            &["type", "offline"],
            &["type", "registered", "device_type", "online"],
            &["type", "delta", "version", "many"],
            &["type", "delta"],
            &["type", "new in a later version"],
            &[],
        ] {
            assert_eq!(read(fields), None, "{fields:?}");
        }
        let gone = Value::Array(vec![Value::Array(vec![bulk("1-0"), Value::Nil])]);
        let expected = Entry {
            id: "1-0".into(),
            event: None,
            gone: true,
        };
        assert_eq!(entries(&gone), [expected]);
        assert_eq!(entries(&Value::Nil), []);
    }
}
