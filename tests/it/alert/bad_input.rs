//! What clients may get wrong: refused, with the argument named, and nothing changed.

use super::*;

#[track_caller]
fn server_with_alerts() -> (Server, redis::Connection) {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d fires WAIT 0 NOTIFY 1 u");
    raise(&mut con, "d held FOR 1h");
    above_70(&mut con, "hot", "v", "");
    (server, con)
}

#[track_caller]
fn refused(con: &mut redis::Connection, line: &str, code: &str, contains: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let error = expect_refusal(con, &words, code, contains);
    assert!(
        error.len() < 600 && error.chars().all(|c| !c.is_control()),
        "{error:?}"
    );
}

#[test]
fn words_of_raise_that_make_no_sense() {
    let (_server, mut con) = server_with_alerts();
    for alert in ["fires", "held", "new"] {
        for (words, contains) in [
            ("SEVERITY", "SEVERITY is missing"),
            ("SEVERITY -1", "SEVERITY: '-1'"),
            ("SEVERITY 1.5", "SEVERITY: '1.5'"),
            ("SEVERITY 1001", "SEVERITY: '1001'"),
            ("SEVERITY 4294967296", "SEVERITY: '4294967296'"),
            ("SEVERITY 18446744073709551616", "SEVERITY: '1844"),
            ("SEVERITY high", "SEVERITY: 'high'"),
            ("SEVERITY 1s", "SEVERITY: '1s'"),
            ("EVERY x", "EVERY: 'x'"),
            ("EVERY -1", "EVERY: '-1'"),
            ("EVERY 1w", "EVERY: '1w'"),
            (
                "EVERY 3651d",
                "EVERY: 315446400000 ms is not from 0 ms to 10 years",
            ),
            (
                "FOR 315360000001",
                "FOR: 315360000001 ms is not from 0 ms to 10 years",
            ),
            (
                "FOR 18446744073709551615",
                "FOR: '18446744073709551615' is too large",
            ),
            ("KEEP 99999999999999999999", "KEEP: '99999999999999999999'"),
            (
                "KEEP 18446744073709551615d",
                "KEEP: '18446744073709551615d'",
            ),
            ("WAIT 3651d", "WAIT: 315446400000 ms"),
            ("WAIT", "WAIT is missing"),
            ("DATA", "DATA is missing"),
            ("NOTIFY", "NOTIFY is missing"),
            ("NOTIFY 1", "user is missing"),
            ("NOTIFY 2 u", "user is missing"),
            ("NOTIFY x u", "NOTIFY: 'x'"),
            ("NOTIFY -1 u", "NOTIFY: '-1'"),
            ("NOTIFY 65 u", "NOTIFY: '65'"),
            ("NOTIFY 18446744073709551615 u", "NOTIFY: '1844"),
            ("NOTIFY 1 u v", "unknown option 'v'"),
            ("NOTIFY 0 u", "unknown option 'u'"),
            ("NOTIFY 1 {u}", "invalid user: '{u}'"),
            ("SEVERITY 1 SEVERITY 1", "SEVERITY is given twice"),
            ("NOTIFY 1 u notify 1 v", "NOTIFY is given twice"),
            ("NOPE 1", "unknown option 'NOPE'"),
            ("5", "unknown option '5'"),
        ] {
            refused(
                &mut con,
                &format!("ALERT.RAISE d {alert} {words}"),
                "ERR",
                contains,
            );
        }
    }
}

#[test]
fn names_that_are_none() {
    let (_server, mut con) = server_with_alerts();
    let long = "x".repeat(257);
    for bad in [
        &b""[..],
        b"a b",
        b"a\n",
        b"{a}",
        b"a\0",
        b"\xff",
        b"a\xc3",
        long.as_bytes(),
    ] {
        for (before, after, contains) in [
            ("ALERT.RAISE", "a", "invalid device id"),
            ("ALERT.CLEAR", "a", "invalid device id"),
            ("ALERT.ACK", "a", "invalid device id"),
            ("ALERT.LIST", "", "invalid device id"),
            ("ALERT.RAISE d", "", "invalid alert name"),
            ("ALERT.CLEAR d", "", "invalid alert name"),
            ("ALERT.ACK d", "", "invalid alert name"),
            ("ALERT.RAISE d a NOTIFY 1", "", "invalid user"),
            ("ALERT.RAISE d a NOTIFY 2 u", "", "invalid user"),
            ("ALERT.RULE.SET", "r {}", "invalid device type"),
            ("ALERT.RULE.SET t", "{}", "invalid rule name"),
            ("ALERT.RULE.DEL", "r", "invalid device type"),
            ("ALERT.RULE.DEL t", "", "invalid rule name"),
            ("ALERT.RULE.LIST", "", "invalid device type"),
            ("ALERT.NOTIFY", "a {}", "invalid user"),
            ("ALERT.NOTIFY u", "{}", "invalid alert name"),
            ("ALERT.BATCH", "", "invalid user"),
            ("ALERT.DONE", "token", "invalid user"),
        ] {
            let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
            words.push(bad);
            words.extend(after.split_whitespace().map(str::as_bytes));
            let error = expect_refusal(&mut con, &words, "ERR", contains);
            assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
        }
    }
}

