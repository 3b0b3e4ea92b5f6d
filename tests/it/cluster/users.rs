//! What users are to be told of devices in many slots.

use redis::Connection;

use super::{device_within, id, LIMIT};
use crate::alert::calls::{batch, done, told};
use crate::alert::due::work;
use crate::support::cluster::{id_of, moves_slots_whole};
use crate::support::*;

/// Raises an alert of a device that the user is told of at once.
#[track_caller]
pub fn raise(client: &mut ClusterClient, id: &str, user: &str) {
    client.call(&["DEVICE.REGISTER", id, "oven"]).int();
    let words = ["ALERT.RAISE", id, "hot", "WAIT", "0", "NOTIFY", "1", user];
    assert_eq!(client.call(&words).at(0).text(), "new");
}

pub fn line(id: &str) -> String {
    format!("{id} hot firing 1 1")
}

#[test]
fn a_batch_costs_what_its_user_has() {
    let cluster = Cluster::start(1, 0, Server::builder);
    let node = &cluster.nodes[0];
    node.settle();
    let (mut client, mut con) = (cluster.client(), node.connection());
    for number in 0..200 {
        raise(&mut client, &id(number), &format!("user-{}", number % 40));
    }
    let lookups = |con: &mut Connection, words: &str| {
        let (_, counts) = work(con, words);
        let of = |name: &str| counts.get(name).copied().unwrap_or(0);
        of("keyspace_hits") + of("keyspace_misses")
    };
    // Of 16 384 slots it has something in five.
    let fetched = lookups(&mut con, "ALERT.BATCH user-7");
    assert!(fetched <= 100, "{fetched}");
    let key = cmd!(con, "KEYS alerts:user:*:user-7").texts().remove(0);
    let token = cmd!(con, "HGET", key, "lease").json()["token"].clone();
    let token = token.as_str().expect("a token");
    let removed = lookups(&mut con, &format!("ALERT.DONE user-7 {token}"));
    assert!(removed <= 100, "{removed}");
    assert_eq!(lookups(&mut con, "ALERT.BATCH user-7"), 0);
    assert_eq!(told(&mut con, "user-8").len(), 5);
}

#[test]
fn a_user_is_found_after_a_restart() {
    let with_aof = || Server::builder().config("appendonly", "yes");
    let mut cluster = Cluster::start(1, 0, with_aof);
    let mut client = cluster.client();
    raise(&mut client, "oven-1", "ann");
    cluster.nodes[0].restart();
    cluster.wait_until_up();
    let mut con = cluster.nodes[0].connection();
    let first = batch(&mut con, "ann").expect("before or while all keys are looked at");
    assert_eq!(first.lines(), [line("oven-1")]);
    cluster.nodes[0].settle();
    assert_eq!(done(&mut con, "ann", &first.token), 1);
    raise(&mut cluster.client(), "oven-2", "ann");
    assert_eq!(told(&mut con, "ann"), [line("oven-2")]);
}

#[test]
fn a_user_is_found_whatever_hands_do() {
    let cluster = Cluster::start(1, 0, Server::builder);
    let node = &cluster.nodes[0];
    node.settle();
    let (mut client, mut con) = (cluster.client(), node.connection());
    raise(&mut client, "oven-1", "ann");
    let key = cmd!(con, "KEYS alerts:user:*").texts().remove(0);
    let dump = cmd!(con, "DUMP", &key).bytes();
    cmd!(con, "DEL", &key).int();
    assert_eq!(batch(&mut con, "ann NOW"), None);
    cmd!(con, "RESTORE", &key, 0, &dump).text();
    assert_eq!(told(&mut con, "ann"), [line("oven-1")]);
    // Under the name of another user.
    let of_bob = key.replace(":ann", ":bob");
    cmd!(con, "RESTORE", &of_bob, 0, &dump).text();
    assert_eq!(told(&mut con, "bob"), [line("oven-1")]);
    cmd!(con, "FLUSHALL").text();
    assert_eq!(batch(&mut con, "ann NOW"), None);
    raise(&mut client, "oven-1", "ann");
    assert_eq!(told(&mut con, "ann"), [line("oven-1")]);
}

