//! GCRA: the vectors, several limits at once, and what is stored.

use super::*;

/// The arrival times that a key holds, in nanoseconds since the Unix epoch.
#[track_caller]
fn arrivals(con: &mut Connection, key: &str) -> Vec<i64> {
    let value = cmd!(con, "GET", key).bytes();
    match decoded(&value) {
        Some((_, times)) => times,
        None => panic!("{}", value.escape_ascii()),
    }
}

/// redis-cell `src/cell/mod.rs`, `it_rate_limits`, a hundred times as slow: time, cost, reply.
#[test]
fn redis_cells_own_table() {
    let server = Server::start();
    let mut con = server.connection();
    let mut at = 0;
    let mut clock = Clocked::start(&mut con);
    for (row, (time, cost, mut expected)) in [
        (0, 6, [1, 5, 5, -1, 0]),
        (0, 1, [0, 5, 4, -1, 1_000]),
        (0, 1, [0, 5, 3, -1, 2_000]),
        (0, 1, [0, 5, 2, -1, 3_000]),
        (0, 1, [0, 5, 1, -1, 4_000]),
        (0, 1, [0, 5, 0, -1, 5_000]),
        (0, 1, [1, 5, 0, 1_000, 5_000]),
        (3_000, 1, [0, 5, 2, -1, 3_000]),
        (3_100, 1, [0, 5, 1, -1, 3_900]),
        (4_000, 1, [0, 5, 1, -1, 4_000]),
        (8_000, 1, [0, 5, 4, -1, 1_000]),
        (9_500, 1, [0, 5, 4, -1, 1_000]),
        (9_500, 0, [0, 5, 4, -1, 1_000]),
        (9_500, 2, [0, 5, 2, -1, 3_000]),
        (9_500, 5, [1, 5, 2, 3_000, 3_000]),
    ]
    .into_iter()
    .enumerate()
    {
        if time > at {
            // A little less: the time that has really gone by comes to it.
            let_pass(clock.con, "foo", (time - at) * 100);
            at = time;
        }
        for ms in &mut expected[3..] {
            *ms = if *ms > 0 { *ms * 100 } else { *ms };
        }
        println!("row {row}");
        clock.expect(&format!("foo 5 500s GCRA COST {cost}"), expected);
    }
}

/// T16: redis-cell's README, `15 30 60`, a hundred times as slow.
#[test]
fn sixteen_at_once_and_then_one_by_one() {
    let server = Server::start();
    let mut con = server.connection();
    let mut at_once = Clocked::start(&mut con);
    at_once.expect("u 16 3200s GCRA", [0, 16, 15, -1, 200_000]);
    let sixteenth = at_once.many(15, "u 16 3200s GCRA");
    at_once.compare("u", sixteenth, [0, 16, 0, -1, 3_200_000]);
    at_once.expect("u 16 3200s GCRA", [1, 16, 0, 200_000, 3_200_000]);
}

/// T17: after the time to wait one more passes, and only one.
#[test]
fn one_interval_later_one_more_passes() {
    let server = Server::start();
    let mut con = server.connection();
    let mut clock = Clocked::start(&mut con);
    clock.expect(
        "c 1000 1000h GCRA COST 1000",
        [0, 1_000, 0, -1, 3_600_000_000],
    );
    let_pass(clock.con, "c", 3_599_000);
    let early = hit(clock.con, "c 1000 1000h GCRA");
    assert_eq!(early[..3], [1, 1_000, 0]);
    let_pass(clock.con, "c", 1_000);
    clock.expect("c 1000 1000h GCRA", [0, 1_000, 0, -1, 3_600_000_000]);
    clock.expect("c 1000 1000h GCRA", [1, 1_000, 0, 3_600_000, 3_600_000_000]);
}

/// T21.
#[test]
fn a_look_writes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    let mut clock = Clocked::start(&mut con);
    clock.expect("u 5 500s GCRA COST 0", [0, 5, 5, -1, 0]);
    assert_eq!(cmd!(clock.con, "EXISTS u").int(), 0);
    clock.expect("u 5 500s GCRA COST 5", [0, 5, 0, -1, 500_000]);
    let before = snapshot_with_expiry(clock.con);
    for _ in 0..2 {
        wait_for_the_clock();
        clock.expect("u 5 500s GCRA COST 0", [1, 5, 0, 100_000, 500_000]);
        clock.expect("u 5 500s GCRA", [1, 5, 0, 100_000, 500_000]);
    }
    assert_eq!(before, snapshot_with_expiry(&mut con));
}

