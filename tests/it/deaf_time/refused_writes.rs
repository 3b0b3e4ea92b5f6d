//! While the server refuses writes nobody can be told offline, and heartbeats may not get through
//! either. Nothing is written then; afterwards every device gets its full timeout.

use std::fs;

use redis::Connection;

use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

const TIMEOUT: i64 = 300;
const LATE: i64 = 1_000;

/// One device falls silent, `refuse` begins the trouble, `mend` ends it.
#[track_caller]
fn live_through(
    server: &Server,
    code: &str,
    refuse: impl FnOnce(&mut Connection),
    mend: impl FnOnce(&mut Connection),
) {
    let mut con = server.connection();
    server.settle();
    let offline = Subscriber::channels(server, &["__keyevent@0__:device.offline"]);
    cmd!(con, "DEVICE.HEARTBEAT keeps TIMEOUT 1h").items();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT", TIMEOUT).items();
    refuse(&mut con);
    wait_for("the module notices", SOON, || {
        info(&mut con)["hearing"] == "no (writes refused)"
    });
    let before = snapshot(&mut con);
    // The bounded look at what must not happen: three timeouts.
    let start = now_ms();
    wait_for("three timeouts", SOON, || now_ms() > start + 3 * TIMEOUT);
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new(),
        "written while writes are refused"
    );
    assert_eq!(
        cmd!(con, "DEVICE.WHY d").fields()["held_by"].text(),
        "writes refused"
    );
    let lines = |text: &str| {
        let log = server.log();
        let of_ours = log.lines().filter(|line| line.contains("<devicestate>"));
        of_ours.filter(|line| line.contains(text)).count()
    };
    assert_eq!(lines("writes are refused"), 1);
    assert_eq!(lines(code), 1);

    let mended = now_ms();
    mend(&mut con);
    // No command from here on, so that no client helps the sweeper along.
    let told = offline.wait_for_count(1, SOON)[0].clone();
    assert_eq!(told.payload, "device:state:d");
    let late = told.at_ms - (mended + TIMEOUT);
    assert!((0..=LATE).contains(&late), "told after {late} ms");
    assert_eq!(lines("writes are accepted again"), 1);
    assert_eq!(lines("can't be told offline"), 0);
    assert_eq!(events(&mut con).of_type("offline").len(), 1);
    assert!(is_online(&mut con, "keeps"));
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn out_of_memory_until_there_is_more() {
    live_through(
        &quick(),
        "OOM",
        |con| assert!(cmd!(con, "CONFIG SET maxmemory 1").is_ok()),
        |con| assert!(cmd!(con, "CONFIG SET maxmemory 1gb").is_ok()),
    );
}

/// The operator lifts the limit altogether: no later command renews what the server remembers of
/// its memory.
#[test]
fn out_of_memory_until_the_limit_is_gone() {
    live_through(
        &quick(),
        "OOM",
        |con| assert!(cmd!(con, "CONFIG SET maxmemory 1").is_ok()),
        |con| assert!(cmd!(con, "CONFIG SET maxmemory 0").is_ok()),
    );
}

#[test]
fn too_few_replicas() {
    live_through(
        &quick(),
        "NOREPLICAS",
        |con| assert!(cmd!(con, "CONFIG SET min-replicas-to-write 1").is_ok()),
        |con| assert!(cmd!(con, "CONFIG SET min-replicas-to-write 0").is_ok()),
    );
}

/// A snapshot that fails because its folder is gone.
#[test]
fn a_disk_that_cannot_be_written() {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("enable-protected-configs", "yes")
        // So that a failed snapshot counts, but none starts by itself.
        .config("save", "360000 1000000")
        .start();
    let bgsave_fails = |con: &mut Connection, wanted: &str| {
        cmd!(con, "BGSAVE").text();
        wait_for("the snapshot is over", SOON, || {
            let info = cmd!(con, "INFO persistence").text();
            info.contains(&format!("rdb_last_bgsave_status:{wanted}"))
        });
    };
    let gone = server.dir().join("gone");
    live_through(
        &server,
        "MISCONF",
        |con| {
            fs::create_dir(&gone).expect("a folder");
            cmd!(con, "CONFIG SET dir", gone.to_str().expect("UTF-8")).text();
            fs::remove_dir(&gone).expect("remove it");
            bgsave_fails(con, "err");
        },
        |con| {
            let dir = server.dir().to_str().expect("UTF-8");
            cmd!(con, "CONFIG SET dir", dir).text();
            bgsave_fails(con, "ok");
        },
    );
}

/// Heartbeats carry no `deny-oom`: those of known devices are heard all the time, and nobody is
/// told offline because the sweeper could not write.
#[test]
fn a_device_that_beats_while_memory_is_short_stays_online() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT", TIMEOUT).items();
    cmd!(con, "CONFIG SET maxmemory 1").text();
    let start = now_ms();
    wait_for("three timeouts", SOON, || {
        assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
        now_ms() > start + 3 * TIMEOUT
    });
    cmd!(con, "CONFIG SET maxmemory 0").text();
    assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
    assert_eq!(events(&mut con).of_type("offline").len(), 0);
    wait_until_offline(&mut con, "d");
    assert_told_once(&mut con);
}
