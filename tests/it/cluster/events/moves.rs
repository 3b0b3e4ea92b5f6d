//! Events of slots that come and go, and of a primary that hands over.

use super::*;
use crate::cluster::device_within;
use crate::support::cluster::{id_of, moves_slots_whole};

/// A client that waits is not forgotten when a slot comes with events in it.
#[test]
fn slots_that_come_wake() {
    let cluster = start();
    let mut client = cluster.client();
    let target = &cluster.nodes[1];
    let mut waiting = crate::events::waiting(target, &["BLOCK", "0"]);
    let id = device_within(0, 99);
    client.call(&["DEVICE.REGISTER", &id, "sensor"]).int();
    cluster.reshard(&cluster.nodes[0], target, 100);
    let read = Read::of(&waiting.value_of_reply());
    assert_eq!(read.entries.len(), 1);
}

/// The node that a slot goes to may be asked first, and append events meanwhile, with lower ids than
/// those that the other one reads.
#[test]
fn a_slot_on_its_way_is_left_as_it_is() {
    let cluster = start();
    let mut client = cluster.client();
    let (moving, staying) = (device_within(7, 7), device_within(1_000, 2_000));
    client.call(&["DEVICE.REGISTER", &moving, "sensor"]).int();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    let (mut con, mut other) = (source.connection(), target.connection());
    let (source, target) = (
        cmd!(con, "CLUSTER MYID").text(),
        cmd!(other, "CLUSTER MYID").text(),
    );
    let first = Read::of(&cmd!(con, "DEVICE.EVENTS"));
    assert_eq!(first.devices(), [moving.as_str()]);
    cmd!(other, "CLUSTER SETSLOT 7 IMPORTING", &source).text();
    cmd!(con, "CLUSTER SETSLOT 7 MIGRATING", &target).text();
    client.call(&["DEVICE.REGISTER", &staying, "sensor"]).int();
    let second = Read::of(&cmd!(con, "DEVICE.EVENTS AFTER", &first.cursor));
    assert_eq!(second.devices(), [staying.as_str()]);
    let (before, now) = (&first.entries[0].0, &second.entries[0].0);
    let expected = format!("0-6@{now};7@{before};8-5460@{now}");
    assert_eq!(second.cursor, expected);
    let all = Read::of(&cmd!(con, "DEVICE.EVENTS"));
    assert_eq!(all.devices(), [staying.as_str()]);
    for con in [&mut con, &mut other] {
        cmd!(con, "CLUSTER SETSLOT 7 STABLE").text();
    }
    wait_for("the slot is read again", LIMIT, || {
        Read::of(&cmd!(con, "DEVICE.EVENTS")).devices() == [moving.as_str(), staying.as_str()]
    });
    client.call(&["DEVICE.REMOVE", &moving]).int();
    let third = Read::of(&cmd!(con, "DEVICE.EVENTS AFTER", &second.cursor));
    assert_eq!(third.devices(), [moving.as_str()]);
}

/// Slots that move as a whole, where the server can do that.
#[test]
fn slots_that_move_at_once_come_with_their_events() {
    let cluster = start();
    let mut client = cluster.client();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    if !moves_slots_whole(source) {
        return;
    }
    let (mut con, mut other) = (source.connection(), target.connection());
    let moving = device_within(0, 99);
    client.call(&["DEVICE.REGISTER", &moving, "sensor"]).int();
    let read = Read::of(&cmd!(other, "DEVICE.EVENTS"));
    assert_eq!(read.entries.len(), 0);
    cmd!(
        con,
        "CLUSTER MIGRATESLOTS SLOTSRANGE 0 99 NODE",
        id_of(target)
    )
    .text();
    let mut waiting = crate::events::waiting(target, &["AFTER", &read.cursor, "BLOCK", "0"]);
    let read = Read::of(&waiting.value_of_reply());
    assert_eq!(read.devices(), [moving.as_str()]);
    client.call(&["DEVICE.HEARTBEAT", &moving]).items();
    let more = Read::of(&cmd!(other, "DEVICE.EVENTS AFTER", &read.cursor));
    assert_eq!(more.entries[0].1["type"], "online");
    let left = Read::of(&cmd!(con, "DEVICE.EVENTS"));
    assert_eq!(left.entries.len(), 0);
}

#[test]
fn a_cursor_outlives_a_failover() {
    let cluster = Cluster::start(3, 1, || Server::builder().module_arg("restart-grace", 0));
    let mut client = cluster.client();
    let mut beat = |from: usize| {
        for number in from..from + 60 {
            let id = format!("device-{number}");
            client
                .call(&["DEVICE.HEARTBEAT", &id, "TIMEOUT", "0"])
                .items();
        }
    };
    beat(0);
    let mut consumer = Consumer::new(&cluster, "0");
    consumer.go_round(25);
    for node in &cluster.nodes {
        let mut con = node.connection();
        wait_for("all know who follows whom", LIMIT, || {
            let nodes = cmd!(con, "CLUSTER NODES").text();
            nodes.lines().filter(|line| line.contains("slave")).count() == 3
        });
    }
    let newest = ["AFTER", "$", "BLOCK", "0"];
    let mut waiting = crate::events::waiting(&cluster.nodes[0], &newest);
    cluster.fail_over_to(&cluster.nodes[3]);
    assert!(waiting.read().starts_with(b"-UNBLOCKED"));
    for node in &cluster.nodes {
        let mut con = node.connection();
        wait_for("the old primary follows", LIMIT, || {
            let nodes = cmd!(con, "CLUSTER NODES").text();
            nodes.lines().filter(|line| line.contains("slave")).count() == 3
        });
    }
    beat(60);
    let (cursor, before) = (consumer.cursor, consumer.told);
    consumer = Consumer::new(&cluster, &cursor);
    consumer.told = before;
    assert_eq!(consumer.connections.len(), 3);
    while consumer.go_round(25) > 0 {}
    assert_eq!(consumer.once(), all_told(&cluster));
    assert_eq!(consumer.told.len(), 240);
}
