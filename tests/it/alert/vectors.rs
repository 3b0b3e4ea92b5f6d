//! The acceptance vectors A1 to A16 (`throttle-alert-queue.md`, 3.2): a user of the book is a device
//! that notifies that user, WAIT is given, and time passes by [`Clock`]; A13, whose silence the server
//! must have heard itself, has milliseconds for seconds.
//!
//! Not here: A12's replies (a rule answers nothing, so what it made of each value is read from
//! ALERT.LIST and the events); A15, which counts and so stands in `due.rs`; A16, which restarts, in
//! `restart.rs`; A17, which is another program's test of the same points, and whose sets of alerts
//! per group have no counterpart: A1, A4, A5 and A14 cover them.

use redis::Connection;

use super::calls::*;
use crate::devices::*;
use crate::support::*;

/// A book of users with a clock of its own.
struct Book {
    _server: Server,
    con: Connection,
    clock: Clock,
}

impl Book {
    #[track_caller]
    fn new() -> Book {
        let server = quick();
        let mut con = server.connection();
        for user in ["u1", "u2"] {
            cmd!(con, "DEVICE.REGISTER", format!("of-{user}"), "t").int();
        }
        Book {
            _server: server,
            con,
            clock: Clock::start(),
        }
    }

    #[track_caller]
    fn at(&mut self, second: i64) -> &mut Connection {
        self.clock.set(&mut self.con, second);
        &mut self.con
    }

    /// Raises an alert of `u1`; `more` are words of the command.
    #[track_caller]
    fn raise(&mut self, second: i64, alert: &str, severity: i64, more: &str) -> String {
        let wait = if more.contains("WAIT") { "" } else { "WAIT 0" };
        let words = format!("of-u1 {alert} SEVERITY {severity} {wait} {more} NOTIFY 1 u1");
        let words: Vec<&str> = words.split_whitespace().collect();
        raise(self.at(second), &words.join(" "))
    }

    #[track_caller]
    fn clear(&mut self, second: i64, alert: &str) -> i64 {
        clear(self.at(second), "of-u1", alert)
    }

    #[track_caller]
    fn batch(&mut self, second: i64) -> Option<Batch> {
        batch(self.at(second), "u1 LEASE 60s")
    }

    /// The batch of this second: its token, and its items as `alert state severity count first last`.
    #[track_caller]
    fn told(&mut self, second: i64) -> (String, Vec<String>) {
        let Some(batch) = self.batch(second) else {
            panic!("nothing at {second}: {:?}", snapshot(&mut self.con));
        };
        let line = |item: &Item| {
            let (first, last) = (self.clock.second(item.first), self.clock.second(item.last));
            let Item {
                alert,
                state,
                severity,
                count,
                ..
            } = item;
            format!("{alert} {state} {severity} {count} {first} {last}")
        };
        (batch.token, batch.items.iter().map(line).collect())
    }

    #[track_caller]
    fn done(&mut self, token: &str) -> i64 {
        done(&mut self.con, "u1", token)
    }
}

#[test]
fn a1_one_notification_per_hour_and_one_item() {
    let mut book = Book::new();
    for (second, outcome) in [
        (0, "new 1"),
        (60, "suppressed 2"),
        (3_599, "suppressed 3"),
        (3_600, "repeat 4"),
        (3_601, "suppressed 5"),
    ] {
        assert_eq!(book.raise(second, "sn1:temp", 2, ""), outcome, "{second}");
    }
    let (token, items) = book.told(3_700);
    assert_eq!(items, ["sn1:temp firing 2 5 0 3601"]);
    assert_eq!(book.batch(3_701), None);
    assert_eq!(book.done("99"), 0);
    assert_eq!(book.done(&token), 1);
    assert_eq!(book.done(&token), 0);
    assert_eq!(book.batch(3_702), None);
}

