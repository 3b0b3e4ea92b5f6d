//! `THROTTLE.HIT` on a real server: its reply, its two forms, and what is around them. The numbers
//! are those of the acceptance vectors; where a vector counts milliseconds that a busy machine does
//! not keep, its periods are a hundred times as long.

mod around;
mod gcra;
mod refused;
mod replication;
mod together;
mod window;

use redis::{Connection, RedisResult, Value};

use crate::devices::*;
use crate::support::*;

const HOUR_MS: i64 = 3_600_000;

/// Both forms, as what stands behind the limits.
const FORMS: [&str; 2] = ["", " GCRA"];

/// The five numbers of a reply.
#[track_caller]
fn told(reply: &Value) -> [i64; 5] {
    let numbers: Vec<i64> = reply.items().iter().map(Reply::int).collect();
    match numbers.try_into() {
        Ok(numbers) => numbers,
        Err(_) => panic!("not five numbers: {reply:?}"),
    }
}

fn try_hit(con: &mut Connection, words: &str) -> RedisResult<Value> {
    cmd!(con, &format!("THROTTLE.HIT {words}"))
}

/// `THROTTLE.HIT` with these words.
#[track_caller]
fn hit(con: &mut Connection, words: &str) -> [i64; 5] {
    told(try_hit(con, words).value())
}

/// Hits with one connection and knows how long it has been at it: what is told to remain of a wait
/// may be less by that.
struct Clocked<'a> {
    con: &'a mut Connection,
    since: i64,
}

impl Clocked<'_> {
    fn start(con: &mut Connection) -> Clocked<'_> {
        let since = now_ms();
        Clocked { con, since }
    }

    #[track_caller]
    fn expect(&mut self, words: &str, expected: [i64; 5]) {
        let found = hit(self.con, words);
        self.compare(words, found, expected);
    }

    #[track_caller]
    fn compare(&self, words: &str, found: [i64; 5], expected: [i64; 5]) {
        let passed = now_ms() - self.since + 1;
        let as_told = |found: i64, expected: i64| match expected {
            -1 | 0 => found == expected,
            _ => (expected - passed..=expected).contains(&found) && found >= 0,
        };
        assert!(
            found[..3] == expected[..3]
                && as_told(found[3], expected[3])
                && as_told(found[4], expected[4]),
            "THROTTLE.HIT {words}: {found:?}, not {expected:?} ({passed} ms passed)"
        );
    }

    /// So many hits in one step; gives the last reply.
    #[track_caller]
    fn many(&mut self, times: usize, words: &str) -> [i64; 5] {
        let script = "local reply
                      for _ = 1, ARGV[1] do reply = redis.call('THROTTLE.HIT', KEYS[1], unpack(ARGV, 2)) end
                      return reply";
        let mut words = words.split(' ');
        let key = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        told(cmd!(self.con, "EVAL", script, 1, key, times, words).value())
    }
}

/// What a key that is hit with GCRA holds: the step of its expiry, and the arrival times in
/// nanoseconds since the Unix epoch.
fn decoded(state: &[u8]) -> Option<(u8, Vec<i64>)> {
    let (step, times) = state.strip_prefix(b"g1:")?.split_first()?;
    let (times, rest) = times.as_chunks();
    assert!(rest.is_empty(), "{}", state.escape_ascii());
    let times = times.iter().map(|time| i64::from_be_bytes(*time));
    Some((*step, times.collect()))
}

fn encoded(step: u8, times: &[i64]) -> Vec<u8> {
    let mut state = b"g1:".to_vec();
    state.push(step);
    state.extend(times.iter().flat_map(|time| time.to_be_bytes()));
    state
}

/// As if so much time had gone by for a key.
#[track_caller]
fn let_pass(con: &mut Connection, key: &str, ms: i64) {
    let value = cmd!(con, "GET", key).bytes();
    match decoded(&value) {
        Some((step, mut times)) => {
            times.iter_mut().for_each(|time| *time -= ms * 1_000_000);
            cmd!(con, "SET", key, encoded(step, &times), "KEEPTTL").text();
        }
        None => {
            let at = cmd!(con, "PEXPIRETIME", key).int();
            assert_eq!(cmd!(con, "PEXPIREAT", key, at - ms).int(), 1);
        }
    }
}

#[test]
fn the_reply_is_five_integers_in_both_protocols() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    for protocol in ["2", "3"] {
        raw.call(&["HELLO", protocol]);
        for form in [&[][..], &["GCRA"]] {
            let line = [&["THROTTLE.HIT", "k", "1", "100d"], form].concat();
            raw.call(&["DEL", "k"]);
            let fresh = b"*5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:8640000000\r\n";
            assert_eq!(raw.call(&line), fresh);
            let limited = String::from_utf8(raw.call(&line)).unwrap();
            assert!(
                limited.starts_with("*5\r\n:1\r\n:1\r\n:0\r\n:8"),
                "{limited}"
            );
        }
    }
}

