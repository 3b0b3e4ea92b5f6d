//! Shorthands over the device commands that tests of several topics share.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Connection;

use crate::support::*;

/// How long a condition may take to come true: far above what it takes, for busy machines.
pub const SOON: Duration = Duration::from_secs(20);

/// A settled server on which devices time out at once: without the grace that follows a start.
#[track_caller]
pub fn quick() -> Server {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .start();
    server.settle();
    server
}

/// A heartbeat with nothing else: `[came_online, applied, version]`.
#[track_caller]
pub fn beat(con: &mut Connection, id: &str) -> [i64; 3] {
    outcome(&cmd!(con, "DEVICE.HEARTBEAT", id).value().clone())
}

/// The three numbers that begin the reply of a heartbeat; the rest must be null and 0.
#[track_caller]
pub fn outcome(reply: &redis::Value) -> [i64; 3] {
    let items = reply.items();
    assert_eq!(items.len(), 5, "{reply:?}");
    assert!(items[3].is_nil() && items[4].int() == 0, "{reply:?}");
    [items[0].int(), items[1].int(), items[2].int()]
}

/// A field of a device as its hash holds it; `None` where there is none.
#[track_caller]
pub fn field(con: &mut Connection, id: &str, name: &str) -> Option<String> {
    let value = cmd!(con, "HGET", format!("device:state:{id}"), name);
    match value.is_nil() {
        true => None,
        false => Some(value.text()),
    }
}

/// A field that must be there and hold a number.
#[track_caller]
pub fn number(con: &mut Connection, id: &str, name: &str) -> i64 {
    let value = field(con, id, name).unwrap_or_default();
    match value.parse() {
        Ok(number) => number,
        Err(_) => panic!("{name} of {id} is {value:?}"),
    }
}

/// Whether the hash says `online`.
#[track_caller]
pub fn is_online(con: &mut Connection, id: &str) -> bool {
    field(con, id, "status").as_deref() == Some("online")
}

#[track_caller]
pub fn wait_until_offline(con: &mut Connection, id: &str) {
    wait_for(&format!("{id} is offline"), SOON, || !is_online(con, id));
}

/// Waits until the clock has gone on by a millisecond at least, so that a new stamp differs.
#[track_caller]
pub fn wait_for_the_clock() {
    let start = now_ms();
    wait_for("the clock goes on", SOON, || now_ms() > start);
}

/// `INFO devicestate`, without the prefix of the names.
#[track_caller]
pub fn info(con: &mut Connection) -> BTreeMap<String, String> {
    let text = cmd!(con, "INFO", "devicestate").text();
    let fields = text
        .lines()
        .filter_map(|line| line.strip_prefix("devicestate_")?.split_once(':'));
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A number of `INFO devicestate`.
#[track_caller]
pub fn info_number(con: &mut Connection, name: &str) -> i64 {
    let fields = info(con);
    match fields.get(name).and_then(|value| value.parse().ok()) {
        Some(number) => number,
        None => panic!("no number {name} in {fields:?}"),
    }
}

/// A number of one of the server's own sections of INFO.
#[track_caller]
pub fn server_info(con: &mut Connection, section: &str, name: &str) -> i64 {
    let info = cmd!(con, "INFO", section).text();
    let value = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match value.and_then(|value| value.parse().ok()) {
        Some(number) => number,
        None => panic!("no number {name} in {info}"),
    }
}

/// What differs: `key - line` for a line that went, `key + line` for one that came.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let lines = |snapshot: &Snapshot, sign: char, other: &Snapshot| -> Vec<String> {
        let none = Vec::new();
        let mut found = Vec::new();
        for (key, lines) in snapshot {
            let other = other.get(key).unwrap_or(&none);
            let gone = lines.iter().filter(|line| !other.contains(line));
            found.extend(gone.map(|line| format!("{key} {sign} {line}")));
        }
        found
    };
    let mut all = lines(before, '-', after);
    all.extend(lines(after, '+', before));
    all
}

/// A snapshot without the streams, which only ever grow.
#[track_caller]
pub fn snapshot_without_streams(con: &mut Connection) -> Snapshot {
    let mut snapshot = snapshot(con);
    snapshot.retain(|_, lines| lines[0] != "stream");
    snapshot
}

/// Asserts that the command is refused as told and leaves everything as it was. Gives the error.
#[track_caller]
pub fn expect_refusal<A: AsRef<[u8]>>(
    con: &mut Connection,
    args: &[A],
    code: &str,
    contains: &str,
) -> String {
    let before = snapshot(con);
    let error = expect_error(con, args, code, contains);
    assert_eq!(
        difference(&before, &snapshot(con)),
        Vec::<String>::new(),
        "changed by a command that was refused: {error}"
    );
    error
}