#[test]
fn data_must_be_an_object_that_a_document_may_be() {
    let (_server, mut con) = server_with_alerts();
    let deep = format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(65_536));
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    for (command, argument) in [
        ("ALERT.RAISE d new DATA", "DATA"),
        ("ALERT.RAISE d fires DATA", "DATA"),
        ("ALERT.NOTIFY u n", "json"),
    ] {
        for (document, code, contains) in [
            ("", "BADJSON", "line 1 column"),
            ("{", "BADJSON", "line 1 column"),
            ("[]", "BADJSON", "line 1 column 1"),
            ("1", "BADJSON", "line 1 column 1"),
            ("null", "BADJSON", "line 1 column 1"),
            ("{\"a\":1,\n\"a\":2}", "BADJSON", "line 2 column"),
            ("{\"a\":1e400}", "BADJSON", "line 1 column"),
            ("{\"a\":\"\u{1}\"}", "BADJSON", "line 1 column"),
            (deep.as_str(), "BADJSON", "16"),
            (large.as_str(), "TOOLARGE", "65536"),
            (huge.as_str(), "TOOLARGE", "65536"),
        ] {
            let mut words: Vec<&str> = command.split(' ').collect();
            words.push(document);
            let error = expect_refusal(&mut con, &words, code, contains);
            assert!(error.contains(argument), "{error}");
        }
        let mut words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        words.push(b"{\"a\":\"\xff\"}");
        expect_refusal(&mut con, &words, "BADJSON", argument);
    }
}

#[test]
fn words_of_the_commands_for_users_that_make_no_sense() {
    let (_server, mut con) = server_with_alerts();
    for (line, contains) in [
        ("ALERT.NOTIFY u n {} SEVERITY 1001", "SEVERITY: '1001'"),
        ("ALERT.NOTIFY u n {} SEVERITY", "SEVERITY is missing"),
        ("ALERT.NOTIFY u n {} WAIT 3651d", "WAIT: 315446400000 ms"),
        ("ALERT.NOTIFY u n {} WAIT soon", "WAIT: 'soon'"),
        ("ALERT.NOTIFY u n {} NOPE", "unknown option 'NOPE'"),
        ("ALERT.NOTIFY u n {} WAIT 1 WAIT 1", "WAIT is given twice"),
        ("ALERT.BATCH u COUNT 0", "COUNT: '0'"),
        ("ALERT.BATCH u COUNT 10001", "COUNT: '10001'"),
        ("ALERT.BATCH u COUNT x", "COUNT: 'x'"),
        ("ALERT.BATCH u COUNT", "COUNT is missing"),
        (
            "ALERT.BATCH u LEASE 0",
            "LEASE: 0 ms is not from 1 ms to 10 years",
        ),
        ("ALERT.BATCH u LEASE 3651d", "LEASE: 315446400000 ms"),
        ("ALERT.BATCH u LEASE", "LEASE is missing"),
        ("ALERT.BATCH u NOW now", "NOW is given twice"),
        ("ALERT.BATCH u NOPE", "unknown option 'NOPE'"),
        ("ALERT.DUE COUNT 0", "COUNT: '0'"),
        ("ALERT.DUE COUNT 10001", "COUNT: '10001'"),
        ("ALERT.DUE 10", "unknown option '10'"),
        ("ALERT.DUE COUNT 1 COUNT 1", "COUNT is given twice"),
    ] {
        refused(&mut con, line, "ERR", contains);
    }
    for line in [
        "ALERT.RAISE d",
        "ALERT.CLEAR d",
        "ALERT.CLEAR d a b",
        "ALERT.ACK d a b",
        "ALERT.LIST d a",
        "ALERT.RULE.SET t r",
        "ALERT.RULE.SET t r {} x",
        "ALERT.RULE.DEL t",
        "ALERT.RULE.LIST t r",
        "ALERT.NOTIFY u n",
        "ALERT.BATCH",
        "ALERT.DONE u",
        "ALERT.DONE u token x",
    ] {
        refused(&mut con, line, "ERR", "wrong number of arguments");
    }
}

#[test]
fn devices_that_nobody_knows() {
    let (_server, mut con) = server_with_alerts();
    for line in [
        "ALERT.RAISE nobody a NOTIFY 1 u",
        "ALERT.RAISE nobody a FOR 1h",
        "ALERT.CLEAR nobody a",
        "ALERT.ACK nobody a",
        "ALERT.LIST nobody",
    ] {
        refused(&mut con, line, "NODEVICE", "'nobody'");
    }
    assert_eq!(info_number(&mut con, "alerts_new"), 1);
}

/// The largest that is allowed does no harm, in any state.
#[test]
fn the_largest_values_do_no_harm() {
    let mut server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let users: Vec<String> = (0..64).map(|n| format!("u{n}")).collect();
    let words = format!(
        "d a SEVERITY 1000 EVERY 3650d KEEP 3650d WAIT 3650d NOTIFY 64 {}",
        users.join(" ")
    );
    assert_eq!(raise(&mut con, &words), "new 1");
    assert_eq!(raise(&mut con, &words), "suppressed 2");
    assert_eq!(
        raise(&mut con, "d h SEVERITY 1000 FOR 3650d KEEP 3650d"),
        "held 1"
    );
    assert_eq!(cmd!(con, "ZCARD alerts:due").int(), 64);
    let batch = batch(&mut con, "u63 NOW LEASE 3650d COUNT 10000").expect("a batch");
    assert_eq!(batch.lines(), ["d a firing 1000 2"]);
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(done(&mut con, "u63", &batch.token), 1);
    assert!(server.is_alive());
}
