//! Whether every index of devices says what the hashes say, both ways.

use std::collections::{BTreeMap, BTreeSet};

use super::data::Data;

/// A device as its hash tells it.
struct Stored<'a> {
    device_type: &'a str,
    online: bool,
    last_seen: &'a str,
    timeout: Option<&'a str>,
    /// Whether its classic shadow has something outstanding.
    out_of_sync: bool,
}

/// See [`super::inconsistencies`].
pub fn inconsistencies(data: &Data) -> Vec<String> {
    let mut found = Vec::new();
    let mut devices: BTreeMap<&str, Stored> = BTreeMap::new();
    let mut not_adopted: BTreeSet<&str> = BTreeSet::new();
    for id in data.names("device:state:") {
        let Some(fields) = data.device(id) else {
            // No device: it must not be in any index, which the second half looks for.
            continue;
        };
        let field = |name: &str| fields.get(name).map(String::as_str);
        if field("version").is_none() {
            not_adopted.insert(id);
            continue;
        }
        let status = field("status").unwrap_or_default();
        if !matches!(status, "online" | "offline") {
            found.push(format!("{id}: status {status:?}"));
        }
        let last_seen = field("last_seen").unwrap_or_default();
        if last_seen.parse::<u64>().is_err() {
            found.push(format!("{id}: last_seen {last_seen:?}"));
        }
        let delta = field("delta");
        if delta == Some("{}") {
            found.push(format!("{id}: an empty delta is stored"));
        }
        let device = Stored {
            device_type: field("device_type").unwrap_or_default(),
            online: status == "online",
            last_seen,
            timeout: field("timeout"),
            out_of_sync: delta.is_some(),
        };
        devices.insert(id, device);
    }

    // From the hashes to the indexes.
    let has = |key: &str, id: &str| data.sets.get(key).is_some_and(|set| set.contains(id));
    let nobody = BTreeMap::new();
    let offline = data.sorted.get("devices:offline").unwrap_or(&nobody);
    for (id, device) in &devices {
        let of_type = format!("devices:type:{}", device.device_type);
        let online_of_type = format!("devices:online:type:{}", device.device_type);
        for (key, should) in [
            ("devices:registered", true),
            (of_type.as_str(), true),
            ("devices:online", device.online),
            (online_of_type.as_str(), device.online),
            ("devices:outofsync", device.out_of_sync),
        ] {
            if has(key, id) != should {
                found.push(format!("{id}: in {key} is {}", !should));
            }
        }
        let score = offline.get(*id).map(String::as_str);
        let wanted = (!device.online).then_some(device.last_seen);
        if score != wanted {
            found.push(format!("{id}: devices:offline {score:?}, not {wanted:?}"));
        }
        let heartbeat = data.expires.get(&format!("device:heartbeat:{id}"));
        if heartbeat.is_some() != device.online {
            found.push(format!("{id}: heartbeat key is {}", heartbeat.is_some()));
        }
        if let (Some(expires), Some(timeout)) = (heartbeat, device.timeout) {
            if *expires != (timeout != "0") {
                found.push(format!("{id}: heartbeat key expires is {expires}"));
            }
        }
    }

    // From the indexes to the hashes.
    let mut entry = |key: &str, id: &str, belongs: &dyn Fn(&Stored) -> bool| {
        if !not_adopted.contains(id) && !devices.get(id).is_some_and(belongs) {
            found.push(format!("{key}: {id} does not belong there"));
        }
    };
    for (key, members) in &data.sets {
        for id in members {
            if let Some(t) = key.strip_prefix("devices:online:type:") {
                entry(key, id, &|device| device.online && device.device_type == t);
            } else if let Some(t) = key.strip_prefix("devices:type:") {
                entry(key, id, &|device| device.device_type == t);
            } else if key == "devices:online" {
                entry(key, id, &|device| device.online);
            } else if key == "devices:outofsync" {
                entry(key, id, &|device| device.out_of_sync);
            } else if key == "devices:registered" {
                entry(key, id, &|_| true);
            }
        }
    }
    for id in offline.keys() {
        entry("devices:offline", id, &|device| !device.online);
    }
    for id in data.names("device:heartbeat:") {
        entry("a heartbeat key", id, &|device| device.online);
    }
    found
}
