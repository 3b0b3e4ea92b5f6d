//! `OUTOFSYNC` of LIST and COUNT, and the index behind it: at every moment the devices whose classic
//! shadow has something outstanding.

use std::collections::BTreeSet;

use redis::Connection;
use serde_json::json;

use super::*;
use crate::consistency::assert_consistent;

/// Ids of `DEVICE.LIST<filter>`, page by page, sorted. One that comes twice is a failure.
#[track_caller]
fn list(con: &mut Connection, filter: &str, count: u32) -> Vec<String> {
    let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
    for _ in 0..2_000 {
        let line = format!("DEVICE.LIST{filter} COUNT {count} CURSOR");
        let page = cmd!(con, &line, &cursor);
        all.extend(page.at(1).texts());
        cursor = page.at(0).text();
        if cursor == "0" {
            all.sort();
            return all;
        }
    }
    panic!("DEVICE.LIST{filter} comes to no end");
}

#[test]
fn alone_it_lists_and_counts_who_has_something_to_do() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(list(&mut con, " OUTOFSYNC", 10), [] as [&str; 0]);
    for turn in 0..300 {
        let id = format!("d-{turn:03}");
        set(&mut con, &id, json!({"a": 1}));
        if turn % 3 == 0 {
            report(&mut con, &id, json!({"a": 1}));
        }
    }
    let wanted: Vec<String> = (0..300)
        .filter(|turn| turn % 3 > 0)
        .map(|turn| format!("d-{turn:03}"))
        .collect();
    assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 200);
    assert_eq!(cmd!(con, "device.count outofsync").int(), 200);
    for count in [1, 7, 100, 10_000] {
        assert_eq!(list(&mut con, " OUTOFSYNC", count), wanted, "COUNT {count}");
    }
    assert_eq!(cmd!(con, "SMEMBERS devices:outofsync").sorted(), wanted);
    let states = cmd!(con, "DEVICE.LIST OUTOFSYNC WITHSTATE COUNT 10000")
        .at(1)
        .items();
    assert_eq!(states.len(), 200);
    for state in states {
        let state = state.text_fields();
        assert!(wanted.contains(&state["device_id"]));
        assert_eq!(state["delta"], "{\"a\":1}");
    }
    assert_consistent(&mut con);
}

/// A device of each kind: type, online or not, seen or not, in sync or not.
#[track_caller]
fn every_kind(con: &mut Connection) {
    for device_type in ["red", "blue"] {
        for status in ["on", "off", "never"] {
            for sync in ["in", "out"] {
                let id = format!("{device_type}-{status}-{sync}");
                cmd!(con, "DEVICE.REGISTER", &id, device_type).int();
                if status != "never" {
                    cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", "30d").items();
                    let key = format!("device:state:{id}");
                    cmd!(con, "HSET", key, "last_seen", now_ms() - 7_200_000).int();
                }
                if status == "off" {
                    cmd!(con, "DEVICE.OFFLINE", &id).int();
                }
                set(con, &id, json!({"a": 1}));
                if sync == "in" {
                    report(con, &id, json!({"a": 1}));
                }
            }
        }
    }
}

#[test]
fn it_combines_with_every_other_filter() {
    let server = Server::start();
    let mut con = server.connection();
    every_kind(&mut con);
    let all: Vec<Vec<&str>> = ["red", "blue"]
        .iter()
        .flat_map(|t| ["on", "off", "never"].map(|status| vec![*t, status]))
        .collect();
    for status in ["", " ONLINE", " OFFLINE"] {
        for device_type in ["", " TYPE red", " TYPE none"] {
            for stale in ["", " STALE 0", " STALE 1h", " STALE 1d"] {
                let fits = |kind: &&Vec<&str>| {
                    let online = kind[1] == "on";
                    (status.is_empty() || (status == " ONLINE") == online)
                        && (device_type.is_empty() || device_type == format!(" TYPE {}", kind[0]))
                        && (stale != " STALE 1d" || kind[1] == "never")
                };
                let mut wanted: Vec<String> = all
                    .iter()
                    .filter(fits)
                    .map(|kind| format!("{}-{}-out", kind[0], kind[1]))
                    .collect();
                wanted.sort();
                for words in [
                    format!("{status}{device_type}{stale} OUTOFSYNC"),
                    format!(" OUTOFSYNC{stale}{device_type}{status}"),
                ] {
                    assert_eq!(list(&mut con, &words, 2), wanted, "{words}");
                    assert_eq!(list(&mut con, &words, 1_000), wanted, "{words}");
                    let count = cmd!(con, &format!("DEVICE.COUNT{words}")).int();
                    assert_eq!(count as usize, wanted.len(), "{words}");
                }
            }
        }
    }
    assert_consistent(&mut con);
}

