//! What reaches replicas and the append-only file: plain commands with their effect, or nothing.

use super::*;
use crate::heartbeat::replication::{aof_bytes, replicated, server_with_aof};

/// Queues in all their states, also in another database. Gives the ids of the one in database 0.
#[track_caller]
fn populate(server: &Server) -> Vec<String> {
    let mut ids = Vec::new();
    for mut con in [server.connection_to_db(3), server.connection()] {
        let con = &mut con;
        ids.clear();
        for (n, how) in [
            (0, ""),
            (1, "TTL 1d"),
            (2, "ATTR n v"),
            (3, "DELAY 1d"),
            (4, ""),
            (5, ""),
            (6, ""),
        ] {
            ids.push(add(con, "q", &n.to_string(), how));
        }
        take(con, "q w COUNT 5 LEASE 1h");
        number_of(con, &format!("ACK q {}", ids[0]));
        number_of(con, &format!("NACK q w {} DELAY 2h", ids[1]));
        number_of(con, &format!("NACK q w {} DEAD", ids[2]));
        number_of(con, &format!("TOUCH q w 3h {}", ids[4]));
        number_of(con, &format!("NACK q w {} DEAD", ids[5]));
        number_of(con, &format!("KICK q {}", ids[5]));
        take(con, "q w2 LEASE 1h");
        add(con, "fresh", "A", "");
    }
    ids
}

/// What the pending lists say: rows of PENDING without the time left, and the dead.
#[track_caller]
fn state(con: &mut Connection) -> Vec<String> {
    let rows = cmd!(con, "QUEUE.PENDING q").items();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut row = row.fields();
            let left = row.remove("lease_left").map(|left| !left.is_nil());
            format!("{row:?} {left:?}")
        })
        .collect();
    lines.push(format!("{:?}", stat(con, "q")));
    lines
}

/// How long each lease and delay lasts still.
#[track_caller]
fn left(con: &mut Connection) -> Vec<i64> {
    let rows = cmd!(con, "QUEUE.PENDING q").items();
    let left = rows.iter().map(|row| row.fields()["lease_left"].clone());
    left.filter(|left| !left.is_nil())
        .map(|left| left.int())
        .collect()
}

/// Waits until the replica has what the master had when this was called.
#[track_caller]
fn in_step(master: &Server, replica: &Server) {
    let number = |server: &Server, name: &str| {
        let info = cmd!(server.connection(), "INFO", "replication").text();
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.parse::<u64>().ok())
    };
    let wanted = number(master, "master_repl_offset:");
    wait_for("the replica is in step", SOON, || {
        let is_up = cmd!(replica.connection(), "INFO", "replication").text();
        is_up.contains("master_link_status:up") && number(replica, "slave_repl_offset:") >= wanted
    });
}

