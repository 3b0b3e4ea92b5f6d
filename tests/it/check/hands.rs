//! Hands in the data while the module runs: nothing crashes, nobody is told what the data do not say,
//! and in the end indexes and hashes agree.

use redis::Connection;

use super::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids};
use crate::devices::*;
use crate::support::*;

#[track_caller]
fn wait_until_consistent(con: &mut Connection) {
    wait_for("the indexes agree with the hashes", SOON, || {
        inconsistencies(con).is_empty()
    });
}

/// Who was told offline, in order.
#[track_caller]
fn deaths(con: &mut Connection) -> Vec<String> {
    let told = events(con).of_type("offline");
    told.iter().map(|event| event.device().to_owned()).collect()
}

/// By the time that this device has lived and died, the sweeper has looked at everything that was
/// due before.
#[track_caller]
fn wait_for_another_death(con: &mut Connection, ms: i64) {
    cmd!(con, "DEVICE.HEARTBEAT other TIMEOUT", ms).items();
    wait_until_offline(con, "other");
}

#[test]
fn flushall_forgets_everybody_without_a_word() {
    let server = quick();
    let mut con = server.connection();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let names = ids("d", 200);
    let beat_all = || {
        names
            .iter()
            .map(|id| format!("DEVICE.HEARTBEAT {id} TIMEOUT 300"))
    };
    for how in ["SYNC", "ASYNC"] {
        all(&mut con, beat_all());
        presence.wait_for_count(200, SOON);
        presence.take();
        cmd!(con, "FLUSHALL", how).text();
        wait_for_another_death(&mut con, 600);
        let of_others = |m: &Message| !m.payload.contains("\"other\"");
        assert_eq!(presence.take().iter().filter(|m| of_others(m)).count(), 0);
        assert_consistent(&mut con);
        assert_eq!(info_number(&mut con, "deadline_index_devices"), 0);
    }
    // They come again as new ones, and die as any.
    all(&mut con, beat_all());
    wait_for("all are dead", SOON, || {
        cmd!(con, "DEVICE.COUNT OFFLINE").int() == 201
    });
    assert_consistent(&mut con);
}

#[test]
fn swapdb_and_back() {
    let server = quick();
    let mut con = server.connection();
    let names = ids("d", 100);
    all(
        &mut con,
        names
            .iter()
            .map(|id| format!("DEVICE.HEARTBEAT {id} TIMEOUT 300")),
    );
    cmd!(con, "DEVICE.HEARTBEAT lives TIMEOUT 1h").items();
    cmd!(con, "SWAPDB 0 1").text();
    // The others are not in database 0, so nobody dies in it but this one.
    wait_for_another_death(&mut con, 700);
    assert_eq!(deaths(&mut con), ["other"]);
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 1);
    assert_consistent(&mut con);
    let mut aside = server.connection_to_db(1);
    assert_eq!(events(&mut aside).of_type("offline").len(), 0);
    assert_consistent(&mut aside);

    cmd!(con, "SWAPDB 0 1").text();
    wait_for("those that are overdue are told", SOON, || {
        deaths(&mut con).len() >= 100
    });
    let mut told = deaths(&mut con);
    told.sort_unstable();
    let mut wanted = names.clone();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
    assert!(is_online(&mut con, "lives"));
    assert_consistent(&mut con);
    assert_told_once(&mut con);
    assert_consistent(&mut server.connection_to_db(1));
}

#[test]
fn a_restored_hash_is_found_and_told_when_it_dies() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 500").items();
    cmd!(con, "DEVICE.REGISTER off sensor").int();
    let [d, off] = ["d", "off"].map(|id| cmd!(con, "DUMP", format!("device:state:{id}")).bytes());
    for id in ["d", "off"] {
        assert_eq!(cmd!(con, "DEVICE.REMOVE", id).int(), 1);
    }
    cmd!(con, "DEL devices:events").int();
    cmd!(con, "RESTORE", "device:state:d", 0, d).text();
    cmd!(con, "RESTORE", "device:state:off", 0, off).text();
    wait_until_consistent(&mut con);
    assert_eq!(
        cmd!(con, "DEVICE.LIST TYPE sensor").at(1).sorted(),
        ["d", "off"]
    );
    wait_until_offline(&mut con, "d");
    wait_for_another_death(&mut con, 600);
    assert_eq!(deaths(&mut con), ["d", "other"]);
    assert_consistent(&mut con);
    clean(&check(&mut con, "").0);
}

/// The sweeper has not looked yet when the device speaks up, or says goodbye: it looks all the same.
#[test]
fn a_restored_hash_is_found_when_its_device_is_faster() {
    let server = quick();
    let mut con = server.connection();
    for (id, says) in [
        ("d", "DEVICE.HEARTBEAT d TIMEOUT 0"),
        ("e", "DEVICE.OFFLINE e"),
    ] {
        let key = format!("device:state:{id}");
        cmd!(con, "DEVICE.REGISTER", id, "sensor").int();
        cmd!(con, "DEVICE.HEARTBEAT", id).items();
        cmd!(con, "COPY", &key, "saved", "REPLACE").int();
        cmd!(con, "DEVICE.REMOVE", id).int();
        let copy = format!("COPY saved {key}");
        let lines = ["MULTI", &copy, says, "EXEC"];
        all(&mut con, lines.map(str::to_owned));
    }
    wait_until_consistent(&mut con);
    assert_eq!(
        cmd!(con, "DEVICE.LIST TYPE sensor").at(1).sorted(),
        ["d", "e"]
    );
    // Nothing of it is left to be looked at.
    cmd!(con, "DEVICE.REMOVE d").int();
    cmd!(con, "DEVICE.REMOVE e").int();
    wait_for("nobody is known", SOON, || {
        info_number(&mut con, "deadline_index_devices") == 0
    });
}

