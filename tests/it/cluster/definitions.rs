//! Defaults of types and alert rules: set on one node, known on all, whatever becomes of nodes and slots.

mod late;

use std::collections::BTreeMap;
use std::thread;

use redis::{Connection, RedisResult, Value};

use super::LIMIT;
use crate::support::*;

const HOT: &str = r#"{"path":"t","bands":[{"severity":1,"high":70}]}"#;

fn cluster(primaries: usize, replicas: usize) -> Cluster {
    Cluster::start(primaries, replicas, || {
        Server::builder()
            .config("appendonly", "yes")
            .module_arg("restart-grace", 0)
    })
}

/// The timeout of each type on a node.
fn types(con: &mut Connection) -> BTreeMap<String, String> {
    let all = cmd!(con, "DEVICE.TYPE.LIST").items();
    let of_each = all.iter().map(|of_type| {
        let fields = of_type.fields();
        (fields["type"].text(), fields["timeout"].text())
    });
    of_each.collect()
}

/// The names of the rules of a type on a node.
fn rules(con: &mut Connection, device_type: &str) -> Vec<String> {
    let rules = cmd!(con, "ALERT.RULE.LIST", device_type).fields();
    rules.into_keys().collect()
}

#[track_caller]
fn wait_for_timeout(node: &Server, device_type: &str, timeout: Option<&str>) {
    let mut con = node.connection();
    wait_for("a node knows the defaults of a type", LIMIT, || {
        types(&mut con).get(device_type).map(String::as_str) == timeout
    });
}

#[track_caller]
fn wait_for_rules(node: &Server, device_type: &str, wanted: &[&str]) {
    let mut con = node.connection();
    wait_for("a node knows the rules of a type", LIMIT, || {
        rules(&mut con, device_type) == wanted
    });
}

/// The code of the error that a command was refused with.
#[track_caller]
fn code_of(reply: RedisResult<Value>) -> String {
    let error = reply.expect_err("an error");
    error.code().unwrap_or_default().to_owned()
}

/// The keys in which a node keeps definitions.
fn copies(node: &Server) -> Vec<String> {
    cmd!(node.connection(), "KEYS", "devices:definitions:*").texts()
}

#[track_caller]
fn wait_for_one_copy(node: &Server) {
    wait_for("a node keeps one copy", LIMIT, || copies(node).len() == 1);
}

#[test]
fn set_on_one_node_known_on_all() {
    let cluster = cluster(3, 0);
    let mut cons: Vec<_> = cluster.nodes.iter().map(Server::connection).collect();
    cmd!(cons[0], "DEVICE.TYPE.SET lamp TIMEOUT 60s").text();
    assert_eq!(cmd!(cons[1], "ALERT.RULE.SET lamp hot", HOT).int(), 1);
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", Some("60000"));
        wait_for_rules(node, "lamp", &["hot"]);
        wait_for_one_copy(node);
    }
    // What is known on all is the same there, and may be changed anywhere.
    assert_eq!(cmd!(cons[2], "ALERT.RULE.SET lamp hot", HOT).int(), 0);
    cmd!(cons[2], "DEVICE.TYPE.SET lamp HISTORY 5").text();
    wait_for("a change arrives", LIMIT, || {
        let lamp = cmd!(cons[0], "DEVICE.TYPE.GET lamp").fields();
        !lamp["history"].is_nil() && lamp["history"].int() == 5
    });
    assert_eq!(types(&mut cons[0])["lamp"], "60000");

    assert_eq!(cmd!(cons[1], "ALERT.RULE.DEL lamp hot").int(), 1);
    assert_eq!(cmd!(cons[1], "ALERT.RULE.DEL lamp hot").int(), 0);
    assert_eq!(cmd!(cons[1], "DEVICE.TYPE.DEL lamp").int(), 1);
    assert_eq!(cmd!(cons[1], "DEVICE.TYPE.DEL lamp").int(), 0);
    for node in &cluster.nodes {
        wait_for_timeout(node, "lamp", None);
        wait_for_rules(node, "lamp", &[]);
    }
}

#[test]
fn set_on_several_nodes_at_once_all_end_with_the_same() {
    let cluster = cluster(3, 0);
    thread::scope(|scope| {
        for (at, node) in cluster.nodes.iter().enumerate() {
            scope.spawn(move || {
                let mut con = node.connection();
                for round in 1..=50 {
                    let timeout = round * 1_000 + at;
                    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT", timeout).text();
                    if (round + at) % 3 == 0 {
                        cmd!(con, "ALERT.RULE.DEL lamp hot").int();
                    } else {
                        cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
                    }
                }
            });
        }
    });
    let mut cons: Vec<_> = cluster.nodes.iter().map(Server::connection).collect();
    let mut stored = |node: &Server| {
        let key = copies(node).pop()?;
        Some(cmd!(node.connection(), "HGETALL", key).fields())
    };
    wait_for("all nodes have the same", LIMIT, || {
        let all: Vec<_> = cluster.nodes.iter().map(&mut stored).collect();
        let is_whole = all.iter().flatten().all(|fields| fields.len() == 2);
        let first = format!("{:?}", all[0]);
        all[0].is_some() && is_whole && all.iter().all(|other| format!("{other:?}") == first)
    });
    let timeout = types(&mut cons[0]);
    for con in &mut cons {
        assert_eq!(types(con), timeout);
    }
}

