//! `DEVICE.EVENTS` in a cluster: one cursor that goes round the nodes.

mod moves;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use devicestate_core::slot::Slot;
use redis::Connection;

use super::LIMIT;
use crate::events::Read;
use crate::support::*;

/// An event: its device, its id, what it tells.
type Told = (String, String, String);

/// Every event in the streams of all nodes.
fn all_told(cluster: &Cluster) -> BTreeSet<Told> {
    let mut all = BTreeSet::new();
    for node in cluster.primaries() {
        let mut con = node.connection();
        for key in cmd!(con, "KEYS", "devices:events:*").texts() {
            for entry in cmd!(con, "XRANGE", key.as_str(), "-", "+").items() {
                let fields = entry.at(1).text_fields();
                let device = fields["device_id"].clone();
                all.insert((device, entry.at(0).text(), fields["type"].clone()));
            }
        }
    }
    all
}

/// Goes round the nodes with one cursor.
struct Consumer {
    connections: Vec<Connection>,
    cursor: String,
    /// How often each event came.
    told: BTreeMap<Told, usize>,
    /// Of each device, in the order in which they came.
    ids: BTreeMap<String, Vec<String>>,
}

impl Consumer {
    fn new(cluster: &Cluster, cursor: &str) -> Consumer {
        Consumer {
            connections: cluster.primaries().iter().map(|n| n.connection()).collect(),
            cursor: cursor.to_owned(),
            told: BTreeMap::new(),
            ids: BTreeMap::new(),
        }
    }

    /// Asks each node once; how many events came.
    fn go_round(&mut self, count: usize) -> usize {
        let mut all = 0;
        for con in &mut self.connections {
            let reply = cmd!(con, "DEVICE.EVENTS AFTER", &self.cursor, "COUNT", count);
            let read = Read::of(&reply);
            let ids: Vec<(u64, u64)> = read.entries.iter().map(|(id, _)| number(id)).collect();
            assert!(ids.is_sorted(), "{ids:?}");
            all += ids.len();
            self.cursor = read.cursor;
            for (id, fields) in read.entries {
                let device = fields["device_id"].clone();
                self.ids.entry(device.clone()).or_default().push(id.clone());
                *self
                    .told
                    .entry((device, id, fields["type"].clone()))
                    .or_default() += 1;
            }
        }
        all
    }

    fn once(&self) -> BTreeSet<Told> {
        let twice: Vec<_> = self.told.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        for ids in self.ids.values() {
            assert!(ids.is_sorted_by_key(|id| number(id)), "{ids:?}");
        }
        self.told.keys().cloned().collect()
    }
}

fn number(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').expect("an id");
    (ms.parse().expect("ms"), seq.parse().expect("a number"))
}

fn start() -> Cluster {
    Cluster::start(3, 0, || Server::builder().module_arg("restart-grace", 0))
}

/// Devices come, go and come back.
fn live(cluster: &Cluster, until: &Over) {
    let mut client = cluster.client();
    for round in 0.. {
        for number in 0..300 {
            if until.is_set() {
                return;
            }
            let id = format!("device-{number}");
            match (round + number) % 3 {
                0 => client.call(&["DEVICE.OFFLINE", &id]),
                1 if number % 7 == 0 && round > 2 => client.call(&["DEVICE.REMOVE", &id]),
                _ => client.call(&["DEVICE.HEARTBEAT", &id, "TIMEOUT", "0"]),
            }
            .or_else(|error| match error.code() {
                Some("NODEVICE") => Ok(redis::Value::Nil),
                _ => Err(error),
            })
            .value();
        }
    }
}