/// The story that the command is there for.
#[test]
fn a_thousand_calls_per_hour_pass_and_the_next_is_told_how_long_to_wait() {
    let server = Server::start();
    let mut con = server.connection();
    for (form, reset_after_one, retry) in [("", HOUR_MS, HOUR_MS), (" GCRA", 3_600, 3_600)] {
        cmd!(con, "DEL api:alice").int();
        let words = format!("api:alice 1000 1h{form}");
        let mut at_once = Clocked::start(&mut con);
        at_once.expect(&words, [0, 1_000, 999, -1, reset_after_one]);
        let last = at_once.many(999, &words);
        at_once.compare(&words, last, [0, 1_000, 0, -1, HOUR_MS]);
        at_once.expect(&words, [1, 1_000, 0, retry, HOUR_MS]);
        at_once.expect(&words, [1, 1_000, 0, retry, HOUR_MS]);
        // Others are not concerned.
        let other = format!("api:bob 1000 1h{form} COST 1000");
        assert_eq!(hit(&mut con, &other)[0], 0);
        cmd!(con, "DEL api:bob").int();
    }
}

/// T15 and T24's last part, with a wait that a test can afford.
#[test]
fn who_waits_as_told_passes_and_not_before() {
    let server = Server::start();
    let mut con = server.connection();
    for form in FORMS {
        let words = format!("w 1 300ms{form}");
        cmd!(con, "DEL w").int();
        let start = now_ms();
        assert_eq!(hit(&mut con, &words), [0, 1, 0, -1, 300]);
        let passed_at = wait_for("the next hit passes", SOON, || {
            (hit(&mut con, &words)[0] == 0).then(now_ms)
        });
        assert!(
            passed_at >= start + 300,
            "{form}: after {} ms",
            passed_at - start
        );
        wait_for("nothing is left of it", SOON, || {
            cmd!(con, "EXISTS w").int() == 0
        });
    }
}

/// T30.
#[test]
fn del_resets() {
    let server = Server::start();
    let mut con = server.connection();
    for (form, reset) in [("", 100_000), (" GCRA", 20_000)] {
        let words = format!("r 5 100s{form}");
        hit(&mut con, &format!("{words} COST 5"));
        assert_eq!(hit(&mut con, &words)[0], 1);
        assert_eq!(cmd!(con, "DEL r").int(), 1);
        assert_eq!(hit(&mut con, &words), [0, 5, 4, -1, reset]);
        cmd!(con, "DEL r").int();
    }
}

/// T19.
#[test]
fn what_can_never_fit_is_limited_without_a_time_to_wait_and_writes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    for form in FORMS {
        for cost in ["1001", "9223372036854775807"] {
            let words = format!("f 1000 1h{form} COST {cost}");
            assert_eq!(hit(&mut con, &words), [1, 1_000, 1_000, -1, 0]);
            assert_eq!(cmd!(con, "EXISTS f").int(), 0);
        }
    }
}

/// T18.
#[test]
fn costs_add_up() {
    let server = Server::start();
    let mut con = server.connection();
    for (form, retry) in [("", HOUR_MS), (" GCRA", 900_000)] {
        cmd!(con, "DEL c").int();
        let words = format!("c 1000 1h{form} COST 250");
        let mut at_once = Clocked::start(&mut con);
        for remaining in [750, 500, 250, 0] {
            assert_eq!(hit(at_once.con, &words)[..4], [0, 1_000, remaining, -1]);
        }
        at_once.expect(&words, [1, 1_000, 0, retry, HOUR_MS]);
    }
}

#[test]
fn refunds_give_back_and_never_more_than_was_taken() {
    let server = Server::start();
    let mut con = server.connection();
    for form in FORMS {
        cmd!(con, "DEL b").int();
        let words = format!("b 5 1h{form}");
        hit(&mut con, &format!("{words} COST 3"));
        assert_eq!(
            hit(&mut con, &format!("{words} COST -1"))[..4],
            [0, 5, 3, -1]
        );
        let all = format!("{words} COST -9223372036854775808");
        assert_eq!(hit(&mut con, &all)[..4], [0, 5, 5, -1]);
        assert_eq!(hit(&mut con, &all)[..4], [0, 5, 5, -1]);
        assert_eq!(
            hit(&mut con, &format!("{words} COST 5"))[..4],
            [0, 5, 0, -1]
        );
        assert_eq!(hit(&mut con, &words)[0], 1);
        // Of nothing there is nothing to give back.
        cmd!(con, "DEL b").int();
        assert_eq!(hit(&mut con, &all), [0, 5, 5, -1, 0]);
        assert_eq!(cmd!(con, "EXISTS b").int(), 0);
    }
}
