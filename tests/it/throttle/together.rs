//! Hits in transactions and scripts, from many clients at once, and what WATCH, client-side caches
//! and subscribers see of them.

use std::sync::Barrier;
use std::thread;

use super::*;

#[test]
fn hits_work_in_a_transaction() {
    let server = Server::start();
    let mut con = server.connection();
    for form in FORMS {
        cmd!(con, "DEL k").int();
        cmd!(con, "MULTI").text();
        for rest in ["COST 4", "COST 1", "COST 1", "COST x", "COST -1", "COST 0"] {
            let line = format!("THROTTLE.HIT k 5 1h {rest}{form}");
            assert_eq!(cmd!(con, &line).text(), "QUEUED");
        }
        let replies = cmd!(con, "EXEC").items();
        assert_eq!(told(&replies[0])[..3], [0, 5, 1]);
        assert_eq!(told(&replies[1])[..3], [0, 5, 0]);
        assert_eq!(told(&replies[2])[..3], [1, 5, 0]);
        assert!(matches!(replies[3], Value::ServerError(_)));
        assert_eq!(told(&replies[4])[..3], [0, 5, 1]);
        assert_eq!(told(&replies[5])[..3], [0, 5, 1]);
    }
}

#[test]
fn hits_work_in_a_script_and_not_in_one_that_only_reads() {
    let server = Server::start();
    let mut con = server.connection();
    for form in ["COST", "GCRA"] {
        cmd!(con, "DEL k").int();
        let script = "local words = ARGV[1] == 'GCRA' and {'GCRA'} or {'COST', 1}
                      local first = redis.call('THROTTLE.HIT', KEYS[1], 1, '1h', unpack(words))
                      local second = redis.call('THROTTLE.HIT', KEYS[1], 1, '1h', unpack(words))
                      local bad = redis.pcall('THROTTLE.HIT', KEYS[1], 1, 'nope')
                      return {first, second, bad.err}";
        let reply = cmd!(con, "EVAL", script, 1, "k", form);
        assert_eq!(told(&reply.at(0)), [0, 1, 0, -1, HOUR_MS]);
        assert_eq!(told(&reply.at(1))[..3], [1, 1, 0]);
        assert!(reply.at(2).text().contains("period: 'nope'"));
        let before = snapshot_with_expiry(&mut con);
        let hit = "return redis.call('THROTTLE.HIT', KEYS[1], 9, '1h')";
        assert!(cmd!(con, "EVAL_RO", hit, 1, "k").is_err());
        assert_eq!(before, snapshot_with_expiry(&mut con));
    }
}

#[test]
fn of_twenty_clients_at_once_exactly_the_limit_passes() {
    const CLIENTS: usize = 20;
    const HITS: usize = 100;
    let server = Server::start();
    for (key, words) in [
        ("w", "w 777 1h"),
        ("g", "g 777 1000h GCRA"),
        ("m", "m 900 1000h 777 1000h 1000 1h GCRA"),
    ] {
        let barrier = Barrier::new(CLIENTS);
        let one = || {
            let mut con = server.connection();
            barrier.wait();
            let replies = (0..HITS).map(|_| hit(&mut con, words));
            replies.filter(|reply| reply[0] == 0).count()
        };
        let passed: usize = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 777, "{key}");
    }
    let mut con = server.connection();
    assert_eq!(cmd!(con, "GET w").int(), 777);
    assert_eq!(info_number(&mut con, "throttle_hits"), 6_000);
    assert_eq!(info_number(&mut con, "throttle_limited"), 6_000 - 3 * 777);
}

/// What has to be seen to change a key, line by line, and what leaves it alone.
const CHANGES: &[(&str, bool)] = &[
    ("THROTTLE.HIT k 5 1h COST 0", false),
    ("THROTTLE.HIT k 5 1h", true),
    ("THROTTLE.HIT k 5 1h", true),
    ("THROTTLE.HIT k 5 1h COST -1", true),
    ("THROTTLE.HIT k 5 1h COST 4", true),
    ("THROTTLE.HIT k 5 1h", false),
    ("THROTTLE.HIT k 5 1h COST 0", false),
    ("THROTTLE.HIT k 5 1h GCRA", false),
    ("DEL k", true),
    ("THROTTLE.HIT k 5 1h COST -1", false),
    ("THROTTLE.HIT k 5 1h GCRA COST 0", false),
    ("THROTTLE.HIT k 5 1h GCRA COST 4", true),
    ("THROTTLE.HIT k 5 1h GCRA", true),
    ("THROTTLE.HIT k 5 1h GCRA", false),
    ("THROTTLE.HIT k 5 1h GCRA COST -1", true),
    ("THROTTLE.HIT k 5 1h GCRA COST -9", true),
    ("THROTTLE.HIT k 5 1h GCRA COST -9", false),
];

#[test]
fn watch_sees_every_hit_that_changes_something_and_no_other() {
    let server = Server::start();
    let (mut con, mut other) = (server.connection(), server.connection());
    for (row, (line, changes)) in CHANGES.iter().enumerate() {
        cmd!(con, "WATCH k").text();
        let _ = cmd!(other, line);
        cmd!(con, "MULTI").text();
        cmd!(con, "PING").text();
        assert_eq!(cmd!(con, "EXEC").is_nil(), *changes, "{row}: {line}");
    }
}

#[test]
fn client_side_caches_are_told_of_every_hit_that_changes_something() {
    let server = Server::start();
    let mut con = server.connection();
    let mut caching = Raw::connect(&server);
    caching.call(&["HELLO", "3"]);
    assert_eq!(caching.call(&["CLIENT", "TRACKING", "ON"]), b"+OK\r\n");
    for (row, (line, changes)) in CHANGES.iter().enumerate() {
        caching.call(&["GET", "k"]);
        let _ = cmd!(con, line);
        let expected: &[&str] = if *changes { &["k"] } else { &[] };
        assert_eq!(caching.invalidated(), expected, "{row}: {line}");
    }
}

/// As the server's own commands notify: `set`, `incrby` of class `$`, `del` of class `g`.
#[test]
fn subscribers_hear_what_happened_to_the_key() {
    let server = Server::start();
    let mut con = server.connection();
    for (classes, expected) in [
        ("E$", &["set", "incrby", "set"][..]),
        ("Eg", &["del"]),
        ("E$g", &["set", "incrby", "set", "del"]),
        ("Ed", &[]),
    ] {
        cmd!(con, "CONFIG SET", "notify-keyspace-events", classes).text();
        let heard = Subscriber::patterns(&server, &["__keyevent@0__:*", "the end"]);
        for words in [
            "w 5 1h",
            "w 5 1h COST 4",
            "w 5 1h",
            "w 5 1h COST 0",
            "g 5 1h GCRA",
            "g 5 1h GCRA COST 9",
            "g 5 1h GCRA COST -9",
        ] {
            hit(&mut con, words);
        }
        cmd!(con, "PUBLISH", "the end", "w").int();
        heard.wait_for_message("the end", SOON, |message| message.channel == "the end");
        let mut events: Vec<String> = heard.take().into_iter().map(|m| m.channel).collect();
        events.pop();
        let events = events
            .iter()
            .map(|name| name.trim_start_matches("__keyevent@0__:"));
        // SET with a time to live also tells `expire`; a hit need not.
        let events: Vec<&str> = events.filter(|name| *name != "expire").collect();
        assert_eq!(events, expected, "{classes}");
        cmd!(con, "CONFIG SET", "notify-keyspace-events", "").text();
        cmd!(con, "DEL w").int();
    }
}
