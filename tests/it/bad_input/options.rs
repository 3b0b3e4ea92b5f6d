//! Options: numbers that are none, and keywords that are unknown, repeated or incomplete.

use super::populate;
use crate::devices::*;
use crate::support::*;

/// What is no number, whatever option it is meant for.
const NO_NUMBERS: &[&[u8]] = &[
    b"",
    b" ",
    b"x",
    b"-1",
    b"+1",
    b"1.5",
    b"1.0",
    b" 1",
    b"1 ",
    b"1\n",
    b"1\0",
    b"0x10",
    b"1e3",
    b"1_000",
    b"NaN",
    b"inf",
    b"\xd9\xa3",
    b"\xff",
    b"%n%s",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999",
    b"-9223372036854775809",
];

/// Each numeric option: the words up to the number, the option.
const NUMBERS: &[(&str, &str)] = &[
    ("DEVICE.HEARTBEAT online TIMEOUT", "TIMEOUT"),
    ("DEVICE.HEARTBEAT new TIMEOUT", "TIMEOUT"),
    ("DEVICE.HEARTBEAT online SESSION", "SESSION"),
    ("DEVICE.HEARTBEAT online REPORTED {} SESSION 9 SEQ", "SEQ"),
    ("DEVICE.OFFLINE online SESSION", "SESSION"),
    ("DEVICE.REMOVE online BLOCK", "BLOCK"),
    ("DEVICE.REMOVE new BLOCK", "BLOCK"),
    ("DEVICE.LIST STALE", "STALE"),
    ("DEVICE.LIST COUNT", "COUNT"),
    ("DEVICE.COUNT STALE", "STALE"),
    ("DEVICE.EVENTS COUNT", "COUNT"),
    ("DEVICE.EVENTS BLOCK", "BLOCK"),
    ("DEVICE.TYPE.SET sensor TIMEOUT", "TIMEOUT"),
    ("DEVICE.TYPE.SET sensor HISTORY", "HISTORY"),
    ("DEVICE.CHECK 0 COUNT", "COUNT"),
    ("ALERT.RAISE online a SEVERITY", "SEVERITY"),
    ("ALERT.RAISE online a EVERY", "EVERY"),
    ("ALERT.RAISE online a FOR", "FOR"),
    ("ALERT.RAISE online a KEEP", "KEEP"),
    ("ALERT.RAISE online a WAIT", "WAIT"),
    ("ALERT.RAISE online a NOTIFY", "NOTIFY"),
    ("ALERT.NOTIFY u a {} SEVERITY", "SEVERITY"),
    ("ALERT.NOTIFY u a {} WAIT", "WAIT"),
    ("ALERT.BATCH u COUNT", "COUNT"),
    ("ALERT.BATCH u LEASE", "LEASE"),
    ("ALERT.DUE COUNT", "COUNT"),
];

#[test]
fn what_is_no_number_is_refused_by_every_option() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (before, option) in NUMBERS {
        for value in NO_NUMBERS {
            let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
            words.push(value);
            let error = expect_refusal(&mut con, &words, "ERR", option);
            assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
        }
    }
}

