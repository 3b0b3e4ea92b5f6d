//! The fixed window: a plain counter with a time to live.

use super::*;

#[test]
fn the_counter_is_a_plain_number_with_a_time_to_live() {
    let server = Server::start();
    let mut con = server.connection();
    let before = now_ms();
    for count in 1..=12 {
        assert_eq!(hit(&mut con, "w 100 1h")[..3], [0, 100, 100 - count]);
        assert_eq!(cmd!(con, "GET w").int(), count);
    }
    assert_eq!(cmd!(con, "TYPE w").text(), "string");
    let at = cmd!(con, "PEXPIRETIME w").int();
    assert!((before + HOUR_MS..=now_ms() + HOUR_MS).contains(&at));
    // The window began with the first hit; the others have not moved its end.
    wait_for_the_clock();
    hit(&mut con, "w 100 1h COST 50");
    assert_eq!(cmd!(con, "PEXPIRETIME w").int(), at);
    assert_eq!(cmd!(con, "GET w").int(), 62);
}

#[test]
fn others_may_count_along() {
    let server = Server::start();
    let mut con = server.connection();
    // The old recipe: the same key goes on counting.
    cmd!(con, "INCRBY w 7").int();
    cmd!(con, "PEXPIRE w 3600000").int();
    let at = cmd!(con, "PEXPIRETIME w").int();
    assert_eq!(hit(&mut con, "w 10 1h")[..4], [0, 10, 2, -1]);
    assert_eq!(cmd!(con, "INCR w").int(), 9);
    assert_eq!(hit(&mut con, "w 10 1h")[..4], [0, 10, 0, -1]);
    assert_eq!(hit(&mut con, "w 10 1h")[..3], [1, 10, 0]);
    assert_eq!(cmd!(con, "DECRBY w 4").int(), 6);
    assert_eq!(hit(&mut con, "w 10 1h")[..4], [0, 10, 3, -1]);
    assert_eq!(cmd!(con, "PEXPIRETIME w").int(), at);
    // A copy has a value of its own, which a hit does not change.
    cmd!(con, "COPY w other").int();
    cmd!(con, "SET big 10 EX 3600").text();
    cmd!(con, "COPY big small").int();
    hit(&mut con, "w 10 1h");
    hit(&mut con, "big 100 1h");
    for (key, count) in [("w", 8), ("other", 7), ("big", 11), ("small", 10)] {
        assert_eq!(cmd!(con, "GET", key).int(), count, "{key}");
    }
}

/// Small numbers are shared by all keys of a server.
#[test]
fn no_other_key_with_the_same_count_changes() {
    let server = Server::start();
    let mut con = server.connection();
    for key in ["a", "b", "c"] {
        cmd!(con, "INCRBY", key, 41).int();
        cmd!(con, "PEXPIRE", key, HOUR_MS).int();
    }
    cmd!(con, "HSET h n 41").int();
    assert_eq!(hit(&mut con, "a 100 1h")[2], 58);
    for (key, count) in [("a", 42), ("b", 41), ("c", 41)] {
        assert_eq!(cmd!(con, "GET", key).int(), count, "{key}");
    }
    assert_eq!(cmd!(con, "HGET h n").int(), 41);
}

/// T21 for a window.
#[test]
fn a_denied_hit_and_a_look_leave_the_counter_alone() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(hit(&mut con, "w 5 1h COST 0"), [0, 5, 5, -1, 0]);
    assert_eq!(cmd!(con, "EXISTS w").int(), 0);
    let mut at_once = Clocked::start(&mut con);
    at_once.expect("w 5 1h COST 5", [0, 5, 0, -1, HOUR_MS]);
    let before = snapshot_with_expiry(at_once.con);
    for _ in 0..2 {
        wait_for_the_clock();
        at_once.expect("w 5 1h COST 0", [1, 5, 0, HOUR_MS, HOUR_MS]);
        at_once.expect("w 5 1h", [1, 5, 0, HOUR_MS, HOUR_MS]);
        at_once.expect("w 5 1h COST 6", [1, 5, 0, -1, HOUR_MS]);
    }
    assert_eq!(before, snapshot_with_expiry(&mut con));
}

