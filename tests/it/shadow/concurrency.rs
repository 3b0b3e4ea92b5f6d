//! Many clients at once, transactions and scripts: no update is lost, and no step is seen half.

use std::thread;

use redis::Connection;
use serde_json::{json, Value};

use super::*;

const CLIENTS: usize = 50;
const INCREMENTS: i64 = 10;

/// Adds 1 to the client's own counter and to the one that all share, in one section; again and again
/// until nobody came in between.
#[track_caller]
fn increment(con: &mut Connection, command: &str, section: &str, own: &str) {
    for _ in 0..100_000 {
        let shadow = get(con, "d");
        let document = &shadow["state"][section];
        let next = |name: &str| document[name].as_i64().unwrap_or(0) + 1;
        let patch = json!({own: next(own), "shared": next("shared")});
        let version = shadow["version"].as_i64().unwrap_or(0);
        let request = with_document(command, "d", &patch, &format!("VERSION {version}"));
        match con.run(&request) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.code(), Some("VERSIONCONFLICT"), "{error}"),
        }
    }
    panic!("{own} never came through");
}

/// Even clients set, odd ones report.
fn section_of(client: usize) -> (&'static str, &'static str) {
    [
        ("DEVICE.SHADOW.SET", "desired"),
        ("DEVICE.SHADOW.REPORT", "reported"),
    ][client % 2]
}

#[test]
fn fifty_clients_at_one_device_lose_no_update() {
    let server = Server::start();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut con = server.connection();
            scope.spawn(move || {
                let (command, section) = section_of(client);
                for _ in 0..INCREMENTS {
                    increment(&mut con, command, section, &format!("own-{client}"));
                }
            });
        }
    });
    let mut con = server.connection();
    let shadow = get(&mut con, "d");
    let all = CLIENTS as i64 * INCREMENTS;
    assert_eq!(shadow["version"], all);
    for section in ["desired", "reported"] {
        assert_eq!(shadow["state"][section]["shared"], all / 2, "{section}");
    }
    for client in 0..CLIENTS {
        let own = &shadow["state"][section_of(client).1][format!("own-{client}")];
        assert_eq!(*own, INCREMENTS, "client {client}");
    }
    let counts = events_of(&mut con, "d").of_type("delta");
    let versions: Vec<i64> = counts.iter().map(|event| event.int("version")).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    crate::consistency::assert_consistent(&mut con);
}

#[test]
fn without_a_version_every_merge_counts_all_the_same() {
    let server = Server::start();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut con = server.connection();
            scope.spawn(move || {
                for turn in 0..INCREMENTS {
                    let own = json!({format!("own-{client}"): turn});
                    match client % 2 {
                        0 => set(&mut con, "d", own),
                        _ => report(&mut con, "d", own),
                    };
                }
            });
        }
    });
    let mut con = server.connection();
    let shadow = get(&mut con, "d");
    assert_eq!(shadow["version"], CLIENTS as i64 * INCREMENTS);
    for client in 0..CLIENTS {
        let own = &shadow["state"][section_of(client).1][format!("own-{client}")];
        assert_eq!(*own, INCREMENTS - 1, "client {client}");
    }
}

#[test]
fn all_commands_work_in_a_transaction() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    for line in [
        "DEVICE.SHADOW.SET d {\"a\":1}",
        "DEVICE.SHADOW.REPORT d {\"a\":1}",
        "DEVICE.SHADOW.SET d {\"a\":2} VERSION 1",
        "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"b\":1}}}",
        "DEVICE.SHADOW.SET d {\"n\":1} NAME n",
        "DEVICE.SHADOW.NAMES d",
        "DEVICE.SHADOW.DEL d NAME n",
        "DEVICE.HEARTBEAT d",
        "DEVICE.SHADOW.GET d",
        "DEVICE.DELTA d",
        "DEVICE.HISTORY d REV COUNT 1",
        "DEVICE.COUNT OUTOFSYNC",
    ] {
        assert_eq!(cmd!(con, line).text(), "QUEUED");
    }
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(delta_in(&replies[0].at(1)), json!({"a": 1}));
    assert_eq!(
        (replies[1].at(1).int(), replies[1].at(2).is_nil()),
        (2, true)
    );
    assert!(matches!(replies[2], redis::Value::ServerError(_)));
    assert_eq!(replies[3].json()["version"], 3);
    assert_eq!(replies[4].at(0).int(), 1);
    assert_eq!(replies[5].texts(), ["n"]);
    assert_eq!(replies[6].json()["version"], 2);
    assert_eq!(delta_in(&replies[7].at(3)), json!({"b": 1}));
    assert_eq!(replies[8].json()["state"]["delta"], json!({"b": 1}));
    assert_eq!(replies[9].json()["in_sync"], false);
    assert_eq!(replies[10].items().len(), 1);
    assert_eq!(replies[11].int(), 1);
}

