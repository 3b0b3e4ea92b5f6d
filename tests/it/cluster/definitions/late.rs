//! Nodes that join, leave with their slots, die, and take over.

use devicestate_core::slot::Slot;

use super::*;
use crate::support::cluster::moves_slots_whole;

#[test]
fn a_node_that_joins_later_knows_all() {
    let mut cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    for number in 0..300 {
        cmd!(
            con,
            "DEVICE.TYPE.SET",
            format!("type-{number}"),
            "TIMEOUT",
            1_000
        )
        .text();
    }
    cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
    cmd!(con, "ALERT.RULE.SET lamp gone", HOT).int();
    cmd!(con, "ALERT.RULE.DEL lamp gone").int();

    cluster.join(|| Server::builder().config("appendonly", "yes"));
    let joined = &cluster.nodes[3];
    let mut other = joined.connection();
    wait_for("a node without a slot knows all", LIMIT, || {
        types(&mut other).len() == 300
    });
    wait_for_rules(joined, "lamp", &["hot"]);
    assert!(copies(joined).is_empty());
    let refused = cmd!(other, "DEVICE.TYPE.SET lamp TIMEOUT 1000");
    assert_eq!(code_of(refused), "TRYAGAIN");

    cluster.reshard(&cluster.nodes[0], joined, 50);
    wait_for_one_copy(joined);
    wait_for("it takes changes", LIMIT, || {
        cmd!(other, "ALERT.RULE.SET lamp away", r#"{"on":"offline"}"#).is_ok()
    });
    wait_for_one_copy(joined);
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &["away", "hot"]);
    }
}

/// All slots of a node go away and come again, its copy among them.
#[test]
fn the_slot_of_a_copy_moves_and_no_copy_is_left_behind() {
    let cluster = cluster(3, 0);
    let [first, second, third] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    let mut con = first.connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("1000"));
        wait_for_rules(node, "lamp", &["hot"]);
        wait_for_one_copy(node);
    }
    let before = copies(first);
    // The lowest slots go first.
    cluster.reshard(first, second, 20);
    for node in &cluster.nodes {
        wait_for_one_copy(node);
        wait_for_timeout(node, "lamp", Some("1000"));
    }
    assert_ne!(copies(first), before);
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 2000").text();
    cluster.reshard(second, first, 20);
    cluster.reshard(first, third, 20);
    cmd!(con, "ALERT.RULE.DEL lamp hot").int();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("2000"));
        wait_for_rules(node, "lamp", &[]);
        wait_for_one_copy(node);
    }
}

/// The copy goes elsewhere at once, and only one is left when the slot stays after all.
#[test]
fn a_move_that_is_called_off_leaves_one_copy() {
    let cluster = cluster(3, 0);
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut con = first.connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    let before = copies(first);
    let other = cmd!(second.connection(), "CLUSTER MYID").text();
    let slot = Slot::of(before[0].as_bytes()).number();
    cmd!(con, "CLUSTER SETSLOT", slot, "MIGRATING", other).text();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 2000").text();
    wait_for("there is a copy elsewhere", LIMIT, || {
        copies(first).len() == 2
    });
    cmd!(con, "CLUSTER SETSLOT", slot, "STABLE").text();
    wait_for_one_copy(first);
    assert_ne!(copies(first), before);
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("2000"));
    }
}

#[test]
fn a_node_that_was_killed_knows_all_again() {
    let mut cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &["hot"]);
        wait_for_one_copy(node);
    }
    cluster.nodes[1].kill_hard();
    // The others refuse until they see a whole cluster again, or do not notice yet.
    let _ = cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 2000");
    let timeout = types(&mut con)["lamp"].clone();
    cluster.nodes[1].restart();
    let killed = &cluster.nodes[1];
    wait_for_timeout(killed, "lamp", Some(&timeout));
    wait_for_rules(killed, "lamp", &["hot"]);
    wait_for_one_copy(killed);
    let mut other = killed.connection();
    wait_for("it takes changes again", LIMIT, || {
        cmd!(other, "ALERT.RULE.DEL lamp hot").is_ok()
    });
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &[]);
    }
}

/// All nodes at once: nobody is there to be asked.
#[test]
fn a_cluster_that_was_shut_down_knows_all_again() {
    let mut cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    cmd!(con, "ALERT.RULE.SET lamp gone", HOT).int();
    cmd!(con, "ALERT.RULE.DEL lamp gone").int();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("1000"));
        wait_for_rules(node, "lamp", &[]);
        wait_for_one_copy(node);
    }
    for node in &mut cluster.nodes {
        node.terminate();
    }
    for node in &mut cluster.nodes {
        node.restart();
        // From its own copy, before it hears of anybody.
        assert_eq!(types(&mut node.connection())["lamp"], "1000");
    }
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &[]);
        wait_for_one_copy(node);
    }
}

#[test]
fn a_replica_knows_all_before_and_after_it_takes_over() {
    let cluster = cluster(3, 1);
    let mut con = cluster.nodes[0].connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("1000"));
        wait_for_rules(node, "lamp", &["hot"]);
        wait_for_one_copy(node);
    }
    let replica = &cluster.nodes[3];
    let mut other = replica.connection();
    let refused = cmd!(other, "DEVICE.TYPE.SET lamp TIMEOUT 2000");
    assert!(refused.is_err());
    cluster.fail_over_to(replica);
    assert_eq!(rules(&mut other, "lamp"), ["hot"]);
    wait_for("it takes changes", LIMIT, || {
        cmd!(other, "DEVICE.TYPE.SET lamp TIMEOUT 2000").is_ok()
    });
    cmd!(other, "ALERT.RULE.SET lamp away", r#"{"on":"offline"}"#).int();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("2000"));
        wait_for_rules(node, "lamp", &["away", "hot"]);
        wait_for_one_copy(node);
    }
}

/// Where the server can move slots in one step.
#[test]
fn slots_that_move_whole_bring_no_second_copy() {
    let cluster = cluster(3, 0);
    let [first, second, _] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    let mut con = first.connection();
    if !moves_slots_whole(first) {
        return;
    }
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("1000"));
        wait_for_one_copy(node);
    }
    let before = copies(first);
    let other = cmd!(second.connection(), "CLUSTER MYID").text();
    cmd!(con, "CLUSTER MIGRATESLOTS SLOTSRANGE 0 19 NODE", other).text();
    wait_for(
        "the copy of the first node is in another slot",
        LIMIT,
        || {
            let now = copies(first);
            now.len() == 1 && now != before
        },
    );
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 2000").text();
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("2000"));
        wait_for_one_copy(node);
    }
}
