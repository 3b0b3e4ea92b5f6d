//! What clients may get wrong: it is refused with an error that names the argument at fault, it
//! changes nothing, and the server goes on.

mod by_hand;
mod documents;
mod names;
mod options;
mod wrong_type;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// Every command of the contract so far that takes an id, with what must follow it.
const WITH_ID: &[(&str, &[&str])] = &[
    ("DEVICE.REGISTER", &["sensor"]),
    ("DEVICE.REMOVE", &[]),
    ("DEVICE.HEARTBEAT", &[]),
    ("DEVICE.OFFLINE", &[]),
    ("DEVICE.INGEST", &[""]),
    ("DEVICE.COMMAND", &["{}"]),
    ("DEVICE.COMMAND.TAKE", &[]),
    ("DEVICE.COMMAND.DONE", &["1-0", "OK"]),
    ("DEVICE.COMMAND.CANCEL", &["1-0"]),
    ("DEVICE.COMMAND.LIST", &[]),
    ("DEVICE.GET", &[]),
    ("DEVICE.MGET", &[]),
    ("DEVICE.WHY", &[]),
    ("DEVICE.SHADOW.SET", &["{}"]),
    ("DEVICE.SHADOW.REPORT", &["{}"]),
    ("DEVICE.SHADOW.UPDATE", &["{\"state\":{}}"]),
    ("DEVICE.SHADOW.GET", &[]),
    ("DEVICE.SHADOW.DEL", &[]),
    ("DEVICE.SHADOW.NAMES", &[]),
    ("DEVICE.DELTA", &[]),
    ("DEVICE.HISTORY", &[]),
    ("ALERT.RAISE", &["a"]),
    ("ALERT.CLEAR", &["a"]),
    ("ALERT.ACK", &["a"]),
    ("ALERT.LIST", &[]),
];

/// One call of every command that would succeed.
const GOOD_CALLS: &[&str] = &[
    "DEVICE.REGISTER d sensor",
    "DEVICE.HEARTBEAT d",
    "DEVICE.OFFLINE d",
    "DEVICE.INGEST d CAc= BASE64",
    "DEVICE.COMMAND d {}",
    "DEVICE.COMMAND.TAKE d",
    "DEVICE.COMMAND.DONE d 1-0 OK",
    "DEVICE.COMMAND.CANCEL d 1-0",
    "DEVICE.COMMAND.LIST d",
    "DEVICE.GET d",
    "DEVICE.MGET d",
    "DEVICE.WHY d",
    "DEVICE.LIST",
    "DEVICE.COUNT",
    "DEVICE.EVENTS",
    "DEVICE.EVENTS AFTER $ COUNT 10 BLOCK 1",
    "DEVICE.TYPE.SET sensor TIMEOUT 1h",
    "DEVICE.TYPE.GET sensor",
    "DEVICE.TYPE.LIST",
    "DEVICE.TYPE.DEL sensor",
    "DEVICE.CHECK 0",
    "DEVICE.SHADOW.SET d {\"a\":1}",
    "DEVICE.SHADOW.REPORT d {\"a\":2}",
    "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
    "DEVICE.SHADOW.GET d",
    "DEVICE.SHADOW.NAMES d",
    "DEVICE.DELTA d",
    "DEVICE.HISTORY d",
    "DEVICE.LIST OUTOFSYNC",
    "DEVICE.COUNT OUTOFSYNC",
    "DEVICE.SHADOW.DEL d",
    "ALERT.RAISE d a NOTIFY 1 u",
    "ALERT.ACK d a",
    "ALERT.LIST d",
    "ALERT.CLEAR d a",
    "ALERT.RULE.SET sensor r {\"on\":\"offline\"}",
    "ALERT.RULE.LIST sensor",
    "ALERT.RULE.DEL sensor r",
    "ALERT.NOTIFY u a {}",
    "ALERT.DUE",
    "ALERT.BATCH u",
    "ALERT.DONE u token",
    "DEVICE.REMOVE d",
];

/// A device that is online and one that is not, so that a command has something it could spoil.
#[track_caller]
fn populate(con: &mut Connection) {
    let line = "DEVICE.HEARTBEAT online REPORTED {\"a\":1} SESSION 5 SEQ 5";
    for line in [line, "DEVICE.REGISTER offline sensor META {\"m\":1}"] {
        assert!(cmd!(con, line).is_ok());
    }
}

#[test]
fn every_good_call_succeeds_in_database_0_and_is_refused_elsewhere() {
    let server = Server::start();
    let mut elsewhere = server.connection_to_db(1);
    let mut con = server.connection();
    for line in GOOD_CALLS {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut elsewhere, &words, "ERR", "database 0");
    }
    assert_eq!(cmd!(con, "INFO", "keyspace").text().lines().count(), 1);
    for line in GOOD_CALLS {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    let keyspace = cmd!(con, "INFO", "keyspace").text();
    assert!(!keyspace.contains("db1"), "{keyspace}");
}

#[test]
fn too_few_and_too_many_words_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for line in [
        "THROTTLE.HIT",
        "THROTTLE.HIT k 5",
        "DEVICE.REGISTER",
        "DEVICE.REGISTER d",
        "DEVICE.REMOVE",
        "DEVICE.HEARTBEAT",
        "DEVICE.OFFLINE",
        "DEVICE.GET",
        "DEVICE.MGET",
        "DEVICE.WHY",
        "DEVICE.WHY d e",
        "DEVICE.CHECK",
        "DEVICE.TYPE.SET",
        "DEVICE.TYPE.SET t",
        "DEVICE.TYPE.SET t TIMEOUT",
        "DEVICE.TYPE.GET",
        "DEVICE.TYPE.GET t u",
        "DEVICE.TYPE.DEL",
        "DEVICE.TYPE.DEL t u",
        "DEVICE.TYPE.LIST t",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "ERR", "wrong number of arguments");
    }
}

#[test]
fn subcommands_and_names_that_do_not_exist_are_refused() {
    let server = Server::start();
    let mut con = server.connection();
    for name in [
        "DEVICE",
        "DEVICE.",
        "DEVICE.NOPE",
        "DEVICE.TYPE",
        "DEVICE.SHADOW",
        "DEVICE.SHADOW.NOPE",
        "ALERT",
        "ALERT.NOPE",
        "ALERT.RULE",
        "DEVICE|GET",
    ] {
        expect_refusal(&mut con, &[name, "d"], "ERR", "unknown command");
    }
}