#[test]
fn only_durations_take_a_unit() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (before, option) in NUMBERS {
        let durations = [
            "TIMEOUT", "BLOCK", "STALE", "EVERY", "FOR", "KEEP", "WAIT", "LEASE",
        ];
        let is_duration = durations.contains(option);
        let bad: &[&str] = match is_duration {
            true => &[
                "1w", "s", "1 s", "1S", "1.5s", "-1s", "1s1", "1h30m", "1ms ", "∞",
            ],
            false => &["1s", "1ms", "1d"],
        };
        for value in bad {
            let mut words: Vec<&str> = before.split(' ').collect();
            words.push(value);
            expect_refusal(&mut con, &words, "ERR", option);
        }
    }
    for good in ["250", "250ms", "90s", "10m", "1h", "7d"] {
        for line in [
            "DEVICE.HEARTBEAT d TIMEOUT",
            "DEVICE.TYPE.SET sensor TIMEOUT",
            "DEVICE.LIST STALE",
            "DEVICE.COUNT STALE",
            "DEVICE.REMOVE d BLOCK",
        ] {
            assert!(cmd!(con, line, good).is_ok(), "{line} {good}");
        }
        assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 1);
    }
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for line in [
        "DEVICE.LIST COUNT 0",
        "DEVICE.LIST COUNT 10001",
        "DEVICE.CHECK 0 COUNT 0",
        "DEVICE.CHECK 0 COUNT 10001",
        "DEVICE.HEARTBEAT new TIMEOUT 1",
        "DEVICE.HEARTBEAT online TIMEOUT 99",
        "DEVICE.HEARTBEAT online TIMEOUT 3651d",
        "DEVICE.TYPE.SET sensor TIMEOUT 99",
        "DEVICE.TYPE.SET sensor TIMEOUT 3651d",
        "DEVICE.TYPE.SET sensor HISTORY 18446744073709551615",
        "DEVICE.REMOVE online BLOCK 18446744073709551615",
        "DEVICE.REMOVE online BLOCK 18446744073709551615d",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let option = words[words.len() - 2];
        expect_refusal(&mut con, &words, "ERR", option);
    }
    for line in [
        "DEVICE.LIST COUNT 1",
        "DEVICE.LIST COUNT 10000",
        "DEVICE.CHECK 0 COUNT 10000",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
}

#[test]
fn the_largest_numbers_do_no_harm() {
    let mut server = Server::start();
    let mut con = server.connection();
    let max = u64::MAX;
    let line = format!("DEVICE.HEARTBEAT d SESSION {max} SEQ {max} REPORTED {{}} TIMEOUT 3650d");
    assert_eq!(outcome(cmd!(con, &line).value()), [1, 1, 1]);
    assert_eq!(outcome(cmd!(con, &line).value()), [0, 0, 1]);
    let ages = ["0", "3650d", "100000d", "3650000d"];
    for (age, fits) in ages.into_iter().zip([1, 0, 0, 0]) {
        assert_eq!(cmd!(con, "DEVICE.COUNT", "STALE", age).int(), fits, "{age}");
        assert!(cmd!(con, "DEVICE.LIST", "STALE", age).is_ok());
    }
    assert_eq!(
        cmd!(con, "DEVICE.REMOVE", "d", "BLOCK", "3650000d").int(),
        1
    );
    expect_refusal(&mut con, &["DEVICE.HEARTBEAT", "d"], "NODEVICE", "'d'");
    assert!(server.is_alive());
}

/// DEVICE.WHY must tell the session that is stored.
#[test]
fn why_tells_sessions_above_the_signed_numbers() {
    let server = Server::start();
    let mut con = server.connection();
    let session = u64::MAX.to_string();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "SESSION", &session).items();
    assert_eq!(
        cmd!(con, "DEVICE.WHY", "d").fields()["session"].text(),
        session
    );
}

#[test]
fn unknown_options_are_named() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for before in [
        "DEVICE.REGISTER d sensor",
        "DEVICE.REGISTER online sensor META {}",
        "DEVICE.REMOVE online",
        "DEVICE.HEARTBEAT d",
        "DEVICE.HEARTBEAT online REPORTED {} REPLACE TIMEOUT 1s SESSION 9 SEQ 9",
        "DEVICE.OFFLINE online",
        "DEVICE.LIST",
        "DEVICE.COUNT",
        "DEVICE.TYPE.SET sensor TIMEOUT 1s",
        "DEVICE.CHECK 0",
    ] {
        for (option, shown) in [
            (&b"NOPE"[..], "'NOPE'"),
            (b"", "''"),
            (b"%n%s%d", "'%n%s%d'"),
            (b"a\nb\0\xff", "'a\\nb\\u{0}\\xff'"),
            ("📟".as_bytes(), "'📟'"),
        ] {
            let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
            words.push(option);
            expect_refusal(&mut con, &words, "ERR", shown);
        }
    }
}