#[test]
fn a2_a_higher_severity_is_told_at_once() {
    let mut book = Book::new();
    for (second, severity, outcome) in [
        (0, 1, "new 1"),
        (10, 3, "escalated 2"),
        (20, 2, "suppressed 3"),
        (30, 3, "suppressed 4"),
    ] {
        assert_eq!(book.raise(second, "a", severity, ""), outcome, "{second}");
    }
    assert_eq!(book.told(40).1, ["a firing 3 4 0 30"]);
}

#[test]
fn a3_a_batch_that_is_not_done_comes_back_with_what_came_since() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    let (first, items) = book.told(10);
    assert_eq!(items, ["a firing 1 1 0 0"]);
    assert_eq!(book.raise(20, "b", 1, ""), "new 1");
    assert_eq!(book.batch(30), None);
    let (second, items) = book.told(70);
    assert_eq!(items, ["a firing 1 1 0 0", "b firing 1 1 20 20"]);
    assert_eq!(book.done(&first), 0);
    assert_eq!(book.done(&second), 2);
    assert_eq!(book.batch(71), None);
}

#[test]
fn a4_what_is_over_before_it_was_told_is_one_item() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    assert_eq!(book.clear(50, "a"), 1);
    assert_eq!(book.told(60).1, ["a resolved 1 1 0 50"]);
}

#[test]
fn a5_resolved_is_told_to_who_knows_that_it_fired() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    let (token, _) = book.told(10);
    assert_eq!(book.done(&token), 1);
    assert_eq!(book.clear(100, "a"), 1);
    let (token, items) = book.told(101);
    assert_eq!(items, ["a resolved 1 0 100 100"]);
    assert_eq!(book.done(&token), 1);
    assert_eq!(book.clear(110, "a"), 0);
    assert_eq!(book.batch(111), None);
}

#[test]
fn a7_a_held_alert_needs_a_second_sighting() {
    let mut book = Book::new();
    for (second, outcome) in [
        (0, "held 1"),
        (100, "held 2"),
        (299, "held 3"),
        (300, "new 4"),
        (310, "suppressed 5"),
    ] {
        assert_eq!(book.batch(second), None);
        let found = book.raise(second, "a", 1, "FOR 300s");
        assert_eq!(found, outcome, "{second}");
        if outcome.starts_with("new") {
            break;
        }
    }
    assert_eq!(book.raise(310, "a", 1, "FOR 300s"), "suppressed 5");
    assert_eq!(book.told(320).1, ["a firing 1 5 0 310"]);
}

#[test]
fn a8_a_held_alert_that_is_cleared_in_time_vanishes() {
    let mut book = Book::new();
    assert_eq!(book.raise(0, "a", 1, "FOR 300s"), "held 1");
    assert_eq!(book.clear(100, "a"), 0);
    assert_eq!(cmd!(book.con, "EXISTS device:alerts:of-u1").int(), 0);
    assert_eq!(book.raise(300, "a", 1, "FOR 300s"), "held 1");
    assert_eq!(book.batch(301), None);
}

#[test]
fn a9_an_acknowledged_alert_is_told_when_it_gets_worse() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    assert_eq!(cmd!(book.con, "ALERT.ACK of-u1 a").int(), 1);
    assert_eq!(cmd!(book.con, "ALERT.ACK of-u1 a").int(), 0);
    for (second, severity, outcome) in [
        (3_600, 1, "suppressed 2"),
        (7_200, 1, "suppressed 3"),
        (7_300, 3, "escalated 4"),
        (10_900, 3, "repeat 5"),
    ] {
        assert_eq!(book.raise(second, "a", severity, ""), outcome, "{second}");
    }
}

#[test]
fn a10_an_urgent_one_takes_the_rest_along() {
    let mut book = Book::new();
    book.raise(0, "low", 1, "WAIT 10800s");
    assert_eq!(book.batch(3_600), None);
    assert_eq!(due(&mut book.con), Vec::<String>::new());
    book.raise(4_000, "crit", 5, "WAIT 0");
    assert_eq!(due(&mut book.con), ["u1"]);
    let expected = ["crit firing 5 1 4000 4000", "low firing 1 1 0 0"];
    assert_eq!(book.told(4_001).1, expected);
}

