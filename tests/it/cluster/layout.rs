//! Where the keys of a device are, and what fleet-wide commands answer for.

use devicestate_core::slot::{self, Slot};

use super::id;
use crate::support::*;

#[test]
fn everything_of_a_device_is_in_the_slot_of_its_id() {
    let cluster = Cluster::start(3, 0, || {
        Server::builder().config("devicestate.reports-maxlen", 10)
    });
    let mut client = cluster.client();
    let mut call = |words: &[&str]| client.call(words).value().clone();
    call(&["DEVICE.REGISTER", "lamp-7", "lamp"]);
    call(&[
        "DEVICE.HEARTBEAT",
        "lamp-7",
        "REPORTED",
        r#"{"on":true}"#,
        "TIMEOUT",
        "60000",
    ]);
    call(&["DEVICE.SHADOW.SET", "lamp-7", r#"{"on":false}"#]);
    call(&[
        "DEVICE.SHADOW.SET",
        "lamp-7",
        r#"{"a":1}"#,
        "NAME",
        "second",
    ]);
    call(&["DEVICE.COMMAND", "lamp-7", r#"{"do":"blink"}"#]);
    call(&[
        "ALERT.RAISE",
        "lamp-7",
        "hot",
        "SEVERITY",
        "5",
        "NOTIFY",
        "1",
        "ann",
    ]);
    let slot = Slot::of(b"lamp-7");
    let mut keys = 0;
    for node in &cluster.nodes {
        for key in cmd!(node.connection(), "KEYS", "*").texts() {
            assert_eq!(Slot::of(key.as_bytes()), slot, "{key}");
            keys += 1;
        }
    }
    assert!(keys > 10, "{keys}");
}

/// A tenant whose ids begin alike sees and changes nothing else, on whatever node.
#[test]
fn a_tenant_is_kept_to_its_names_on_every_node() {
    let cluster = Cluster::start(3, 0, Server::builder);
    let mut tenants: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| {
            let mut con = node.connection();
            cmd!(
                con,
                "ACL SETUSER",
                "acme",
                "on",
                "nopass",
                "+@all",
                "-@dangerous",
                "~acme-*"
            )
            .text();
            cmd!(con, "AUTH", "acme", "x").text();
            con
        })
        .collect();
    let on_node = |name: &str| {
        usize::from(Slot::of(name.as_bytes()).number()) * cluster.nodes.len() / slot::COUNT
    };
    let mut nodes_seen = [false; 3];
    for number in 0..30 {
        let (own, other) = (format!("acme-{number}"), format!("other-{number}"));
        nodes_seen[on_node(&own)] = true;
        let con = &mut tenants[on_node(&own)];
        assert_eq!(cmd!(con, "DEVICE.HEARTBEAT", &own).at(0).int(), 1);
        let raised = cmd!(con, "ALERT.RAISE", &own, "hot", "NOTIFY", 1, "acme-ann");
        assert_eq!(raised.at(0).text(), "new");
        expect_error(
            con,
            &["ALERT.RAISE", &own, "hot2", "NOTIFY", "1", "bob"],
            "NOPERM",
            "bob",
        );
        let con = &mut tenants[on_node(&other)];
        for command in [
            "DEVICE.HEARTBEAT",
            "DEVICE.GET",
            "DEVICE.REMOVE",
            "ALERT.LIST",
        ] {
            expect_error(con, &[command, &other], "NOPERM", "");
        }
    }
    assert_eq!(nodes_seen, [true; 3]);
    for con in &mut tenants {
        for command in ["DEVICE.LIST", "DEVICE.COUNT", "ALERT.DUE"] {
            expect_error(con, &[command], "NOPERM", "");
        }
        expect_error(con, &["ALERT.BATCH", "bob"], "NOPERM", "bob");
        expect_error(con, &["ALERT.DONE", "bob", "1-1"], "NOPERM", "bob");
        let batch = cmd!(con, "ALERT.BATCH", "acme-ann", "NOW");
        let items = batch.at(1).items().len() as i64;
        assert!(items > 0);
        assert_eq!(
            cmd!(con, "ALERT.DONE", "acme-ann", batch.at(0).text()).int(),
            items
        );
    }
}

/// Every primary in turn, each from `0` to `0`.
#[test]
fn lists_of_all_nodes_hold_each_device_once() {
    const DEVICES: usize = 500;
    let cluster = Cluster::start(3, 0, Server::builder);
    let mut client = cluster.client();
    for number in 0..DEVICES {
        client.call(&["DEVICE.REGISTER", &id(number), "lamp"]).int();
        if number % 2 == 0 {
            client.call(&["DEVICE.HEARTBEAT", &id(number)]).items();
        }
    }
    let mut all: Vec<String> = (0..DEVICES).map(id).collect();
    all.sort();
    let half = |rest| -> Vec<String> {
        let mut ids: Vec<String> = (0..DEVICES).filter(|n| n % 2 == rest).map(id).collect();
        ids.sort();
        ids
    };
    for (filter, wanted) in [
        ("", all),
        ("ONLINE", half(0)),
        ("OFFLINE", half(1)),
        ("STALE 1d", half(1)),
        ("TYPE lamp ONLINE", half(0)),
    ] {
        let mut found = Vec::new();
        for node in &cluster.nodes {
            let mut con = node.connection();
            let counted = cmd!(con, format!("DEVICE.COUNT {filter}").trim()).int();
            let before = found.len();
            let mut cursor = "0".to_owned();
            loop {
                let list = format!("DEVICE.LIST {filter} COUNT 7 CURSOR {cursor}");
                let page = cmd!(con, &list.replace("  ", " "));
                found.extend(page.at(1).texts());
                cursor = page.at(0).text();
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(counted as usize, found.len() - before, "{filter}");
        }
        found.sort();
        assert_eq!(found, wanted, "{filter}");
    }
}
