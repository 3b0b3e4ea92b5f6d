//! Shorthands over the shadow commands for the tests of this topic.

use redis::{Cmd, Connection};
use serde_json::Value;

use crate::support::*;

/// A command with an id, a document and options, which hold no spaces of their own.
pub fn with_document(name: &str, id: &str, document: &Value, options: &str) -> Cmd {
    let mut command = command(name);
    command.arg(id).arg(document.to_string());
    for word in options.split_whitespace() {
        command.arg(word);
    }
    command
}

/// The delta in a reply: null when in sync.
#[track_caller]
pub fn delta_in(value: &redis::Value) -> Value {
    match value.is_nil() {
        true => Value::Null,
        false => value.json(),
    }
}

/// `DEVICE.SHADOW.SET`: the version and the delta.
#[track_caller]
pub fn set(con: &mut Connection, id: &str, document: Value) -> (i64, Value) {
    set_with(con, id, document, "")
}

#[track_caller]
pub fn set_with(con: &mut Connection, id: &str, document: Value, options: &str) -> (i64, Value) {
    let reply = con.run(&with_document("DEVICE.SHADOW.SET", id, &document, options));
    assert_eq!(reply.items().len(), 2, "{reply:?}");
    (reply.at(0).int(), delta_in(&reply.at(1)))
}

/// `DEVICE.SHADOW.REPORT`: the version and the delta. It must have been applied.
#[track_caller]
pub fn report(con: &mut Connection, id: &str, document: Value) -> (i64, Value) {
    report_with(con, id, document, "")
}

#[track_caller]
pub fn report_with(con: &mut Connection, id: &str, document: Value, options: &str) -> (i64, Value) {
    let (applied, version, delta) = try_report(con, id, document, options);
    assert_eq!(applied, 1, "the report was ignored");
    (version, delta)
}

/// The same where the report may be ignored: `applied`, the version and the delta.
#[track_caller]
pub fn try_report(
    con: &mut Connection,
    id: &str,
    document: Value,
    options: &str,
) -> (i64, i64, Value) {
    let command = with_document("DEVICE.SHADOW.REPORT", id, &document, options);
    let reply = con.run(&command);
    assert_eq!(reply.items().len(), 3, "{reply:?}");
    let (applied, version) = (reply.at(0).int(), reply.at(1).int());
    (applied, version, delta_in(&reply.at(2)))
}

/// `DEVICE.SHADOW.UPDATE`: the accepted document.
#[track_caller]
pub fn update(con: &mut Connection, id: &str, document: Value) -> Value {
    update_with(con, id, document, "")
}

#[track_caller]
pub fn update_with(con: &mut Connection, id: &str, document: Value, options: &str) -> Value {
    let command = with_document("DEVICE.SHADOW.UPDATE", id, &document, options);
    con.run(&command).json()
}

/// `DEVICE.SHADOW.GET`: null where there is no shadow. `options` begin with a space.
#[track_caller]
pub fn get_with(con: &mut Connection, id: &str, options: &str) -> Value {
    let reply = cmd!(con, &format!("DEVICE.SHADOW.GET {id}{options}"));
    delta_in(reply.value())
}

#[track_caller]
pub fn get(con: &mut Connection, id: &str) -> Value {
    get_with(con, id, "")
}

/// The sections `desired`, `reported` and `delta` of the classic shadow.
#[track_caller]
pub fn state(con: &mut Connection, id: &str) -> Value {
    get(con, id)["state"].clone()
}

/// `DEVICE.DELTA`.
#[track_caller]
pub fn both_sides(con: &mut Connection, id: &str) -> Value {
    cmd!(con, "DEVICE.DELTA", id).json()
}

/// Whether the device is in the index of those that have something outstanding.
#[track_caller]
pub fn is_out_of_sync(con: &mut Connection, id: &str) -> bool {
    cmd!(con, "SISMEMBER", "devices:outofsync", id).int() == 1
}