/// T22, a hundred times as slow.
#[test]
fn several_limits_are_charged_together_or_not_at_all() {
    let server = Server::start();
    let mut con = server.connection();
    let words = "m 1000 100h 10 100s GCRA";
    let mut clock = Clocked::start(&mut con);
    let tenth = clock.many(10, words);
    clock.compare(words, tenth, [0, 10, 0, -1, 100_000]);
    let times = arrivals(clock.con, "m");
    clock.expect(words, [1, 10, 0, 10_000, 100_000]);
    assert_eq!(arrivals(clock.con, "m"), times, "a denied hit charges none");
    // 1000 in 100 h are one per 360 s; the short limit's ten are 10 s each.
    let ahead_ms = (times[0] - times[1]) / 1_000_000;
    assert!((3_499_000..=3_500_000).contains(&ahead_ms), "{ahead_ms}");
    let_pass(clock.con, "m", 10_000);
    clock.expect(words, [0, 10, 0, -1, 100_000]);
    // A refund goes to all of them.
    clock.expect("m 1000 100h 10 100s GCRA COST -4", [0, 10, 4, -1, 60_000]);
    let back = arrivals(clock.con, "m");
    assert!((back[0] - times[0]) / 1_000_000 < -3 * 360_000 + 1);
}

#[test]
fn eight_limits_and_the_one_that_binds() {
    let server = Server::start();
    let mut con = server.connection();
    let limits = "80 1h 70 2h 60 3h 5 1h 50 4h 40 5h 30 6h 20 7h";
    let mut clock = Clocked::start(&mut con);
    clock.expect(&format!("e {limits} GCRA COST 5"), [0, 5, 0, -1, HOUR_MS]);
    assert_eq!(arrivals(clock.con, "e").len(), 8);
    clock.expect(&format!("e {limits} GCRA"), [1, 5, 0, 720_000, HOUR_MS]);
    // One that can never pass binds before any that can.
    clock.expect("n 10 1h 3 1m GCRA COST 4", [1, 3, 3, -1, 0]);
    clock.expect("n 10 1h 3 1m GCRA COST 3", [0, 3, 0, -1, 60_000]);
    // Of two with nothing left, the first.
    clock.expect("t 5 1h 5 2h GCRA COST 5", [0, 5, 0, -1, HOUR_MS]);
    clock.expect("t 5 1h 5 2h GCRA", [1, 5, 0, 1_440_000, 2 * HOUR_MS]);
}

#[test]
fn another_number_of_limits_starts_afresh() {
    let server = Server::start();
    let mut con = server.connection();
    let mut clock = Clocked::start(&mut con);
    clock.expect("a 5 1h GCRA COST 5", [0, 5, 0, -1, HOUR_MS]);
    // Looks and refunds are no reason to forget what is there.
    let before = snapshot_with_expiry(clock.con);
    clock.expect("a 5 1h 9 2h GCRA COST 0", [0, 5, 5, -1, 0]);
    clock.expect("a 5 1h 9 2h GCRA COST -1", [0, 5, 5, -1, 0]);
    clock.expect("a 5 1h 9 2h GCRA COST 6", [1, 5, 5, -1, 0]);
    assert_eq!(before, snapshot_with_expiry(clock.con));
    clock.expect("a 5 1h 9 2h GCRA", [0, 5, 4, -1, 720_000]);
    assert_eq!(arrivals(clock.con, "a").len(), 2);
}

