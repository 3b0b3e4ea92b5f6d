//! Nodes of a cluster: each answers for the devices whose slots it has, and slots move.

mod definitions;
mod events;
mod failover;
mod fence;
mod layout;
mod reshard;
mod storm;
mod users;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use devicestate_core::slot::Slot;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

fn id(number: usize) -> String {
    format!("device-{number}")
}

/// The id of a device in the slots from `first` to `last`.
fn device_within(first: u16, last: u16) -> String {
    let mut ids = (0..).map(id);
    let is_within = |id: &String| (first..=last).contains(&Slot::of(id.as_bytes()).number());
    ids.find(is_within).expect("one of so many")
}

/// The fields of all events on all nodes, those of a device in their order.
fn events(cluster: &Cluster) -> Vec<BTreeMap<String, String>> {
    let mut events = Vec::new();
    for node in cluster.primaries() {
        let mut con = node.connection();
        for key in cmd!(con, "KEYS", "devices:events:*").texts() {
            let entries = cmd!(con, "XRANGE", key.as_str(), "-", "+").items();
            events.extend(entries.iter().map(|entry| entry.at(1).text_fields()));
        }
    }
    events
}

/// What happened to each device, in order.
fn told(cluster: &Cluster) -> HashMap<String, Vec<String>> {
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for mut event in events(cluster) {
        let what = event.remove("type").expect("a type");
        told.entry(event["device_id"].clone())
            .or_default()
            .push(what);
    }
    told
}

/// When the last device was told offline.
fn last_offline_ms(cluster: &Cluster) -> i64 {
    let events = events(cluster);
    let offline = events.iter().filter(|event| event["type"] == "offline");
    let times = offline.map(|event| event["timestamp"].parse().expect("milliseconds"));
    times.max().expect("somebody is offline")
}

/// Asserts that on every node indexes and hashes agree; how many devices are online and offline on all
/// of them.
#[track_caller]
fn check(cluster: &Cluster) -> (i64, i64) {
    let (mut online, mut offline) = (0, 0);
    for node in cluster.primaries() {
        let mut con = node.connection();
        let mut cursor = "0".to_owned();
        let mut all: BTreeMap<String, i64> = BTreeMap::new();
        loop {
            let page = cmd!(con, "DEVICE.CHECK", cursor.as_str(), "COUNT", 1_000);
            for (name, count) in page.at(1).fields() {
                *all.entry(name).or_default() += count.int();
            }
            cursor = page.at(0).text();
            if cursor == "0" {
                break;
            }
        }
        all.remove("checked");
        assert!(all.values().all(|found| *found == 0), "{all:?}");
        online += cmd!(con, "DEVICE.COUNT", "ONLINE").int();
        offline += cmd!(con, "DEVICE.COUNT", "OFFLINE").int();
    }
    (online, offline)
}

/// Asserts that of so many devices every second one is online, and the others went offline, each told
/// once; and that indexes and hashes agree.
#[track_caller]
fn assert_half_died(cluster: &Cluster, devices: usize) {
    let half = devices as i64 / 2;
    assert_eq!(check(cluster), (half, half));
    let told = told(cluster);
    for number in 0..devices {
        let wanted: &[&str] = match number % 2 {
            0 => &["registered", "online"],
            _ => &["registered", "online", "offline"],
        };
        assert_eq!(told[&id(number)], wanted, "device {number}");
    }
}

/// How many devices are offline on all nodes.
fn offline(cluster: &Cluster) -> usize {
    let count = |node: &Server| cmd!(node.connection(), "DEVICE.COUNT", "OFFLINE").int();
    cluster.primaries().into_iter().map(count).sum::<i64>() as usize
}