#[test]
fn a_rule_fires_for_devices_of_other_nodes_and_a_timeout_counts_there() {
    let cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    cmd!(con, "ALERT.RULE.SET lamp hot", HOT).int();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 200").text();
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &["hot"]);
        wait_for_timeout(node, "lamp", Some("200"));
    }
    let mut client = cluster.client();
    for number in 0..12 {
        let id = format!("lamp-{number}");
        client.call(&["DEVICE.REGISTER", &id, "lamp"]).int();
        client
            .call(&["DEVICE.HEARTBEAT", &id, "REPORTED", r#"{"t":71}"#])
            .items();
        let alerts = client.call(&["ALERT.LIST", &id]).items();
        assert_eq!(alerts.len(), 1, "{id}");
    }
    wait_for(
        "all go offline after the timeout of their type",
        LIMIT,
        || {
            let offline = |node: &Server| cmd!(node.connection(), "DEVICE.COUNT OFFLINE").int();
            cluster.nodes.iter().map(offline).sum::<i64>() == 12
        },
    );
    // The rule goes everywhere, too.
    cmd!(con, "ALERT.RULE.DEL lamp hot").int();
    for node in &cluster.nodes {
        wait_for_rules(node, "lamp", &[]);
    }
}

#[test]
fn devices_that_are_online_get_a_new_timeout_from_another_node() {
    let cluster = cluster(3, 0);
    let mut client = cluster.client();
    for number in 0..12 {
        let id = format!("lamp-{number}");
        client.call(&["DEVICE.REGISTER", &id, "lamp"]).int();
        client.call(&["DEVICE.HEARTBEAT", &id]).items();
    }
    let mut con = cluster.nodes[1].connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 200").text();
    wait_for("all go offline", LIMIT, || {
        let offline = |node: &Server| cmd!(node.connection(), "DEVICE.COUNT OFFLINE").int();
        cluster.nodes.iter().map(offline).sum::<i64>() == 12
    });
}

#[test]
fn a_type_has_so_many_rules_on_all_nodes_together() {
    let cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    for rule in 0..100 {
        cmd!(con, "ALERT.RULE.SET lamp", format!("r{rule}"), HOT).int();
    }
    let mut other = cluster.nodes[2].connection();
    wait_for("the rules arrive", LIMIT, || {
        rules(&mut other, "lamp").len() == 100
    });
    let refused = cmd!(other, "ALERT.RULE.SET lamp more", HOT);
    assert_eq!(code_of(refused), "LIMIT");
    cmd!(con, "ALERT.RULE.DEL lamp r7").int();
    wait_for("there is room again", LIMIT, || {
        cmd!(other, "ALERT.RULE.SET lamp more", HOT).is_ok()
    });
}

#[test]
fn a_transaction_is_refused_and_changes_nothing() {
    let cluster = cluster(3, 0);
    let mut con = cluster.nodes[0].connection();
    cmd!(con, "MULTI").text();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    let replies = cmd!(con, "EXEC").items();
    assert!(
        format!("{replies:?}").contains("transaction"),
        "{replies:?}"
    );
    assert!(copies(&cluster.nodes[0]).is_empty());
    assert!(types(&mut con).is_empty());
}

/// Nobody but the commands takes something away: other hands at the copy change nothing for long.
#[test]
fn a_copy_that_is_lost_comes_again() {
    let cluster = cluster(3, 0);
    let node = &cluster.nodes[0];
    let mut con = node.connection();
    cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 1000").text();
    for other in &cluster.nodes {
        wait_for_timeout(other, "lamp", Some("1000"));
    }
    let copy = copies(node).remove(0);
    cmd!(con, "DEL", copy.as_str()).int();
    wait_for_one_copy(node);
    cmd!(con, "HSET", copy.as_str(), "type lamp", "broken").int();
    wait_for("what was broken is mended", LIMIT, || {
        cmd!(con, "HGET", copy.as_str(), "type lamp")
            .text()
            .contains("1000")
    });
    // A node that lost all it had asks the others.
    cmd!(con, "FLUSHALL").text();
    wait_for_timeout(node, "lamp", Some("1000"));
    wait_for_one_copy(node);
    // Another type in its place is left alone, and told.
    cmd!(con, "SET", copy.as_str(), "mine").text();
    let refused = cmd!(con, "DEVICE.TYPE.SET lamp TIMEOUT 2000");
    assert_eq!(code_of(refused), "WRONGTYPE");
    assert_eq!(cmd!(con, "GET", copy.as_str()).text(), "mine");
    wait_for_timeout(node, "lamp", Some("1000"));
}