#[test]
fn effects_are_core_commands() {
    let server = server_with_aof();
    let mut con = server.connection();
    let names = |commands: &[Vec<String>]| -> Vec<String> {
        let of_group = |words: &Vec<String>| match words[0].as_str() {
            "XGROUP" => format!("XGROUP {}", words[1]),
            name => name.to_owned(),
        };
        commands
            .iter()
            .map(of_group)
            .filter(|name| name != "MULTI" && name != "EXEC")
            .collect()
    };
    let mut effect = |words: &str| {
        let before = replicated(&server).len();
        try_queue(&mut con, words).unwrap();
        let mut names = names(&replicated(&server)[before..]);
        // Behind the XCLAIM newer servers also tell how many entries the group has read.
        if words.starts_with("GET")
            && names.ends_with(&["XCLAIM", "XGROUP SETID"].map(String::from))
        {
            names.pop();
        }
        names
    };
    assert_eq!(effect("ADD q A"), ["XADD"]);
    assert_eq!(
        effect("GET q w"),
        ["XGROUP CREATE", "XGROUP CREATECONSUMER", "XCLAIM"]
    );
    assert_eq!(effect("GET q w"), [""; 0]);
    assert_eq!(effect("ADD q B"), ["XADD"]);
    assert_eq!(effect("GET q w"), ["XCLAIM"]);
    let mut con = server.connection();
    let rows = cmd!(con, "QUEUE.PENDING q").items();
    let [a, b] = [0, 1].map(|at| rows[at].fields()["id"].text());
    let mut effect = |words: String| {
        let before = replicated(&server).len();
        try_queue(&mut con, &words).unwrap();
        names(&replicated(&server)[before..])
    };
    assert_eq!(effect(format!("TOUCH q w 1h {a}")), ["XCLAIM"]);
    assert_eq!(effect(format!("NACK q w {a} DELAY 1h")), ["XCLAIM"]);
    assert_eq!(effect(format!("ACK q {a}")), ["XACK", "XDEL"]);
    let buried = ["XGROUP CREATE", "XGROUP CREATECONSUMER", "XCLAIM", "XACK"];
    assert_eq!(effect(format!("NACK q w {b} DEAD")), buried);
    assert_eq!(effect(format!("KICK q {b}")), ["XACK", "XCLAIM"]);
    assert_eq!(effect("ADD q C DELAY 1h".to_owned()), ["XADD", "XCLAIM"]);
}

#[test]
fn reads_and_refused_commands_replicate_nothing() {
    let server = server_with_aof();
    let ids = populate(&server);
    let mut con = server.connection();
    cmd!(con, "SET s text").text();
    let before = aof_bytes(&server);
    for words in [
        "STAT q",
        "PENDING q",
        "STAT none",
        "GET q w3 INFLIGHT 1",
        "GET none w",
        "ACK q 1-1",
        "NACK q w 1-1",
        "KICK q 1-1",
        "TOUCH q w 1h 1-1",
        "ADD q x MAXLEN 2",
        "ADD q x TTL 0",
        "ADD s x",
        "GET s w",
        "GET q w COUNT 0",
    ] {
        let _ = try_queue(&mut con, words);
    }
    let _ = try_queue(&mut con, &format!("NACK q stranger {}", ids[4]));
    let _ = try_queue(&mut con, &format!("TOUCH q stranger 1h {}", ids[4]));
    assert_eq!(before, aof_bytes(&server));
}

/// Q22.
#[test]
fn a_replica_shows_the_same_and_goes_on_after_a_promotion() {
    let server = Server::start();
    let replica = Server::start();
    let (mut con, mut copy) = (server.connection(), replica.connection());
    cmd!(copy, "REPLICAOF", "127.0.0.1", server.port()).text();
    in_step(&server, &replica);
    let ids = populate(&server);
    in_step(&server, &replica);
    assert_eq!(state(&mut con), state(&mut copy));
    assert_eq!(dead(&mut con, "q"), dead(&mut copy, "q"));
    for (here, there) in left(&mut con).into_iter().zip(left(&mut copy)) {
        assert!(
            (0..=1_000).contains(&(here - there)),
            "{here} ms here, {there} ms there"
        );
    }
    for words in [
        "ADD q x",
        "GET q w",
        "GET q w BLOCK 0",
        "ACK q 1-1",
        "KICK q 1-1",
    ] {
        let error = try_queue(&mut copy, words).unwrap_err();
        assert_eq!(error.code(), Some("READONLY"), "{words}: {error}");
    }
    // What a replica looked at it must not remember once it is promoted.
    number_of(&mut con, &format!("NACK q w {} DELAY 5h", ids[4]));
    in_step(&server, &replica);
    cmd!(copy, "REPLICAOF NO ONE").text();
    assert_eq!(state(&mut con), state(&mut copy));
    assert_eq!(
        get(&mut copy, "q w9 COUNT 10 LEASE 1h"),
        bodies(&[("6", 1)])
    );
    assert_eq!(
        number_of(&mut copy, &format!("TOUCH q w2 1h {}", ids[5])),
        1
    );
    let_pass(&mut copy, "q", 2 * 3_600_000);
    let mut due = get(&mut copy, "q w9 COUNT 10 LEASE 1h");
    due.sort_unstable();
    assert_eq!(due, bodies(&[("1", 2), ("5", 2), ("6", 2)]));
    assert_eq!(number_of(&mut copy, &format!("KICK q {}", ids[2])), 1);
    assert_eq!(
        get(&mut copy, "q w9 COUNT 10 LEASE 1h"),
        bodies(&[("2", 1)])
    );
    assert_eq!(number_of(&mut copy, &format!("ACK q {}", ids.join(" "))), 6);
}

