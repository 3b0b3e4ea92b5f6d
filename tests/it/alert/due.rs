//! Who is due, what a batch takes and leaves, and that neither looks at anybody else.

use std::collections::BTreeMap;

use redis::Connection;

use super::calls::*;
use crate::devices::*;
use crate::support::*;

#[test]
fn count_leaves_the_rest_until_the_batch_is_done() {
    let server = quick();
    let mut con = server.connection();
    for n in 1..=5 {
        let words = format!("ALERT.NOTIFY u n{n} {{}} SEVERITY {n} WAIT 0");
        assert_eq!(cmd!(con, &words).int(), n);
    }
    let first = batch(&mut con, "u COUNT 2").expect("a batch");
    assert_eq!(first.lines(), [" n5 firing 5 1", " n4 firing 4 1"]);
    assert_eq!(batch(&mut con, "u COUNT 2 NOW"), None);
    assert_eq!(due(&mut con), Vec::<String>::new());
    assert_eq!(done(&mut con, "u", &first.token), 2);
    assert_eq!(due(&mut con), ["u"]);
    let second = batch(&mut con, "u COUNT 2").expect("a batch");
    assert_eq!(second.lines(), [" n3 firing 3 1", " n2 firing 2 1"]);

    // It comes back whole, with the rest.
    let_pass(&mut con, 60_000);
    assert_eq!(due(&mut con), ["u"]);
    let third = batch(&mut con, "u COUNT 1").expect("a batch");
    assert_eq!(third.lines(), [" n3 firing 3 1"]);
    assert_eq!(done(&mut con, "u", &second.token), 0);
    assert_eq!(done(&mut con, "u", &third.token), 1);
    assert_eq!(told(&mut con, "u"), [" n2 firing 2 1", " n1 firing 1 1"]);
    assert_eq!(cmd!(con, "KEYS *").texts(), Vec::<String>::new());
}

#[test]
fn the_worst_come_first_then_the_oldest() {
    let server = quick();
    let mut con = server.connection();
    for (name, severity) in [("b", 1), ("a", 1), ("c", 9), ("d", 0), ("e", 1_000)] {
        cmd!(con, "ALERT.NOTIFY", "u", name, "{}", "SEVERITY", severity).int();
        wait_for_the_clock();
    }
    // Merged, it is as old as it was.
    cmd!(con, "ALERT.NOTIFY u b {}").int();
    let batch = batch(&mut con, "u NOW").expect("a batch");
    let names: Vec<&str> = batch.items.iter().map(|item| item.alert.as_str()).collect();
    assert_eq!(names, ["e", "c", "b", "a", "d"]);
}

#[test]
fn now_fetches_what_is_not_due_and_nothing_fetches_what_is_out() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "ALERT.NOTIFY u a {}").int();
    assert_eq!(batch(&mut con, "u"), None);
    let out = batch(&mut con, "u NOW LEASE 10m").expect("a batch");
    assert_eq!(batch(&mut con, "u NOW"), None);
    cmd!(con, "ALERT.NOTIFY u b {} SEVERITY 9").int();
    assert_eq!(batch(&mut con, "u NOW"), None);
    assert_eq!(due(&mut con), Vec::<String>::new());
    assert_eq!(done(&mut con, "u", &out.token), 1);
    // What came meanwhile is due by itself.
    assert_eq!(due(&mut con), ["u"]);
    assert_eq!(told(&mut con, "u"), [" b firing 9 1"]);
}

#[test]
fn a_token_is_that_of_one_batch_of_one_user() {
    let server = quick();
    let mut con = server.connection();
    let mut tokens = Vec::new();
    for user in ["u", "v"] {
        cmd!(con, "ALERT.NOTIFY", user, "a", "{}", "WAIT", 0).int();
        tokens.push(batch(&mut con, user).expect("a batch").token);
    }
    assert_ne!(tokens[0], tokens[1]);
    for bad in [tokens[1].as_str(), "", "0", "0-0", "%n\u{0}"] {
        assert_eq!(done(&mut con, "u", bad), 0, "{bad:?}");
    }
    let bytes = [&b"ALERT.DONE"[..], b"u", b"\xff\0"];
    assert_eq!(Raw::connect(&server).call(&bytes), b":0\r\n");
    assert_eq!(done(&mut con, "u", &tokens[0]), 1);
    assert_eq!(done(&mut con, "v", &tokens[1]), 1);
}