#[test]
fn it_may_be_said_once() {
    let server = Server::start();
    let mut con = server.connection();
    for command in ["DEVICE.LIST", "DEVICE.COUNT"] {
        let words = [command, "OUTOFSYNC", "TYPE", "t", "outofsync"];
        expect_refusal(&mut con, &words, "ERR", "OUTOFSYNC");
    }
}

#[test]
fn a_cursor_of_another_filter_is_refused_or_comes_to_an_end() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..2_000 {
        set(&mut con, &format!("d-{turn}"), json!({"a": 1}));
    }
    let cursor = cmd!(con, "DEVICE.LIST OUTOFSYNC COUNT 10").at(0).text();
    assert_ne!(cursor, "0");
    for line in [
        "DEVICE.LIST COUNT 10 CURSOR",
        "DEVICE.LIST OFFLINE OUTOFSYNC CURSOR",
    ] {
        if let Err(error) = cmd!(con, line, &cursor) {
            assert_eq!(error.code(), Some("ERR"), "{error}");
        }
    }
    for bad in ["x", "-1", "%n%s", ""] {
        expect_refusal(
            &mut con,
            &["DEVICE.LIST", "OUTOFSYNC", "CURSOR", bad],
            "ERR",
            "CURSOR",
        );
    }
}

/// Whoever is there from the first page to the last is listed, whatever comes and goes meanwhile.
#[test]
fn the_pages_hold_whoever_stays() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..1_000 {
        set(&mut con, &format!("stays-{turn}"), json!({"a": 1}));
    }
    let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
    for turn in 0.. {
        let page = cmd!(con, "DEVICE.LIST OUTOFSYNC COUNT 20 CURSOR", &cursor);
        found.extend(page.at(1).texts());
        cursor = page.at(0).text();
        if cursor == "0" {
            break;
        }
        assert!(turn < 10_000, "no end");
        for n in 0..20 {
            set(&mut con, &format!("comes-{turn}-{n}"), json!({"a": 1}));
        }
        report(&mut con, &format!("comes-{turn}-1"), json!({"a": 1}));
        cmd!(con, "DEVICE.REMOVE", format!("comes-{turn}-2")).int();
    }
    let stays = found.iter().filter(|id| id.starts_with("stays-")).count();
    assert_eq!(stays, 1_000);
    assert_consistent(&mut con);
}

#[test]
fn whoever_is_removed_or_deleted_is_out_of_it() {
    let server = Server::start();
    let mut con = server.connection();
    for id in ["removed", "deleted", "cleared", "stays"] {
        set(&mut con, id, json!({"a": 1}));
    }
    cmd!(con, "DEVICE.REMOVE removed").int();
    cmd!(con, "DEVICE.SHADOW.DEL deleted").text();
    update(&mut con, "cleared", json!({"state": null}));
    assert_eq!(list(&mut con, " OUTOFSYNC", 10), ["stays"]);
    cmd!(con, "DEVICE.REGISTER stays motor").int();
    assert_eq!(list(&mut con, " OUTOFSYNC TYPE motor", 10), ["stays"]);
    assert_consistent(&mut con);
    report(&mut con, "stays", json!({"a": 1}));
    assert_eq!(cmd!(con, "EXISTS devices:outofsync").int(), 0);
}

#[test]
fn a_keys_prefix_is_on_it_too() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    server.settle();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    assert_eq!(cmd!(con, "SMEMBERS sc:devices:outofsync").texts(), ["d"]);
    assert_eq!(list(&mut con, " OUTOFSYNC", 10), ["d"]);
    let keys = cmd!(con, "KEYS *").sorted();
    assert!(keys.iter().all(|key| key.starts_with("sc:")), "{keys:?}");
    for key in ["sc:device:shadows:d", "sc:device:history:d"] {
        assert!(keys.iter().any(|k| k == key), "{key}: {keys:?}");
    }
}
