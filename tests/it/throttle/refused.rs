//! What is refused: it changes nothing, and says what was wrong.

use super::*;

#[test]
fn words_that_make_no_sense() {
    let server = Server::start();
    let mut con = server.connection();
    hit(&mut con, "k 5 1h COST 2");
    for (words, contains) in [
        ("k 0 1h", "limit: '0'"),
        ("k -1 1h", "limit: '-1'"),
        ("k 1.5 1h", "limit: '1.5'"),
        ("k +5 1h", "limit: '+5'"),
        ("k 9223372036854775808 1h", "limit: '9223372036854775808'"),
        ("k GCRA 1h", "limit: 'GCRA'"),
        ("k 5 0", "period: 0 ms"),
        ("k 5 -1", "period: '-1'"),
        ("k 5 1.5", "period: '1.5'"),
        ("k 5 soon", "period: 'soon'"),
        ("k 5 315360000001", "period: 315360000001 ms"),
        ("k 5 99999999999999999999", "period: '99999999999999999999'"),
        (
            "k 5 18446744073709551615d",
            "period: '18446744073709551615d'",
        ),
        ("k 5 COST", "period: 'COST'"),
        ("k 5 1h COST", "COST is missing"),
        ("k 5 1h COST x", "COST: 'x'"),
        ("k 5 1h COST 1.0", "COST: '1.0'"),
        (
            "k 5 1h COST 9223372036854775808",
            "COST: '9223372036854775808'",
        ),
        (
            "k 5 1h COST -9223372036854775809",
            "COST: '-9223372036854775809'",
        ),
        ("k 5 1h COST 1 COST 1", "COST is given twice"),
        ("k 5 1h GCRA GCRA", "GCRA is given twice"),
        ("k 5 1h GCRA cost 1 gcra", "GCRA is given twice"),
        ("k 5 1h NOPE", "'NOPE'"),
        ("k 5 1h GCRA NOPE", "unknown option 'NOPE'"),
        ("k 5 1h COST 1 6 2h", "unknown option '6'"),
        // Odd pairs.
        ("k 5 1h 6", "period is missing"),
        ("k 5 1h 6 GCRA", "period: 'GCRA'"),
        ("k 5 1h 6 2h 7 COST 1", "period: 'COST'"),
        ("k 5 1h 6 2h", "several limits go with GCRA"),
        ("k 5 1h 6 2h COST 1", "several limits go with GCRA"),
        (
            "k 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 GCRA",
            "more than 8 limits",
        ),
        // More than nanoseconds can tell.
        (
            "k 1000001 1 GCRA",
            "limit: more than one hit per nanosecond",
        ),
        (
            "k 9223372036854775807 3650d GCRA",
            "limit: more than one hit per nanosecond",
        ),
        (
            "k 5 1h 9223372036854775807 1 GCRA",
            "limit: more than one hit per nanosecond",
        ),
    ] {
        let line = format!("THROTTLE.HIT {words}");
        let line: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &line, "ERR", contains);
    }
    for words in ["", "k", "k 5"] {
        let line = format!("THROTTLE.HIT {words}");
        let line: Vec<&str> = line.trim().split(' ').collect();
        expect_refusal(&mut con, &line, "ERR", "wrong number of arguments");
    }
    let before = info_number(&mut con, "throttle_hits");
    assert!(try_hit(&mut con, "k 5 nope").is_err());
    assert_eq!(info_number(&mut con, "throttle_hits"), before);
}

