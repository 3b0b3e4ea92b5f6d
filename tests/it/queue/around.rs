//! What is around a queue: other databases, memory, permissions, a key-prefix.

use super::*;

#[test]
fn every_database_has_queues_of_its_own() {
    let server = Server::start();
    let (mut first, mut fourth) = (server.connection(), server.connection_to_db(3));
    add(&mut fourth, "q", "A", "");
    assert_eq!(get(&mut first, "q w"), []);
    add(&mut first, "q", "B", "");
    assert_eq!(get(&mut first, "q w LEASE 1h COUNT 2"), bodies(&[("B", 1)]));
    assert_eq!(
        get(&mut fourth, "q w LEASE 1h COUNT 2"),
        bodies(&[("A", 1)])
    );
    cmd!(first, "SWAPDB 0 3").text();
    let_pass(&mut first, "q", 3_600_000);
    assert_eq!(get(&mut first, "q w COUNT 2"), bodies(&[("A", 2)]));
    assert_eq!(get(&mut fourth, "q w COUNT 2"), []);
}

#[test]
fn keys_carry_no_prefix() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    assert_eq!(cmd!(con, "XLEN q").int(), 1);
}

/// Whoever works off a queue makes room.
#[test]
fn when_memory_is_short_nothing_is_added_but_all_else_goes_on() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for body in ["A", "B", "C"] {
        add(con, "q", body, "");
    }
    cmd!(con, "CONFIG SET maxmemory 1").text();
    expect_refusal(con, &["QUEUE.ADD", "q", "D"], "OOM", "");
    let got = take(con, "q w COUNT 3");
    assert_eq!(got.len(), 3);
    let [a, b, c] = [0, 1, 2].map(|at| got[at].id.clone());
    assert_eq!(number_of(con, &format!("TOUCH q w 1h {a}")), 1);
    assert_eq!(number_of(con, &format!("NACK q w {b}")), 1);
    assert_eq!(number_of(con, &format!("NACK q w {c} DEAD")), 1);
    assert_eq!(number_of(con, &format!("KICK q {c}")), 1);
    assert_eq!(number_of(con, &format!("ACK q {a} {b} {c}")), 3);
}

#[test]
fn key_patterns_hold() {
    let server = Server::start();
    let mut admin = server.connection();
    add(&mut admin, "other", "A", "");
    let id = add(&mut admin, "jobs:1", "A", "");
    cmd!(
        admin,
        "ACL SETUSER worker on >secret +queue.get +queue.ack +queue.stat ~jobs:*"
    )
    .text();
    cmd!(
        admin,
        "ACL SETUSER reader on >secret +queue.stat +queue.pending +queue.get %R~jobs:*"
    )
    .text();
    let mut con = server.connection();
    cmd!(con, "AUTH worker secret").text();
    assert_eq!(get(&mut con, "jobs:1 w"), bodies(&[("A", 1)]));
    assert_eq!(number_of(&mut con, &format!("ACK jobs:1 {id}")), 1);
    for line in [
        "GET other w",
        "STAT other",
        "ADD jobs:1 b",
        "PENDING jobs:1",
    ] {
        let error = try_queue(&mut con, line).unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"), "{line}: {error}");
    }
    cmd!(con, "AUTH reader secret").text();
    assert_eq!(stat(&mut con, "jobs:1"), [0; 4]);
    assert_eq!(try_queue(&mut con, "PENDING jobs:1").items(), []);
    assert_eq!(
        try_queue(&mut con, "GET jobs:1 w").unwrap_err().code(),
        Some("NOPERM")
    );
}
