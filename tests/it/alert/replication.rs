//! What reaches replicas and the append-only file: effects only, in commands of the server's own; and a
//! replica that is promoted goes on where its master was.

use redis::Connection;

use super::*;
use crate::consistency::{assert_consistent, assert_users_consistent};
use crate::heartbeat::replication::{
    aof_bytes, assert_a_plain_server_holds_the_same, server_with_aof,
};
use crate::replication::workloads::{wait_for_quiet, Speaker};
use crate::replication::{assert_same, replica_of};
use crate::workload::Workload;

#[test]
fn a_replica_holds_the_same_after_any_workload() {
    let master = quick();
    let replica = replica_of(&master);
    let mut con = master.connection();
    Speaker(Workload::of(7, "", 12)).run(&mut con, 4_000);
    // Some of it puts devices into indexes by hand.
    let repaired = cmd!(con, "DEVICE.CHECK 0 COUNT 10000 REPAIR");
    assert_eq!(repaired.at(0).text(), "0", "all in one step");
    wait_for_quiet(&mut con);
    assert_same(&master, &replica);
    for outcome in [
        "new",
        "suppressed",
        "repeated",
        "escalated",
        "held",
        "resolved",
        "acked",
    ] {
        let name = format!("alerts_{outcome}");
        assert!(info_number(&mut con, &name) > 0, "{name}");
        assert_eq!(info_number(&mut replica.connection(), &name), 0, "{name}");
    }
    assert_consistent(&mut con);
    assert_users_consistent(&mut con);
}

#[test]
fn the_append_only_file_loads_without_the_module() {
    let server = server_with_aof();
    let mut con = server.connection();
    Speaker(Workload::of(8, "", 12)).run(&mut con, 1_000);
    wait_for_quiet(&mut con);
    assert_a_plain_server_holds_the_same(server);
}

#[test]
fn what_reads_or_changes_nothing_replicates_nothing() {
    let server = server_with_aof();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    set_rule(&mut con, "t", "gone", r#"{"on":"offline"}"#);
    raise(&mut con, "d a WAIT 0 NOTIFY 1 u");
    raise(&mut con, "d over EVERY 1h");
    clear(&mut con, "d", "over");
    cmd!(con, "ALERT.ACK d a").int();
    cmd!(con, "ALERT.NOTIFY out n {} WAIT 0").int();
    assert!(batch(&mut con, "out LEASE 1h").is_some());
    cmd!(con, "ALERT.NOTIFY later n {}").int();
    let (before, keys) = (aof_bytes(&server), snapshot_with_expiry(&mut con));
    for line in [
        "ALERT.LIST d",
        "ALERT.DUE",
        "ALERT.RULE.LIST t",
        "ALERT.RULE.LIST nope",
        "ALERT.RULE.DEL t nope",
        "ALERT.CLEAR d nope",
        "ALERT.CLEAR d over",
        "ALERT.ACK d a",
        "ALERT.ACK d nope",
        "ALERT.ACK d over",
        "ALERT.BATCH nobody",
        "ALERT.BATCH out",
        "ALERT.BATCH out NOW",
        "ALERT.BATCH later",
        "ALERT.DONE u nope",
        "ALERT.DONE nobody nope",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "ALERT.RAISE nobody a",
        "ALERT.RAISE d a SEVERITY x",
        "ALERT.RAISE d a DATA [",
        "ALERT.NOTIFY u n []",
        "ALERT.RULE.SET t r {}",
        "ALERT.BATCH u LEASE 0",
    ] {
        assert!(cmd!(con, line).is_err(), "{line}");
    }
    assert_eq!(keys, snapshot_with_expiry(&mut con));
    assert_eq!(before, aof_bytes(&server));
}

#[test]
fn a_replica_that_is_promoted_goes_on() {
    let mut master = quick();
    let replica = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("replicaof", format!("127.0.0.1 {}", master.port()))
        .start();
    let mut con = master.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    cmd!(con, "DEVICE.REGISTER e t").int();
    set_rule(
        &mut con,
        "t",
        "gone",
        r#"{"on":"offline","for":"4s","wait":0,"notify":["u"]}"#,
    );
    raise(&mut con, "d kept KEEP 4s WAIT 0 NOTIFY 1 u");
    raise(&mut con, "d acked WAIT 0 NOTIFY 1 v");
    cmd!(con, "ALERT.ACK d acked").int();
    cmd!(con, "DEVICE.HEARTBEAT e TIMEOUT 0").items();
    cmd!(con, "DEVICE.OFFLINE e").int();
    let out = batch(&mut con, "v LEASE 1h").expect("a batch");
    assert_same(&master, &replica);
    let mut copy = replica.connection();
    for line in [
        "ALERT.RAISE d a",
        "ALERT.BATCH u",
        "ALERT.DONE u x",
        "ALERT.CLEAR d kept",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut copy, &words, "READONLY", "");
    }
    assert_eq!(state(&mut copy, "e", "gone"), "held 1 1");
    assert_eq!(cmd!(copy, "ALERT.DUE").texts(), ["u"]);
    assert_eq!(info_number(&mut copy, "alert_timers"), 0);
    master.kill_hard();
    // A replica clears and tells nothing by itself, however long it takes.
    let gone = now_ms();
    wait_for("what was kept would be over", SOON, || {
        now_ms() > gone + 4_100
    });
    assert_eq!(
        announced(&mut copy, "d"),
        ["kept firing 1 1", "acked firing 1 1"]
    );

    cmd!(copy, "REPLICAOF NO ONE").text();
    wait_for("what was kept is over, what was held is told", SOON, || {
        let of = |con: &mut Connection, id: &str| announced(con, id).len();
        of(&mut copy, "d") == 3 && of(&mut copy, "e") == 1
    });
    assert_eq!(state(&mut copy, "d", "kept"), "none");
    assert_eq!(list(&mut copy, "d")["acked"]["acked"].int(), 1);
    assert_eq!(batch(&mut copy, "v"), None);
    assert_eq!(done(&mut copy, "v", &out.token), 1);
    assert_eq!(
        told(&mut copy, "u"),
        ["d kept resolved 1 1", "e gone firing 1 1"]
    );
    assert_eq!(raise(&mut copy, "d acked"), "suppressed 2");
}
