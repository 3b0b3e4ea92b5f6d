//! Commands survive: a restart from a snapshot or from the append-only file, and a failover.

use super::*;
use crate::heartbeat::replication::{
    assert_a_plain_server_holds_the_same, replicated, server_with_aof,
};
use crate::replication::{assert_same, replica_of};

/// Commands of `d` in every state, and outcomes. Ids: dead, taken, lapsed, waiting, delayed.
#[track_caller]
fn populate(con: &mut Connection) -> [String; 5] {
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    let dead = give(con, "d {\"n\":0}");
    wear_out(con, &dead);
    let taken = give(con, "d {\"n\":1}");
    assert_eq!(take_ids(con, "d LEASE 1h"), [taken.as_str()]);
    let lapsed = give(con, "d {\"n\":2}");
    assert_eq!(take_ids(con, "d LEASE 1"), [lapsed.as_str()]);
    wait_for_the_leases_but(con, 1);
    let waiting = give(con, "d {\"n\":3}");
    let delayed = give(con, "d {\"n\":4} DELAY 1h");
    let over = give(con, "d {\"n\":5}");
    done(con, &format!("d {over} FAILED {{\"code\":1}}"));
    let over = give(con, "d {\"n\":6}");
    cancel(con, "d", &over);
    [dead, taken, lapsed, waiting, delayed]
}

/// All of LIST but what passes with the time.
#[track_caller]
fn shown(con: &mut Connection) -> Vec<BTreeMap<String, Value>> {
    let mut rows = list(con, "d");
    for row in &mut rows {
        row.remove("left_ms");
    }
    rows
}

#[test]
fn a_restart_keeps_every_state() {
    for (save, append_only) in [("3600 1", "no"), ("", "yes")] {
        let mut server = Server::builder()
            .config("save", save)
            .config("appendonly", append_only)
            .start();
        server.settle();
        let mut con = server.connection();
        let ids = populate(&mut con);
        let before = shown(&mut con);
        assert_eq!(before.len(), 7);
        let waited = waiting(&mut con, "d");
        server.restart();
        let mut con = server.connection();
        assert_eq!(shown(&mut con), before, "{append_only}");
        assert_eq!(waiting(&mut con, "d"), waited);
        let [dead, taken, ..] = &ids;
        // Leases go on, dead ones stay dead, and new ids follow the old ones.
        let next = give(&mut con, "d {\"n\":9}");
        let got = take_ids(&mut con, "d COUNT 9");
        assert_eq!(got.len() as i64, waited + 1);
        assert!(!got.contains(dead) && !got.contains(taken), "{got:?}");
        assert_eq!(got.last(), Some(&next));
        assert_eq!(done(&mut con, &format!("d {taken} OK")), 1);
        assert_eq!(done(&mut con, &format!("d {dead} OK")), 1);
    }
}

#[test]
fn a_replica_holds_the_same_and_goes_on_when_promoted() {
    let mut master = Server::start();
    let replica = replica_of(&master);
    let mut con = master.connection();
    let ids = populate(&mut con);
    cmd!(con, "MULTI").text();
    for line in [
        "DEVICE.COMMAND d {\"n\":7}",
        "DEVICE.COMMAND.TAKE d LEASE 1h",
    ] {
        cmd!(con, line).text();
    }
    cmd!(con, "EXEC").items();
    assert_same(&master, &replica);
    let mut copy = replica.connection();
    assert_eq!(shown(&mut copy), shown(&mut con));
    for line in [
        "DEVICE.COMMAND d {}",
        "DEVICE.COMMAND.TAKE d",
        "DEVICE.COMMAND.DONE d 1-0 OK",
        "DEVICE.COMMAND.CANCEL d 1-0",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut copy, &words, "READONLY", "");
    }
    let (before, waited) = (shown(&mut con), waiting(&mut con, "d"));
    master.kill_hard();
    cmd!(copy, "REPLICAOF NO ONE").text();
    assert_eq!(shown(&mut copy), before);
    assert_eq!(waiting(&mut copy, "d"), waited);
    let got = take_ids(&mut copy, "d COUNT 9 LEASE 1h");
    assert_eq!(got.len() as i64, waited);
    for id in got.iter().chain(&ids[..1]) {
        assert_eq!(done(&mut copy, &format!("d {id} OK")), 1, "{id}");
    }
    assert_eq!(waiting(&mut copy, "d"), 0);
}

/// It remembered that nothing waits, was a replica for a while, and is back in office.
#[test]
fn a_master_that_comes_back_knows_what_was_given_meanwhile() {
    let (old, new) = (Server::start(), Server::start());
    let (mut con, mut there) = (old.connection(), new.connection());
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    assert_eq!(waiting(&mut con, "d"), 0);
    cmd!(con, "REPLICAOF", "127.0.0.1", new.port()).text();
    cmd!(there, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    let id = give(&mut there, "d {}");
    assert_same(&new, &old);
    cmd!(con, "REPLICAOF NO ONE").text();
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d"), [id]);
}

/// The same without a new data set: the old master takes up where it was.
#[test]
fn so_does_one_that_followed_by_the_backlog_only() {
    let (first, second) = (Server::start(), Server::start());
    let (mut con, mut other) = (first.connection(), second.connection());
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    cmd!(other, "REPLICAOF", "127.0.0.1", first.port()).text();
    assert_same(&first, &second);
    assert_eq!(waiting(&mut con, "d"), 0);
    assert_eq!(waiting(&mut con, "d"), 0);
    // They swap roles, and swap back.
    cmd!(other, "REPLICAOF NO ONE").text();
    cmd!(con, "REPLICAOF", "127.0.0.1", second.port()).text();
    assert_same(&second, &first);
    let id = give(&mut other, "d {}");
    assert_same(&second, &first);
    cmd!(con, "REPLICAOF NO ONE").text();
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d"), [id]);
}

#[test]
fn what_is_replicated_are_commands_of_the_server() {
    let server = server_with_aof();
    let mut con = server.connection();
    populate(&mut con);
    cmd!(
        con,
        "EVAL",
        "return redis.call('DEVICE.COMMAND', 'd', '{}')",
        0
    )
    .text();
    cmd!(con, "DEVICE.HEARTBEAT e").items();
    give(&mut con, "e {}");
    cmd!(con, "DEVICE.REMOVE e").int();
    assert_a_plain_server_holds_the_same(server);
}

#[test]
fn what_changes_nothing_replicates_nothing() {
    let server = server_with_aof();
    let mut con = server.connection();
    populate(&mut con);
    take(&mut con, "d COUNT 9 LEASE 1h");
    let before = replicated(&server).len();
    for line in [
        "DEVICE.COMMAND.LIST d",
        "DEVICE.COMMAND.DONE d 1-1 OK",
        "DEVICE.COMMAND.CANCEL d 1-1",
        "DEVICE.COMMAND.TAKE d",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "DEVICE.COMMAND d []",
        "DEVICE.COMMAND e {}",
        "DEVICE.COMMAND.TAKE d COUNT 0",
    ] {
        assert!(cmd!(con, line).is_err(), "{line}");
    }
    assert_eq!(replicated(&server)[before..], [] as [Vec<String>; 0]);
}
