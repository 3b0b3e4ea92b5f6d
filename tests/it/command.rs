//! `DEVICE.COMMAND` and its family: commands that wait for a device until it has done them. Here:
//! the replies, the order, and what a command goes through.

mod around;
mod fifth;
mod finishing;
mod leases;
mod limits;
mod listing;
mod refused;
mod replication;
mod telling;

use std::collections::BTreeMap;

use redis::{Connection, RedisResult, Value};
use serde_json::json;

use crate::devices::*;
use crate::support::*;

/// A settled server with the device `d`, and a connection to it.
#[track_caller]
fn with_device() -> (Server, Connection) {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    (server, con)
}

fn try_give(con: &mut Connection, words: &str) -> RedisResult<Value> {
    cmd!(con, &format!("DEVICE.COMMAND {words}"))
}

/// `DEVICE.COMMAND` with these words; the id of the command.
#[track_caller]
pub fn give(con: &mut Connection, words: &str) -> String {
    try_give(con, words).text()
}

/// So many commands `{"n":0}`, `{"n":1}` and so on for `d`; their ids.
#[track_caller]
fn give_many(con: &mut Connection, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| give(con, &format!("d {{\"n\":{n}}}")))
        .collect()
}

/// A command as it was handed out: id, JSON, deliveries.
type Taken = (String, String, i64);

/// `DEVICE.COMMAND.TAKE` with these words.
#[track_caller]
pub fn take(con: &mut Connection, words: &str) -> Vec<Taken> {
    let reply = cmd!(con, &format!("DEVICE.COMMAND.TAKE {words}"));
    let read = |item: &Value| {
        assert_eq!(item.items().len(), 3, "{item:?}");
        (item.at(0).text(), item.at(1).text(), item.at(2).int())
    };
    reply.items().iter().map(read).collect()
}

/// The ids of what `DEVICE.COMMAND.TAKE` hands out.
#[track_caller]
fn take_ids(con: &mut Connection, words: &str) -> Vec<String> {
    take(con, words).into_iter().map(|taken| taken.0).collect()
}

/// `DEVICE.COMMAND.DONE` with these words.
#[track_caller]
fn done(con: &mut Connection, words: &str) -> i64 {
    cmd!(con, &format!("DEVICE.COMMAND.DONE {words}")).int()
}

#[track_caller]
fn cancel(con: &mut Connection, id: &str, command: &str) -> i64 {
    cmd!(con, "DEVICE.COMMAND.CANCEL", id, command).int()
}

/// `DEVICE.COMMAND.LIST`, each map by its names.
#[track_caller]
pub fn list(con: &mut Connection, id: &str) -> Vec<BTreeMap<String, Value>> {
    let reply = cmd!(con, "DEVICE.COMMAND.LIST", id);
    reply.items().iter().map(Reply::fields).collect()
}

/// What `DEVICE.COMMAND.LIST` says of the state of each command of `d`, in its order.
#[track_caller]
fn states(con: &mut Connection) -> Vec<String> {
    list(con, "d")
        .iter()
        .map(|row| row["state"].text())
        .collect()
}

/// How many commands wait for a device, as its heartbeat is told.
#[track_caller]
pub fn waiting(con: &mut Connection, id: &str) -> i64 {
    cmd!(con, "DEVICE.HEARTBEAT", id).at(4).int()
}

/// Waits until no lease of `d` runs any more.
#[track_caller]
fn wait_for_the_leases(con: &mut Connection) {
    wait_for_the_leases_but(con, 0);
}

/// Waits until so many leases of `d` are left.
#[track_caller]
fn wait_for_the_leases_but(con: &mut Connection, left: usize) {
    wait_for("the leases end", SOON, || {
        let states = states(con);
        states.iter().filter(|state| *state == "taken").count() <= left
    });
}

/// Hands a command of `d` out five times in vain; the sixth look finds it dead.
#[track_caller]
fn wear_out(con: &mut Connection, command: &str) {
    for deliveries in 1..=5 {
        let taken = take(con, "d LEASE 1");
        let found: Vec<_> = taken.iter().map(|t| (t.0.as_str(), t.2)).collect();
        assert_eq!(found, [(command, deliveries)]);
        wait_for_the_leases(con);
    }
    assert_eq!(take(con, "d"), []);
}

