//! Index entries that other hands wrote: lists skip them and go on.

use redis::Connection;

use super::list_pages;
use crate::support::*;

/// All ids, by pages of one, sorted.
#[track_caller]
fn list(con: &mut Connection, filter: &str) -> Vec<String> {
    let mut ids = super::list(con, filter, 1);
    ids.sort();
    ids
}

/// Puts an id into every index, without a hash.
#[track_caller]
fn index(con: &mut Connection, id: &[u8]) {
    for set in [
        "devices:registered",
        "devices:online",
        "devices:type:sensor",
        "devices:online:type:sensor",
    ] {
        cmd!(con, "SADD", set, id).int();
    }
    for score in [0_i64, 5] {
        cmd!(con, "ZADD", "devices:offline", score, id).int();
    }
}

const FILTERS: [(&str, &[&str]); 7] = [
    ("", &["off", "on"]),
    (" ONLINE", &["on"]),
    (" OFFLINE", &["off"]),
    (" TYPE sensor", &["off", "on"]),
    (" TYPE sensor ONLINE", &["on"]),
    (" STALE 0", &["off", "on"]),
    (" STALE 0 TYPE sensor OFFLINE", &["off"]),
];

#[track_caller]
fn start() -> (Server, Connection) {
    let server = Server::start();
    let mut con = server.connection();
    for line in [
        "DEVICE.REGISTER on sensor",
        "DEVICE.REGISTER off sensor",
        "DEVICE.HEARTBEAT on",
    ] {
        assert!(cmd!(con, line).is_ok());
    }
    (server, con)
}

#[test]
fn ids_without_a_hash_are_skipped() {
    let (_server, mut con) = start();
    for n in 0..10 {
        index(&mut con, format!("ghost-{n}").as_bytes());
    }
    for (filter, ids) in FILTERS {
        assert_eq!(list(&mut con, filter), *ids, "{filter}");
    }
}

#[test]
fn a_hash_of_another_device_is_skipped() {
    let (_server, mut con) = start();
    index(&mut con, b"copy");
    cmd!(con, "COPY", "device:state:on", "device:state:copy").int();
    index(&mut con, b"string");
    cmd!(con, "SET", "device:state:string", "x").text();
    for (filter, ids) in FILTERS {
        assert_eq!(list(&mut con, filter), *ids, "{filter}");
        let states = list_pages(&mut con, &format!("{filter} WITHSTATE"), 10);
        assert_eq!(states.len(), ids.len(), "{filter}");
    }
}

#[test]
fn a_device_in_the_wrong_index_is_skipped() {
    let (_server, mut con) = start();
    cmd!(con, "DEVICE.REGISTER other motor").int();
    index(&mut con, b"other");
    cmd!(con, "SADD", "devices:online", "off").int();
    cmd!(con, "ZADD", "devices:offline", 0, "on").int();
    assert_eq!(list(&mut con, " ONLINE"), ["on"]);
    assert_eq!(list(&mut con, " TYPE sensor"), ["off", "on"]);
    assert_eq!(list(&mut con, " OFFLINE"), ["off", "other"]);
    assert_eq!(list(&mut con, " TYPE motor"), ["other"]);
    assert_eq!(list(&mut con, " TYPE motor ONLINE"), [] as [&str; 0]);
}

#[test]
fn entries_that_are_no_ids_are_skipped() {
    for entry in [&b"\xff\xfe"[..], b"a b", b"", b"{x}", b"a\0b", &[b'x'; 300]] {
        let (_server, mut con) = start();
        index(&mut con, entry);
        for (filter, ids) in FILTERS {
            let shown = entry.escape_ascii();
            assert_eq!(list(&mut con, filter), *ids, "{filter} {shown}");
        }
    }
}
