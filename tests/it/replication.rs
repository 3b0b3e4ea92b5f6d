//! Replicas hold what the master holds, decide nothing, and take over without telling anybody
//! falsely.

mod followers;
mod last_seen;
mod pauses;

use std::time::Duration;

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
fn wait_for_sync(master: &Server, replica: &Server) {
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

/// Asserts that both hold the same, down to the moment at which each key expires.
#[track_caller]
pub fn assert_same(master: &Server, replica: &Server) {
    wait_for_sync(master, replica);
    let (mut m, mut r) = (master.connection(), replica.connection());
    let (left, right) = (snapshot_with_expiry(&mut m), snapshot_with_expiry(&mut r));
    assert_eq!(difference(&left, &right), Vec::<String>::new());
    assert_eq!(
        cmd!(m, "DEBUG DIGEST").text(),
        cmd!(r, "DEBUG DIGEST").text()
    );
}

/// A fixed sequence of many kinds of command, taken at random.
#[track_caller]
fn random_workload(con: &mut Connection, commands: usize) {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for i in 0..commands {
        let d = format!("d-{}", random(60));
        let t = ["red", "blue"][random(2)];
        let line = match random(14) {
            0 => format!("DEVICE.REGISTER {d} {t} META {{\"n\":{i}}}"),
            1 => format!("DEVICE.HEARTBEAT {d} TIMEOUT {}", 100 + random(400)),
            2 => format!("DEVICE.HEARTBEAT {d} TIMEOUT 0"),
            3 => format!("DEVICE.HEARTBEAT {d} REPORTED {{\"a\":{{\"b\":{i}}}}} SESSION {i} SEQ 1"),
            4 => format!("DEVICE.HEARTBEAT {d} SESSION {}", random(commands)),
            5 => format!("DEVICE.HEARTBEAT {d} REPORTED {{\"a\":null}} REPLACE"),
            6 => format!("DEVICE.OFFLINE {d} REASON will"),
            7 => format!("DEVICE.REMOVE {d}"),
            8 => format!("DEVICE.REMOVE {d}-{i} BLOCK 1h"),
            9 => format!("DEVICE.TYPE.SET {t} TIMEOUT {}", 200 + random(300)),
            10 => "DEVICE.CHECK 0 COUNT 10000 REPAIR".to_owned(),
            11 => format!("SREM devices:online {d}"),
            _ => format!("DEVICE.HEARTBEAT {d}"),
        };
        // Some are refused: of unknown devices, or of blocked ones.
        let _ = cmd!(con, &line);
    }
}

#[test]
fn a_replica_holds_the_same_after_any_workload() {
    let master = quick();
    let replica = replica_of(&master);
    let mut con = master.connection();
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 300").text();
    random_workload(&mut con, 3_000);
    // Compared when all that have a timeout have died, so that nothing changes between two looks.
    wait_for("the deaths", SOON, || {
        let online = cmd!(con, "SMEMBERS devices:online").texts();
        online
            .iter()
            .all(|id| cmd!(con, "DEVICE.WHY", id).is_err() || !has_deadline(&mut con, id))
    });
    assert_same(&master, &replica);
    assert_told_once(&mut con);
    assert_eq!(info_number(&mut replica.connection(), "went_offline"), 0);
}

#[track_caller]
fn has_deadline(con: &mut Connection, id: &str) -> bool {
    !cmd!(con, "DEVICE.WHY", id).fields()["deadline"].is_nil()
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
