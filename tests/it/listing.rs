//! `DEVICE.GET`, `MGET`, `LIST` and `COUNT`.

mod cursors;
mod model;
mod oddities;
mod stale;
mod walk;

use redis::{Connection, Value};

use crate::devices::*;
use crate::support::*;

/// All ids that `DEVICE.LIST<filter>` gives, page by page, as they came. As with SCAN, a page may be
/// empty and not the last one.
#[track_caller]
fn list(con: &mut Connection, filter: &str, count: u32) -> Vec<String> {
    let pages = list_pages(con, filter, count);
    pages.iter().map(Reply::text).collect()
}

/// The same for the elements of any kind, for WITHSTATE among the filters.
#[track_caller]
fn list_pages(con: &mut Connection, filter: &str, count: u32) -> Vec<Value> {
    let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
    for _ in 0..2_000 {
        let line = format!("DEVICE.LIST{filter} COUNT {count} CURSOR");
        let page = cmd!(con, &line, &cursor);
        all.extend(page.at(1).items());
        cursor = page.at(0).text();
        if cursor == "0" {
            return all;
        }
    }
    panic!("DEVICE.LIST{filter} COUNT {count} comes to no end");
}

#[test]
fn get_answers_all_fields_as_a_map() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor META {\"m\":1}").int();
    cmd!(
        con,
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 4 SEQ 2 TIMEOUT 1h"
    )
    .items();
    let whole = cmd!(con, "DEVICE.GET", "d").text_fields();
    assert_eq!(whole, cmd!(con, "HGETALL", "device:state:d").text_fields());
    for (name, value) in [
        ("device_id", "d"),
        ("device_type", "sensor"),
        ("status", "online"),
        ("timeout", "3600000"),
        ("session", "4"),
        ("seq", "2"),
        ("version", "1"),
        ("reported_state", "{\"a\":1}"),
        ("metadata", "{\"m\":1}"),
    ] {
        assert_eq!(whole[name], value, "{name}");
    }
    for time in ["last_seen", "registered_at", "status_since"] {
        let ms: i64 = whole[time].parse().expect("whole milliseconds");
        assert!((1_600_000_000_000..=now_ms()).contains(&ms), "{time} {ms}");
    }
}

#[test]
fn get_answers_named_fields_in_their_order() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    let some = cmd!(con, "DEVICE.GET d status nope device_id status");
    let texts: Vec<_> = some
        .items()
        .iter()
        .filter(|v| !v.is_nil())
        .map(Reply::text)
        .collect();
    assert_eq!(texts, ["offline", "d", "offline"]);
    assert!(some.at(1).is_nil());
    // Any bytes may be asked for.
    let odd = cmd!(con, "DEVICE.GET", "d", &b"\xff\0"[..], "", "STATUS");
    assert!(odd.items().iter().all(|value| value.is_nil()));
}

#[test]
fn get_and_mget_of_unknown_devices_are_null() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    assert!(cmd!(con, "DEVICE.GET", "nobody").is_nil());
    assert!(cmd!(con, "DEVICE.GET", "nobody", "status", "x").is_nil());
    let some = cmd!(con, "DEVICE.MGET nobody d nobody d").items();
    assert_eq!(
        some.iter().map(Reply::is_nil).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_eq!(some[1], some[3]);
    assert_eq!(
        some[1].text_fields(),
        cmd!(con, "DEVICE.GET", "d").text_fields()
    );
}

#[test]
fn maps_are_maps_in_resp3_and_flat_arrays_in_resp2() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    raw.call(&["DEVICE.REGISTER", "d", "sensor"]);
    let starts = |raw: &mut Raw, two: &str, three: &str| {
        for (protocol, start) in [("2", two), ("3", three)] {
            raw.call(&["HELLO", protocol]);
            for (command, before) in [
                (&["DEVICE.GET", "d"][..], ""),
                (&["DEVICE.MGET", "d"], "*1\r\n"),
                (&["DEVICE.LIST", "WITHSTATE"], "*2\r\n$1\r\n0\r\n*1\r\n"),
            ] {
                let reply = raw.call(command);
                let wanted = format!("{before}{start}\r\n$7\r\nversion\r\n$1\r\n0\r\n");
                assert!(
                    reply.starts_with(wanted.as_bytes()),
                    "{}",
                    reply.escape_ascii()
                );
            }
        }
    };
    // A device that was never seen has seven fields.
    starts(&mut raw, "*14", "%7");
    raw.call(&["HELLO", "3"]);
    assert_eq!(raw.call(&["DEVICE.GET", "nobody"]), b"_\r\n");
    assert_eq!(raw.call(&["DEVICE.MGET", "nobody"]), b"*1\r\n_\r\n");
}

#[test]
fn an_empty_fleet_has_empty_lists() {
    let server = Server::start();
    let mut con = server.connection();
    for filter in [
        "",
        " ONLINE",
        " OFFLINE",
        " TYPE t",
        " STALE 0",
        " TYPE t OFFLINE STALE 1h",
    ] {
        assert_eq!(list(&mut con, filter, 10), [] as [String; 0], "{filter}");
        assert_eq!(
            cmd!(con, &format!("DEVICE.COUNT{filter}")).int(),
            0,
            "{filter}"
        );
    }
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
}

#[test]
fn online_and_offline_exclude_each_other() {
    let server = Server::start();
    let mut con = server.connection();
    for command in ["DEVICE.LIST", "DEVICE.COUNT"] {
        for both in [["ONLINE", "OFFLINE"], ["offline", "online"]] {
            let words = [command, both[0], "TYPE", "t", both[1]];
            expect_refusal(&mut con, &words, "ERR", "OFFLINE");
        }
    }
}
