//! Whether every index says what the hashes say, both ways, and whether the stream tells each
//! transition once: what must hold after any fault.

use std::collections::{BTreeMap, BTreeSet};

use redis::Connection;

use crate::support::*;

/// A device as its hash tells it.
struct Stored {
    device_type: String,
    online: bool,
    last_seen: String,
    timeout: Option<String>,
    /// Whether its classic shadow has something outstanding.
    out_of_sync: bool,
}

/// Asserts that [`inconsistencies`] finds nothing.
#[track_caller]
pub fn assert_consistent(con: &mut Connection) {
    let found = inconsistencies(con);
    assert!(
        found.is_empty(),
        "{} inconsistencies:\n{}",
        found.len(),
        found[..found.len().min(30)].join("\n")
    );
}

/// What the indexes and the hashes disagree about, a line each. All is read in one atomic step.
/// Devices of the plain recipe that nobody has adopted are left out: their indexes are not ours yet.
#[track_caller]
pub fn inconsistencies(con: &mut Connection) -> Vec<String> {
    let keys = snapshot(con);
    let mut found = Vec::new();
    let mut devices: BTreeMap<&str, Stored> = BTreeMap::new();
    let mut not_adopted: BTreeSet<&str> = BTreeSet::new();
    for (key, lines) in &keys {
        let Some(id) = key.strip_prefix("device:state:") else {
            continue;
        };
        let field = |name: &str| {
            let mut fields = lines[1..].iter().filter_map(|line| line.split_once(": "));
            fields.find_map(|(n, value)| (n == name).then(|| value.to_owned()))
        };
        if lines[0] != "hash" || field("device_id").as_deref() != Some(id) {
            // No device: it must not be in any index, which the second half looks for.
            continue;
        }
        if field("version").is_none() {
            not_adopted.insert(id);
            continue;
        }
        let status = field("status").unwrap_or_default();
        if !matches!(status.as_str(), "online" | "offline") {
            found.push(format!("{id}: status {status:?}"));
        }
        let last_seen = field("last_seen").unwrap_or_default();
        if last_seen.parse::<u64>().is_err() {
            found.push(format!("{id}: last_seen {last_seen:?}"));
        }
        let delta = field("delta");
        if delta.as_deref() == Some("{}") {
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
    let lines_of = |key: &str| keys.get(key).map_or(&[][..], |lines| &lines[1..]);
    // Sets once, as a lookup in a long line-up for each device would take for ever.
    let mut sets: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (key, lines) in keys.iter().filter(|(_, lines)| lines[0] == "set") {
        sets.insert(key.clone(), lines[1..].iter().map(String::as_str).collect());
    }
    let none = BTreeSet::new();
    let has = |key: &str, id: &str| sets.get(key).unwrap_or(&none).contains(id);
    let offline: BTreeMap<&str, &str> = lines_of("devices:offline")
        .iter()
        .filter_map(|line| line.split_once(": "))
        .collect();
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
        let score = offline.get(id).copied();
        let wanted = (!device.online).then_some(device.last_seen.as_str());
        if score != wanted {
            found.push(format!("{id}: devices:offline {score:?}, not {wanted:?}"));
        }
        let heartbeat = keys.get(&format!("device:heartbeat:{id}"));
        if heartbeat.is_some() != device.online {
            found.push(format!("{id}: heartbeat key is {}", heartbeat.is_some()));
        }
        if let (Some(lines), Some(timeout)) = (heartbeat, &device.timeout) {
            let wanted = match timeout.as_str() {
                "0" => "string",
                _ => "string, expires",
            };
            if lines[0] != wanted {
                found.push(format!("{id}: heartbeat key is a {}", lines[0]));
            }
        }
    }

    // From the indexes to the hashes.
    let mut entry = |key: &str, id: &str, belongs: &dyn Fn(&Stored) -> bool| {
        if !not_adopted.contains(id) && !devices.get(id).is_some_and(belongs) {
            found.push(format!("{key}: {id} does not belong there"));
        }
    };
    for (key, members) in &sets {
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
    for key in keys.keys() {
        if let Some(id) = key.strip_prefix("device:heartbeat:") {
            entry(key, id, &|device| device.online);
        }
    }
    found
}

/// Asserts that in the stream `online` and `offline` of each device take turns, beginning with
/// `online`, that stream ids and timestamps go up, and that the last one is what the hash says.
#[track_caller]
pub fn assert_told_once(con: &mut Connection) {
    let all = events(con);
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let mut before = (0, 0);
    for event in all.iter() {
        let (ms, seq) = event.id.split_once('-').expect("a stream id");
        let id = (ms.parse::<u64>().unwrap(), seq.parse::<u64>().unwrap());
        assert!(id > before, "{event:?} comes after {before:?}");
        before = id;
        let status = match event.kind() {
            kind @ ("online" | "offline") => kind,
            "removed" => {
                assert_ne!(last.remove(event.device()), Some("online"), "{event:?}");
                continue;
            }
            _ => continue,
        };
        assert_eq!(event.get("status"), status, "{event:?}");
        let was = last.insert(event.device(), status).unwrap_or("offline");
        assert_ne!(was, status, "told twice: {event:?}");
    }
    let mut pipe = redis::pipe();
    for id in last.keys() {
        pipe.cmd("HGET")
            .arg(format!("device:state:{id}"))
            .arg("status");
    }
    let stored: Vec<Option<String>> = pipe.query(con).expect("the status of each");
    for ((id, told), stored) in last.iter().zip(&stored) {
        // Where hands took the hash away, nothing says otherwise.
        let stored = stored.as_deref().unwrap_or(told);
        assert_eq!(*told, stored, "the last that was told of {id}");
    }
}
