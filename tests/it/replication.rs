//! Replicas hold what the master holds, decide nothing, and take over without telling anybody
//! falsely.

mod followers;
mod last_seen;
mod nothing;
mod pauses;
mod timers;
pub mod workloads;

use std::time::{Duration, Instant};

use redis::Connection;

use crate::consistency::*;
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::support::server::Builder;
use crate::support::*;

const GRACE: i64 = 2_000;
/// How late a death may be told on a busy machine, in milliseconds.
const LATE: i64 = 1_000;

fn builder() -> Builder {
    Server::builder().config("devicestate.restart-grace", GRACE)
}

/// A replica of this master, in step with it.
#[track_caller]
pub fn replica_of(master: &Server) -> Server {
    let replica = builder()
        .config("replicaof", format!("127.0.0.1 {}", master.port()))
        .start();
    wait_for_sync(master, &replica);
    replica
}

/// Waits until the replica has everything that the master has written so far.
#[track_caller]
pub fn wait_for_sync(master: &Server, replica: &Server) {
    let offset = |server: &Server, name: &str| {
        let info = cmd!(server.connection(), "INFO replication").text();
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.parse::<i64>().ok())
    };
    // A master feeds a new replica only once that has said that it is there, up to a second later.
    wait_for("the replica is fed", SOON, || {
        let of = |server: &Server| cmd!(server.connection(), "INFO replication").text();
        of(replica).contains("master_link_status:up") && of(master).contains("state=online")
    });
    let wanted = offset(master, "master_repl_offset:").expect("an offset");
    wait_for("the replica has caught up", SOON, || {
        offset(replica, "slave_repl_offset:").is_some_and(|got| got >= wanted)
    });
}

/// Asserts that both hold the same, down to the moment at which each key expires. What happens by
/// itself between two looks, as a death or the end of a key, makes it look again.
#[track_caller]
pub fn assert_same(master: &Server, replica: &Server) {
    let start = Instant::now();
    loop {
        let found = differences(master, replica);
        if found.is_empty() {
            return;
        }
        assert!(
            start.elapsed() < SOON,
            "{} differences:\n{}",
            found.len(),
            found[..found.len().min(30)].join("\n")
        );
    }
}

#[track_caller]
fn differences(master: &Server, replica: &Server) -> Vec<String> {
    wait_for_sync(master, replica);
    let (mut m, mut r) = (master.connection(), replica.connection());
    let (left, right) = (snapshot_with_expiry(&mut m), snapshot_with_expiry(&mut r));
    let mut found = difference(&left, &right);
    let digest = |con: &mut Connection| cmd!(con, "DEBUG DIGEST").text();
    if found.is_empty() && digest(&mut m) != digest(&mut r) {
        found.push("the digests differ".to_owned());
    }
    found
}

/// Its clock runs too, but whom it finds overdue is the master's business.
#[test]
fn a_replica_writes_nothing_by_itself() {
    let master = quick();
    let replica = replica_of(&master);
    let told = Subscriber::channels(&replica, &["devices:presence"]);
    let (mut m, mut r) = (master.connection(), replica.connection());
    cmd!(m, "DEVICE.HEARTBEAT d TIMEOUT 1s").items();
    cmd!(m, "DEVICE.HEARTBEAT other TIMEOUT 1h").items();
    wait_for_sync(&master, &replica);
    // A frozen master tells nobody; all that happens now would be the replica's doing.
    master.stop();
    let before = snapshot_with_expiry(&mut r);
    let start = now_ms();
    // The bounded look at what must not happen: two timeouts.
    wait_for("two timeouts", SOON, || now_ms() > start + 2_000);
    assert_eq!(
        difference(&before, &snapshot_with_expiry(&mut r)),
        Vec::<String>::new()
    );
    assert!(is_online(&mut r, "d"));
    assert_eq!(info(&mut r)["hearing"], "no (replica)");
    assert_eq!(
        cmd!(r, "DEVICE.WHY d").fields()["held_by"].text(),
        "replica"
    );
    assert_eq!(cmd!(r, "DEVICE.LIST ONLINE").at(1).sorted(), ["d", "other"]);
    expect_error(&mut r, &["DEVICE.HEARTBEAT", "d"], "READONLY", "");
    master.cont();

    wait_until_offline(&mut m, "d");
    let heard = told.wait_until("the death", SOON, |heard| {
        heard.iter().any(|m| m.payload.contains("\"offline\""))
    });
    let of_d: Vec<String> = heard
        .iter()
        .map(|m| m.json())
        .filter(|m| m["device_id"] == "d")
        .map(|m| m["status"].to_string())
        .collect();
    assert_eq!(of_d, ["\"online\"", "\"offline\""]);
    assert_same(&master, &replica);
    assert_eq!(info_number(&mut r, "timed_out"), 0);
}

