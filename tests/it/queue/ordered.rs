//! INFLIGHT: the order is kept, and so many at once.

use super::*;

#[test]
fn one_at_a_time_in_order() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for body in ["1", "2", "3"] {
        add(con, "q", body, "");
    }
    for n in 1..=3 {
        let got = take(con, "q w COUNT 10 INFLIGHT 1");
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].body, n.to_string());
        // Nobody gets anything before it is done.
        assert_eq!(get(con, "q other COUNT 10 INFLIGHT 1"), []);
        number_of(con, &format!("ACK q {}", got[0].id));
    }
    assert_eq!(get(con, "q w INFLIGHT 1"), []);
}

#[test]
fn a_head_that_is_put_off_blocks_and_comes_again_first() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let first = add(con, "q", "1", "");
    add(con, "q", "2", "");
    take(con, "q w INFLIGHT 1");
    number_of(con, &format!("NACK q w {first} DELAY 1h"));
    assert_eq!(get(con, "q w INFLIGHT 1"), []);
    let_pass(con, "q", 3_600_000);
    assert_eq!(get(con, "q w INFLIGHT 1"), bodies(&[("1", 2)]));
    number_of(con, &format!("NACK q w {first} DEAD"));
    // What is dead is out of the way.
    assert_eq!(get(con, "q w INFLIGHT 1"), bodies(&[("2", 1)]));
}

#[test]
fn a_delayed_message_blocks_once_it_is_reached_and_not_before() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for (body, how) in [("1", ""), ("2", "DELAY 1h"), ("3", "")] {
        add(con, "q", body, how);
    }
    let got = take(con, "q w INFLIGHT 1");
    assert_eq!(got[0].body, "1");
    number_of(con, &format!("ACK q {}", got[0].id));
    assert_eq!(get(con, "q w INFLIGHT 1"), []);
    let_pass(con, "q", 3_600_000);
    let got = take(con, "q w INFLIGHT 1");
    assert_eq!(got[0].body, "2");
    assert_eq!(get(con, "q w INFLIGHT 1"), []);
    number_of(con, &format!("ACK q {}", got[0].id));
    assert_eq!(get(con, "q w INFLIGHT 1"), bodies(&[("3", 1)]));
}

/// A delayed one that is due before older ones were handed out does not overtake them.
#[test]
fn a_due_message_does_not_overtake() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for (body, how) in [("1", ""), ("2", ""), ("3", "DELAY 1h"), ("4", "")] {
        add(con, "q", body, how);
    }
    let_pass(con, "q", 3_600_000);
    for body in ["1", "2", "3", "4"] {
        let got = take(con, "q w INFLIGHT 1");
        assert_eq!((got.len(), got[0].body.as_str()), (1, body));
        number_of(con, &format!("ACK q {}", got[0].id));
    }
}

#[test]
fn so_many_at_once_and_no_more() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for n in 1..=6 {
        add(con, "q", &n.to_string(), "");
    }
    let got = take(con, "q w COUNT 2 INFLIGHT 3");
    assert_eq!(got.len(), 2);
    assert_eq!(get(con, "q w COUNT 5 INFLIGHT 3"), bodies(&[("3", 1)]));
    number_of(con, &format!("ACK q {}", got[1].id));
    // One place is free, though the oldest is not done.
    assert_eq!(get(con, "q w COUNT 5 INFLIGHT 3"), bodies(&[("4", 1)]));
    assert_eq!(get(con, "q w COUNT 5 INFLIGHT 3"), []);
    number_of(con, &format!("NACK q w {}", got[0].id));
    assert_eq!(get(con, "q w COUNT 5 INFLIGHT 3"), bodies(&[("1", 2)]));
    // Without it, nothing holds back.
    assert_eq!(get(con, "q w COUNT 5"), bodies(&[("5", 1), ("6", 1)]));
    assert_eq!(get(con, "q w INFLIGHT 3"), []);
}

/// All due at once: the oldest first, whatever their deadlines.
#[test]
fn what_lapsed_together_comes_in_order() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for n in 1..=4 {
        add(con, "q", &n.to_string(), "");
    }
    for lease in ["4h", "3h", "2h", "1h"] {
        assert_eq!(take(con, &format!("q w LEASE {lease}")).len(), 1);
    }
    let_pass(con, "q", 4 * 3_600_000);
    let got = take(con, "q w COUNT 10 INFLIGHT 2 LEASE 1h");
    let found: Vec<&str> = got.iter().map(|got| got.body.as_str()).collect();
    assert_eq!(found, ["1", "2"]);
    // Without INFLIGHT, what has been due for longest comes first.
    assert_eq!(get(con, "q w COUNT 10"), bodies(&[("4", 2), ("3", 2)]));
}

/// An older one that comes back while a younger one is out waits for it.
#[test]
fn a_revived_message_waits_for_the_one_that_is_out() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let first = add(con, "q", "1", "");
    add(con, "q", "2", "");
    take(con, "q w INFLIGHT 1");
    number_of(con, &format!("NACK q w {first} DEAD"));
    let second = take(con, "q w INFLIGHT 1");
    assert_eq!(number_of(con, &format!("KICK q {first}")), 1);
    assert_eq!(get(con, "q w INFLIGHT 1"), []);
    number_of(con, &format!("ACK q {}", second[0].id));
    assert_eq!(get(con, "q w INFLIGHT 1"), bodies(&[("1", 1)]));
}
