//! QUEUE.STAT, QUEUE.PENDING and INFO.

use super::*;

#[test]
fn stat_counts_every_state() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for (n, how) in [(0, ""), (1, ""), (2, ""), (3, ""), (4, "DELAY 1h"), (5, "")] {
        add(con, "q", &n.to_string(), how);
    }
    assert_eq!(stat(con, "q"), [5, 1, 0, 0]);
    let got = take(con, "q w COUNT 4 LEASE 1h");
    assert_eq!(stat(con, "q"), [1, 1, 4, 0]);
    number_of(con, &format!("NACK q w {} DEAD", got[0].id));
    number_of(con, &format!("NACK q w {} DELAY 2h", got[1].id));
    number_of(con, &format!("NACK q w {}", got[2].id));
    assert_eq!(stat(con, "q"), [2, 2, 1, 1]);
    let_pass(con, "q", 3_600_000);
    assert_eq!(stat(con, "q"), [4, 1, 0, 1]);
    number_of(con, &format!("KICK q {}", got[0].id));
    assert_eq!(stat(con, "q"), [5, 1, 0, 0]);
    assert_eq!(take(con, "q w COUNT 10").len(), 5);
    assert_eq!(stat(con, "q"), [0, 1, 5, 0]);
}

#[test]
fn the_oldest_age_is_that_of_what_is_still_to_be_done() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let age = |con: &mut Connection| cmd!(con, "QUEUE.STAT q").fields()["oldest_age"].clone();
    let now = now_ms();
    let hours = |n: i64| format!("{}-1", now - n * 3_600_000);
    for (n, body) in [(3, "dead"), (2, "leased"), (1, "new")] {
        cmd!(con, "XADD", "q", hours(n), "b", body).text();
    }
    let is_about = |age: Value, n: i64| {
        let age = age.int() - n * 3_600_000;
        assert!((0..60_000).contains(&age), "{age}");
    };
    is_about(age(con), 3);
    take(con, "q w COUNT 2");
    number_of(con, &format!("NACK q w {} DEAD", hours(3)));
    is_about(age(con), 2);
    number_of(con, &format!("ACK q {}", hours(2)));
    is_about(age(con), 1);
    number_of(con, &format!("ACK q {}", hours(1)));
    assert!(age(con).is_nil());
}

/// Whatever lies behind the last delivered id, and whoever put it there.
#[test]
fn the_oldest_age_is_found_among_what_is_put_off() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let oldest = |con: &mut Connection| {
        let age = cmd!(con, "QUEUE.STAT q").fields()["oldest_age"].clone();
        (!age.is_nil()).then(|| (age.int() + 30_000) / 3_600_000)
    };
    let now = now_ms();
    let hours = |n: i64| format!("{}-1", now - n * 3_600_000);
    let put_off = now + 3_600_000;
    for n in [9, 8, 7] {
        cmd!(con, "XADD", "q", hours(n), "b", "late", "d", put_off).text();
    }
    assert_eq!(get(con, "q w"), []);
    // From here on they are pending, and new ones as far as the group knows.
    cmd!(con, "XGROUP SETID q work 0").text();
    assert_eq!(oldest(con), Some(9));
    cmd!(con, "XADD", "q", hours(6), "b", "new").text();
    cmd!(con, "XADD", "q", hours(5), "b", "new").text();
    for (gone, left) in [(9, Some(8)), (7, Some(8)), (8, Some(6))] {
        number_of(con, &format!("ACK q {}", hours(gone)));
        assert_eq!(oldest(con), left);
    }
    // Nobody is told of an entry that is deleted by hand.
    cmd!(con, "XDEL", "q", hours(6)).int();
    assert_eq!(oldest(con), Some(5));
    cmd!(con, "XADD", "q", hours(4), "b", "new").text();
    let got = take(con, "q w LEASE 1h");
    assert_eq!(oldest(con), Some(5));
    number_of(con, &format!("NACK q w {} DEAD", got[0].id));
    assert_eq!(oldest(con), Some(4));
    cmd!(con, "XGROUP SETID q work 0").text();
    assert_eq!(oldest(con), Some(4));
    number_of(con, &format!("KICK q {}", hours(5)));
    assert_eq!(oldest(con), Some(5));
    number_of(con, &format!("ACK q {} {}", hours(5), hours(4)));
    assert_eq!(oldest(con), None);
}

