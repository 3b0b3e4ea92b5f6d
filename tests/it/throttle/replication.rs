//! What reaches replicas and the append-only file: plain commands with their effect, or nothing.

use super::*;
use crate::heartbeat::replication::{aof_bytes, replicated, server_with_aof};

fn offset(con: &mut Connection) -> i64 {
    offset_named(con, "master_repl_offset:").expect("an offset")
}

fn offset_named(con: &mut Connection, name: &str) -> Option<i64> {
    let info = cmd!(con, "INFO", "replication").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|offset| offset.parse().ok())
}

/// The commands that a hit leaves in the append-only file.
#[track_caller]
fn effect(server: &Server, con: &mut Connection, words: &str) -> Vec<Vec<String>> {
    let before = replicated(server).len();
    hit(con, words);
    replicated(server).split_off(before)
}

#[test]
fn effects_are_set_incrby_and_del() {
    let server = server_with_aof();
    let mut con = server.connection();
    let words = |line: &str| vec![line.split(' ').map(str::to_owned).collect::<Vec<String>>()];
    // The value is one word, whatever bytes it has.
    let set = |con: &mut Connection, key: &str, value: &str| {
        let at = cmd!(con, "PEXPIRETIME", key).int().to_string();
        vec![["SET", key, value, "PXAT", &at].map(str::to_owned).to_vec()]
    };
    let first = effect(&server, &mut con, "w 100 1h COST 3");
    assert_eq!(first, set(&mut con, "w", "3"));
    let next = effect(&server, &mut con, "w 100 1h COST 4");
    assert_eq!(next, words("INCRBY w 4"));
    let longer = effect(&server, &mut con, "w 100 1h COST 5");
    assert_eq!(longer, set(&mut con, "w", "12"));
    let refund = effect(&server, &mut con, "w 100 1h COST -2");
    assert_eq!(refund, words("INCRBY w -2"));
    let shorter = effect(&server, &mut con, "w 100 1h COST -99");
    assert_eq!(shorter, set(&mut con, "w", "0"));
    cmd!(con, "PERSIST w").int();
    let endless = effect(&server, &mut con, "w 100 1h");
    assert_eq!(endless, set(&mut con, "w", "1"));

    for _ in 0..2 {
        let stored = effect(&server, &mut con, "g 5 1h 7 2h GCRA");
        let value = cmd!(con, "GET g").bytes();
        let value = String::from_utf8_lossy(&value);
        assert_eq!(stored, set(&mut con, "g", &value));
    }
    let emptied = effect(&server, &mut con, "g 5 1h 7 2h GCRA COST -2");
    assert_eq!(emptied, words("DEL g"));
    assert_eq!(cmd!(con, "EXISTS g").int(), 0);
}

#[test]
fn looks_denied_hits_and_refusals_replicate_nothing() {
    let server = server_with_aof();
    let replica = Server::builder().without_module().start();
    let (mut con, mut copy) = (server.connection(), replica.connection());
    hit(&mut con, "w 5 1h COST 5");
    hit(&mut con, "g 5 1h GCRA COST 5");
    cmd!(con, "SET s text").text();
    cmd!(copy, "REPLICAOF", "127.0.0.1", server.port()).text();
    wait_for("the replica has all of it", SOON, || {
        cmd!(con, "WAIT 1 100").int() == 1
    });
    // Pings to the replica count in the offset too.
    cmd!(con, "CONFIG SET repl-ping-replica-period 3600").text();
    wait_for("no ping is on its way", SOON, || {
        let before = offset(&mut con);
        let start = now_ms();
        wait_for("a second tick", SOON, || now_ms() > start + 20);
        before == offset(&mut con)
    });
    let (before, bytes) = (offset(&mut con), aof_bytes(&server));
    for words in [
        "w 5 1h",
        "w 5 1h COST 0",
        "w 5 1h COST 6",
        "g 5 1h GCRA",
        "g 5 1h GCRA COST 0",
        "g 5 1h GCRA COST 6",
        "new 5 1h COST 0",
        "new 5 1h COST -1",
        "new 5 1h COST 6",
        "new 5 1h GCRA COST 0",
        "new 5 1h GCRA COST -1",
        "new 5 1h GCRA COST 6",
    ] {
        hit(&mut con, words);
    }
    for words in ["w 5 1h GCRA", "g 5 1h", "s 5 1h", "w 0 1h", "w 5 1h COST x"] {
        assert!(try_hit(&mut con, words).is_err(), "{words}");
    }
    assert_eq!(before, offset(&mut con));
    assert_eq!(bytes, aof_bytes(&server));
    assert!(replicated(&server)
        .iter()
        .all(|words| words[0] != "THROTTLE.HIT"));
}