#[test]
fn repeated_options_are_named() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for (line, option) in [
        ("DEVICE.REGISTER d sensor META {} META {}", "META"),
        ("DEVICE.REMOVE online BLOCK 1s block 1s", "BLOCK"),
        ("DEVICE.HEARTBEAT d REPORTED {} REPORTED {}", "REPORTED"),
        ("DEVICE.HEARTBEAT d REPORTED {} REPLACE replace", "REPLACE"),
        ("DEVICE.HEARTBEAT d TIMEOUT 1s Timeout 1s", "TIMEOUT"),
        ("DEVICE.HEARTBEAT d SESSION 1 SESSION 2", "SESSION"),
        (
            "DEVICE.HEARTBEAT d REPORTED {} SESSION 1 SEQ 1 SEQ 2",
            "SEQ",
        ),
        ("DEVICE.OFFLINE online REASON a REASON b", "REASON"),
        ("DEVICE.OFFLINE online SESSION 9 SESSION 9", "SESSION"),
        ("DEVICE.LIST ONLINE online", "ONLINE"),
        ("DEVICE.LIST TYPE a TYPE b", "TYPE"),
        ("DEVICE.LIST STALE 1 STALE 2", "STALE"),
        ("DEVICE.LIST COUNT 1 COUNT 2", "COUNT"),
        ("DEVICE.LIST CURSOR 0 CURSOR 0", "CURSOR"),
        ("DEVICE.LIST WITHSTATE WITHSTATE", "WITHSTATE"),
        ("DEVICE.LIST OUTOFSYNC OUTOFSYNC", "OUTOFSYNC"),
        ("DEVICE.COUNT OUTOFSYNC outofsync", "OUTOFSYNC"),
        ("DEVICE.COUNT OFFLINE OFFLINE", "OFFLINE"),
        ("DEVICE.TYPE.SET sensor TIMEOUT 1s TIMEOUT 2s", "TIMEOUT"),
        ("DEVICE.TYPE.SET sensor HISTORY 1 HISTORY 2", "HISTORY"),
        ("DEVICE.CHECK 0 REPAIR REPAIR", "REPAIR"),
        ("DEVICE.CHECK 0 COUNT 1 COUNT 1", "COUNT"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "ERR", option);
    }
}

#[test]
fn options_without_their_value_are_named() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for line in [
        "DEVICE.REGISTER d sensor META",
        "DEVICE.REMOVE online BLOCK",
        "DEVICE.HEARTBEAT d REPORTED",
        "DEVICE.HEARTBEAT d TIMEOUT",
        "DEVICE.HEARTBEAT d SESSION",
        "DEVICE.HEARTBEAT d SESSION 1 SEQ",
        "DEVICE.OFFLINE online REASON",
        "DEVICE.OFFLINE online SESSION",
        "DEVICE.LIST TYPE",
        "DEVICE.LIST STALE",
        "DEVICE.LIST COUNT",
        "DEVICE.LIST CURSOR",
        "DEVICE.COUNT TYPE",
        "DEVICE.TYPE.SET sensor TIMEOUT 1s HISTORY",
        "DEVICE.CHECK 0 COUNT",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let option = words.last().copied().unwrap_or_default();
        let shown = if option == "TYPE" { "type" } else { option };
        expect_refusal(&mut con, &words, "ERR", shown);
    }
}

#[test]
fn options_come_in_any_order_and_case() {
    let server = Server::start();
    let mut con = server.connection();
    for line in [
        "device.heartbeat d seq 1 timeout 1s Session 1 replace REPORTED {}",
        "Device.Offline d session 1 reason x",
        "device.list withstate count 1 cursor 0 type unknown offline",
        "device.count type unknown OnLine",
        "device.type.set sensor history 1 timeout 1s",
        "device.check 0 repair count 10",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
}

#[test]
fn a_reason_must_be_text() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    let words = [&b"DEVICE.OFFLINE"[..], b"online", b"REASON", b"a\xff"];
    expect_refusal(&mut con, &words, "ERR", "REASON");
}