/// redis#4548: a counter whose EXPIRE never came locked its caller out for ever.
#[test]
fn a_counter_without_a_time_to_live_gets_one() {
    let server = Server::start();
    let mut con = server.connection();
    for (count, words, expected) in [
        ("3", "w 5 1h", [0, 5, 1, -1, HOUR_MS]),
        ("5", "w 5 1h", [1, 5, 0, HOUR_MS, HOUR_MS]),
        ("5", "w 5 1h COST -2", [0, 5, 2, -1, HOUR_MS]),
        ("99", "w 5 1h COST 9", [1, 5, 0, -1, HOUR_MS]),
    ] {
        cmd!(con, "SET", "w", count).text();
        assert_eq!(hit(&mut con, "w 5 1h COST 0")[4], HOUR_MS);
        assert_eq!(cmd!(con, "PTTL w").int(), -1, "a look writes nothing");
        let before = now_ms();
        assert_eq!(hit(&mut con, words), expected, "{count}: {words}");
        let at = cmd!(con, "PEXPIRETIME w").int();
        assert!(
            (before + HOUR_MS..=now_ms() + HOUR_MS).contains(&at),
            "{words}"
        );
        // PERSIST, or any SET, is no way round it.
        cmd!(con, "PERSIST w").int();
        hit(&mut con, "w 5 1h");
        assert!(cmd!(con, "PTTL w").int() > 0);
    }
}

#[test]
fn limits_may_change_from_hit_to_hit() {
    let server = Server::start();
    let mut con = server.connection();
    let mut at_once = Clocked::start(&mut con);
    at_once.expect("w 10 1h COST 10", [0, 10, 0, -1, HOUR_MS]);
    at_once.expect("w 20 1h", [0, 20, 9, -1, HOUR_MS]);
    at_once.expect("w 5 1h", [1, 5, 0, HOUR_MS, HOUR_MS]);
    // A longer period holds for the next window, a shorter one at once.
    at_once.expect("w 20 2h", [0, 20, 8, -1, HOUR_MS]);
    at_once.expect("w 5 1m COST 0", [1, 5, 0, 60_000, 60_000]);
    assert!(cmd!(at_once.con, "PTTL w").int() > 60_000, "a look");
    at_once.expect("w 5 1m", [1, 5, 0, 60_000, 60_000]);
    assert!(cmd!(at_once.con, "PTTL w").int() <= 60_000);
}

#[test]
fn huge_limits_and_counts_are_exact() {
    let server = Server::start();
    let mut con = server.connection();
    let max = i64::MAX;
    let words = format!("w {max} 1h");
    assert_eq!(hit(&mut con, &words)[..4], [0, max, max - 1, -1]);
    let all = format!("{words} COST {max}");
    assert_eq!(hit(&mut con, &all)[..3], [1, max, max - 1]);
    let rest = format!("{words} COST {}", max - 1);
    assert_eq!(hit(&mut con, &rest)[..4], [0, max, 0, -1]);
    assert_eq!(cmd!(con, "GET w").int(), max);
    assert_eq!(hit(&mut con, &words)[..3], [1, max, 0]);
    assert_eq!(hit(&mut con, &all)[..3], [1, max, 0]);
    // What other hands wrote: below zero counts as nothing taken.
    for (value, expected) in [
        (i64::MIN, [0, 5, 4, -1]),
        (-7, [0, 5, 4, -1]),
        (-1, [0, 5, 4, -1]),
    ] {
        cmd!(con, "SET", "w", value, "EX", 3_600).text();
        assert_eq!(hit(&mut con, "w 5 1h")[..4], expected, "{value}");
        assert_eq!(cmd!(con, "GET w").int(), 1, "{value}");
    }
    assert_eq!(
        hit(&mut con, "long 1 3650d"),
        [0, 1, 0, -1, 315_360_000_000]
    );
}

/// A script does not see keys expire while it runs; the window ends all the same.
#[test]
fn a_window_ends_within_a_script() {
    let server = Server::start();
    let mut con = server.connection();
    let script = "redis.call('THROTTLE.HIT', KEYS[1], 1, '100ms')
                  local reply
                  local hits = 0
                  repeat
                      hits = hits + 1
                      reply = redis.call('THROTTLE.HIT', KEYS[1], 1, '100ms')
                  until reply[1] == 0 or reply[4] == 0 or hits == 5000000
                  return reply";
    let reply = cmd!(con, "EVAL", script, 1, "w");
    assert_eq!(told(reply.value()), [0, 1, 0, -1, 100]);
}

/// A key is there still in the very millisecond of its expiry; the window has ended by then.
#[test]
fn a_window_is_over_in_its_last_millisecond() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    let mut windows = 0;
    let mut told_nonsense = 0;
    // Without a pause between them: every millisecond is met.
    wait_for("twenty windows go by", SOON, || {
        for _ in 0..1_000 {
            let reply = raw.value(&["THROTTLE.HIT", "w", "1", "20"]);
            let [limited, _, _, retry_ms, _] = told(reply.value());
            windows += 1 - limited;
            told_nonsense += i64::from(limited == 1 && retry_ms < 1);
        }
        windows >= 20
    });
    assert_eq!(told_nonsense, 0, "denied, and nothing to wait for");
}