/// Counters of both forms in all their states, also in another database.
#[track_caller]
fn populate(server: &Server) {
    for mut con in [server.connection(), server.connection_to_db(3)] {
        for words in [
            "one 10 1h",
            "some 1000 1h COST 98",
            "some 1000 1h",
            "some 1000 1h",
            "full 5 1h COST 5",
            "full 5 1h",
            "empty 5 1h COST 5",
            "empty 5 1h COST -5",
            "g 5 1h GCRA",
            "g 5 1h GCRA COST 2",
            "gfull 5 1h 9 2h GCRA COST 5",
            "gfull 5 1h 9 2h GCRA",
            "gback 5 1h GCRA",
            "gback 5 1h GCRA COST -1",
        ] {
            hit(&mut con, words);
        }
        cmd!(
            con,
            "EVAL",
            "return redis.call('THROTTLE.HIT', KEYS[1], 5, 3600000)",
            1,
            "e"
        )
        .items();
        cmd!(con, "MULTI").text();
        cmd!(con, "THROTTLE.HIT m 5 1h").text();
        cmd!(con, "THROTTLE.HIT m 5 1h").text();
        cmd!(con, "EXEC").items();
    }
}

/// What both databases hold, with the moment each key expires.
#[track_caller]
fn all_of(server: &Server) -> [Snapshot; 2] {
    [0, 3].map(|db| snapshot_with_expiry(&mut server.connection_to_db(db)))
}

/// T29.
#[test]
fn a_replica_without_the_module_holds_the_same() {
    let server = Server::start();
    let replica = Server::builder().without_module().start();
    let (mut con, mut copy) = (server.connection(), replica.connection());
    cmd!(copy, "REPLICAOF", "127.0.0.1", server.port()).text();
    wait_for("the replica is in step", SOON, || {
        let info = cmd!(copy, "INFO", "replication").text();
        info.contains("master_link_status:up")
    });
    populate(&server);
    let wanted = offset(&mut con);
    wait_for("the replica has caught up", SOON, || {
        offset_named(&mut copy, "slave_repl_offset:").is_some_and(|got| got >= wanted)
    });
    let held = all_of(&server);
    assert_eq!(held[0].len(), 8, "{held:?}");
    assert_eq!(held, all_of(&replica));
}

/// T29.
#[test]
fn a_reload_and_a_rewrite_keep_value_and_expiry() {
    let mut server = server_with_aof();
    populate(&server);
    let held = all_of(&server);
    let mut con = server.connection();
    cmd!(con, "DEBUG RELOAD").text();
    assert_eq!(held, all_of(&server));
    cmd!(con, "BGREWRITEAOF").text();
    wait_for("it is rewritten", SOON, || {
        let info = cmd!(con, "INFO", "persistence").text();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    hit(&mut con, "one 10 1h");
    let held = all_of(&server);
    server.restart();
    assert_eq!(held, all_of(&server));
    // And it goes on where it was.
    assert_eq!(hit(&mut server.connection(), "one 10 1h")[2], 7);
    assert_eq!(hit(&mut server.connection(), "gfull 5 1h 9 2h GCRA")[0], 1);
}

#[test]
fn a_plain_server_loads_the_file_and_holds_the_same() {
    let mut server = server_with_aof();
    populate(&server);
    let held = all_of(&server);
    for command in replicated(&server) {
        let plain = ["SET", "INCRBY", "DEL", "MULTI", "EXEC"];
        assert!(plain.contains(&command[0].as_str()), "{command:?}");
    }
    server.terminate();
    let plain = Server::builder()
        .without_module()
        .config("dir", server.dir().display())
        .config("appendonly", "yes")
        .start();
    assert_eq!(held, all_of(&plain));
}

#[test]
fn a_replica_refuses_also_to_look() {
    let server = Server::start();
    let replica = Server::start();
    let mut copy = replica.connection();
    cmd!(copy, "REPLICAOF", "127.0.0.1", server.port()).text();
    for cost in ["1", "0"] {
        let line = ["THROTTLE.HIT", "k", "5", "1h", "COST", cost];
        expect_error(&mut copy, &line, "READONLY", "");
    }
}