#[test]
fn a_user_is_found_after_a_failover() {
    let cluster = Cluster::start(3, 1, || {
        Server::builder().config("repl-diskless-sync-delay", 0)
    });
    let mut client = cluster.client();
    let oven = device_within(0, 5_460);
    raise(&mut client, &oven, "ann");
    cluster.wait_until_replicated();
    let (before, after) = (&cluster.nodes[0], &cluster.nodes[3]);
    cluster.fail_over_to(after);
    assert_eq!(told(&mut after.connection(), "ann"), [line(&oven)]);
    // And back, to one that was a primary before and knows nothing that is old.
    let mut con = before.connection();
    wait_for("the old primary follows", LIMIT, || {
        let info = cmd!(con, "INFO", "replication").text();
        info.contains("role:slave") && info.contains("master_link_status:up")
    });
    let mut client = cluster.client();
    client.outlives_failover = true;
    client.call(&["ALERT.CLEAR", &oven, "hot"]).int();
    let words = ["ALERT.RAISE", &oven, "cold", "WAIT", "0"];
    client
        .call(&[&words[..], &["NOTIFY", "1", "bob"]].concat())
        .value();
    cluster.wait_until_replicated();
    // Before it may write it does not look at its keys, but batches are fetched.
    cmd!(con, "CONFIG SET maxmemory 1000000").text();
    cluster.fail_over_to(before);
    wait_for("writes are refused", LIMIT, || {
        let info = cmd!(con, "INFO", "devicestate").text();
        info.contains("hearing:no (writes refused)")
    });
    let line = format!("{oven} cold firing 1 1");
    assert_eq!(told(&mut con, "bob"), [line]);
}

#[test]
fn items_move_with_their_slots() {
    let cluster = Cluster::start(3, 0, Server::builder);
    let mut client = cluster.client();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    source.settle();
    target.settle();
    let (moving, staying) = (device_within(0, 99), device_within(1_000, 2_000));
    for oven in [&moving, &staying] {
        raise(&mut client, oven, "ann");
    }
    let (mut con, mut other) = (source.connection(), target.connection());
    assert_eq!(batch(&mut other, "ann"), None);
    cluster.reshard(source, target, 100);
    assert_eq!(told(&mut other, "ann"), [line(&moving)]);
    assert_eq!(told(&mut con, "ann"), [line(&staying)]);
    // There is nothing of it left that would tell him again.
    cluster.reshard(target, source, 100);
    for con in [&mut con, &mut other] {
        assert_eq!(batch(con, "ann NOW"), None);
    }
}

#[test]
fn items_move_with_slots_that_move_at_once() {
    let cluster = Cluster::start(3, 0, Server::builder);
    let mut client = cluster.client();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    if !moves_slots_whole(source) {
        return;
    }
    target.settle();
    let moving = device_within(0, 99);
    raise(&mut client, &moving, "ann");
    let (mut con, mut other) = (source.connection(), target.connection());
    let words = "CLUSTER MIGRATESLOTS SLOTSRANGE 0 99 NODE";
    cmd!(con, words, id_of(target)).text();
    let mut arrived = None;
    wait_for("the items have moved", LIMIT, || {
        arrived = batch(&mut other, "ann");
        arrived.is_some()
    });
    let arrived = arrived.expect("a batch");
    assert_eq!(arrived.lines(), [line(&moving)]);
    assert_eq!(done(&mut other, "ann", &arrived.token), 1);
}

/// What was written there meanwhile would be in the way of the keys that go.
#[test]
fn what_is_on_its_way_is_left_as_it_is() {
    let cluster = Cluster::start(3, 0, Server::builder);
    let mut client = cluster.client();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    let (mut con, mut other) = (source.connection(), target.connection());
    let (source, target) = (id_of(source), id_of(target));
    let (moving, staying) = (device_within(7, 7), device_within(1_000, 2_000));
    for oven in [&moving, &staying] {
        raise(&mut client, oven, "ann");
    }
    let mut set_slot = |is_moving: bool| match is_moving {
        true => {
            cmd!(other, "CLUSTER SETSLOT 7 IMPORTING", &source).text();
            cmd!(
                cluster.nodes[0].connection(),
                "CLUSTER SETSLOT 7 MIGRATING",
                &target
            )
            .text();
        }
        false => {
            for node in &cluster.nodes[..2] {
                cmd!(node.connection(), "CLUSTER SETSLOT 7 STABLE").text();
            }
        }
    };
    set_slot(true);
    let first = batch(&mut con, "ann").expect("what stays");
    assert_eq!(first.lines(), [line(&staying)]);
    expect_error(
        &mut con,
        &["ALERT.DONE", "ann", &first.token],
        "TRYAGAIN",
        "on its way",
    );
    set_slot(false);
    assert_eq!(done(&mut con, "ann", &first.token), 1);
    let second = batch(&mut con, "ann").expect("what was on its way");
    assert_eq!(second.lines(), [line(&moving)]);
    set_slot(true);
    expect_error(
        &mut con,
        &["ALERT.DONE", "ann", &second.token],
        "TRYAGAIN",
        "on its way",
    );
    assert_eq!(batch(&mut con, "ann NOW"), None);
    set_slot(false);
    assert_eq!(done(&mut con, "ann", &second.token), 1);
    assert_eq!(batch(&mut con, "ann NOW"), None);
}
