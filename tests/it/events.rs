//! `DEVICE.EVENTS` on a single server.

mod refused;
mod waiting;

pub use waiting::waiting;

use std::collections::BTreeMap;
use std::thread;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// One reply: the cursor, and of each entry its id and its fields.
pub struct Read {
    pub cursor: String,
    pub entries: Vec<(String, BTreeMap<String, String>)>,
}

impl Read {
    #[track_caller]
    pub fn of(reply: &impl Reply) -> Read {
        let entries = reply.at(1).items();
        let entry = |entry: &redis::Value| (entry.at(0).text(), entry.at(1).text_fields());
        Read {
            cursor: reply.at(0).text(),
            entries: entries.iter().map(entry).collect(),
        }
    }

    pub fn devices(&self) -> Vec<&str> {
        let entries = self.entries.iter();
        entries
            .map(|(_, fields)| fields["device_id"].as_str())
            .collect()
    }
}

/// `DEVICE.EVENTS` with these words.
#[track_caller]
pub fn read(con: &mut Connection, words: &str) -> Read {
    Read::of(&cmd!(con, format!("DEVICE.EVENTS {words}").trim_end()))
}

/// What the stream holds, in the same form.
#[track_caller]
fn whole(con: &mut Connection) -> Vec<(String, BTreeMap<String, String>)> {
    let events = events(con);
    let entry = |event: &Event| (event.id.clone(), event.fields.clone());
    events.iter().map(entry).collect()
}

#[test]
fn all_of_it_page_by_page() {
    let server = Server::start();
    let mut con = server.connection();
    let nothing = read(&mut con, "");
    assert_eq!((nothing.cursor.as_str(), nothing.entries.len()), ("0-0", 0));
    for number in 0..25 {
        cmd!(con, "DEVICE.HEARTBEAT", format!("d-{number}")).items();
    }
    let whole = whole(&mut con);
    assert_eq!(whole.len(), 50);
    assert_eq!(read(&mut con, "").entries, whole);
    for count in [1, 7, 50, 51, 10_000] {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let page = read(&mut con, &format!("COUNT {count} AFTER {cursor}"));
            assert!(page.entries.len() <= count);
            if page.entries.is_empty() {
                break;
            }
            assert_eq!(page.cursor, page.entries[page.entries.len() - 1].0);
            (cursor, found) = (page.cursor, [found, page.entries].concat());
        }
        assert_eq!(found, whole, "{count}");
        assert_eq!(cursor, whole[49].0);
    }
}

#[test]
fn a_hundred_at_a_time_unless_more_are_wanted() {
    let server = Server::start();
    let mut con = server.connection();
    for number in 0..60 {
        cmd!(con, "DEVICE.HEARTBEAT", format!("d-{number}")).items();
    }
    assert_eq!(read(&mut con, "").entries.len(), 100);
    assert_eq!(read(&mut con, "count 101").entries.len(), 101);
}

#[test]
fn in_resp3_the_fields_are_a_map() {
    let server = Server::start();
    let mut con = server.connection_resp3();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    let reply = cmd!(con, "DEVICE.EVENTS");
    let fields = reply.at(1).at(0).at(1);
    assert!(matches!(fields, redis::Value::Map(_)), "{fields:?}");
    let mut raw = Raw::connect(&server);
    let reply = raw.value(&["DEVICE.EVENTS"]);
    assert_eq!(reply.at(1).at(0).at(1).items().len(), 8);
    assert_eq!(Read::of(&reply).entries, whole(&mut con));
}

#[test]
fn each_event_comes_once_while_others_are_told() {
    let server = Server::start();
    let is_over = Over::default();
    let found = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let _set = is_over.on_drop();
            let mut con = server.connection();
            for round in 0..300 {
                let id = format!("d-{}", round % 10);
                cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", 0).items();
                cmd!(con, "DEVICE.OFFLINE", &id).int();
            }
        });
        let mut con = server.connection();
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let was_over = is_over.is_set();
            let page = read(&mut con, &format!("COUNT 3 AFTER {cursor}"));
            if page.entries.is_empty() && was_over {
                break;
            }
            (cursor, found) = (page.cursor, [found, page.entries].concat());
        }
        load.join().expect("the load");
        found
    });
    let whole = whole(&mut server.connection());
    assert_eq!(whole.len(), 610);
    assert_eq!(found, whole);
}

#[test]
fn from_now_on_is_behind_the_newest() {
    let server = Server::start();
    let mut con = server.connection();
    let page = read(&mut con, "AFTER $");
    assert_eq!((page.cursor.as_str(), page.entries.len()), ("0-0", 0));
    cmd!(con, "DEVICE.HEARTBEAT a").items();
    let newest = read(&mut con, "").cursor;
    let page = read(&mut con, "AFTER $");
    assert_eq!((page.cursor, page.entries.len()), (newest.clone(), 0));
    cmd!(con, "DEVICE.HEARTBEAT b").items();
    let page = read(&mut con, &format!("AFTER {newest}"));
    assert_eq!(page.devices(), ["b", "b"]);
}

/// A cursor is a place, not an entry: what it names may be trimmed or deleted meanwhile.
#[test]
fn a_consumer_goes_on_behind_what_was_trimmed() {
    let server = Server::start();
    let mut con = server.connection();
    for number in 0..10 {
        cmd!(con, "DEVICE.HEARTBEAT", format!("d-{number}")).items();
    }
    let cursor = read(&mut con, "COUNT 5").cursor;
    let left = read(&mut con, &format!("AFTER {cursor}")).entries;
    assert_eq!(left.len(), 15);
    cmd!(con, "XDEL", "devices:events", &cursor).int();
    assert_eq!(read(&mut con, &format!("AFTER {cursor}")).entries, left);
    cmd!(con, "XTRIM devices:events MAXLEN 3").int();
    assert_eq!(
        read(&mut con, &format!("AFTER {cursor}")).entries,
        left[12..]
    );
}

#[test]
fn a_cursor_outlives_the_server() {
    let mut server = Server::builder()
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT a TIMEOUT 0").items();
    let cursor = read(&mut con, "").cursor;
    cmd!(con, "DEVICE.HEARTBEAT b TIMEOUT 0").items();
    server.kill_hard();
    server.restart();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT c TIMEOUT 0").items();
    let page = read(&mut con, &format!("AFTER {cursor}"));
    assert_eq!(page.devices(), ["b", "b", "c", "c"]);
}

#[test]
fn a_replica_gives_the_same() {
    let server = Server::start();
    let mut con = server.connection();
    let replica = Server::builder()
        .config("replicaof", format!("127.0.0.1 {}", server.port()))
        .start();
    let mut other = replica.connection();
    let mut waiting = waiting::waiting(&replica, &["BLOCK", "0"]);
    cmd!(con, "DEVICE.HEARTBEAT a TIMEOUT 0").items();
    let got = Read::of(&waiting.value_of_reply());
    assert_eq!(got.devices()[0], "a");
    wait_for("the replica has both", SOON, || {
        read(&mut other, "").entries == whole(&mut con)
    });
}

#[test]
fn with_a_prefix_it_reads_the_stream_with_that() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT a").items();
    assert_eq!(read(&mut con, "").devices(), ["a", "a"]);
    let mut client = waiting::waiting(&server, &["BLOCK", "0", "AFTER", "$"]);
    cmd!(con, "XADD sc:devices:events * device_id b").text();
    assert_eq!(Read::of(&client.value_of_reply()).devices(), ["b"]);
}