#[test]
fn a_command_is_given_taken_and_done() {
    let (_server, mut con) = with_device();
    let before = now_ms();
    let id = give(&mut con, "d {\"do\":\"reboot\",\"at\":{\"hour\":3}}");
    let (ms, seq) = id.split_once('-').expect("ms-seq");
    let ms: i64 = ms.parse().expect("milliseconds");
    assert!((before..=now_ms()).contains(&ms) && seq == "0", "{id}");

    let taken = take(&mut con, "d");
    let text = "{\"at\":{\"hour\":3},\"do\":\"reboot\"}".to_owned();
    assert_eq!(taken, [(id.clone(), text, 1)]);
    assert_eq!(take(&mut con, "d"), []);
    assert_eq!(done(&mut con, &format!("d {id} OK {{\"took\":12}}")), 1);
    assert_eq!(done(&mut con, &format!("d {id} OK {{\"took\":12}}")), 0);
    assert_eq!(take(&mut con, "d"), []);
    // Nothing is left of the queue, and what became of the command is known.
    assert_eq!(cmd!(con, "EXISTS device:commands:d").int(), 0);
    assert_eq!(states(&mut con), ["done"]);
}

#[test]
fn the_replies_are_these_bytes_in_both_protocols() {
    let (server, _con) = with_device();
    let mut raw = Raw::connect(&server);
    for (protocol, null, map) in [("2", "$-1\r\n", "*12"), ("3", "_\r\n", "%6")] {
        raw.call(&["HELLO", protocol]);
        let mut call = |words: &[&str]| {
            let reply = raw.call(words);
            String::from_utf8(reply).expect("UTF-8")
        };
        call(&["DEL", "device:outcomes:d"]);
        assert_eq!(call(&["DEVICE.COMMAND.TAKE", "d"]), "*0\r\n");
        assert_eq!(call(&["DEVICE.COMMAND.LIST", "d"]), "*0\r\n");
        let id = call(&["DEVICE.COMMAND", "d", "{ \"a\" : 1 }"]);
        let id = id.lines().nth(1).expect("a bulk string").to_owned();
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let added = id.split('-').next().unwrap_or_default();
        let waiting = format!(
            "*1\r\n{map}\r\n{}{}{}{}{}{}{}:0\r\n{}{null}{}:{added}\r\n",
            bulk("command_id"),
            bulk(&id),
            bulk("state"),
            bulk("waiting"),
            bulk("command"),
            bulk("{\"a\":1}"),
            bulk("deliveries"),
            bulk("left_ms"),
            bulk("added"),
        );
        assert_eq!(call(&["DEVICE.COMMAND.LIST", "d"]), waiting);
        let taken = format!("*1\r\n*3\r\n{}{}:1\r\n", bulk(&id), bulk("{\"a\":1}"));
        assert_eq!(call(&["DEVICE.COMMAND.TAKE", "d"]), taken);
        let done = ["DEVICE.COMMAND.DONE", "d", &id, "ok"];
        assert_eq!(call(&done), ":1\r\n");
        assert_eq!(call(&done), ":0\r\n");
        assert_eq!(call(&["DEVICE.COMMAND.CANCEL", "d", &id]), ":0\r\n");
        let over = call(&["DEVICE.COMMAND.LIST", "d"]);
        let begin = format!(
            "*1\r\n{map}\r\n{}{}{}{}{}{}{}{}{}{null}{}:",
            bulk("command_id"),
            bulk(&id),
            bulk("state"),
            bulk("done"),
            bulk("command"),
            bulk("{\"a\":1}"),
            bulk("outcome"),
            bulk("OK"),
            bulk("result"),
            bulk("finished"),
        );
        assert!(over.starts_with(&begin), "{over}");
    }
}

#[test]
fn commands_come_in_the_order_in_which_they_were_given() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 25);
    assert_eq!(take_ids(&mut con, "d"), ids[..1]);
    assert_eq!(take_ids(&mut con, "d COUNT 1"), ids[1..2]);
    assert_eq!(take_ids(&mut con, "d COUNT 10"), ids[2..12]);
    let rest = take(&mut con, "d COUNT 10000");
    let texts: Vec<String> = rest.iter().map(|taken| taken.1.clone()).collect();
    let wanted: Vec<String> = (12..25).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(texts, wanted);
    assert_eq!(take_ids(&mut con, "d COUNT 10000"), [""; 0]);
}

