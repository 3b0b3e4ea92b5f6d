//! Taking back what no check could mend: keys of the wrong type, hashes that are no longer a
//! device's, keys that are about to vanish. What is left is for `DEVICE.CHECK REPAIR`.

use redis::{Connection, Value};

use crate::support::*;

/// The type of a key of the module; `None` for a key that is none of its.
fn wanted_type(key: &str) -> Option<&'static str> {
    let types = [
        ("device:state:", "hash"),
        ("device:heartbeat:", "string"),
        ("device:blocked:", "string"),
        ("device:shadows:", "hash"),
        ("device:history:", "stream"),
        ("device:commands:", "stream"),
        ("device:outcomes:", "stream"),
        ("device:alerts:", "hash"),
        ("devices:type:", "set"),
        ("devices:online:type:", "set"),
        ("alerts:user:", "hash"),
        ("alerts:rules:", "hash"),
    ];
    match key {
        "devices:registered" | "devices:online" | "devices:outofsync" => return Some("set"),
        "devices:offline" | "alerts:due" => return Some("zset"),
        "devices:events" | "devices:reports" => return Some("stream"),
        "devices:types" => return Some("hash"),
        _ => {}
    }
    let found = types.iter().find(|(prefix, _)| key.starts_with(prefix));
    found.map(|(_, wanted)| *wanted)
}

/// Takes away what is no state of a fleet; other keys than the module's go too.
#[track_caller]
pub fn heal(con: &mut Connection) {
    for key in cmd!(con, "KEYS *").items() {
        let key = key.bytes();
        let name = String::from_utf8_lossy(&key).into_owned();
        let kind = cmd!(con, "TYPE", &key).text();
        let keep = match wanted_type(&name) {
            Some(wanted) if wanted == kind => match name.strip_prefix("device:state:") {
                Some(id) => is_device(con, &key, id),
                None if kind == "stream" => can_grow(con, &key),
                None => true,
            },
            _ => false,
        };
        if !keep {
            cmd!(con, "UNLINK", &key).int();
        } else if let Some(id) = name.strip_prefix("device:heartbeat:") {
            heal_heartbeat(con, &key, id);
        } else if kind != "string" {
            cmd!(con, "PERSIST", &key).int();
        }
    }
}

/// Whether this is the hash of the device: the fields that decide hold what the module writes.
#[track_caller]
fn is_device(con: &mut Connection, key: &[u8], id: &str) -> bool {
    let fields = ["device_id", "device_type", "status", "last_seen", "version"];
    let found = cmd!(con, "HMGET", key, &fields[..]).items();
    let is = |index: usize, fits: &dyn Fn(&str) -> bool| match &found[index] {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).is_ok_and(fits),
        _ => false,
    };
    let is_number = |text: &str| text.parse::<u64>().is_ok_and(|n| n.to_string() == text);
    is(0, &|text| text == id)
        && is(1, &|text| {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        })
        && is(2, &|text| matches!(text, "online" | "offline"))
        // Never, or milliseconds: what is less is seconds of the plain recipe.
        && is(3, &|text| is_number(text) && (text == "0" || matches!(text.len(), 12 | 13)))
        && is(4, &is_number)
}

/// Whether the stream has ids left.
#[track_caller]
fn can_grow(con: &mut Connection, key: &[u8]) -> bool {
    let info = cmd!(con, "XINFO STREAM", key).fields();
    let last = info["last-generated-id"].text();
    let ms = last.split('-').next().and_then(|ms| ms.parse::<i64>().ok());
    ms.is_some_and(|ms| ms <= now_ms() + 1_000)
}

/// A heartbeat key whose life somebody changed: it comes back as it should be.
#[track_caller]
fn heal_heartbeat(con: &mut Connection, key: &[u8], id: &str) {
    let timeout = cmd!(con, "HGET", format!("device:state:{id}"), "timeout");
    let should_live_for_ever = matches!(timeout, Ok(Value::BulkString(ms)) if ms == b"0");
    let lives_for_ever = cmd!(con, "TTL", key).int() == -1;
    if lives_for_ever != should_live_for_ever {
        cmd!(con, "UNLINK", key).int();
    }
}