#[test]
fn one_cursor_goes_round_while_slots_move() {
    let cluster = start();
    let is_over = Over::default();
    let mut consumer = Consumer::new(&cluster, "0");
    thread::scope(|scope| {
        let _set = is_over.on_drop();
        let load = scope.spawn(|| live(&cluster, &is_over));
        let moves = scope.spawn(|| {
            for round in 0..6 {
                let (from, to) = (round % 3, (round + 1) % 3);
                cluster.reshard(&cluster.nodes[from], &cluster.nodes[to], 300);
            }
        });
        while !moves.is_finished() {
            consumer.go_round(5);
        }
        moves.join().expect("the moves");
        is_over.set();
        load.join().expect("the load");
    });
    let all = all_told(&cluster);
    assert!(all.len() > 600, "{}", all.len());
    wait_for("all events came", LIMIT, || {
        consumer.go_round(1_000);
        consumer.told.len() >= all.len()
    });
    let once = consumer.once();
    let missed: Vec<_> = all.difference(&once).take(5).collect();
    assert!(missed.is_empty() && once.len() == all.len(), "{missed:?}");
    // Who comes later reads the same, with any number at a time.
    for count in [7, 10_000] {
        let mut late = Consumer::new(&cluster, "0");
        while late.go_round(count) > 0 {}
        assert_eq!(late.once(), all, "{count}");
    }
    assert!(consumer.cursor.len() < 4_000, "{}", consumer.cursor);
}

/// In order over all streams of a node, and above all ids that were handed out.
#[test]
fn ids_of_a_node_go_up_over_all_its_streams() {
    let cluster = start();
    let mut client = cluster.client();
    let mut last = [(0, 0); 3];
    for number in 0..500 {
        let id = format!("device-{number}");
        client.call(&["DEVICE.REGISTER", &id, "sensor"]).int();
        let slot = usize::from(Slot::of(id.as_bytes()).number());
        let at = (slot * 3 + 2) / 16_384;
        let node = (0..3).find(|n| slot < 16_384 * (n + 1) / 3).unwrap_or(at);
        let mut con = cluster.nodes[node].connection();
        let reply = cmd!(con, "DEVICE.EVENTS COUNT 10000");
        let read = Read::of(&reply);
        let (newest, fields) = read.entries.last().expect("an event");
        assert_eq!(fields["device_id"], id);
        assert!(
            self::number(newest) > last[node],
            "{newest} {:?}",
            last[node]
        );
        last[node] = self::number(newest);
    }
    // A cursor that is a little ahead, too, was handed out by somebody.
    let ahead = format!("{}-5", now_ms() + 20_000);
    let far_ahead = "18446744073709551615-18446744073709551615";
    for node in &cluster.nodes {
        let mut con = node.connection();
        for cursor in [ahead.as_str(), far_ahead] {
            let read = Read::of(&cmd!(con, "DEVICE.EVENTS AFTER", cursor));
            assert_eq!((read.cursor.as_str(), read.entries.len()), (cursor, 0));
        }
    }
    client
        .call(&["DEVICE.REGISTER", "one-more", "sensor"])
        .int();
    let mut consumer = Consumer::new(&cluster, &ahead);
    assert_eq!(consumer.go_round(10), 1);
    let id = &consumer.ids["one-more"][0];
    assert!(
        number(id) < number(&format!("{}-0", now_ms() + 30_000)),
        "{id}"
    );
}

#[test]
fn from_now_on_is_kept_for_nodes_that_were_not_asked_yet() {
    let cluster = start();
    let mut client = cluster.client();
    for number in 0..50 {
        let id = format!("old-{number}");
        client.call(&["DEVICE.REGISTER", &id, "sensor"]).int();
    }
    let mut consumer = Consumer::new(&cluster, "$");
    let mut con = cluster.nodes[0].connection();
    let first = Read::of(&cmd!(con, "DEVICE.EVENTS AFTER $"));
    assert!(first.cursor.ends_with(";5461-16383@$"), "{}", first.cursor);
    assert_eq!(consumer.go_round(10), 0);
    assert!(!consumer.cursor.contains('$'), "{}", consumer.cursor);
    for number in 0..50 {
        let id = format!("new-{number}");
        client.call(&["DEVICE.REGISTER", &id, "sensor"]).int();
    }
    while consumer.go_round(7) > 0 {}
    assert_eq!(consumer.once().len(), 50);
    assert!(consumer.ids.keys().all(|id| id.starts_with("new-")));
}

