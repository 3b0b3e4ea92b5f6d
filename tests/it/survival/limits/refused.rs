//! A server that refuses writes: every command that writes is refused with the server's own words,
//! reads go on, nothing is written by itself, and all that had to wait happens afterwards, once.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use redis::Connection;

use super::{wait_for_silence, with_flag};
use crate::check::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::replication::replica_of;
use crate::support::server::Builder;
use crate::support::*;
use crate::survival::size::size;
use crate::workload::{names, shown, Workload};

/// How long what happens by itself takes, in milliseconds.
const DUE: i64 = 1_000;
/// Of those that are alive, in milliseconds; the trouble lasts longer.
const TIMEOUT: i64 = 2_000;

fn builder() -> Builder {
    Server::builder().config("devicestate.restart-grace", 0)
}

/// Everything but the counters of throttles, which expire as any key does.
#[track_caller]
fn lasting(con: &mut Connection) -> Snapshot {
    let mut keys = snapshot(con);
    keys.retain(|key, _| !key.starts_with("window-") && !key.starts_with("bucket-"));
    keys
}

/// What happens by itself is set going, `refuse` begins the trouble, `mend` ends it.
#[track_caller]
fn live_through(
    server: &mut Server,
    code: &str,
    refuse: impl FnOnce(&mut Connection),
    mend: impl FnOnce(&mut Connection),
) {
    let mut con = server.connection();
    let con = &mut con;
    server.settle();
    let mut workload = Workload::new(code.len() as u64);
    workload.run(con, size(1_000, 10_000));
    let (writing, reading) = (with_flag(con, "write"), with_flag(con, "readonly"));
    assert_eq!(&writing | &reading, names());

    let every = Duration::from_millis(200);
    let live = Beaters::start(server, &ids("live", 50), every, TIMEOUT.unsigned_abs());
    cmd!(con, "DEVICE.REGISTER keeps sensor").int();
    cmd!(con, "ALERT.RAISE keeps door WAIT 0 NOTIFY 1 eve KEEP", DUE).items();
    cmd!(con, "DEVICE.HEARTBEAT silent TIMEOUT", DUE).items();
    cmd!(con, "QUEUE.ADD later A DELAY", DUE).text();
    let mut waits = Raw::connect(server);
    waits.send_args(&["QUEUE.GET", "later", "w", "BLOCK", "0"]);
    wait_for("the worker waits", SOON, || {
        server_info(con, "clients", "blocked_clients") == 1
    });

    refuse(con);
    wait_for("the module notices", SOON, || {
        info(con)["hearing"] == "no (writes refused)"
    });
    let start = now_ms();
    let before = lasting(con);
    let mut commands = 0;
    wait_for("the trouble outlasts every timeout", SOON, || {
        for _ in 0..size(20, 200) {
            let (command, reply) = workload.say(con);
            let name = String::from_utf8_lossy(&command[0]).to_lowercase();
            let refused_with = reply.as_ref().err().and_then(|error| error.code());
            let is_refused = refused_with == Some(code);
            assert_eq!(is_refused, writing.contains(&name), "{}", shown(&command));
            commands += 1;
        }
        now_ms() > start + TIMEOUT + DUE
    });
    assert!(commands >= 500, "only {commands} commands");
    assert_eq!(
        difference(&before, &lasting(con)),
        Vec::<String>::new(),
        "written while writes are refused"
    );
    assert_consistent(con);

    mend(con);
    wait_until_offline(con, "silent");
    assert_eq!(waits.read()[..2], *b"*1", "who waited is served");
    wait_for("the alert is over", SOON, || {
        cmd!(con, "ALERT.LIST keeps").items().is_empty()
    });
    live.wait_for_rounds(2);
    let told = events(con).of_type("offline");
    let late = live.late_ms();
    let living = told.only(|event| event.device().starts_with("live"));
    assert_eq!(living.0, [], "the beaters were up to {late} ms late");
    live.stop();
    workload.run(con, 200);
    assert_eq!(told.of_device("silent").len(), 1);
    let resolved = events_of(con, "keeps").of_type("alert");
    assert_eq!(resolved.field("state"), ["firing", "resolved"]);
    wait_for_silence(con);
    assert_consistent(con);
    assert_told_once(con);
    clean(&check(con, "COUNT 1000").0);
    assert!(server.is_alive());
}

#[test]
fn without_its_replica_a_server_that_needs_one() {
    let mut master = builder().start();
    let mut replica = Some(replica_of(&master));
    let con = &mut master.connection();
    cmd!(con, "CONFIG SET min-replicas-to-write 1").text();
    let mut next = None;
    let address = master.port();
    live_through(
        &mut master,
        "NOREPLICAS",
        |_| drop(replica.take()),
        |_| {
            let replica = builder().config("replicaof", format!("127.0.0.1 {address}"));
            next = Some(replica.start());
        },
    );
    let replica = next.expect("started above");
    crate::replication::assert_same(&master, &replica);
}

/// Snapshots fail, as their folder is gone.
#[test]
fn a_disk_on_which_snapshots_fail() {
    let mut server = builder()
        .config("enable-protected-configs", "yes")
        // So that a failed snapshot counts, but none starts by itself.
        .config("save", "360000 1000000")
        .start();
    let dir = server.dir().to_owned();
    let gone = dir.join("gone");
    let snapshot_ends = |con: &mut Connection, wanted: &str| {
        cmd!(con, "BGSAVE").text();
        wait_for("the snapshot is over", SOON, || {
            let info = cmd!(con, "INFO persistence").text();
            info.contains(&format!("rdb_last_bgsave_status:{wanted}"))
        });
    };
    live_through(
        &mut server,
        "MISCONF",
        |con| {
            fs::create_dir(&gone).expect("a folder");
            cmd!(con, "CONFIG SET dir", gone.to_str().expect("UTF-8")).text();
            fs::remove_dir(&gone).expect("remove it");
            snapshot_ends(con, "err");
        },
        |con| {
            cmd!(con, "CONFIG SET dir", dir.to_str().expect("UTF-8")).text();
            snapshot_ends(con, "ok");
        },
    );
}

/// The append-only file is full: it leads to a device that takes no byte.
#[test]
fn a_disk_on_which_the_append_only_file_has_no_room() {
    let mut server = builder().start();
    let files = server.dir().join("appendonlydir");
    fs::create_dir(&files).expect("a folder");
    symlink("/dev/full", files.join("temp-appendonly.aof.incr")).expect("a link");
    let persistence = |con: &mut Connection, wanted: &[&str]| {
        wait_for(&format!("{wanted:?}"), SOON, || {
            let info = cmd!(con, "INFO persistence").text();
            wanted.iter().all(|line| info.lines().any(|l| l == *line))
        });
    };
    live_through(
        &mut server,
        "MISCONF",
        |con| {
            cmd!(con, "CONFIG SET appendonly yes").text();
            persistence(con, &["aof_enabled:1", "aof_rewrite_in_progress:0"]);
            // What the server finds out when it writes next.
            let _ = cmd!(con, "SET x y");
            persistence(con, &["aof_last_write_status:err"]);
        },
        |con| {
            // Begins a file on a disk with room.
            cmd!(con, "BGREWRITEAOF").text();
            persistence(con, &["aof_last_write_status:ok"]);
        },
    );
    // The file has all of it.
    let con = &mut server.connection();
    persistence(con, &["aof_rewrite_in_progress:0"]);
    let digest = cmd!(con, "DEBUG DIGEST").text();
    cmd!(con, "DEBUG LOADAOF").text();
    assert_eq!(cmd!(con, "DEBUG DIGEST").text(), digest);
}