#[test]
fn what_was_taken_in_vain_comes_before_what_is_new() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 6);
    assert_eq!(take_ids(&mut con, "d COUNT 4 LEASE 1"), ids[..4]);
    assert_eq!(done(&mut con, &format!("d {} OK", ids[1])), 1);
    wait_for_the_leases(&mut con);
    let again: Vec<(String, i64)> = take(&mut con, "d COUNT 10")
        .into_iter()
        .map(|taken| (taken.0, taken.2))
        .collect();
    let wanted = [(0, 2), (2, 2), (3, 2), (4, 1), (5, 1)];
    assert_eq!(again, wanted.map(|(at, n)| (ids[at].clone(), n)));
}

#[test]
fn one_by_one_those_taken_in_vain_keep_their_order() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 4);
    take(&mut con, "d COUNT 3 LEASE 1");
    wait_for_the_leases(&mut con);
    for id in &ids {
        assert_eq!(take_ids(&mut con, "d"), [id.as_str()]);
    }
}

#[test]
fn each_device_has_its_own() {
    let (_server, mut con) = with_device();
    beat(&mut con, "e");
    let of_d = give(&mut con, "d {\"for\":\"d\"}");
    wait_for_the_clock();
    let of_e = give(&mut con, "e {\"for\":\"e\"}");
    assert_eq!(done(&mut con, &format!("e {of_d} OK")), 0);
    assert_eq!(take_ids(&mut con, "e COUNT 9"), [of_e]);
    assert_eq!(take_ids(&mut con, "d COUNT 9"), [of_d]);
}

#[test]
fn a_device_that_is_away_finds_its_commands_when_it_is_back() {
    let (_server, mut con) = with_device();
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
    let id = give(&mut con, "d {\"a\":1}");
    assert!(!is_online(&mut con, "d"), "a command proves no life");
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d"), [id]);
}

#[test]
fn taking_and_settling_prove_no_life() {
    let (_server, mut con) = with_device();
    let seen = number(&mut con, "d", "last_seen");
    wait_for_the_clock();
    let id = give(&mut con, "d {\"a\":1}");
    take(&mut con, "d");
    done(&mut con, &format!("d {id} OK"));
    assert_eq!(number(&mut con, "d", "last_seen"), seen);
}

#[test]
fn in_transactions_and_scripts_they_work_as_any_command() {
    let (_server, mut con) = with_device();
    cmd!(con, "MULTI").text();
    for line in [
        "DEVICE.COMMAND d {\"n\":1}",
        "DEVICE.COMMAND d {\"n\":2}",
        "DEVICE.COMMAND.TAKE d COUNT 5",
        "DEVICE.COMMAND.LIST d",
        "DEVICE.HEARTBEAT d",
        "DEVICE.COMMAND.TAKE d COUNT 0",
    ] {
        assert_eq!(cmd!(con, line).text(), "QUEUED");
    }
    let replies = cmd!(con, "EXEC").items();
    let ids = [replies[0].text(), replies[1].text()];
    let taken = replies[2].items();
    assert_eq!(
        taken.iter().map(|t| t.at(0).text()).collect::<Vec<_>>(),
        ids
    );
    assert_eq!(replies[3].items().len(), 2);
    assert_eq!(replies[4].at(4).int(), 0);
    assert!(matches!(replies[5], Value::ServerError(_)));

    let script = "local id = redis.call('DEVICE.COMMAND', KEYS[1], ARGV[1])
                  local taken = redis.call('DEVICE.COMMAND.TAKE', KEYS[1])
                  local done = redis.call('DEVICE.COMMAND.DONE', KEYS[1], id, 'OK', '7')
                  return {id, taken[1][1], taken[1][2], taken[1][3], done}";
    let reply = cmd!(con, "EVAL", script, 1, "d", "{\"n\":3}");
    assert_eq!(reply.at(0), reply.at(1));
    assert_eq!(reply.at(2).json(), json!({"n": 3}));
    assert_eq!((reply.at(3).int(), reply.at(4).int()), (1, 1));
    assert_eq!(states(&mut con), ["taken", "taken", "done"]);
}
