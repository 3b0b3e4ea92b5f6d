//! Clients that wait: what lets them go, where nobody may wait, and what happens around them.

use super::blocking::{served, wait_until_blocked, waiting};
use super::*;

#[test]
fn who_waited_long_enough_gets_an_empty_array() {
    let server = Server::start();
    let mut con = server.connection();
    let start = now_ms();
    assert_eq!(get(&mut con, "q w BLOCK 100"), []);
    assert!(now_ms() >= start + 100);
    // Nothing remains of it.
    wait_until_blocked(&mut con, 0);
    assert_eq!(cmd!(con, "EXISTS q").int(), 0);
    add(&mut con, "q", "A", "");
    assert_eq!(get(&mut con, "q w"), bodies(&[("A", 1)]));
}

#[test]
fn a_client_is_let_go() {
    let server = Server::start();
    let mut con = server.connection();
    let unblock = |con: &mut Connection, how: &str| {
        let clients = cmd!(con, "CLIENT LIST").text();
        let waiting = clients.lines().find(|line| line.contains("cmd=queue.get"));
        let id = waiting.and_then(|line| line.strip_prefix("id=")?.split(' ').next());
        cmd!(con, "CLIENT UNBLOCK", id.expect("a client that waits"), how).int()
    };
    let client = waiting(&server, "q w BLOCK 0");
    assert_eq!(unblock(&mut con, "TIMEOUT"), 1);
    assert_eq!(served(client), []);
    let mut client = waiting(&server, "q w BLOCK 0");
    assert_eq!(unblock(&mut con, "ERROR"), 1);
    assert!(client.read().starts_with(b"-UNBLOCKED"));
    // One that hangs up takes no message with it.
    drop(waiting(&server, "q w BLOCK 0"));
    wait_until_blocked(&mut con, 0);
    add(&mut con, "q", "A", "");
    assert_eq!(get(&mut con, "q w"), bodies(&[("A", 1)]));
}

#[test]
fn nobody_waits_in_a_transaction_or_a_script() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    cmd!(con, "QUEUE.GET q w BLOCK 0").text();
    cmd!(con, "QUEUE.ADD q A").text();
    cmd!(con, "QUEUE.GET q w BLOCK 0").text();
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(read(&replies[0]), []);
    assert_eq!(read(&replies[2])[0].body, "A");
    let script = "return redis.call('QUEUE.GET', KEYS[1], 'w', 'BLOCK', 0)";
    assert_eq!(cmd!(con, "EVAL", script, 1, "q").items(), []);
    add(&mut con, "q", "B", "");
    assert_eq!(read(cmd!(con, "EVAL", script, 1, "q").value())[0].body, "B");
}

#[test]
fn a_key_of_another_type_is_waited_out() {
    let server = Server::start();
    let mut con = server.connection();
    let client = waiting(&server, "q w BLOCK 0");
    cmd!(con, "RPUSH q x").int();
    cmd!(con, "DEL q").int();
    add(&mut con, "q", "A", "");
    assert_eq!(served(client), bodies(&[("A", 1)]));
}

/// Deadlines are found again when what is remembered is dropped.
#[test]
fn who_waits_is_woken_also_after_other_hands_were_at_the_queue() {
    let server = Server::start();
    let mut con = server.connection();
    for how in ["rename", "reload", "swap", "restore", "setid"] {
        cmd!(con, "FLUSHALL").text();
        add(&mut con, "q", "A", "");
        add(&mut con, "q", "never", "DELAY 1d");
        take(&mut con, "q w1 LEASE 600");
        let client = waiting(&server, "q w2 BLOCK 0");
        match how {
            "rename" => forget(&mut con, "q"),
            "reload" => drop(cmd!(con, "DEBUG RELOAD").text()),
            "swap" => {
                cmd!(con, "SWAPDB 0 1").text();
                cmd!(con, "SWAPDB 0 1").text();
            }
            "restore" => {
                let dump = cmd!(con, "DUMP q").bytes();
                cmd!(con, "RESTORE", "q", 0, dump, "REPLACE").text();
            }
            _ => drop(cmd!(con, "XGROUP SETID q work $").text()),
        }
        assert_eq!(served(client), bodies(&[("A", 2)]), "{how}");
    }
}

#[test]
fn clients_of_other_databases_wait_for_other_queues() {
    let server = Server::start();
    let (mut con, mut fourth) = (server.connection(), server.connection_to_db(3));
    let mut client = Raw::connect(&server);
    client.call(&["SELECT", "3"]);
    client.send_args(&["QUEUE.GET", "q", "w", "BLOCK", "0"]);
    wait_until_blocked(&mut con, 1);
    add(&mut con, "q", "other", "");
    add(&mut con, "q", "other", "DELAY 100");
    add(&mut fourth, "q", "A", "DELAY 200");
    assert_eq!(served(client), bodies(&[("A", 1)]));
    assert_eq!(stat(&mut con, "q")[0], 2 - stat(&mut con, "q")[1]);
}

/// A write during a pause would crash the server.
#[test]
fn nobody_is_served_during_a_pause() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w1 LEASE 300");
    let client = waiting(&server, "q w2 BLOCK 0");
    let start = now_ms();
    cmd!(con, "CLIENT PAUSE", 800, "WRITE").text();
    assert_eq!(served(client), bodies(&[("A", 2)]));
    assert!(now_ms() >= start + 800, "after {} ms", now_ms() - start);
}

#[test]
fn who_waits_on_a_server_that_becomes_a_replica_is_told() {
    let server = Server::start();
    let master = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w1 LEASE 200");
    let mut client = waiting(&server, "q w2 BLOCK 0");
    cmd!(con, "REPLICAOF", "127.0.0.1", master.port()).text();
    assert!(client.read().starts_with(b"-UNBLOCKED"));
}

#[test]
fn a_blocked_delivery_is_replicated_as_its_effect() {
    let server = crate::heartbeat::replication::server_with_aof();
    let mut con = server.connection();
    let client = waiting(&server, "q w BLOCK 0");
    let id = add(&mut con, "q", "A", "");
    assert_eq!(served(client).len(), 1);
    let commands = crate::heartbeat::replication::replicated(&server);
    let names: Vec<String> = commands.iter().map(|words| words[0].clone()).collect();
    assert!(
        names.iter().all(|name| !name.starts_with("QUEUE")),
        "{names:?}"
    );
    let claims: Vec<_> = commands
        .iter()
        .filter(|words| words[0] == "XCLAIM")
        .collect();
    assert_eq!(claims.len(), 1, "{commands:?}");
    assert_eq!(claims[0][..6], ["XCLAIM", "q", "work", "w", "0", &id]);
}

#[test]
fn hundred_clients_get_hundred_messages() {
    let server = Server::start();
    let mut con = server.connection();
    let clients: Vec<Raw> = (0..100)
        .map(|n| waiting(&server, &format!("q w{n} BLOCK 0")))
        .collect();
    for n in 0..100 {
        add(
            &mut con,
            "q",
            &n.to_string(),
            if n % 3 == 0 { "DELAY 100" } else { "" },
        );
    }
    let mut got: Vec<i64> = clients
        .into_iter()
        .map(|client| served(client)[0].0.parse().unwrap())
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..100).collect::<Vec<i64>>());
    assert_eq!(stat(&mut con, "q"), [0, 0, 100, 0]);
}
