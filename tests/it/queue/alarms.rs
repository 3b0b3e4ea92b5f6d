//! The alarms of queues that clients wait for: none is lost, and none keeps another from ringing.

use devicestate_core::slot::{self, Slot};

use super::blocking::{served, waiting};
use super::*;
use crate::support::cluster::{id_of, move_keys};
use crate::support::resp::encode;

/// What another command does after the deadline and before the timer: the alarm was set to a later one.
#[test]
fn an_alarm_that_is_due_rings_whatever_comes_before_it() {
    let server = Server::start();
    let mut con = server.connection();
    for line in ["QUEUE.GET q w1 LEASE 1h", "QUEUE.TOUCH q crashed 1h <A>"] {
        cmd!(con, "FLUSHALL").text();
        let first = add(&mut con, "q", "A", "");
        add(&mut con, "q", "B", "");
        take(&mut con, "q crashed COUNT 2 LEASE 1s");
        let client = waiting(&server, "q w2 BLOCK 0 LEASE 1h");
        // Both are read and done in one turn of the server's loop.
        let line = line.replace("<A>", &first);
        let words: Vec<&str> = line.split(' ').collect();
        let sleep = encode(&["DEBUG", "SLEEP", "1.2"]);
        let mut raw = Raw::connect(&server);
        raw.send(&[sleep, encode(&words)].concat());
        assert_eq!(raw.read(), b"+OK\r\n");
        raw.read();
        assert_eq!(served(client), bodies(&[("B", 2)]), "{line}");
    }
}

/// The timer looks whether it may write to the queue, which took the expired key away, and what is
/// remembered of it, while the list of alarms was being read.
#[test]
fn a_queue_that_expires_while_its_alarm_rings_is_none() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEBUG SET-ACTIVE-EXPIRE 0").text();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w LEASE 500");
    cmd!(con, "PEXPIRE q 300").int();
    let client = waiting(&server, "q w2 BLOCK 0");
    wait_for("it is taken away", SOON, || {
        server_info(&mut con, "stats", "expired_keys") == 1
    });
    let log = server.log();
    assert!(!log.contains("internal error"), "{log}");
    add(&mut con, "q", "B", "");
    assert_eq!(served(client), bodies(&[("B", 1)]));
}

/// A queue that has gone to another node, while its slot has not, can't be written.
#[test]
fn a_queue_that_is_on_its_way_keeps_no_other_from_being_served() {
    let cluster = Cluster::start(2, 0, Server::builder);
    let (from, to) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut names = (0..)
        .map(|n| format!("q{n}"))
        .filter(|name| usize::from(Slot::of(name.as_bytes()).number()) < slot::COUNT / 2);
    let (goes, stays) = (
        names.next().expect("a name"),
        names.next().expect("another"),
    );
    let (mut con, mut con_to) = (from.connection(), to.connection());
    for key in [&goes, &stays] {
        add(&mut con, key, "A", "");
        take(&mut con, &format!("{key} w LEASE 1h"));
    }
    let absent = waiting(from, &format!("{goes} w2 BLOCK 0"));
    let slot = Slot::of(goes.as_bytes()).number();
    cmd!(con_to, "CLUSTER SETSLOT", slot, "IMPORTING", id_of(from)).text();
    cmd!(con, "CLUSTER SETSLOT", slot, "MIGRATING", id_of(to)).text();
    move_keys(from, to, &[goes]);

    add(&mut con, &stays, "B", "");
    take(&mut con, &format!("{stays} w LEASE 500"));
    let client = waiting(from, &format!("{stays} w2 BLOCK 0"));
    assert_eq!(served(client), bodies(&[("B", 2)]));
    drop(absent);
}
