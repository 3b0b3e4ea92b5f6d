//! `QUEUE.*` on real servers: the acceptance vectors, and what is around them. Where a vector counts
//! milliseconds that a busy machine does not keep, its leases are much longer, and [`let_pass`] turns
//! the stored times back instead of waiting.

mod alarms;
mod around;
mod blocking;
mod by_hand;
mod counting;
mod crowds;
mod memory;
mod model;
mod ordered;
mod plain;
mod refused;
mod replication;
mod together;
mod vectors;
mod waiting_ends;

use redis::{Connection, RedisResult, Value};

use crate::devices::*;
use crate::support::*;

/// A message as QUEUE.GET hands it out.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    id: String,
    body: String,
    deliveries: i64,
}

/// Adds a message with this body; `options` stand behind it.
#[track_caller]
fn add(con: &mut Connection, key: &str, body: &str, options: &str) -> String {
    let mut command = command("QUEUE.ADD");
    command.arg(key).arg(body);
    for word in options.split_whitespace() {
        command.arg(word);
    }
    con.run(&command).text()
}

fn try_queue(con: &mut Connection, words: &str) -> RedisResult<Value> {
    cmd!(con, &format!("QUEUE.{words}"))
}

/// `QUEUE.GET` with these words.
#[track_caller]
fn take(con: &mut Connection, words: &str) -> Vec<Got> {
    read(&try_queue(con, &format!("GET {words}")).value().clone())
}

#[track_caller]
fn read(reply: &Value) -> Vec<Got> {
    let rows = reply.items();
    rows.iter()
        .map(|row| {
            assert_eq!(row.items().len(), 4, "{row:?}");
            Got {
                id: row.at(0).text(),
                body: row.at(1).text(),
                deliveries: row.at(3).int(),
            }
        })
        .collect()
}

/// `QUEUE.GET` with these words: bodies and deliveries.
#[track_caller]
fn get(con: &mut Connection, words: &str) -> Vec<(String, i64)> {
    let got = take(con, words);
    got.into_iter()
        .map(|got| (got.body, got.deliveries))
        .collect()
}

fn bodies(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    let owned = expected.iter().map(|(body, n)| ((*body).to_owned(), *n));
    owned.collect()
}

#[track_caller]
fn number_of(con: &mut Connection, words: &str) -> i64 {
    try_queue(con, words).int()
}

/// `QUEUE.STAT` without the age: ready, delayed, leased, dead.
#[track_caller]
fn stat(con: &mut Connection, key: &str) -> [i64; 4] {
    let fields = cmd!(con, "QUEUE.STAT", key).fields();
    ["ready", "delayed", "leased", "dead"].map(|name| fields[name].int())
}

/// The ids of the dead messages and how often each was delivered.
#[track_caller]
fn dead(con: &mut Connection, key: &str) -> Vec<(String, i64)> {
    match cmd!(con, "XPENDING", key, "dead", "-", "+", 1_000) {
        Ok(rows) => rows
            .items()
            .iter()
            .map(|row| (row.at(0).text(), row.at(3).int()))
            .collect(),
        Err(error) => {
            assert_eq!(error.code(), Some("NOGROUP"), "{error}");
            Vec::new()
        }
    }
}

/// As if so much time had gone by for the leases and delays of a queue, to the millisecond. The module
/// notices: the key is renamed and back.
#[track_caller]
fn let_pass(con: &mut Connection, key: &str, ms: i64) {
    let groups = cmd!(con, "XINFO STREAM", key, "FULL", "COUNT", 0);
    for group in groups.fields()["groups"].items() {
        let group = group.fields();
        if group["name"].text() != "work" {
            continue;
        }
        for row in group["pending"].items() {
            let [id, consumer] = [0, 1].map(|at| row.at(at).text());
            let [time, deliveries] = [2, 3].map(|at| row.at(at).int());
            cmd!(
                con,
                "XCLAIM",
                key,
                "work",
                consumer,
                0,
                id,
                "TIME",
                time - ms,
                "RETRYCOUNT",
                deliveries,
                "JUSTID"
            )
            .items();
        }
    }
    forget(con, key);
}

/// The module reads the queue afresh.
#[track_caller]
fn forget(con: &mut Connection, key: &str) {
    cmd!(con, "RENAME", key, "elsewhere").text();
    cmd!(con, "RENAME", "elsewhere", key).text();
}

#[test]
fn a_message_goes_its_way() {
    let server = Server::start();
    let mut con = server.connection();
    let id = add(&mut con, "q", "open the door", "ATTR door 7 TTL 1h");
    assert_eq!(stat(&mut con, "q"), [1, 0, 0, 0]);
    let got = take(&mut con, "q w1");
    assert_eq!((got[0].id.as_str(), got[0].deliveries), (id.as_str(), 1));
    assert_eq!(stat(&mut con, "q"), [0, 0, 1, 0]);
    assert_eq!(get(&mut con, "q w2"), []);
    assert_eq!(number_of(&mut con, &format!("ACK q {id}")), 1);
    assert_eq!(stat(&mut con, "q"), [0, 0, 0, 0]);
    assert_eq!(cmd!(con, "XLEN q").int(), 0);
}

#[test]
fn replies_have_their_shapes_in_both_protocols() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    for (protocol, map) in [("2", ("*2", "*0", "*10")), ("3", ("%1", "%0", "%5"))] {
        raw.call(&["HELLO", protocol]);
        raw.call(&["DEL", "q"]);
        let mut text = |words: &[&str]| String::from_utf8(raw.call(words)).unwrap();
        let id = text(&["QUEUE.ADD", "q", "body", "ATTR", "unit", "C"]);
        assert!(id.starts_with('$') && id.contains('-'), "{id}");
        let plain = text(&["QUEUE.ADD", "q", ""]);
        let got = text(&["QUEUE.GET", "q", "w", "COUNT", "2"]);
        let expected = format!(
            "*2\r\n*4\r\n{id}$4\r\nbody\r\n{}\r\n$4\r\nunit\r\n$1\r\nC\r\n:1\r\n\
             *4\r\n{plain}$0\r\n\r\n{}\r\n:1\r\n",
            map.0, map.1
        );
        assert_eq!(got, expected);
        assert_eq!(text(&["QUEUE.GET", "q", "w"]), "*0\r\n");
        assert_eq!(text(&["QUEUE.GET", "nothing", "w"]), "*0\r\n");
        assert_eq!(text(&["QUEUE.PENDING", "nothing"]), "*0\r\n");
        let rows = text(&["QUEUE.PENDING", "q", "COUNT", "1"]);
        assert!(
            rows.starts_with(&format!("*1\r\n{}\r\n$2\r\nid\r\n{id}", map.2)),
            "{rows}"
        );
        let null = if protocol == "3" { "_" } else { "$-1" };
        let stat = text(&["QUEUE.STAT", "nothing"]);
        let expected = format!(
            "{}\r\n$5\r\nready\r\n:0\r\n$7\r\ndelayed\r\n:0\r\n$6\r\nleased\r\n:0\r\n\
             $4\r\ndead\r\n:0\r\n$10\r\noldest_age\r\n{null}\r\n",
            map.2
        );
        assert_eq!(stat, expected);
        assert_eq!(text(&["EXISTS", "nothing"]), ":0\r\n");
    }
}
