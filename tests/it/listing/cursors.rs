//! Cursors: what happens when the fleet changes between two pages, and cursors that are none.

use std::collections::BTreeSet;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// 200 devices, so that every set is a real table and not listed in one piece.
#[track_caller]
fn fleet(con: &mut Connection, online: bool) -> BTreeSet<String> {
    let ids: BTreeSet<String> = (0..200).map(|n| format!("d{n:03}")).collect();
    for id in &ids {
        cmd!(con, "DEVICE.REGISTER", id, "sensor").int();
        if online {
            cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", 0).items();
        }
    }
    ids
}

/// Lists page by page, and lets `meanwhile` change the fleet after each page. Gives all that came.
#[track_caller]
fn list_while(
    con: &mut Connection,
    filter: &str,
    mut meanwhile: impl FnMut(&mut Connection, &[String]),
) -> BTreeSet<String> {
    let (mut cursor, mut all) = ("0".to_owned(), BTreeSet::new());
    for _ in 0..1_000 {
        let line = format!("DEVICE.LIST {filter} COUNT 10 CURSOR {cursor}");
        let page = cmd!(con, &line);
        let ids = page.at(1).texts();
        all.extend(ids.iter().cloned());
        cursor = page.at(0).text();
        if cursor == "0" {
            return all;
        }
        meanwhile(con, &ids);
    }
    panic!("{filter} comes to no end");
}

#[test]
fn devices_that_stay_are_listed_while_others_leave() {
    let server = Server::start();
    let mut con = server.connection();
    for (filter, online) in [
        ("TYPE sensor", false),
        ("ONLINE", true),
        ("OFFLINE", false),
        ("STALE 0", false),
        ("STALE 0", true),
        ("TYPE sensor OFFLINE", false),
    ] {
        cmd!(con, "FLUSHALL").text();
        let ids = fleet(&mut con, online);
        let mut left = BTreeSet::new();
        let listed = list_while(&mut con, filter, |con, page| {
            // The whole page that was just read, with the one the cursor may stand on.
            for id in page {
                cmd!(con, "DEVICE.REMOVE", id).int();
                left.insert(id.clone());
            }
        });
        assert_eq!(listed, ids, "{filter}: listed, or never there");
        assert!(!left.is_empty(), "{filter}: more than one page");
    }
}

#[test]
fn devices_that_come_online_between_pages_cost_no_others_their_place() {
    let server = Server::start();
    let mut con = server.connection();
    for filter in ["OFFLINE", "STALE 0"] {
        cmd!(con, "FLUSHALL").text();
        let ids = fleet(&mut con, false);
        let listed = list_while(&mut con, filter, |con, page| {
            for id in page {
                beat(con, id);
            }
        });
        assert_eq!(listed, ids, "{filter}");
    }
}

#[test]
fn devices_that_join_meanwhile_may_or_may_not_be_listed() {
    let server = Server::start();
    let mut con = server.connection();
    for filter in ["OFFLINE", "TYPE sensor"] {
        cmd!(con, "FLUSHALL").text();
        let ids = fleet(&mut con, false);
        let mut joined = 0;
        let listed = list_while(&mut con, filter, |con, _| {
            // More than a page at a time, but not for ever.
            for _ in 0..(if joined < 300 { 15 } else { 0 }) {
                joined += 1;
                cmd!(con, "DEVICE.REGISTER", format!("a{joined:04}"), "sensor").int();
            }
        });
        assert!(listed.is_superset(&ids), "{filter}");
    }
}

#[test]
fn a_cursor_outlives_a_flush() {
    let server = Server::start();
    let mut con = server.connection();
    for filter in ["TYPE sensor", "OFFLINE", "STALE 0"] {
        fleet(&mut con, false);
        let page = cmd!(con, &format!("DEVICE.LIST {filter} COUNT 10"));
        cmd!(con, "FLUSHALL").text();
        let next = format!("DEVICE.LIST {filter} COUNT 10 CURSOR {}", page.at(0).text());
        let rest = list_while(&mut con, filter, |_, _| {});
        assert!(rest.is_empty());
        assert_eq!(cmd!(con, &next).at(1).items().len(), 0, "{filter}");
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    fleet(&mut con, false);
    for cursor in [
        &b""[..],
        b"x",
        b"-1",
        b"1.5",
        b" 0",
        b"0 ",
        b"+1",
        b"18446744073709551616",
        b"f",
        b"f:",
        b"f:1",
        b"f:x:d",
        b"f:-1:d",
        b"f:18446744073709551616:d",
        b"n:",
        b"n:x",
        b"z:1",
        b"\xff",
        b"f:1:\xff",
        b"%n%s",
        b"0\0",
        b"0x0",
    ] {
        let words = [&b"DEVICE.LIST"[..], b"CURSOR", cursor];
        expect_refusal(&mut con, &words, "ERR", "CURSOR");
    }
}

/// A cursor belongs to its filters, but a client that mixes them up must do no harm.
#[test]
fn cursors_of_other_lists_do_no_harm() {
    let mut server = Server::start();
    let mut con = server.connection();
    fleet(&mut con, true);
    fleet(&mut con, false);
    let max = u64::MAX;
    for cursor in [
        "1",
        "n:1",
        "f:0:64",
        &format!("{max}"),
        &format!("n:{max}"),
        &format!("f:{max}:78"),
    ] {
        for filter in [
            "",
            "ONLINE ",
            "OFFLINE ",
            "TYPE sensor ",
            "STALE 0 ",
            "ONLINE STALE 0 ",
        ] {
            let line = format!("DEVICE.LIST {filter}COUNT 10000 CURSOR {cursor}");
            let page = cmd!(con, &line);
            assert!(page.at(1).items().len() <= 200, "{line}");
        }
    }
    assert!(server.is_alive());
}
