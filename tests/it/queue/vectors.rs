//! The acceptance vectors, by number. Leases are an hour where a vector says 200 ms, and time passes
//! by [`let_pass`], unless the clock itself is what is tested.

use super::*;

const HOUR: i64 = 3_600_000;

/// Q1 to Q14: one story of three messages.
#[test]
fn q1_to_q14_leases_lapse_are_given_back_and_end_in_the_dead_letters() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let [a, b, c] = ["A", "B", "C"].map(|body| add(con, "q", body, ""));
    // Q1, Q2, Q3
    assert_eq!(
        get(con, "q w1 COUNT 2 LEASE 1h"),
        bodies(&[("A", 1), ("B", 1)])
    );
    assert_eq!(get(con, "q w2 COUNT 10 LEASE 1h"), bodies(&[("C", 1)]));
    assert_eq!(get(con, "q w3 COUNT 10"), []);
    // Q4
    assert_eq!(number_of(con, &format!("ACK q {a}")), 1);
    assert_eq!(number_of(con, &format!("ACK q {a}")), 0);
    assert_eq!(cmd!(con, "XLEN q").int(), 2);
    // Q5
    let_pass(con, "q", HOUR);
    assert_eq!(
        get(con, "q w3 COUNT 10 LEASE 1h"),
        bodies(&[("B", 2), ("C", 2)])
    );
    // Q7, then Q6: B is w3's now
    assert_eq!(number_of(con, &format!("NACK q w1 {b}")), 0);
    assert_eq!(number_of(con, &format!("ACK q {b}")), 1);
    // Q8
    assert_eq!(number_of(con, &format!("NACK q w3 {c}")), 1);
    assert_eq!(get(con, "q w4 LEASE 1h"), bodies(&[("C", 3)]));
    // Q9: past the lease, but not past the delay
    assert_eq!(number_of(con, &format!("NACK q w4 {c} DELAY 3h")), 1);
    assert_eq!(get(con, "q w5"), []);
    let_pass(con, "q", 2 * HOUR);
    assert_eq!(get(con, "q w5"), []);
    let_pass(con, "q", HOUR);
    assert_eq!(get(con, "q w5 LEASE 1h"), bodies(&[("C", 4)]));
    // Q10
    assert_eq!(number_of(con, &format!("TOUCH q w5 3h {c}")), 1);
    let_pass(con, "q", 2 * HOUR);
    assert_eq!(get(con, "q w6"), []);
    assert_eq!(number_of(con, &format!("TOUCH q w6 1h {c}")), 0);
    // Q11
    let_pass(con, "q", HOUR);
    assert_eq!(get(con, "q w6 MAX 4"), []);
    assert_eq!(dead(con, "q"), [(c.clone(), 4)]);
    assert_eq!(cmd!(con, "XPENDING q work").at(0).int(), 0);
    // Q12
    assert_eq!(number_of(con, &format!("KICK q {c}")), 1);
    assert_eq!(number_of(con, &format!("KICK q {c}")), 0);
    let again = take(con, "q w6 LEASE 1h");
    assert_eq!((again[0].id.as_str(), again[0].deliveries), (c.as_str(), 1));
    // Q13, Q14
    assert_eq!(number_of(con, &format!("NACK q w6 {c} DEAD")), 1);
    assert_eq!(dead(con, "q"), [(c.clone(), 1)]);
    assert_eq!(get(con, "q w6"), []);
    assert_eq!(number_of(con, &format!("ACK q {c}")), 1);
    assert_eq!(dead(con, "q"), []);
    assert_eq!(cmd!(con, "XLEN q").int(), 0);
}

#[test]
fn q15_a_full_queue_refuses() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "1", "MAXLEN 2");
    add(&mut con, "q", "2", "MAXLEN 2");
    let refused = ["QUEUE.ADD", "q", "3", "MAXLEN", "2"];
    expect_refusal(
        &mut con,
        &refused,
        "QUEUEFULL",
        "holds 2 messages, MAXLEN 2",
    );
    // Leased and dead ones count too, done ones don't.
    let got = take(&mut con, "q w COUNT 2");
    number_of(&mut con, &format!("NACK q w {} DEAD", got[0].id));
    expect_refusal(&mut con, &refused, "QUEUEFULL", "");
    number_of(&mut con, &format!("ACK q {}", got[0].id));
    add(&mut con, "q", "3", "MAXLEN 2");
    assert_eq!(cmd!(con, "XLEN q").int(), 2);
    assert_eq!(info_number(&mut con, "queue_refused"), 2);
}

#[test]
fn q16_what_expired_is_not_delivered() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "old", "TTL 100");
    let until = now_ms() + 100;
    add(&mut con, "q", "young", "TTL 1h");
    wait_for("it expires", SOON, || now_ms() >= until);
    assert_eq!(get(&mut con, "q w COUNT 10"), bodies(&[("young", 1)]));
    assert_eq!(cmd!(con, "XLEN q").int(), 1);
    assert_eq!(info_number(&mut con, "queue_expired"), 1);
}

