//! Slots that move from node to node while devices live and die.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

fn id(number: usize) -> String {
    format!("device-{number}")
}

/// Every event of every device on all nodes, in the order of its stream.
fn told(cluster: &Cluster) -> HashMap<String, Vec<String>> {
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for node in cluster.primaries() {
        let mut con = node.connection();
        for key in cmd!(con, "KEYS", "devices:events:*").texts() {
            for entry in cmd!(con, "XRANGE", key.as_str(), "-", "+").items() {
                let fields = entry.at(1).text_fields();
                let device = told.entry(fields["device_id"].clone()).or_default();
                device.push(fields["type"].clone());
            }
        }
    }
    told
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

/// Half of the devices send heartbeats all the time, the others die in the midst of it.
#[test]
fn devices_live_and_die_while_slots_move() {
    const DEVICES: usize = 1_200;
    let cluster = Cluster::start(3, 0, || {
        Server::builder()
            .module_arg("restart-grace", 0)
            .module_arg("heartbeat-timeout", "3s")
    });
    let mut client = cluster.client();
    for number in 0..DEVICES {
        let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
        assert_eq!(reply.at(0).int(), 1, "{number}");
    }
    let is_over = AtomicBool::new(false);
    let redirected = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut client = cluster.client();
            while !is_over.load(Ordering::Relaxed) {
                for number in (0..DEVICES).step_by(2) {
                    let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
                    assert_eq!(reply.at(0).int(), 0, "device {number} was told offline");
                }
            }
            client.redirected
        });
        for round in 0..4 {
            let (from, to) = (&cluster.nodes[round % 2], &cluster.nodes[(round + 1) % 2]);
            cluster.reshard(from, to, 300);
        }
        wait_for("the silent ones are told", LIMIT, || {
            check_count(&cluster) == DEVICES / 2
        });
        is_over.store(true, Ordering::Relaxed);
        load.join().expect("the load")
    });
    assert!(
        redirected.contains_key("ASK") || redirected.contains_key("MOVED"),
        "{redirected:?}"
    );
    let (online, offline) = check(&cluster);
    assert_eq!((online, offline), (DEVICES as i64 / 2, DEVICES as i64 / 2));
    let told = told(&cluster);
    for number in 0..DEVICES {
        let wanted: &[&str] = match number % 2 {
            0 => &["registered", "online"],
            _ => &["registered", "online", "offline"],
        };
        assert_eq!(told[&id(number)], wanted, "device {number}");
    }
}

fn check_count(cluster: &Cluster) -> usize {
    let count = |node: &Server| cmd!(node.connection(), "DEVICE.COUNT", "OFFLINE").int();
    cluster.nodes.iter().map(count).sum::<i64>() as usize
}