#[test]
fn due_lists_as_many_as_are_asked_for_and_leases_nothing() {
    let server = quick();
    let mut con = server.connection();
    for n in 0..150 {
        cmd!(
            con,
            "ALERT.NOTIFY",
            format!("u-{n:03}"),
            "a",
            "{}",
            "WAIT",
            0
        )
        .int();
    }
    cmd!(con, "ALERT.NOTIFY later a {} WAIT 1h").int();
    for _ in 0..2 {
        assert_eq!(due(&mut con).len(), 100);
        assert_eq!(cmd!(con, "ALERT.DUE COUNT 10000").texts().len(), 150);
        let one = cmd!(con, "ALERT.DUE COUNT 1").texts();
        assert_eq!(one.len(), 1);
    }
}

/// What a command did: how often each of the server's commands was called, and how many keys were
/// looked up. Nothing else runs between its two looks.
#[track_caller]
pub fn work(con: &mut Connection, line: &str) -> (String, BTreeMap<String, i64>) {
    for line in ["MULTI", "INFO all"] {
        assert!(cmd!(con, line).is_ok());
    }
    assert_eq!(cmd!(con, line).text(), "QUEUED");
    cmd!(con, "INFO all").text();
    let reply = cmd!(con, "EXEC");
    let counts = |at: usize| {
        let mut counts = BTreeMap::new();
        for line in reply.at(at).text().lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if let Some(command) = name.strip_prefix("cmdstat_") {
                let calls = value.split([',', '=']).nth(1).unwrap_or_default();
                counts.insert(command.to_owned(), calls.parse::<i64>().expect("calls"));
            } else if matches!(name, "keyspace_hits" | "keyspace_misses") {
                counts.insert(name.to_owned(), value.parse().expect("a count"));
            }
        }
        counts
    };
    let (before, mut after) = (counts(0), counts(2));
    after.retain(|name, count| {
        *count -= before.get(name).copied().unwrap_or(0);
        let is_ours = matches!(name.as_str(), "info" | "multi" | "exec");
        *count > 0 && !is_ours
    });
    (format!("{:?}", reply.at(1)), after)
}

/// A15: a notifier pays for the user whose batch it fetches, not for the 100 000 others who wait.
#[test]
fn a15_one_batch_among_a_hundred_thousand_users_costs_as_among_none() {
    const MANY: i64 = 100_000;
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let mut costs = Vec::new();
    for users in [1, MANY] {
        cmd!(con, "DEL alerts:user:me device:alerts:d").int();
        let script = "for i = 2, ARGV[1] do
                redis.call('ALERT.NOTIFY', 'user-' .. i, 'a', '{}', 'WAIT', '0')
            end";
        cmd!(con, "EVAL", script, 0, users).is_nil();
        raise(&mut con, "d a WAIT 0 NOTIFY 1 me");
        cmd!(con, "ALERT.NOTIFY me b {}").int();
        assert_eq!(cmd!(con, "ZCARD alerts:due").int(), users);
        let (listed, due) = work(&mut con, "ALERT.DUE COUNT 10");
        assert_eq!(
            listed.matches("bulk").count() as i64,
            users.min(10),
            "{listed}"
        );
        let (fetched, batch) = work(&mut con, "ALERT.BATCH me");
        assert!(
            fetched.contains("'d'") || fetched.contains("\"d\""),
            "{fetched}"
        );
        let token = cmd!(con, "HGET alerts:user:me lease").json()["token"].clone();
        let token = token.as_str().expect("a token").to_owned();
        let (_, done) = work(&mut con, &format!("ALERT.DONE me {token}"));
        costs.push([due, batch, done]);
    }
    assert_eq!(costs[0], costs[1]);
    let [due, batch, _] = &costs[1];
    assert_eq!(due["zrangebyscore"], 1);
    for command in ["keys", "scan", "hscan", "zrange", "zscan", "smembers"] {
        assert!(!batch.contains_key(command), "{batch:?}");
    }
}

/// What is handed out is brought up to date; what stays is not even looked at beyond its own item.
#[test]
fn a_small_batch_reads_the_records_of_its_own_items_only() {
    let server = quick();
    let mut con = server.connection();
    let mut lookups = Vec::new();
    for devices in [10, 1_000] {
        cmd!(con, "FLUSHALL").text();
        let script = "for i = 1, ARGV[1] do
                redis.call('DEVICE.REGISTER', 'd-' .. i, 't')
                redis.call('ALERT.RAISE', 'd-' .. i, 'a', 'WAIT', '0', 'NOTIFY', '1', 'u')
            end";
        cmd!(con, "EVAL", script, 0, devices).is_nil();
        let (_, batch) = work(&mut con, "ALERT.BATCH u COUNT 10");
        lookups.push(batch["keyspace_hits"]);
    }
    assert_eq!(lookups[0], lookups[1]);
}