#[test]
fn scripts_read_and_write_in_one_step() {
    let server = Server::start();
    let script = "local shadow = redis.call('DEVICE.SHADOW.GET', KEYS[1])
                  local n = 0
                  if shadow then n = cjson.decode(shadow).state.desired.n end
                  local reply = redis.call('DEVICE.SHADOW.SET', KEYS[1], '{\"n\":' .. (n + 1) .. '}')
                  local bad = redis.pcall('DEVICE.SHADOW.SET', KEYS[1], '{}', 'VERSION', '0')
                  return {reply[1], reply[2], bad.err}";
    thread::scope(|scope| {
        for _ in 0..10 {
            let mut con = server.connection();
            scope.spawn(move || {
                for _ in 0..20 {
                    let reply = cmd!(con, "EVAL", script, 1, "d");
                    let n = reply.at(0).int();
                    assert_eq!(delta_in(&reply.at(1)), json!({"n": n}));
                    assert!(reply.at(2).text().contains("VERSIONCONFLICT"));
                }
            });
        }
    });
    let mut con = server.connection();
    assert_eq!(state(&mut con, "d")["desired"], json!({"n": 200}));
}

#[test]
fn read_only_scripts_may_read_and_not_write() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    for read in [
        "DEVICE.SHADOW.GET",
        "DEVICE.SHADOW.NAMES",
        "DEVICE.DELTA",
        "DEVICE.HISTORY",
    ] {
        let script = format!("return redis.call('{read}', KEYS[1])");
        assert!(cmd!(con, "EVAL_RO", script, 1, "d").is_ok(), "{read}");
    }
    let before = snapshot(&mut con);
    for write in [
        "SET', KEYS[1], '{}",
        "REPORT', KEYS[1], '{}",
        "DEL', KEYS[1], 'NAME', 'n",
    ] {
        let script = format!("return redis.call('DEVICE.SHADOW.{write}')");
        assert!(cmd!(con, "EVAL_RO", script, 1, "d").is_err(), "{write}");
    }
    assert_eq!(before, snapshot(&mut con));
}

/// Whether a transaction that watches `key` is cancelled by the command.
#[track_caller]
fn is_seen_by_watch(server: &Server, key: &str, line: &str) -> bool {
    let (mut con, mut other) = (server.connection(), server.connection());
    cmd!(con, "WATCH", key).text();
    assert!(cmd!(other, line).is_ok(), "{line}");
    cmd!(con, "MULTI").text();
    cmd!(con, "PING").text();
    cmd!(con, "EXEC").is_nil()
}

#[test]
fn watch_sees_every_write_and_no_read() {
    let server = Server::start();
    let mut con = server.connection();
    for key in ["d", "device:state:d"] {
        for line in [
            "DEVICE.SHADOW.SET d {\"a\":1}",
            "DEVICE.SHADOW.SET d {\"a\":1}",
            "DEVICE.SHADOW.REPORT d {\"a\":1}",
            "DEVICE.SHADOW.REPORT d {}",
            "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
            "DEVICE.SHADOW.DEL d",
        ] {
            assert!(is_seen_by_watch(&server, key, line), "{key}: {line}");
        }
    }
    for line in [
        "DEVICE.SHADOW.SET d {} NAME n",
        "DEVICE.SHADOW.REPORT d {} NAME n",
        "DEVICE.SHADOW.DEL d NAME n",
    ] {
        assert!(is_seen_by_watch(&server, "d", line), "{line}");
        if !line.contains("DEL") {
            assert!(
                is_seen_by_watch(&server, "device:shadows:d", line),
                "{line}"
            );
        }
    }
    set(&mut con, "d", json!({"a": 1}));
    for line in [
        "DEVICE.SHADOW.GET d",
        "DEVICE.SHADOW.NAMES d",
        "DEVICE.DELTA d",
        "DEVICE.HISTORY d",
        "DEVICE.SHADOW.SET e {}",
    ] {
        assert!(!is_seen_by_watch(&server, "d", line), "{line}");
    }
}

#[test]
fn a_shadow_command_invalidates_client_side_caches_of_the_id() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    let mut caching = Raw::connect(&server);
    caching.call(&["HELLO", "3"]);
    assert_eq!(caching.call(&["CLIENT", "TRACKING", "ON"]), b"+OK\r\n");
    for line in [
        "DEVICE.SHADOW.SET d {}",
        "DEVICE.SHADOW.REPORT d {\"a\":1}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{}} NAME n",
        "DEVICE.SHADOW.DEL d",
    ] {
        caching.call(&["DEVICE.SHADOW.GET", "d"]);
        assert!(cmd!(con, line).is_ok());
        let invalid = caching.invalidated();
        let of_d = invalid.iter().filter(|key| *key == "d");
        assert_eq!(of_d.count(), 1, "{line}: {invalid:?}");
    }
}

/// A reader never sees a version without its document.
#[test]
fn readers_see_whole_steps_only() {
    let server = Server::start();
    let mut con = server.connection();
    update(
        &mut con,
        "d",
        json!({"state": {"desired": {"v": 1}, "reported": {"v": 0}}}),
    );
    thread::scope(|scope| {
        let mut writer = server.connection();
        scope.spawn(move || {
            for version in 2..=500 {
                let state = json!({"desired": {"v": version}, "reported": {"v": version - 1}});
                update(&mut writer, "d", json!({"state": state}));
            }
        });
        loop {
            let shadow = get(&mut con, "d");
            let version = shadow["version"].as_i64().expect("a version");
            let whole = json!({
                "desired": {"v": version}, "reported": {"v": version - 1}, "delta": {"v": version},
            });
            assert_eq!(shadow["state"], whole);
            if version == 500 {
                break;
            }
        }
    });
    assert_ne!(state(&mut con, "d"), Value::Null);
}