/// redis-cell#54: a changed limit, or a clock set back, is no lock-out.
#[test]
fn nobody_waits_longer_than_for_a_full_limit() {
    let server = Server::start();
    let mut con = server.connection();
    let mut clock = Clocked::start(&mut con);
    // A sixteenth more is how long a key is kept at most.
    let longest = 300_000 + 300_000 / 16;
    clock.expect("c 5 5h GCRA COST 5", [0, 5, 0, -1, 5 * HOUR_MS]);
    clock.expect("c 5 5m GCRA COST 0", [1, 5, 0, 60_000, 300_000]);
    clock.expect("c 5 5m GCRA", [1, 5, 0, 60_000, 300_000]);
    assert!(
        cmd!(clock.con, "PTTL c").int() <= longest,
        "clamped for good"
    );
    clock.expect("c 5 5h GCRA", [0, 5, 3, -1, 300_000 + HOUR_MS]);
    // As after a clock that was a year ahead.
    let far = (now_ms() + 365 * 24 * HOUR_MS) * 1_000_000;
    for arrival in [far, i64::MAX, -1] {
        cmd!(clock.con, "SET", "c", encoded(0, &[arrival])).text();
        clock.expect("c 5 5m GCRA", [1, 5, 0, 60_000, 300_000]);
        assert!((1..=longest).contains(&cmd!(clock.con, "PTTL c").int()));
    }
    cmd!(clock.con, "SET", "c", encoded(0, &[0])).text();
    clock.expect("c 5 5m GCRA", [0, 5, 4, -1, 60_000]);
}

/// T24: what comes back while the test hits is the only thing beyond the limit.
#[test]
fn high_rates_keep_their_interval() {
    let server = Server::start();
    let mut con = server.connection();
    let script = "local passed = 0
                  while redis.call('THROTTLE.HIT', KEYS[1], ARGV[1], 1000, 'GCRA')[1] == 0 do
                      passed = passed + 1
                  end
                  return passed";
    for limit in [2_000, 10_000] {
        let start = now_ms();
        let passed = cmd!(con, "EVAL", script, 1, format!("h{limit}"), limit).int();
        let most = limit + (now_ms() - start + 1) * limit / 1_000 + 1;
        assert!((limit..=most).contains(&passed), "{passed} of {limit}");
    }
    // A tenth of a millisecond is kept as a whole one.
    let exists = "redis.call('THROTTLE.HIT', KEYS[1], 10000, 1000, 'GCRA')
                  return redis.call('EXISTS', KEYS[1])";
    assert_eq!(cmd!(con, "EVAL", exists, 1, "short").int(), 1);
    wait_for("it is gone", SOON, || cmd!(con, "EXISTS short").int() == 0);
    assert_eq!(
        hit(&mut con, "most 1000000 1 GCRA"),
        [0, 1_000_000, 999_999, -1, 1]
    );
}

/// The key lives as long as it means something, and a sixteenth of its longest period more at most.
#[test]
fn the_key_expires_when_all_has_come_back() {
    let server = Server::start();
    let mut con = server.connection();
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
    for (words, longest, period) in [
        ("k 7 1h GCRA COST 3", 0, HOUR_MS),
        ("k 7 1h GCRA", 0, HOUR_MS),
        ("k 7 1h GCRA COST -3", 0, HOUR_MS),
        ("k 7 100s GCRA COST 3", 0, 100_000),
        ("k 3 1m 7 1h GCRA", 1, HOUR_MS),
        ("k 7 3650d GCRA", 0, 10 * YEAR_MS),
    ] {
        hit(&mut con, words);
        let until = arrivals(&mut con, "k")[longest];
        let needed = (until + 999_999) / 1_000_000;
        let at = cmd!(con, "PEXPIRETIME k").int();
        let spared = at - needed;
        assert!((0..=period / 16).contains(&spared), "{words}: {spared}");
    }
}

/// A hit does not look whether there is one, but sets it whenever a step is reached.
#[test]
fn an_expiry_that_was_taken_away_comes_back() {
    let server = Server::start();
    let mut con = server.connection();
    // At the latest when a sixteenth of the limit is charged.
    for (words, hits) in [
        ("k 7 1h GCRA", 1),
        ("k 3 1m 16 1h GCRA", 1),
        ("k 1000 1h GCRA", 63),
    ] {
        hit(&mut con, words);
        assert_eq!(cmd!(con, "PERSIST k").int(), 1);
        Clocked::start(&mut con).many(hits, words);
        assert!(cmd!(con, "PTTL k").int() > 0, "{words}");
    }
}

#[test]
fn most_hits_leave_the_expiry_as_it_is() {
    let server = Server::start();
    let mut con = server.connection();
    let words = "k 1000 1000h GCRA";
    hit(&mut con, words);
    let mut changes = 0;
    let mut before = cmd!(con, "PEXPIRETIME k").int();
    for _ in 1..500 {
        hit(&mut con, words);
        let at = cmd!(con, "PEXPIRETIME k").int();
        changes += i64::from(at != before);
        before = at;
    }
    assert!((8..=17).contains(&changes), "{changes}");
}