/// A server that was a replica in between has not seen what happened meanwhile.
#[test]
fn a_master_that_was_demoted_forgets() {
    let first = Server::start();
    let second = Server::start();
    let (mut con, mut other) = (first.connection(), second.connection());
    let id = add(&mut con, "q", "A", "");
    take(&mut con, "q w LEASE 1h");
    cmd!(other, "REPLICAOF", "127.0.0.1", first.port()).text();
    in_step(&first, &second);
    cmd!(other, "REPLICAOF NO ONE").text();
    cmd!(con, "REPLICAOF", "127.0.0.1", second.port()).text();
    in_step(&second, &first);
    assert_eq!(number_of(&mut other, &format!("NACK q w {id} DELAY 2h")), 1);
    in_step(&second, &first);
    cmd!(con, "REPLICAOF NO ONE").text();
    assert_eq!(stat(&mut con, "q"), [0, 1, 0, 0]);
    let_pass(&mut con, "q", 2 * 3_600_000);
    assert_eq!(get(&mut con, "q w"), bodies(&[("A", 2)]));
}

#[test]
fn a_replica_without_the_module_holds_the_same() {
    let server = Server::start();
    let replica = Server::builder().without_module().start();
    cmd!(
        replica.connection(),
        "REPLICAOF",
        "127.0.0.1",
        server.port()
    )
    .text();
    in_step(&server, &replica);
    populate(&server);
    in_step(&server, &replica);
    for db in [0, 3] {
        let read = |server: &Server| {
            let mut con = server.connection_to_db(db);
            let lists = ["work", "dead"].map(|group| {
                let rows = cmd!(con, "XPENDING", "q", group, "-", "+", 100).items();
                let rows = rows.iter().map(|row| (row.at(0), row.at(1), row.at(3)));
                rows.collect::<Vec<_>>()
            });
            let entries = cmd!(con, "XRANGE q - +").items();
            (lists, entries, cmd!(con, "XLEN fresh").int())
        };
        assert_eq!(read(&server), read(&replica));
    }
}

/// Q23.
#[test]
fn a_crash_loses_nothing_that_was_written() {
    let mut server = server_with_aof();
    populate(&server);
    let mut con = server.connection();
    let (before, buried) = (state(&mut con), dead(&mut con, "q"));
    let after = |server: &mut Server| {
        server.kill_hard();
        server.restart();
        server.connection()
    };
    let mut con = after(&mut server);
    assert_eq!(before, state(&mut con));
    assert_eq!(buried, dead(&mut con, "q"));
    // The same from a rewritten file, in both its forms.
    for preamble in ["yes", "no"] {
        cmd!(con, "CONFIG SET aof-use-rdb-preamble", preamble).text();
        cmd!(con, "BGREWRITEAOF").text();
        wait_for("it is rewritten", SOON, || {
            let info = cmd!(con, "INFO", "persistence").text();
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        });
        con = after(&mut server);
        assert_eq!(before, state(&mut con), "preamble {preamble}");
        assert_eq!(buried, dead(&mut con, "q"));
    }
    let_pass(&mut con, "q", 3_600_000);
    assert_eq!(
        get(&mut con, "q w9 COUNT 10"),
        bodies(&[("5", 2), ("6", 1)])
    );
}