#[test]
fn pending_lists_what_is_not_new() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for (body, how) in [
        ("1", ""),
        ("2", ""),
        ("3", ""),
        ("4", "DELAY 2h"),
        ("5", ""),
    ] {
        add(con, "q", body, how);
    }
    let got = take(con, "q w COUNT 3 LEASE 1h");
    number_of(con, &format!("NACK q w {} DEAD", got[0].id));
    number_of(con, &format!("NACK q w {}", got[1].id));
    let rows = cmd!(con, "QUEUE.PENDING q").items();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let row = row.fields();
            let worker = (!row["worker"].is_nil()).then(|| row["worker"].text());
            (row["state"].text(), worker, row["deliveries"].int())
        })
        .collect();
    let expected = [
        ("dead", None, 1),
        ("ready", None, 1),
        ("leased", Some("w"), 1),
        ("delayed", None, 0),
    ];
    let expected =
        expected.map(|(state, worker, n)| (state.to_owned(), worker.map(str::to_owned), n));
    assert_eq!(shown, expected);
    assert_eq!(rows[0].fields()["id"].text(), got[0].id);
    let left: Vec<Value> = rows
        .iter()
        .map(|row| row.fields()["lease_left"].clone())
        .collect();
    assert!(left[0].is_nil());
    assert_eq!(left[1].int(), 0);
    assert!((3_500_000..=3_600_000).contains(&left[2].int()), "{left:?}");
    assert!((7_100_000..=7_200_000).contains(&left[3].int()), "{left:?}");
    let_pass(con, "q", 3_600_000);
    let rows = cmd!(con, "QUEUE.PENDING q COUNT 3").items();
    assert_eq!(rows.len(), 3);
    // Lapsed, but nobody took it: the worker still has it.
    let third = rows[2].fields();
    assert_eq!(
        (third["state"].text(), third["worker"].text()),
        ("ready".into(), "w".into())
    );
    assert_eq!(third["lease_left"].int(), 0);
}

/// A lease that is over, but that nobody took: its holder may still settle it.
#[test]
fn a_lapsed_lease_is_its_holders_until_somebody_else_gets_the_message() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let id = add(con, "q", "A", "");
    take(con, "q w1 LEASE 1h");
    let_pass(con, "q", 3_600_000);
    assert_eq!(number_of(con, &format!("TOUCH q w1 1h {id}")), 1);
    assert_eq!(get(con, "q w2"), []);
    let_pass(con, "q", 3_600_000);
    assert_eq!(get(con, "q w2 LEASE 1h"), bodies(&[("A", 2)]));
    assert_eq!(number_of(con, &format!("TOUCH q w1 1h {id}")), 0);
    assert_eq!(number_of(con, &format!("NACK q w1 {id} DEAD")), 0);
}

#[test]
fn info_counts() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for n in 0..4 {
        add(con, "q", &n.to_string(), "");
    }
    let got = take(con, "q w COUNT 4 LEASE 1h");
    number_of(con, &format!("ACK q {} {} 1-1", got[0].id, got[0].id));
    number_of(con, &format!("NACK q w {} {} 1-1", got[1].id, got[2].id));
    number_of(con, &format!("NACK q w {} DEAD", got[3].id));
    take(con, "q w COUNT 4 MAX 1");
    let id = add(con, "p", "x", "TTL 1");
    wait_for_the_clock();
    wait_for("it is dropped", SOON, || {
        take(con, "p w");
        cmd!(con, "XRANGE", "p", &id, &id).items().is_empty()
    });
    let _ = try_queue(con, "ADD q b MAXLEN 1");
    for (name, expected) in [
        ("added", 5),
        ("delivered", 4),
        ("redelivered", 0),
        ("acked", 1),
        ("nacked", 3),
        ("dead", 3),
        ("expired", 1),
        ("refused", 1),
    ] {
        assert_eq!(
            info_number(con, &format!("queue_{name}")),
            expected,
            "{name}"
        );
    }
    add(con, "r", "x", "");
    let id = take(con, "r w")[0].id.clone();
    number_of(con, &format!("NACK r w {id}"));
    take(con, "r w");
    assert_eq!(info_number(con, "queue_redelivered"), 1);
}