/// What a heartbeat notes of a device is not believed when the hash is written by hand before the first
/// tick of the timer.
#[test]
fn a_version_written_by_hand_right_after_a_load_counts() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    for version in 41..51 {
        let lines = [
            "DEBUG RELOAD".to_owned(),
            "DEVICE.HEARTBEAT d".to_owned(),
            format!("HSET device:state:d version {version}"),
        ];
        all(&mut con, lines);
        wait_for("the version is told", SOON, || {
            beat(&mut con, "d") == [0, 1, version]
        });
    }
}

/// Other programs may have keys that begin as those of devices do.
#[test]
fn names_that_no_device_can_have_are_not_kept() {
    let server = quick();
    let mut con = server.connection();
    let used = |con: &mut Connection| server_info(con, "memory", "used_memory");
    let round = |con: &mut Connection, round: usize| {
        let key = |n: usize| format!("device:state:{{{}}}{round}:{n}", "x".repeat(100));
        all(con, (0..10_000).map(|n| format!("HSET {} a 1", key(n))));
        all(con, (0..10_000).map(|n| format!("DEL {}", key(n))));
    };
    round(&mut con, 0);
    let before = used(&mut con);
    (1..5).for_each(|n| round(&mut con, n));
    let grown = used(&mut con) - before;
    assert!(grown < 1_000_000, "{grown}");
}

#[test]
fn a_hash_renamed_onto_another_id_is_no_device() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 400").items();
    cmd!(con, "DEVICE.HEARTBEAT e TIMEOUT 400").items();
    cmd!(con, "RENAME device:state:d device:state:e").text();
    wait_for_another_death(&mut con, 800);
    // Neither has a hash that says it was online, so neither can be told offline.
    assert_eq!(deaths(&mut con), ["other"]);
    assert!(
        cmd!(con, "DEVICE.HEARTBEAT e").is_err(),
        "a foreign hash took a heartbeat"
    );
    let (found, _) = check(&mut con, "REPAIR");
    assert_eq!(found["foreign"], 1);
    assert_eq!(cmd!(con, "DEVICE.LIST").at(1).texts(), ["other"]);
    assert_consistent(&mut con);

    // Back in its place it is a device again, and its death is told.
    cmd!(con, "RENAME device:state:e device:state:d").text();
    wait_until_offline(&mut con, "d");
    check(&mut con, "REPAIR");
    assert_eq!(deaths(&mut con), ["other", "d"]);
    assert_consistent(&mut con);
    assert_eq!(beat(&mut con, "e"), [1, 1, 0]);
    assert_consistent(&mut con);
}

#[test]
fn a_status_written_by_hand_is_the_truth() {
    let server = quick();
    let mut con = server.connection();
    for id in ["a", "b", "c"] {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", "1h").items();
    }
    cmd!(con, "DEVICE.OFFLINE c").int();
    cmd!(con, "HSET device:state:a status offline").int();
    cmd!(con, "HSET device:state:b status offline").int();
    cmd!(con, "HSET device:state:c status online").int();
    // At once, and before anybody had time to look: it comes online again.
    assert_eq!(beat(&mut con, "b"), [1, 1, 0]);
    wait_until_consistent(&mut con);
    let online = cmd!(con, "DEVICE.LIST ONLINE").at(1).sorted();
    assert_eq!(online, ["b", "c"]);
    // Hands tell nobody: only the steps of the module are in the stream.
    assert_eq!(deaths(&mut con), ["c"]);
    assert_eq!(events_of(&mut con, "b").of_type("online").len(), 2);
    clean(&check(&mut con, "").0);
}

/// Somebody moves the last heartbeat of a device into the past or away, or takes its timeout.
#[test]
fn a_changed_hash_is_looked_at_afresh() {
    let server = quick();
    let mut con = server.connection();
    for id in ["deleted", "shorter", "stays"] {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", "1h").items();
    }
    // Longer than its timeout, so that the turn which everybody gets after the start is over.
    let start = now_ms();
    wait_for("a second passes", SOON, || {
        cmd!(con, "DEVICE.HEARTBEAT past TIMEOUT 900").items();
        now_ms() > start + 1_000
    });
    let seen = number(&mut con, "past", "last_seen");
    let long_ago = "last_seen 1000000000000 status_since 1000000000000";
    cmd!(con, &format!("HSET device:state:past {long_ago}")).int();
    cmd!(con, "DEL device:state:deleted").int();
    cmd!(con, "HSET device:state:shorter timeout 100").int();
    wait_for("the change is seen", SOON, || deaths(&mut con).len() >= 2);
    assert!(number(&mut con, "past", "status_since") < seen + 900);
    wait_for_another_death(&mut con, 300);
    let mut told = deaths(&mut con);
    told.sort_unstable();
    assert_eq!(told, ["other", "past", "shorter"]);
    assert!(is_online(&mut con, "stays"));
    check(&mut con, "REPAIR");
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

/// As shadows and history: they go with their device, and without it only on request.
#[test]
fn commands_of_nobody_are_found_and_go_on_request() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    cmd!(con, "DEVICE.COMMAND d {}").text();
    for key in ["device:commands:ghost", "device:outcomes:ghost"] {
        cmd!(con, "XADD", key, "*", "b", "{}").text();
    }
    assert_eq!(check(&mut con, "").0["dangling"], 2);
    let (found, _) = check(&mut con, "REPAIR");
    assert_eq!((found["dangling"], found["mended"]), (2, 2));
    assert_eq!(cmd!(con, "KEYS *ghost").texts(), [""; 0]);
    assert_eq!(cmd!(con, "XLEN device:commands:d").int(), 1);
}
