//! Messages that are new, with the lease that the server itself gives: taken by its own command.

use super::*;

/// The consumers of `work`.
#[track_caller]
fn consumers(con: &mut Connection) -> Vec<String> {
    let rows = cmd!(con, "XINFO CONSUMERS q work").items();
    rows.iter().map(|row| row.fields()["name"].text()).collect()
}

#[test]
fn the_lease_of_thirty_seconds_is_not_shifted() {
    let server = Server::start();
    let mut con = server.connection();
    for body in ["A", "B"] {
        add(&mut con, "q", body, "");
    }
    let before = now_ms();
    assert_eq!(get(&mut con, "q w"), bodies(&[("A", 1)]));
    assert_eq!(get(&mut con, "q w LEASE 30s"), bodies(&[("B", 1)]));
    for row in cmd!(con, "XPENDING q work - + 10").items() {
        assert!(row.at(2).int() <= now_ms() - before, "{row:?}");
    }
    for row in cmd!(con, "QUEUE.PENDING q").items() {
        let left = row.fields()["lease_left"].int();
        assert!((10_000..=30_000).contains(&left), "{left}");
    }
    assert_eq!(get(&mut con, "q w COUNT 2"), []);
    let_pass(&mut con, "q", 30_000);
    let again = bodies(&[("A", 2), ("B", 2)]);
    assert_eq!(get(&mut con, "q w COUNT 2"), again);
    let left = cmd!(con, "QUEUE.PENDING q").items()[0].fields()["lease_left"].int();
    assert!((10_000..=30_000).contains(&left), "{left}");
}

/// The server's command would make a consumer of it, and not replicate that.
#[test]
fn a_worker_that_finds_nothing_leaves_no_trace() {
    let server = Server::start();
    let mut con = server.connection();
    let [_, dead, _] = ["A", "B", "C"].map(|body| add(&mut con, "q", body, ""));
    add(&mut con, "q", "D", "DELAY 1h");
    assert_eq!(get(&mut con, "q w COUNT 9").len(), 3);
    number_of(&mut con, &format!("NACK q w {dead} DEAD"));
    for look in 0..3 {
        if look == 1 {
            forget(&mut con, "q");
        }
        assert_eq!(get(&mut con, "q idle"), []);
        assert_eq!(consumers(&mut con), ["-", "w"]);
    }
    add(&mut con, "q", "E", "");
    assert_eq!(get(&mut con, "q idle"), bodies(&[("E", 1)]));
    assert_eq!(consumers(&mut con), ["-", "idle", "w"]);
}

#[test]
fn what_other_programs_put_off_or_let_expire_is_not_handed_out() {
    let server = Server::start();
    let mut con = server.connection();
    let later = now_ms() + 3_600_000;
    cmd!(con, "XADD q * b A").text();
    cmd!(con, "XADD q * b later d", later).text();
    cmd!(con, "XADD q * b over x 1").text();
    cmd!(con, "XADD q * b B").text();
    cmd!(con, "XADD q * b C").text();
    // They do not count.
    let got = bodies(&[("A", 1), ("B", 1)]);
    assert_eq!(get(&mut con, "q w COUNT 2"), got);
    assert_eq!(stat(&mut con, "q"), [1, 1, 2, 0]);
    assert_eq!(cmd!(con, "XLEN q").int(), 4);
    assert_eq!(get(&mut con, "q w COUNT 2"), bodies(&[("C", 1)]));
    let_pass(&mut con, "q", 3_600_000);
    let mut all = get(&mut con, "q w2 COUNT 9");
    all.sort();
    let expected = bodies(&[("A", 2), ("B", 2), ("C", 2), ("later", 1)]);
    assert_eq!(all, expected);
}