/// Also one that expires while it is leased or put off.
#[test]
fn q16_what_expired_is_not_delivered_again() {
    let server = Server::start();
    let mut con = server.connection();
    for body in ["leased", "put off"] {
        add(&mut con, "q", body, "TTL 300");
    }
    let until = now_ms() + 300;
    let got = take(&mut con, "q w COUNT 2 LEASE 50");
    assert_eq!(got.len(), 2);
    assert_eq!(
        number_of(&mut con, &format!("NACK q w {} DELAY 60", got[1].id)),
        1
    );
    wait_for("they expire", SOON, || now_ms() >= until);
    assert_eq!(get(&mut con, "q w COUNT 10"), []);
    assert_eq!(cmd!(con, "XLEN q").int(), 0);
    assert_eq!(stat(&mut con, "q"), [0; 4]);
    assert_eq!(cmd!(con, "XPENDING q work").at(0).int(), 0);
}

#[test]
fn q17_a_delayed_message_comes_later_under_its_id() {
    let server = Server::start();
    let mut con = server.connection();
    let delayed = add(&mut con, "q", "later", "DELAY 300");
    let due = now_ms() + 300;
    add(&mut con, "q", "now", "");
    assert_eq!(stat(&mut con, "q"), [1, 1, 0, 0]);
    assert_eq!(get(&mut con, "q w COUNT 10"), bodies(&[("now", 1)]));
    let got = wait_for("the delayed one comes", SOON, || {
        let got = take(&mut con, "q w");
        assert!(got.is_empty() || now_ms() >= due - 1, "too early");
        got.into_iter().next()
    });
    assert_eq!((got.id, got.deliveries), (delayed, 1));
}

#[test]
fn q19_a_message_is_cancelled_before_it_is_delivered() {
    let server = Server::start();
    let mut con = server.connection();
    let [first, _, delayed] =
        [("1", ""), ("2", ""), ("3", "DELAY 1h")].map(|(body, how)| add(&mut con, "q", body, how));
    assert_eq!(number_of(&mut con, &format!("ACK q {first} {delayed}")), 2);
    assert_eq!(get(&mut con, "q w COUNT 10"), bodies(&[("2", 1)]));
    assert_eq!(stat(&mut con, "q"), [0, 0, 1, 0]);
}

#[test]
fn q20_bodies_and_attributes_are_any_bytes() {
    let server = Server::start();
    let mut con = server.connection();
    let odd: &[u8] = b"\x00\xff\r\n\x01";
    let words: [&[u8]; 6] = [b"QUEUE.ADD", odd, odd, b"attr", odd, odd];
    let mut add = redis::Cmd::new();
    for word in words {
        add.arg(word);
    }
    let id = con.run(&add).text();
    let row = cmd!(con, "QUEUE.GET", odd, odd).at(0);
    assert_eq!(row.at(0).text(), id);
    assert_eq!(row.at(1).bytes(), odd);
    assert_eq!(row.at(2).at(0).bytes(), odd);
    assert_eq!(row.at(2).at(1).bytes(), odd);
    let pending = cmd!(con, "QUEUE.PENDING", odd).at(0);
    assert_eq!(pending.fields()["worker"].bytes(), odd);
    assert_eq!(cmd!(con, "QUEUE.TOUCH", odd, odd, 1_000, &id).int(), 1);
    assert_eq!(cmd!(con, "QUEUE.NACK", odd, odd, &id, "DEAD").int(), 1);
    assert_eq!(cmd!(con, "QUEUE.KICK", odd, &id).int(), 1);
    assert_eq!(cmd!(con, "QUEUE.ACK", odd, &id).int(), 1);
}

#[test]
fn q21_a_lease_survives_a_reload_and_lapses_then() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    add(&mut con, "q", "B", "DELAY 2h");
    assert_eq!(get(&mut con, "q w1 LEASE 1h COUNT 2"), bodies(&[("A", 1)]));
    cmd!(con, "DEBUG RELOAD").text();
    assert_eq!(get(&mut con, "q w2 COUNT 2"), []);
    assert_eq!(stat(&mut con, "q"), [0, 1, 1, 0]);
    let_pass(&mut con, "q", HOUR);
    assert_eq!(get(&mut con, "q w2 COUNT 2"), bodies(&[("A", 2)]));
}

/// Q25.
#[test]
fn q25_a_message_that_kills_its_workers_is_dead_after_exactly_max_deliveries() {
    let server = Server::start();
    let mut con = server.connection();
    let poison = add(&mut con, "q", "poison", "");
    let mut tries = 0;
    let mut done = 0;
    for round in 0..10 {
        add(&mut con, "q", "good", "");
        for got in take(&mut con, &format!("q w{round} COUNT 10 LEASE 1h MAX 3")) {
            match got.body.as_str() {
                // The worker dies: it says nothing.
                "poison" => tries += 1,
                _ => done += number_of(&mut con, &format!("ACK q {}", got.id)),
            }
        }
        let_pass(&mut con, "q", HOUR);
    }
    assert_eq!((tries, done), (3, 10));
    assert_eq!(dead(&mut con, "q"), [(poison, 3)]);
    assert_eq!(stat(&mut con, "q"), [0, 0, 0, 1]);
}

