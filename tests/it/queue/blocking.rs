//! Clients that wait, and what wakes them.

use super::*;

/// A client that waits in QUEUE.GET.
pub(super) fn waiting(server: &Server, words: &str) -> Raw {
    let mut con = server.connection();
    let before = blocked(&mut con);
    let mut raw = Raw::connect(server);
    let line = format!("QUEUE.GET {words}");
    raw.send_args(&line.split(' ').collect::<Vec<_>>());
    wait_until_blocked(&mut con, before + 1);
    raw
}

fn blocked(con: &mut Connection) -> i64 {
    server_info(con, "clients", "blocked_clients")
}

#[track_caller]
pub(super) fn wait_until_blocked(con: &mut Connection, clients: i64) {
    wait_for(&format!("{clients} clients wait"), SOON, || {
        blocked(con) == clients
    });
}

/// What it got at last.
#[track_caller]
pub(super) fn served(mut raw: Raw) -> Vec<(String, i64)> {
    let reply = redis::parse_redis_value(&raw.read()).expect("a reply");
    let got = read(&reply);
    got.into_iter()
        .map(|got| (got.body, got.deliveries))
        .collect()
}

#[test]
fn a_new_message_wakes() {
    let server = Server::start();
    let mut con = server.connection();
    // A queue that is not there yet, one that is there, and hands that do not know of queues.
    for _ in 0..2 {
        let client = waiting(&server, "q w BLOCK 0");
        add(&mut con, "q", "A", "");
        assert_eq!(served(client), bodies(&[("A", 1)]));
    }
    let client = waiting(&server, "q w BLOCK 0");
    cmd!(con, "XADD q * b B").text();
    assert_eq!(served(client), bodies(&[("B", 1)]));
    // It is leased as any other.
    assert_eq!(stat(&mut con, "q"), [0, 0, 3, 0]);
}

#[test]
fn what_is_there_is_not_waited_for() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    assert_eq!(get(&mut con, "q w BLOCK 0"), bodies(&[("A", 1)]));
}

#[test]
fn a_lease_that_lapses_wakes_on_time() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    let start = now_ms();
    take(&mut con, "q w1 LEASE 300");
    let client = waiting(&server, "q w2 BLOCK 0");
    assert_eq!(served(client), bodies(&[("A", 2)]));
    assert!(now_ms() >= start + 300, "after {} ms", now_ms() - start);
    // One that waits already when the lease is given is woken as well.
    cmd!(con, "DEL q").int();
    let client = waiting(&server, "q w2 INFLIGHT 1 BLOCK 0");
    cmd!(con, "MULTI").text();
    cmd!(con, "QUEUE.ADD q B").text();
    cmd!(con, "QUEUE.GET q w1 LEASE 300").text();
    cmd!(con, "EXEC").items();
    assert_eq!(served(client), bodies(&[("B", 2)]));
}

#[test]
fn a_delay_that_ends_wakes_on_time() {
    let server = Server::start();
    let mut con = server.connection();
    // Longer delays are set first: the alarm moves forward, and then back.
    let client = waiting(&server, "q w1 BLOCK 0");
    let other = waiting(&server, "q w2 BLOCK 0");
    let start = now_ms();
    add(&mut con, "q", "late", "DELAY 500");
    add(&mut con, "q", "soon", "DELAY 200");
    assert_eq!(served(client), bodies(&[("soon", 1)]));
    let passed = now_ms() - start;
    assert!(passed >= 200, "after {passed} ms");
    assert_eq!(served(other), bodies(&[("late", 1)]));
    let passed = now_ms() - start;
    assert!(passed >= 500, "after {passed} ms");
}

#[test]
fn what_is_given_back_wakes() {
    let server = Server::start();
    let mut con = server.connection();
    let id = add(&mut con, "q", "A", "");
    take(&mut con, "q w1 LEASE 1h");
    let client = waiting(&server, "q w2 BLOCK 0 LEASE 1h");
    number_of(&mut con, &format!("NACK q w1 {id}"));
    assert_eq!(served(client), bodies(&[("A", 2)]));
    let client = waiting(&server, "q w3 BLOCK 0 LEASE 1h");
    number_of(&mut con, &format!("NACK q w2 {id} DELAY 200"));
    assert_eq!(served(client), bodies(&[("A", 3)]));
    let client = waiting(&server, "q w4 BLOCK 0 LEASE 1h");
    number_of(&mut con, &format!("NACK q w3 {id} DEAD"));
    number_of(&mut con, &format!("KICK q {id}"));
    assert_eq!(served(client), bodies(&[("A", 1)]));
    // A lease that is made shorter.
    let client = waiting(&server, "q w5 BLOCK 0 LEASE 1h");
    number_of(&mut con, &format!("TOUCH q w4 200 {id}"));
    assert_eq!(served(client), bodies(&[("A", 2)]));
}

#[test]
fn in_order_the_next_one_wakes_when_the_one_before_is_done() {
    let server = Server::start();
    let mut con = server.connection();
    let first = add(&mut con, "q", "1", "");
    add(&mut con, "q", "2", "");
    take(&mut con, "q w1 INFLIGHT 1");
    let client = waiting(&server, "q w2 INFLIGHT 1 BLOCK 0");
    number_of(&mut con, &format!("ACK q {first}"));
    assert_eq!(served(client), bodies(&[("2", 1)]));
}

/// The server must not spin over a message that is due but has to wait for its turn.
#[test]
fn in_order_a_due_message_that_must_wait_costs_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    for body in ["1", "2"] {
        add(&mut con, "q", body, "");
    }
    // 1 is out for long, 2 lapses at once.
    take(&mut con, "q w1 LEASE 1h");
    take(&mut con, "q w1 LEASE 1");
    let client = waiting(&server, "q w2 INFLIGHT 1 BLOCK 0");
    let calls = |con: &mut Connection| {
        let stats = cmd!(con, "INFO commandstats").text();
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_xinfo|groups:calls="));
        line.and_then(|rest| rest.split(',').next()?.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let before = calls(&mut con);
    let start = now_ms();
    wait_for("some time passes", SOON, || now_ms() > start + 300);
    let looks = calls(&mut con) - before;
    assert!(looks <= 2, "{looks} looks in vain");
    drop(client);
}

#[test]
fn the_first_to_wait_is_the_first_to_be_served() {
    let server = Server::start();
    let mut con = server.connection();
    let first = waiting(&server, "q w1 BLOCK 0");
    let second = waiting(&server, "q w2 COUNT 10 BLOCK 0");
    let third = waiting(&server, "q w3 BLOCK 0");
    cmd!(con, "MULTI").text();
    for body in ["1", "2", "3"] {
        cmd!(con, "QUEUE.ADD", "q", body).text();
    }
    cmd!(con, "EXEC").items();
    assert_eq!(served(first), bodies(&[("1", 1)]));
    assert_eq!(served(second), bodies(&[("2", 1), ("3", 1)]));
    wait_until_blocked(&mut con, 1);
    add(&mut con, "q", "4", "");
    assert_eq!(served(third), bodies(&[("4", 1)]));
}