#[test]
fn keywords_are_case_insensitive_in_any_order() {
    let server = Server::start();
    let mut con = server.connection();
    for words in [
        "k 5 1h cost 2 gcra",
        "k 5 1h GCRA COST 2",
        "k 5 60m Gcra Cost 2",
        "k 5 3600s GCRA COST 2",
        "k 5 3600000 GCRA COST 2",
        "k 5 3600000ms GCRA COST 2",
    ] {
        cmd!(con, "DEL k").int();
        assert_eq!(hit(&mut con, words), [0, 5, 3, -1, 1_440_000], "{words}");
    }
    // A key is any bytes: also a keyword, also none.
    let mut raw = Raw::connect(&server);
    for key in [&b""[..], b"COST", b"\xff\x00\r\n", b"{a}", b"a b"] {
        let args = [b"THROTTLE.HIT", key, b"1", b"1h"];
        assert!(raw.call(&args).starts_with(b"*5\r\n:0\r\n"));
        assert!(raw.call(&args).starts_with(b"*5\r\n:1\r\n"));
        assert_eq!(raw.call(&[b"GET", key]), b"$1\r\n1\r\n");
    }
}

/// Each of them with a cost of 1, 0 and -1.
#[track_caller]
fn expect_none(con: &mut Connection, key: &str, form: &str, code: &str, contains: &str) {
    for cost in ["1", "0", "-1", "99"] {
        let line = format!("THROTTLE.HIT {key} 5 1h{form} COST {cost}");
        let line: Vec<&str> = line.split(' ').collect();
        let before = snapshot_with_expiry(con);
        let error = expect_error(con, &line, code, contains);
        assert!(error.contains(&format!("'{key}'")), "{error}");
        assert_eq!(before, snapshot_with_expiry(con), "{error}");
    }
}

#[test]
fn the_state_of_the_other_form_is_an_error_and_stays() {
    let server = Server::start();
    let mut con = server.connection();
    hit(&mut con, "window 5 1h");
    hit(&mut con, "gcra 5 1h GCRA");
    expect_none(&mut con, "window", " GCRA", "ERR", "no state of GCRA");
    expect_none(&mut con, "gcra", "", "ERR", "no counter of a window");
    assert_eq!(hit(&mut con, "window 5 1h")[2], 3);
    assert_eq!(hit(&mut con, "gcra 5 1h GCRA")[2], 3);
}

#[test]
fn values_that_are_no_state_are_errors_and_stay() {
    let server = Server::start();
    let mut con = server.connection();
    for value in [
        "",
        "x",
        "1x",
        " 1",
        "1 ",
        "+1",
        "01",
        "-0",
        "1.5",
        "1e3",
        "9223372036854775808",
    ] {
        cmd!(con, "SET", "k", value).text();
        expect_none(&mut con, "k", "", "ERR", "no counter of a window");
        expect_none(&mut con, "k", " GCRA", "ERR", "no state of GCRA");
    }
    for value in [
        b"g1".to_vec(),
        b"g1:".to_vec(),
        b"g1:1,".to_vec(),
        b"g1:1795271329000000000".to_vec(),
        b"g2:\x101234567".to_vec(),
        encoded(0, &[]),
        encoded(0, &[1; 9]),
        encoded(41, &[1]),
        [encoded(0, &[1]), vec![0]].concat(),
    ] {
        cmd!(con, "SET", "k", value).text();
        expect_none(&mut con, "k", " GCRA", "ERR", "no state of GCRA");
    }
    // What is shown of it stays short and printable.
    cmd!(
        con,
        "SET",
        "k",
        [&b"\xff\r\n\x00"[..], &[b'x'; 1_000]].concat()
    )
    .text();
    let error = expect_error(
        &mut con,
        &["THROTTLE.HIT", "k", "5", "1h"],
        "ERR",
        "\\xff\\r\\n",
    );
    assert!(error.len() < 300, "{error}");
}

#[test]
fn keys_of_another_type_are_refused_and_stay() {
    let server = Server::start();
    let mut con = server.connection();
    for (key, line) in [
        ("list", "RPUSH list 1"),
        ("hash", "HSET hash f 1"),
        ("set", "SADD set 1"),
        ("zset", "ZADD zset 1 m"),
        ("stream", "XADD stream * f 1"),
    ] {
        assert!(cmd!(con, line).is_ok());
        for form in FORMS {
            expect_none(&mut con, key, form, "WRONGTYPE", "not a string");
        }
    }
}
