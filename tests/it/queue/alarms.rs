//! The alarms of queues that clients wait for: none is lost, and none keeps another from ringing.

use super::blocking::{served, waiting};
use super::*;
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
