//! Heartbeats in transactions and scripts, and what WATCH and client-side caches see of them.

use crate::devices::*;
use crate::support::*;

#[test]
fn heartbeats_work_in_a_transaction() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    for line in [
        "DEVICE.REGISTER d sensor",
        "DEVICE.HEARTBEAT d SESSION 2",
        "DEVICE.HEARTBEAT d SESSION 1",
        "DEVICE.GET d status",
        "DEVICE.OFFLINE d",
        "DEVICE.OFFLINE nobody",
        "DEVICE.HEARTBEAT d",
        "DEVICE.REMOVE d",
    ] {
        assert_eq!(cmd!(con, line).text(), "QUEUED");
    }
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(replies[0].int(), 1);
    assert_eq!(outcome(&replies[1]), [1, 1, 0]);
    assert_eq!(outcome(&replies[2]), [0, 0, 0]);
    assert_eq!(replies[3].texts(), ["online"]);
    assert_eq!(replies[4].int(), 1);
    assert!(matches!(replies[5], redis::Value::ServerError(_)));
    assert_eq!(outcome(&replies[6]), [1, 1, 0]);
    assert_eq!(replies[7].int(), 1);
    assert_eq!(
        events(&mut con).field("type"),
        [
            "registered",
            "online",
            "offline",
            "online",
            "offline",
            "removed"
        ]
    );
}

#[test]
fn heartbeats_work_in_a_script() {
    let server = Server::start();
    let mut con = server.connection();
    let script = "local first = redis.call('DEVICE.HEARTBEAT', KEYS[1], 'REPORTED', ARGV[1])
                  local again = redis.call('DEVICE.HEARTBEAT', KEYS[1])
                  local bad = redis.pcall('DEVICE.HEARTBEAT', KEYS[1], 'NOPE')
                  return {first, again, bad.err}";
    let reply = cmd!(con, "EVAL", script, 1, "d", r#"{"a":1}"#);
    assert_eq!(outcome(&reply.at(0)), [1, 1, 1]);
    assert_eq!(outcome(&reply.at(1)), [0, 1, 1]);
    assert!(reply.at(2).text().contains("NOPE"));
    assert!(is_online(&mut con, "d"));
}

#[test]
fn a_read_only_script_may_read_and_not_beat() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    let get = "return redis.call('DEVICE.GET', KEYS[1], 'status')";
    assert_eq!(cmd!(con, "EVAL_RO", get, 1, "d").texts(), ["online"]);
    let before = snapshot(&mut con);
    let beat = "return redis.call('DEVICE.HEARTBEAT', KEYS[1])";
    assert!(cmd!(con, "EVAL_RO", beat, 1, "d").is_err());
    assert_eq!(before, snapshot(&mut con));
}

/// Whether a transaction that watches `key` is cancelled by the command.
#[track_caller]
fn is_seen_by_watch(server: &Server, key: &str, line: &str) -> bool {
    let (mut con, mut other) = (server.connection(), server.connection());
    cmd!(con, "WATCH", key).text();
    assert!(cmd!(other, line).is_ok());
    cmd!(con, "MULTI").text();
    cmd!(con, "PING").text();
    cmd!(con, "EXEC").is_nil()
}

#[test]
fn watch_sees_every_command_that_writes_a_device() {
    let server = Server::start();
    let mut con = server.connection();
    // In this order: register, come online, steady, report, ignored, offline, remove.
    let lines = [
        "DEVICE.REGISTER d sensor",
        "DEVICE.REGISTER d motor",
        "DEVICE.REGISTER d motor META {\"m\":1}",
        "DEVICE.HEARTBEAT d SESSION 2",
        "DEVICE.HEARTBEAT d",
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1}",
        "DEVICE.HEARTBEAT d TIMEOUT 1h",
        "DEVICE.HEARTBEAT d SESSION 1",
        "DEVICE.OFFLINE d SESSION 3",
        "DEVICE.OFFLINE d",
        "DEVICE.REMOVE d",
    ];
    for key in ["d", "device:state:d"] {
        for line in lines {
            assert!(is_seen_by_watch(&server, key, line), "{key}: {line}");
        }
    }
    beat(&mut con, "d");
    for line in ["DEVICE.GET d", "DEVICE.WHY d", "DEVICE.HEARTBEAT e"] {
        assert!(!is_seen_by_watch(&server, "d", line), "{line}");
    }
}

#[test]
fn watch_sees_a_device_time_out() {
    let server = quick();
    let (mut con, mut other) = (server.connection(), server.connection());
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 100).items();
    cmd!(con, "WATCH", "d").text();
    wait_until_offline(&mut other, "d");
    cmd!(con, "MULTI").text();
    cmd!(con, "PING").text();
    assert!(cmd!(con, "EXEC").is_nil());
}

#[test]
fn a_heartbeat_invalidates_client_side_caches_of_the_id() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    let mut caching = Raw::connect(&server);
    caching.call(&["HELLO", "3"]);
    assert_eq!(caching.call(&["CLIENT", "TRACKING", "ON"]), b"+OK\r\n");
    for line in [
        "DEVICE.HEARTBEAT d",
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1}",
        "DEVICE.OFFLINE d",
        "DEVICE.REMOVE d",
    ] {
        caching.call(&["DEVICE.GET", "d"]);
        assert!(cmd!(con, line).is_ok());
        let invalid = caching.invalidated();
        let of_d = invalid.iter().filter(|key| *key == "d");
        assert_eq!(of_d.count(), 1, "{line}: {invalid:?}");
    }
}
