//! What reaches replicas and the append-only file: effects only, in commands of the server's own.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;

use crate::devices::*;
use crate::support::{resp, *};

/// A server that has written its append-only file before it answers.
#[track_caller]
pub fn server_with_aof() -> Server {
    Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start()
}

/// The file that commands are appended to.
#[track_caller]
fn aof(server: &Server) -> PathBuf {
    let dir = server.dir().join("appendonlydir");
    let files = fs::read_dir(dir).expect("the folder of the append-only file");
    let mut paths = files.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .expect("an incremental append-only file")
}

#[track_caller]
pub fn aof_bytes(server: &Server) -> u64 {
    fs::metadata(aof(server)).expect("its length").len()
}

/// All commands in it so far, except SELECT.
#[track_caller]
pub fn replicated(server: &Server) -> Vec<Vec<String>> {
    let mut file = BufReader::new(File::open(aof(server)).expect("open it"));
    let mut commands = Vec::new();
    while let Ok(bytes) = resp::read_reply(&mut file) {
        let words = redis::parse_redis_value(&bytes).items();
        let text = |word: &redis::Value| String::from_utf8_lossy(&word.bytes()).into_owned();
        let words: Vec<String> = words.iter().map(text).collect();
        if words[0] != "SELECT" {
            commands.push(words);
        }
    }
    commands
}

#[test]
fn a_steady_beat_replicates_one_hset() {
    let server = server_with_aof();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h SESSION 1").items();
    for steady in ["", " SESSION 1", " TIMEOUT 1h"] {
        let before = replicated(&server).len();
        cmd!(con, &format!("DEVICE.HEARTBEAT d{steady}")).items();
        let last_seen = number(&mut con, "d", "last_seen").to_string();
        assert_eq!(
            replicated(&server)[before..],
            [["HSET", "device:state:d", "last_seen", &last_seen]]
        );
    }
}

#[test]
fn reads_and_refused_commands_replicate_nothing() {
    let server = server_with_aof();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d REPORTED {\"a\":1}").items();
    cmd!(con, "DEVICE.TYPE.SET sensor TIMEOUT 1h").text();
    let (before, keys) = (aof_bytes(&server), snapshot_with_expiry(&mut con));
    for line in [
        "DEVICE.GET d",
        "DEVICE.GET d status nope",
        "DEVICE.GET nobody",
        "DEVICE.MGET d nobody",
        "DEVICE.LIST",
        "DEVICE.LIST STALE 0 WITHSTATE",
        "DEVICE.COUNT STALE 1h",
        "DEVICE.WHY d",
        "DEVICE.CHECK 0",
        "DEVICE.TYPE.GET sensor",
        "DEVICE.TYPE.LIST",
        "DEVICE.TYPE.DEL nope",
        "DEVICE.REMOVE nobody",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "DEVICE.HEARTBEAT d REPORTED [",
        "DEVICE.HEARTBEAT d SEQ 1",
        "DEVICE.HEARTBEAT {d}",
        "DEVICE.REGISTER d {sensor}",
        "DEVICE.REGISTER d sensor META 1",
        "DEVICE.OFFLINE nobody",
        "DEVICE.WHY nobody",
        "DEVICE.REMOVE d BLOCK -1",
        "DEVICE.TYPE.SET sensor TIMEOUT 1",
        "DEVICE.LIST CURSOR x",
    ] {
        assert!(cmd!(con, line).is_err(), "{line}");
    }
    assert_eq!(keys, snapshot_with_expiry(&mut con));
    assert_eq!(before, aof_bytes(&server));
}

#[test]
fn the_sweeper_replicates_nothing_while_nobody_is_due() {
    let server = server_with_aof();
    let mut con = server.connection();
    beat(&mut con, "d");
    let (before, ticks) = (aof_bytes(&server), info_number(&mut con, "ticks"));
    wait_for("ten ticks pass", SOON, || {
        info_number(&mut con, "ticks") >= ticks + 10
    });
    assert_eq!(before, aof_bytes(&server));
}

#[test]
fn a_plain_server_loads_the_file_and_holds_the_same() {
    let server = server_with_aof();
    let mut con = server.connection();
    for line in [
        "DEVICE.REGISTER d sensor META {\"m\":1}",
        "DEVICE.HEARTBEAT d REPORTED {\"a\":{\"b\":1}} SESSION 4 SEQ 1",
        "DEVICE.HEARTBEAT d REPORTED {\"a\":{\"b\":null}} SESSION 5",
        "DEVICE.HEARTBEAT d SESSION 4",
        "DEVICE.HEARTBEAT late TIMEOUT 100",
        "DEVICE.HEARTBEAT gone",
        "DEVICE.REMOVE gone",
        "DEVICE.HEARTBEAT bye TIMEOUT 0",
        "DEVICE.OFFLINE bye REASON bye",
        "DEVICE.REGISTER bye motor",
        "DEVICE.TYPE.SET motor TIMEOUT 1h HISTORY 3",
        "DEVICE.TYPE.SET other HISTORY 0",
        "DEVICE.TYPE.DEL other",
        "EVAL return(redis.call('DEVICE.HEARTBEAT','x')) 0",
        "MULTI",
        "DEVICE.HEARTBEAT d",
        "DEVICE.OFFLINE x",
        "DEVICE.HEARTBEAT y REPORTED {}",
        "EXEC",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    wait_until_offline(&mut con, "late");
    assert_a_plain_server_holds_the_same(server);
}

/// Asserts that the append-only file holds commands of the server only, and that a server without
/// the module loads it.
#[track_caller]
pub fn assert_a_plain_server_holds_the_same(mut server: Server) {
    let before = snapshot(&mut server.connection());
    let own = crate::workload::names();
    for command in replicated(&server) {
        assert!(!own.contains(&command[0].to_lowercase()), "{command:?}");
    }
    server.terminate();

    let plain = Server::builder()
        .without_module()
        .config("dir", server.dir().display())
        .config("appendonly", "yes")
        .start();
    let after = snapshot(&mut plain.connection());
    assert_eq!(difference(&before, &after), Vec::<String>::new());
}

#[test]
fn a_plain_replica_holds_the_same() {
    let server = quick();
    let replica = Server::builder().without_module().start();
    let (mut con, mut copy) = (server.connection(), replica.connection());
    cmd!(copy, "REPLICAOF", "127.0.0.1", server.port()).text();
    wait_for("the replica is in step", SOON, || {
        cmd!(copy, "INFO", "replication")
            .text()
            .contains("master_link_status:up")
    });
    for line in [
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1} TIMEOUT 100",
        "DEVICE.HEARTBEAT e SESSION 2",
        "DEVICE.HEARTBEAT e SESSION 1",
        "DEVICE.REGISTER f sensor",
        "DEVICE.REMOVE f",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    wait_until_offline(&mut con, "d");
    assert_eq!(cmd!(con, "WAIT", 1, 20_000).int(), 1);
    assert_eq!(snapshot(&mut con), snapshot(&mut copy));
}
