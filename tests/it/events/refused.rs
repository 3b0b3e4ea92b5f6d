//! What is no reading of events.

use super::*;

#[test]
fn what_is_no_cursor_is_refused_and_named() {
    let server = Server::start();
    let mut con = server.connection();
    for cursor in [
        "",
        "-",
        "+",
        ">",
        "x",
        "1-",
        "1-2-3",
        "1@",
        "@1-1",
        "0-16384@1-1",
        "5-4@1-1",
        "1@1-1;",
        "1@1-1;1@1-1",
        "18446744073709551616",
        "%n%s",
        "€\u{4e00}",
    ] {
        for words in [vec![cursor], vec![cursor, "BLOCK", "0"]] {
            let words = [vec!["DEVICE.EVENTS", "AFTER"], words].concat();
            let error = expect_error(&mut con, &words, "ERR", "AFTER: ");
            assert!(error.contains("is no cursor of DEVICE.EVENTS"), "{error}");
        }
    }
    let long = "1@1-1;".repeat(100_000);
    let error = expect_error(
        &mut con,
        &["DEVICE.EVENTS", "AFTER", &long],
        "ERR",
        "AFTER: ",
    );
    assert!(error.len() < 200, "{error}");
    let error = ["DEVICE.EVENTS", "AFTER", "0-5@1-1;7@2-2"];
    expect_error(
        &mut con,
        &error,
        "ERR",
        "AFTER: this cursor is of a cluster",
    );
}

#[test]
fn a_cursor_ahead_of_everything_has_nothing_behind_it() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT a").items();
    let last = "18446744073709551615-18446744073709551615";
    for cursor in [last, "18446744073709551614-0"] {
        let page = read(&mut con, &format!("AFTER {cursor}"));
        assert_eq!((page.cursor.as_str(), page.entries.len()), (cursor, 0));
    }
    // It is of no consequence to what comes.
    cmd!(con, "DEVICE.HEARTBEAT b").items();
    assert_eq!(events(&mut con).len(), 4);
}

#[test]
fn hostile_numbers_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    for words in [
        "COUNT 0",
        "COUNT 10001",
        "COUNT -1",
        "COUNT 18446744073709551615",
        "BLOCK -1",
        "BLOCK 18446744073709551615",
        "BLOCK 3651d",
        "BLOCK",
        "AFTER",
        "COUNT 1 COUNT 1",
        "AFTER 0 AFTER 0",
        "FOO",
    ] {
        let line = format!("DEVICE.EVENTS {words}");
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut con, &words, "ERR", "");
    }
}

#[test]
fn another_type_is_refused_and_named() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "SET devices:events x").text();
    for words in ["", "AFTER $", "AFTER 5-0 BLOCK 0", "AFTER $ BLOCK 0"] {
        let line = format!("DEVICE.EVENTS {words}");
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        expect_error(&mut con, &words, "WRONGTYPE", "devices:events");
    }
}

#[test]
fn it_needs_read_permission_for_the_stream() {
    let server = Server::start();
    let mut admin = server.connection();
    let mut con = server.connection();
    let mut grant = |rules: &str| cmd!(admin, &format!("ACL SETUSER reader {rules}")).text();
    grant("on >secret +@all ~acme-* ~devices:registered %W~devices:events");
    cmd!(con, "AUTH reader secret").text();
    for words in ["", "AFTER $ BLOCK 0"] {
        let line = format!("DEVICE.EVENTS {words}");
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        expect_error(&mut con, &words, "NOPERM", "devices:events");
    }
    grant("resetkeys %R~devices:events");
    assert_eq!(read(&mut con, "").entries.len(), 0);
    grant("-device.events");
    expect_error(&mut con, &["DEVICE.EVENTS"], "NOPERM", "");
}
