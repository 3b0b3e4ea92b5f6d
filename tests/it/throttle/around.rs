//! What is around a hit: other databases, memory, permissions, a key-prefix, INFO.

use super::*;

#[test]
fn every_database_has_counters_of_its_own() {
    let server = Server::start();
    let (mut first, mut fourth) = (server.connection(), server.connection_to_db(3));
    for form in FORMS {
        let words = format!("k 1 1h{form}");
        assert_eq!(hit(&mut fourth, &words), [0, 1, 0, -1, HOUR_MS]);
        assert_eq!(cmd!(first, "EXISTS k").int(), 0);
        assert_eq!(hit(&mut first, &words), [0, 1, 0, -1, HOUR_MS]);
        assert_eq!(hit(&mut fourth, &words)[0], 1);
        assert_eq!(cmd!(fourth, "DEL k").int(), 1);
        assert_eq!(hit(&mut first, &words)[0], 1);
        cmd!(first, "DEL k").int();
    }
}

#[test]
fn keys_carry_no_prefix() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    let mut con = server.connection();
    hit(&mut con, "k 1 1h");
    assert_eq!(cmd!(con, "GET k").int(), 1);
}

/// A throttle must not become an outage.
#[test]
fn hits_go_on_when_memory_is_short() {
    let server = Server::start();
    let mut con = server.connection();
    hit(&mut con, "old 100 1h");
    cmd!(con, "CONFIG SET maxmemory 1").text();
    expect_error(&mut con, &["SET", "x", "y"], "OOM", "");
    for form in FORMS {
        let key = format!("new{}", form.trim());
        assert_eq!(hit(&mut con, &format!("{key} 2 1h{form}"))[..3], [0, 2, 1]);
        assert_eq!(hit(&mut con, &format!("{key} 2 1h{form}"))[..3], [0, 2, 0]);
        assert_eq!(hit(&mut con, &format!("{key} 2 1h{form}"))[..3], [1, 2, 0]);
    }
    assert_eq!(hit(&mut con, "old 100 1h COST 20")[2], 79);
}

#[test]
fn key_patterns_hold() {
    let server = Server::start();
    let mut admin = server.connection();
    cmd!(
        admin,
        "ACL SETUSER gate on >secret +throttle.hit ~rl:acme:*"
    )
    .text();
    hit(&mut admin, "rl:other 5 1h");
    let mut con = server.connection();
    cmd!(con, "AUTH gate secret").text();
    for form in FORMS {
        assert_eq!(
            hit(&mut con, &format!("rl:acme:1{} 5 1h{form}", form.trim()))[0],
            0
        );
    }
    let before = snapshot_with_expiry(&mut admin);
    for key in ["rl:other", "rl:acme", "xrl:acme:1", ""] {
        for cost in ["1", "0", "-1"] {
            let line = ["THROTTLE.HIT", key, "5", "1h", "COST", cost];
            expect_error(&mut con, &line, "NOPERM", "");
        }
    }
    // Also to look takes the right to write: it is one command.
    for rules in ["resetkeys %R~rl:acme:*", "resetkeys %W~rl:acme:*"] {
        cmd!(admin, &format!("ACL SETUSER gate {rules}")).text();
        for cost in ["1", "0"] {
            let line = ["THROTTLE.HIT", "rl:acme:1", "5", "1h", "COST", cost];
            expect_error(&mut con, &line, "NOPERM", "");
        }
    }
    assert_eq!(before, snapshot_with_expiry(&mut admin));
    cmd!(admin, "ACL SETUSER gate resetkeys ~rl:acme:* -throttle.hit").text();
    expect_error(
        &mut con,
        &["THROTTLE.HIT", "rl:acme:1", "5", "1h"],
        "NOPERM",
        "",
    );
}

#[test]
fn info_counts_hits_and_those_that_were_limited() {
    let server = Server::start();
    let mut con = server.connection();
    let counted = |con: &mut Connection| {
        (
            info_number(con, "throttle_hits"),
            info_number(con, "throttle_limited"),
        )
    };
    assert_eq!(counted(&mut con), (0, 0));
    for (words, limited) in [
        ("w 2 1h", 0),
        ("w 2 1h COST 2", 1),
        ("w 2 1h", 0),
        ("w 2 1h COST 0", 1),
        ("w 2 1h COST -1", 0),
        ("g 2 1h GCRA COST 2", 0),
        ("g 2 1h GCRA", 1),
        ("g 2 1h GCRA COST 3", 1),
        ("g 2 1h GCRA COST 0", 1),
        ("g 2 1h GCRA COST -2", 0),
    ] {
        let before = counted(&mut con);
        assert_eq!(hit(&mut con, words)[0], limited, "{words}");
        assert_eq!(
            counted(&mut con),
            (before.0 + 1, before.1 + limited),
            "{words}"
        );
    }
    let before = counted(&mut con);
    assert!(try_hit(&mut con, "w 2 1h GCRA").is_err());
    assert_eq!(counted(&mut con), before);
    // Devices have nothing to do with it.
    assert_eq!(info_number(&mut con, "devices"), 0);
    assert_eq!(cmd!(con, "EXISTS devices:events").int(), 0);
}

#[test]
fn its_key_is_the_first_word_and_a_cluster_can_route_it() {
    let server = Server::start();
    let mut con = server.connection();
    let keys = cmd!(
        con,
        "COMMAND GETKEYSANDFLAGS THROTTLE.HIT k 5 1h 9 2h GCRA COST 1"
    );
    assert_eq!(keys.items().len(), 1);
    assert_eq!(keys.at(0).at(0).text(), "k");
    assert_eq!(keys.at(0).at(1).sorted(), ["RW", "access", "update"]);
    let flags = cmd!(con, "COMMAND INFO throttle.hit").at(0).at(2).sorted();
    assert_eq!(flags, ["fast", "module", "write"]);
}