#[test]
fn a10_without_it_the_rest_goes_when_the_earliest_has_waited() {
    let mut book = Book::new();
    book.raise(0, "low", 1, "WAIT 10800s");
    book.raise(5_000, "later", 2, "WAIT 10800s");
    assert_eq!(book.batch(10_798), None);
    let expected = ["later firing 2 1 5000 5000", "low firing 1 1 0 0"];
    assert_eq!(book.told(10_800).1, expected);
}

#[test]
fn a11_who_waits_longest_is_due_first_and_no_two_get_the_same() {
    let mut book = Book::new();
    raise(book.at(0), "of-u2 a WAIT 0 NOTIFY 1 u2");
    raise(book.at(5), "of-u1 a WAIT 0 NOTIFY 1 u1");
    assert_eq!(due(&mut book.con), ["u2", "u1"]);
    assert_eq!(cmd!(book.con, "ALERT.DUE COUNT 1").texts(), ["u2"]);
    for user in ["u2", "u1"] {
        assert!(batch(&mut book.con, user).is_some());
        assert_eq!(batch(&mut book.con, user), None);
    }
    assert_eq!(due(&mut book.con), Vec::<String>::new());
}

#[test]
fn a12_bands_and_hysteresis() {
    let mut book = Book::new();
    let rule = r#"{"path":"v","bands":[{"severity":1,"low":35,"high":38},
        {"severity":2,"low":34,"high":39.5}],"hysteresis":0.3,"wait":0,"notify":["u1"]}"#;
    set_rule(&mut book.con, "t", "a", rule);
    for (step, (value, state_after, told_of)) in (0..).zip([
        ("37.0", "none", 0),
        ("38.2", "firing 1 1", 1),
        ("38.4", "firing 1 2", 1),
        ("39.6", "firing 2 3", 2),
        ("38.5", "firing 2 4", 2),
        ("37.9", "firing 2 4", 2),
        ("37.6", "none", 3),
        ("38.1", "firing 1 5", 3),
    ]) {
        let document = format!("{{\"v\":{value}}}");
        report(book.at(10 * step), "of-u1", &document);
        assert_eq!(state(&mut book.con, "of-u1", "a"), state_after, "{value}");
        assert_eq!(announced(&mut book.con, "of-u1").len(), told_of, "{value}");
    }
    assert_eq!(book.told(80).1, ["a firing 2 5 10 70"]);
}

#[test]
fn a13_kept_for_as_long_as_it_is_raised() {
    let mut book = Book::new();
    let raised = now_ms();
    assert_eq!(book.raise(0, "a", 1, "KEEP 600"), "new 1");
    let (token, _) = book.told(0);
    assert_eq!(book.done(&token), 1);
    let resolved = wait_for("it is told resolved", SOON, || {
        batch(&mut book.con, "u1").map(|batch| (now_ms(), batch))
    });
    let (at, batch) = resolved;
    assert!(at >= raised + 600, "after {} ms", at - raised);
    assert_eq!(batch.lines(), ["of-u1 a resolved 1 0"]);
    assert_eq!(state(&mut book.con, "of-u1", "a"), "none");
}

#[test]
fn a14_cleared_while_the_batch_is_out() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    let (token, _) = book.told(10);
    assert_eq!(book.clear(20, "a"), 1);
    assert_eq!(book.batch(21), None);
    assert_eq!(book.done(&token), 1);
    assert_eq!(book.told(22).1, ["a resolved 1 0 20 20"]);
}

#[test]
fn a14_cleared_while_a_batch_is_out_that_is_lost() {
    let mut book = Book::new();
    book.raise(0, "a", 1, "");
    book.told(10);
    assert_eq!(book.clear(20, "a"), 1);
    assert_eq!(book.told(70).1, ["a resolved 1 1 0 20"]);
}