#[test]
fn a_promotion_gives_a_grace_and_then_tells_the_silent_ones_once() {
    let mut master = quick();
    let replica = replica_of(&master);
    let mut m = master.connection();
    cmd!(m, "DEVICE.HEARTBEAT slow TIMEOUT 60s").items();
    cmd!(m, "DEVICE.HEARTBEAT wired TIMEOUT 0").items();
    let often = Duration::from_millis(100);
    let live = Beaters::start(&master, &ids("live", 100), often, 500);
    let silent = Beaters::start(&master, &ids("silent", 100), often, 500);
    wait_for_sync(&master, &replica);
    master.kill_hard();
    drop((live, silent));
    let gone = now_ms();
    wait_for("two timeouts", SOON, || now_ms() > gone + 1_000);

    let mut con = replica.connection();
    assert_eq!(events(&mut con).of_type("offline").len(), 0);
    let began = now_ms();
    cmd!(con, "REPLICAOF NO ONE").text();
    let live = Beaters::start(&replica, &ids("live", 100), often, 500);
    let ready = now_ms();
    let why = cmd!(con, "DEVICE.WHY slow").fields();
    assert!(why["deadline"].int() >= began + 60_000, "{why:?}");
    wait_for("the silent ones are told", SOON, || {
        events(&mut con).of_type("offline").len() >= 100
    });
    live.wait_for_rounds(6);
    let told = events(&mut con).of_type("offline");
    let late = live.late_ms();
    let mut names = told.field("device_id");
    names.sort_unstable();
    let mut wanted = ids("silent", 100);
    wanted.sort_unstable();
    assert_eq!(names, wanted, "the beaters were up to {late} ms late");
    for event in told.iter() {
        let bounds = began + GRACE..=ready + GRACE + LATE;
        let at = event.int("timestamp");
        assert!(bounds.contains(&at), "{bounds:?}: {event:?}");
    }
    assert!(is_online(&mut con, "slow") && is_online(&mut con, "wired"));
    live.stop();
    wait_for("the living are silent too", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 2
    });
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn a_master_that_becomes_a_replica_stops_telling() {
    let (old, new) = (quick(), quick());
    let mut con = old.connection();
    for i in 0..50 {
        cmd!(con, "DEVICE.HEARTBEAT", format!("d-{i}"), "TIMEOUT", 400).items();
    }
    let presence = Subscriber::channels(&old, &["devices:presence"]);
    cmd!(con, "REPLICAOF", "127.0.0.1", new.port()).text();
    wait_for_sync(&new, &old);
    // It holds what its new master holds: nobody.
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 0);
    cmd!(new.connection(), "DEVICE.HEARTBEAT clock TIMEOUT 800").items();
    wait_for_sync(&new, &old);
    wait_until_offline(&mut new.connection(), "clock");
    presence.wait_until("the clock's death", SOON, |heard| {
        heard.iter().any(|m| m.payload.contains("\"offline\""))
    });
    assert!(presence
        .messages()
        .iter()
        .all(|m| m.json()["device_id"] == "clock"));
    assert_same(&new, &old);
    assert_eq!(info_number(&mut con, "timed_out"), 0);
    assert_eq!(info_number(&mut con, "deadline_index_devices"), 0);

    // Back in office it goes on.
    cmd!(con, "REPLICAOF NO ONE").text();
    assert_eq!(beat(&mut con, "clock"), [1, 1, 0]);
    wait_until_offline(&mut con, "clock");
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}