#[test]
fn a_cursor_outlives_a_node() {
    let mut cluster = Cluster::start(3, 0, || {
        Server::builder()
            .config("appendonly", "yes")
            .config("appendfsync", "always")
    });
    let mut client = cluster.client();
    let beat = |client: &mut ClusterClient, from: usize| {
        for number in from..from + 60 {
            let id = format!("device-{number}");
            client
                .call(&["DEVICE.HEARTBEAT", &id, "TIMEOUT", "0"])
                .items();
        }
    };
    beat(&mut client, 0);
    let mut consumer = Consumer::new(&cluster, "0");
    consumer.go_round(25);
    beat(&mut client, 60);
    for at in 0..3 {
        cluster.nodes[at].kill_hard();
        cluster.nodes[at].restart();
        let mut con = cluster.nodes[at].connection();
        wait_for("the cluster is whole again", LIMIT, || {
            cmd!(con, "CLUSTER INFO")
                .text()
                .contains("cluster_state:ok")
        });
    }
    let cursor = consumer.cursor.clone();
    let before = std::mem::take(&mut consumer.told);
    consumer = Consumer::new(&cluster, &cursor);
    consumer.told = before;
    let mut client = cluster.client();
    beat(&mut client, 120);
    while consumer.go_round(25) > 0 {}
    assert_eq!(consumer.once(), all_told(&cluster));
    assert_eq!(consumer.told.len(), 360);
}

#[test]
fn other_hands_are_seen_and_wake() {
    let cluster = start();
    let mut client = cluster.client();
    client.call(&["DEVICE.REGISTER", "d", "sensor"]).int();
    let slot = usize::from(Slot::of(b"d").number());
    let at = (0..3)
        .find(|n| slot < 16_384 * (n + 1) / 3)
        .expect("a node");
    let node = &cluster.nodes[at];
    let mut con = node.connection();
    let key = cmd!(con, "KEYS devices:events:*").texts().remove(0);
    let cursor = Read::of(&cmd!(con, "DEVICE.EVENTS")).cursor;
    let mut waiting = crate::events::waiting(node, &["AFTER", &cursor, "BLOCK", "0"]);
    cmd!(con, "XADD", &key, "*", "device_id", "x").text();
    let read = Read::of(&waiting.value_of_reply());
    assert_eq!(read.devices(), ["x"]);
    // And a heartbeat, and the timer.
    let mut waiting = crate::events::waiting(node, &["AFTER", &read.cursor, "BLOCK", "0"]);
    client
        .call(&["DEVICE.HEARTBEAT", "d", "TIMEOUT", "300"])
        .items();
    let read = Read::of(&waiting.value_of_reply());
    assert_eq!(read.entries[0].1["type"], "online");
    let mut waiting = crate::events::waiting(node, &["AFTER", &read.cursor, "BLOCK", "0"]);
    let read = Read::of(&waiting.value_of_reply());
    assert_eq!(read.entries[0].1["type"], "offline");
    let page = Read::of(&cmd!(con, "DEVICE.EVENTS AFTER", &read.cursor, "BLOCK", 50));
    assert_eq!((page.cursor, page.entries.len()), (read.cursor, 0));
}

#[test]
fn what_can_not_be_exact_is_refused() {
    let cluster = Cluster::start(3, 1, Server::builder);
    let mut con = cluster.nodes[3].connection();
    expect_error(&mut con, &["DEVICE.EVENTS"], "ERR", "replica");
    let mut con = cluster.nodes[0].connection();
    let script = "return redis.call('DEVICE.EVENTS')";
    expect_error(
        &mut con,
        &["EVAL", script, "0"],
        "ERR",
        "no transaction or script",
    );
}