/// Found by the model: one that was delivered before its turn, because its delay ended, is dead when
/// the same GET comes to its turn.
#[test]
fn what_dies_or_expires_ahead_of_its_turn_is_not_new_when_its_turn_comes() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let dies = add(con, "q", "dies", "DELAY 1h");
    add(con, "q", "first", "");
    let_pass(con, "q", HOUR);
    // Due, and so before the one that is new; the new one behind it is not come to.
    assert_eq!(get(con, "q w LEASE 1h MAX 1"), bodies(&[("dies", 1)]));
    let_pass(con, "q", HOUR);
    assert_eq!(
        get(con, "q w COUNT 5 LEASE 1h MAX 1"),
        bodies(&[("first", 1)])
    );
    assert_eq!(dead(con, "q"), [(dies, 1)]);
    assert_eq!(stat(con, "q"), [0, 0, 1, 1]);

    add(con, "p", "expires", "DELAY 1 TTL 150");
    let until = now_ms() + 150;
    add(con, "p", "first", "");
    wait_for("the delay ends", SOON, || stat(con, "p")[0] == 2);
    assert_eq!(get(con, "p w LEASE 1"), bodies(&[("expires", 1)]));
    wait_for("it expires", SOON, || now_ms() >= until);
    assert_eq!(get(con, "p w COUNT 5 LEASE 1h"), bodies(&[("first", 1)]));
    assert_eq!(info_number(con, "queue_expired"), 1);
    assert_eq!(stat(con, "p"), [0, 0, 1, 0]);
}

/// MAX 0.
#[test]
fn without_a_maximum_a_message_comes_for_ever() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    for n in 1..=20 {
        let got = take(&mut con, "q w MAX 0");
        assert_eq!(got[0].deliveries, n);
        number_of(&mut con, &format!("NACK q w {}", got[0].id));
    }
    assert_eq!(get(&mut con, "q w"), []);
    assert_eq!(dead(&mut con, "q").len(), 1);
}

#[test]
fn a_lease_lapses_by_the_clock() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    let start = now_ms();
    assert_eq!(get(&mut con, "q w1 LEASE 200"), bodies(&[("A", 1)]));
    let again = wait_for("it comes again", SOON, || {
        let got = get(&mut con, "q w2 LEASE 1h");
        (!got.is_empty()).then_some(got)
    });
    assert!(now_ms() >= start + 200, "after {} ms", now_ms() - start);
    assert_eq!(again, bodies(&[("A", 2)]));
}

#[test]
fn a_touch_does_not_outlast_the_message() {
    let server = Server::start();
    let mut con = server.connection();
    let id = add(&mut con, "q", "A", "TTL 1h");
    take(&mut con, "q w LEASE 1m");
    let left =
        |con: &mut Connection| cmd!(con, "QUEUE.PENDING q").at(0).fields()["lease_left"].int();
    assert_eq!(number_of(&mut con, &format!("TOUCH q w 2h {id}")), 1);
    let after = left(&mut con);
    assert!((HOUR - 60_000..=HOUR).contains(&after), "{after}");
    // It may get shorter.
    assert_eq!(number_of(&mut con, &format!("TOUCH q w 30s {id}")), 1);
    assert!(left(&mut con) <= 30_000);
    // And a lease that reaches further already stays.
    let got = take(&mut con, "q2 w");
    assert_eq!(got, []);
    let id = add(&mut con, "q2", "A", "TTL 1m");
    take(&mut con, "q2 w LEASE 1h");
    assert_eq!(number_of(&mut con, &format!("TOUCH q2 w 2h {id}")), 1);
    let left = cmd!(con, "QUEUE.PENDING q2").at(0).fields()["lease_left"].int();
    assert!((HOUR - 60_000..=HOUR).contains(&left), "{left}");
}

#[test]
fn a_dead_message_that_expired_is_not_revived() {
    let server = Server::start();
    let mut con = server.connection();
    let id = add(&mut con, "q", "A", "TTL 150");
    let until = now_ms() + 150;
    take(&mut con, "q w");
    assert_eq!(number_of(&mut con, &format!("NACK q w {id} DEAD")), 1);
    wait_for("it expires", SOON, || now_ms() >= until);
    assert_eq!(number_of(&mut con, &format!("KICK q {id}")), 0);
    assert_eq!(stat(&mut con, "q"), [0, 0, 0, 1]);
    assert_eq!(number_of(&mut con, &format!("ACK q {id}")), 1);
}
