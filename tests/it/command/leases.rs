//! A command that was taken and not done comes back, five times; one that waits too long goes.

use std::collections::BTreeSet;
use std::thread;

use super::*;

#[test]
fn a_lease_keeps_a_command_from_being_handed_out_again() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {\"a\":1}");
    let taken_at = now_ms();
    assert_eq!(take_ids(&mut con, "d LEASE 300"), [id.as_str()]);
    let (again, at) = wait_for("the lease ends", SOON, || {
        let taken = take(&mut con, "d");
        (!taken.is_empty()).then(|| (taken, now_ms()))
    });
    assert_eq!(again, [(id, "{\"a\":1}".to_owned(), 2)]);
    assert!(at >= taken_at + 300, "after {} ms", at - taken_at);
}

#[test]
fn leases_are_30_seconds_unless_told_and_may_have_units() {
    let (_server, mut con) = with_device();
    for (option, lease) in [
        ("", 30_000),
        (" LEASE 90s", 90_000),
        (" lease 1", 1),
        (" LEASE 315360000000", 315_360_000_000),
    ] {
        let id = give(&mut con, "d {}");
        let before = now_ms();
        assert_eq!(take_ids(&mut con, &format!("d{option}")), [id.as_str()]);
        let row = list(&mut con, "d").remove(0);
        let left = match row["left_ms"].is_nil() {
            true => 0,
            false => row["left_ms"].int(),
        };
        let passed = now_ms() - before + 1;
        assert!((lease - passed..=lease).contains(&left), "{option}: {left}");
        assert_eq!(cancel(&mut con, "d", &id), 1);
        cmd!(con, "DEL device:outcomes:d").int();
    }
}

#[test]
fn after_five_deliveries_in_vain_a_command_is_dead() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {\"a\":1}");
    wear_out(&mut con, &id);
    let row = list(&mut con, "d").remove(0);
    assert_eq!(row["state"].text(), "dead");
    assert_eq!(row["deliveries"].int(), 5);
    assert!(row["left_ms"].is_nil());
    // It does not stand in the way of the next one.
    let next = give(&mut con, "d {\"a\":2}");
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d COUNT 9"), [next]);
    assert_eq!(
        cmd!(con, "QUEUE.STAT device:commands:d").fields()["dead"].int(),
        1
    );
}

#[test]
fn an_operator_can_revive_a_dead_command() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {\"a\":1}");
    wear_out(&mut con, &id);
    assert_eq!(waiting(&mut con, "d"), 0);
    assert_eq!(cmd!(con, "QUEUE.KICK device:commands:d", &id).int(), 1);
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take(&mut con, "d"), [(id, "{\"a\":1}".to_owned(), 1)]);
}

#[test]
fn a_delayed_command_is_handed_out_when_its_time_has_come() {
    let (_server, mut con) = with_device();
    let before = now_ms();
    let late = give(&mut con, "d {\"a\":1} DELAY 800");
    let at_once = give(&mut con, "d {\"a\":2} DELAY 0");
    let row = list(&mut con, "d").remove(0);
    assert_eq!(row["state"].text(), "delayed");
    assert!((1..=800).contains(&row["left_ms"].int()), "{row:?}");
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d COUNT 9"), [at_once]);
    assert_eq!(waiting(&mut con, "d"), 0);
    wait_for("the delay is over", SOON, || waiting(&mut con, "d") == 1);
    assert!(now_ms() >= before + 800);
    assert_eq!(take(&mut con, "d"), [(late, "{\"a\":1}".to_owned(), 1)]);
}

#[test]
fn what_is_not_done_in_its_time_to_live_goes() {
    let (_server, mut con) = with_device();
    let before = now_ms();
    let short = give(&mut con, "d {\"a\":1} TTL 200ms");
    let day = give(&mut con, "d {\"a\":2}");
    let end = |con: &mut Connection, id: &str| {
        let entry = cmd!(con, "XRANGE device:commands:d", id, id).at(0);
        entry.at(1).text_fields()["x"].parse::<i64>()
    };
    let after = now_ms();
    for (id, ttl) in [(&short, 200), (&day, 86_400_000)] {
        let at = end(&mut con, id).expect("a time");
        assert!((before + ttl..=after + ttl).contains(&at), "{id}: {at}");
    }
    // A device that comes too late gets the rest only.
    wait_for("the short one is over", SOON, || now_ms() > after + 200);
    assert_eq!(take_ids(&mut con, "d COUNT 9"), [day]);
    assert_eq!(done(&mut con, &format!("d {short} OK")), 0);
    assert_eq!(states(&mut con), ["taken"]);
}

#[test]
fn what_is_taken_and_expires_is_not_handed_out_again_but_may_still_be_done() {
    let (_server, mut con) = with_device();
    let [done_late, never_done] =
        [1, 2].map(|n| give(&mut con, &format!("d {{\"n\":{n}}} TTL 800")));
    assert_eq!(take_ids(&mut con, "d COUNT 2 LEASE 100").len(), 2);
    let taken = now_ms();
    wait_for("time to live and lease are over", SOON, || {
        now_ms() > taken + 800
    });
    assert_eq!(done(&mut con, &format!("d {done_late} OK")), 1);
    assert_eq!(take(&mut con, "d COUNT 9"), []);
    assert_eq!(done(&mut con, &format!("d {never_done} OK")), 0);
    assert_eq!(states(&mut con), ["done"]);
}

/// A queue without commands is no key, and its device pays nothing for it.
#[test]
fn when_the_last_command_expires_the_queue_goes() {
    let (_server, mut con) = with_device();
    give(&mut con, "d {\"a\":1} TTL 1");
    let given = now_ms();
    wait_for("it is over", SOON, || now_ms() > given + 1);
    assert_eq!(take(&mut con, "d"), []);
    assert_eq!(cmd!(con, "EXISTS device:commands:d").int(), 0);
    assert_eq!(waiting(&mut con, "d"), 0);
    let next = give(&mut con, "d {\"a\":2}");
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d"), [next]);
}

#[test]
fn two_takers_never_get_the_same_command() {
    let (server, mut con) = with_device();
    let given: BTreeSet<String> = give_many(&mut con, 400).into_iter().collect();
    let taken: Vec<Vec<String>> = thread::scope(|scope| {
        let takers: Vec<_> = (1..=4)
            .map(|count| {
                let server = &server;
                scope.spawn(move || {
                    let mut con = server.connection();
                    let mut all = Vec::new();
                    loop {
                        let some = take_ids(&mut con, &format!("d COUNT {count} LEASE 1h"));
                        if some.is_empty() {
                            return all;
                        }
                        for id in some.iter().filter(|id| id.ends_with('0')) {
                            assert_eq!(done(&mut con, &format!("d {id} OK")), 1);
                        }
                        all.extend(some);
                    }
                })
            })
            .collect();
        takers
            .into_iter()
            .map(|taker| taker.join().expect("a taker"))
            .collect()
    });
    let all: Vec<String> = taken.concat();
    assert_eq!(all.len(), 400);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), given);
}
