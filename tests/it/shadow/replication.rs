//! What shadow commands write to replicas and the append-only file: effects only.

use serde_json::json;

use super::*;
use crate::heartbeat::replication::{
    aof_bytes, assert_a_plain_server_holds_the_same, replicated, server_with_aof,
};
use crate::replication::workloads::{wait_for_quiet, Speaker};
use crate::replication::{assert_same, replica_of};

#[test]
fn what_changes_nothing_replicates_the_version_and_the_times_only() {
    let server = server_with_aof();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": {"c": [1]}}));
    report(&mut con, "d", json!({"a": 1, "b": {"c": [1]}}));
    for (turn, line) in [
        "DEVICE.SHADOW.SET d {\"a\":1}",
        "DEVICE.SHADOW.SET d {}",
        "DEVICE.SHADOW.SET d {\"x\":null} VERSION 4",
        "DEVICE.SHADOW.REPORT d {\"b\":{\"c\":[1]}}",
        "DEVICE.SHADOW.REPORT d {}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"a\":1},\"reported\":{}}}",
    ]
    .iter()
    .enumerate()
    {
        let before = replicated(&server).len();
        assert!(cmd!(con, line).is_ok(), "{line}");
        let commands = replicated(&server)[before..].to_vec();
        assert_eq!(commands.len(), 1, "{line}: {commands:?}");
        let (head, fields) = commands[0].split_at(2);
        assert_eq!(head, ["HSET", "device:state:d"], "{line}");
        let version = (turn + 3).to_string();
        for pair in fields.chunks(2) {
            match pair[0].as_str() {
                "version" => assert_eq!(pair[1], version, "{line}"),
                name => assert!(name.ends_with("_meta"), "{line} writes {name}"),
            }
        }
        assert!(fields.contains(&"version".to_owned()), "{line}: {fields:?}");
    }
}

#[test]
fn reads_and_refused_commands_replicate_nothing() {
    let server = server_with_aof();
    let mut con = server.connection();
    for options in ["", "NAME n"] {
        set_with(&mut con, "d", json!({"a": 1}), options);
        report_with(&mut con, "d", json!({"a": 2}), options);
    }
    let (before, keys) = (aof_bytes(&server), snapshot_with_expiry(&mut con));
    for line in [
        "DEVICE.SHADOW.GET d",
        "DEVICE.SHADOW.GET d NAME n",
        "DEVICE.SHADOW.GET nobody",
        "DEVICE.SHADOW.NAMES d",
        "DEVICE.DELTA d",
        "DEVICE.DELTA d NAME n",
        "DEVICE.HISTORY d REV",
        "DEVICE.LIST OUTOFSYNC",
        "DEVICE.COUNT OUTOFSYNC",
        "DEVICE.CHECK 0",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "DEVICE.SHADOW.SET d [",
        "DEVICE.SHADOW.SET d {} VERSION 9",
        "DEVICE.SHADOW.SET new {} VERSION 9",
        "DEVICE.SHADOW.SET {d} {}",
        "DEVICE.SHADOW.SET d {} NAME {n}",
        "DEVICE.SHADOW.REPORT d {\"a\":[null]}",
        "DEVICE.SHADOW.REPORT new {} SEQ 1",
        "DEVICE.SHADOW.UPDATE d {}",
        "DEVICE.SHADOW.UPDATE new {\"state\":{},\"version\":7}",
        "DEVICE.SHADOW.DEL d NAME nope",
        "DEVICE.SHADOW.DEL nobody",
        "DEVICE.HISTORY d COUNT x",
    ] {
        assert!(cmd!(con, line).is_err(), "{line}");
    }
    assert_eq!(keys, snapshot_with_expiry(&mut con));
    assert_eq!(before, aof_bytes(&server));
}

#[test]
fn a_replica_holds_the_same_after_any_workload() {
    let master = quick();
    let replica = replica_of(&master);
    let mut con = master.connection();
    cmd!(con, "CONFIG SET devicestate.reports-maxlen 500").text();
    Speaker::new(99).run(&mut con, 3_000);
    crate::check::check(&mut con, "REPAIR");
    assert_same(&master, &replica);
    crate::consistency::assert_consistent(&mut con);
    // It answers as the master does.
    let mut copy = replica.connection();
    for line in [
        "DEVICE.COUNT OUTOFSYNC",
        "DEVICE.DELTA d-1",
        "DEVICE.SHADOW.NAMES d-2",
        "DEVICE.HISTORY d-3",
    ] {
        assert_eq!(cmd!(con, line), cmd!(copy, line), "{line}");
    }
    // A set has no order that two servers share.
    let [here, there] = [&mut con, &mut copy].map(|con| {
        cmd!(con, "DEVICE.LIST OUTOFSYNC COUNT 10000")
            .at(1)
            .sorted()
    });
    assert_eq!(here, there);
}

#[test]
fn a_plain_server_loads_the_file_and_holds_the_same() {
    let server = server_with_aof();
    let mut con = server.connection();
    cmd!(con, "CONFIG SET devicestate.reports-maxlen 500").text();
    Speaker::new(98).run(&mut con, 1_000);
    wait_for_quiet(&mut con);
    assert_a_plain_server_holds_the_same(server);
}

#[test]
fn the_channel_of_a_device_is_heard_at_a_replica() {
    let master = quick();
    let replica = replica_of(&master);
    let heard = Subscriber::channels(&replica, &["device:d:commands"]);
    set(&mut master.connection(), "d", json!({"a": 1}));
    assert_eq!(heard.wait_for_count(1, SOON)[0].json()["version"], 1);
}
