//! What the module writes to disk is for any server: a plain one loads it and holds the same.

use std::collections::BTreeSet;

use redis::Connection;

use crate::consistency::assert_sound;
use crate::devices::difference;
use crate::heartbeat::replication::replicated;
use crate::replication::workloads::wait_for_quiet;
use crate::support::*;
use crate::workload::Workload;

/// The append-only file and a snapshot after a random workload of every command: the file holds
/// nothing but commands of the server's own, and a server without the module loads either.
#[test]
fn files_of_every_command_load_without_the_module() {
    let mut server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.heartbeat-timeout", 300)
        .config("devicestate.history-presence", "yes")
        .config("devicestate.reports-maxlen", 1_000)
        .config("appendonly", "yes")
        .start();
    server.settle();
    let mut con = server.connection();
    Workload::new(5).run(&mut con, 3_000);
    keep_for_long(&mut con);
    wait_for_quiet(&mut con);
    assert_sound(&mut con);
    let before = snapshot_with_expiry(&mut con);
    let digest = cmd!(con, "DEBUG DIGEST").text();
    cmd!(con, "SAVE").text();
    server.terminate();

    let said: BTreeSet<String> = replicated(&server)
        .iter()
        .map(|command| command[0].to_lowercase())
        .collect();
    for appendonly in ["yes", "no"] {
        let plain = Server::builder()
            .without_module()
            .config("dir", server.dir().display())
            .config("appendonly", appendonly)
            .start();
        let mut con = plain.connection();
        let after = snapshot_with_expiry(&mut con);
        assert_eq!(difference(&before, &after), Vec::<String>::new());
        assert_eq!(cmd!(con, "DEBUG DIGEST").text(), digest);
        let known: BTreeSet<String> = cmd!(con, "COMMAND LIST").texts().into_iter().collect();
        let foreign: Vec<&String> = said.difference(&known).collect();
        assert!(foreign.is_empty(), "in the append-only file: {foreign:?}");
    }
}

/// So that no throttle's window ends between two looks.
#[track_caller]
fn keep_for_long(con: &mut Connection) {
    const SCRIPT: &str = "local soon = 0
        for _, key in ipairs(redis.call('KEYS', '*')) do
            if redis.call('PTTL', key) >= 0 then redis.call('PEXPIREAT', key, ARGV[1]); soon = 1 end
        end
        return soon";
    let later = now_ms() + 86_400_000;
    assert_eq!(cmd!(con, "EVAL", SCRIPT, 0, later).int(), 1);
}
