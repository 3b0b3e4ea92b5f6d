//! Devices that the plain recipe wrote: hashes by hand with times in float seconds, heartbeat keys
//! with the timeout as their TTL, no version. Nobody is told anything by their adoption.

mod mixed;

use std::time::Duration;

use redis::Connection;

use crate::check::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids};
use crate::devices::*;
use crate::support::*;

/// How late a death may be told on a busy machine, in milliseconds.
const LATE: i64 = 1_000;

/// What the recipe writes for one device, as commands. `seen` is its last heartbeat, in microseconds
/// since the Unix epoch.
fn recipe(id: &str, device_type: &str, online: bool, seen: i64) -> Vec<String> {
    let float = |us: i64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let status = if online { "online" } else { "offline" };
    let mut lines = vec![
        format!(
            "HSET device:state:{id} device_id {id} device_type {device_type} registered_at {} \
             status {status} last_seen {} reported_state {} desired_state {} metadata {}",
            float(seen - 86_400_000_000),
            float(seen),
            "{\"pressure\":4.2,\"on\":true}",
            "{\"on\":false}",
            "{\"owners\":[\"u1\"]}",
        ),
        format!("SADD devices:registered {id}"),
        format!("SADD devices:type:{device_type} {id}"),
    ];
    if online {
        lines.push(format!("SADD devices:online {id}"));
        lines.push(format!("SETEX device:heartbeat:{id} 60 1"));
    }
    lines
}

/// A heartbeat of a device that [`recipe`] wrote: `[came_online, applied, version]`. What the recipe
/// left to do is answered.
#[track_caller]
fn adopting_beat(con: &mut Connection, id: &str) -> [i64; 3] {
    let reply = cmd!(con, "DEVICE.HEARTBEAT", id).items();
    assert_eq!(reply[3].text(), "{\"on\":false}", "{reply:?}");
    [reply[0].int(), reply[1].int(), reply[2].int()]
}

/// A moment with microseconds that do not round to the millisecond below.
fn us_ago(ms: i64) -> i64 {
    (now_ms() - ms) * 1_000 + 678
}

/// A plain server with these devices, stopped, its snapshot taken over by one with the module.
/// The plain one must be kept, for the snapshot is in its folder.
#[track_caller]
fn taken_over(timeout: &str, lines: Vec<String>) -> (Server, Server) {
    let mut plain = Server::builder()
        .without_module()
        .config("save", "360000 1000000")
        .start();
    all(&mut plain.connection(), lines);
    plain.terminate();
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.heartbeat-timeout", timeout)
        .config("dir", plain.dir().display())
        .start();
    (plain, server)
}

#[test]
fn check_adopts_10_000_devices_and_tells_nobody() {
    const MANY: usize = 10_000;
    let names = ids("d", MANY);
    let seen = us_ago(5_000);
    let one = |(i, id): (usize, &String)| recipe(id, &format!("t{}", i % 5), i % 2 == 0, seen);
    let (_plain, server) = taken_over("60s", names.iter().enumerate().flat_map(one).collect());
    let told = Subscriber::channels(
        &server,
        &[
            "devices:presence",
            "__keyevent@0__:expired",
            "__keyevent@0__:device.online",
            "__keyevent@0__:device.offline",
            "__keyevent@0__:device.registered",
        ],
    );
    let mut con = server.connection();
    let digest = cmd!(con, "DEBUG DIGEST").text();
    let (found, _) = check(&mut con, "COUNT 1000");
    assert_eq!((found["checked"], found["recipe"]), (10_000, 10_000));
    assert_eq!(
        cmd!(con, "DEBUG DIGEST").text(),
        digest,
        "CHECK alone wrote"
    );

    let (found, _) = check(&mut con, "COUNT 1000 REPAIR");
    assert_eq!((found["adopted"], found["foreign"]), (10_000, 0));
    assert_eq!(clean(&check(&mut con, "COUNT 1000").0), 10_000);
    for (filter, wanted) in [
        ("", 10_000),
        ("ONLINE", 5_000),
        ("OFFLINE", 5_000),
        ("TYPE t0", 2_000),
        ("TYPE t1 ONLINE", 1_000),
        ("STALE 5s", 10_000),
        ("STALE 1h", 0),
    ] {
        let count = cmd!(con, format!("DEVICE.COUNT {filter}").trim_end()).int();
        assert_eq!(count, wanted, "{filter}");
    }
    assert_consistent(&mut con);
    for id in ["d-0", "d-1"] {
        let hash = cmd!(con, "HGETALL", format!("device:state:{id}")).text_fields();
        let ms = (seen + 500) / 1_000;
        assert_eq!(hash["last_seen"], ms.to_string());
        assert_eq!(hash["registered_at"], (ms - 86_400_000).to_string());
        assert_eq!(hash["reported_state"], "{\"pressure\":4.2,\"on\":true}");
        assert_eq!(hash["desired_state"], "{\"on\":false}");
        assert_eq!(hash["metadata"], "{\"owners\":[\"u1\"]}");
        assert_eq!(hash["version"], "1");
    }
    assert_eq!(told.messages().len(), 0);
    assert_eq!(events(&mut con).len(), 0);
    assert_eq!(info_number(&mut con, "adopted"), 10_000);
}

/// Four devices each, online and offline; the first command on each adopts it.
#[test]
fn the_first_command_on_a_device_adopts_it() {
    let firsts = ["beat", "register", "move", "goodbye", "remove", "session"];
    let device = |first: &&str| {
        let seen = us_ago(5_000);
        let mut lines = recipe(&format!("{first}-on"), "pump", true, seen);
        lines.extend(recipe(&format!("{first}-off"), "pump", false, seen));
        lines
    };
    let (_plain, server) = taken_over("60s", firsts.iter().flat_map(device).collect());
    let mut con = server.connection();
    server.settle();
    let presence = Subscriber::channels(&server, &["devices:presence"]);

    assert_eq!(adopting_beat(&mut con, "beat-on"), [0, 1, 1]);
    assert_eq!(adopting_beat(&mut con, "beat-off"), [1, 1, 1]);
    let session = cmd!(con, "DEVICE.HEARTBEAT session-on SESSION 2 TIMEOUT 1h");
    assert_eq!(session.at(0).int(), 0);
    let session = cmd!(con, "DEVICE.HEARTBEAT session-off SESSION 2 TIMEOUT 1h");
    assert_eq!(session.at(0).int(), 1);
    for state in ["on", "off"] {
        let is_on = i64::from(state == "on");
        let run = |con: &mut Connection, line: &str| cmd!(con, &line.replace('?', state)).int();
        assert_eq!(run(&mut con, "DEVICE.REGISTER register-? pump"), 0);
        assert_eq!(run(&mut con, "DEVICE.REGISTER move-? valve META {}"), 0);
        assert_eq!(run(&mut con, "DEVICE.OFFLINE goodbye-? REASON will"), is_on);
        assert_eq!(run(&mut con, "DEVICE.REMOVE remove-?"), 1);
        assert_eq!(run(&mut con, "EXISTS device:state:remove-?"), 0);
    }
    // Exactly the transitions that the commands are.
    let told = events(&mut con);
    let told: Vec<(&str, &str)> = told.iter().map(|e| (e.kind(), e.device())).collect();
    assert_eq!(
        told,
        [
            ("online", "beat-off"),
            ("online", "session-off"),
            ("offline", "goodbye-on"),
            ("offline", "remove-on"),
            ("removed", "remove-on"),
            ("removed", "remove-off"),
        ]
    );
    assert_eq!(presence.wait_for_count(4, SOON).len(), 4);
    assert_eq!(number(&mut con, "register-on", "version"), 1);
    assert_eq!(
        field(&mut con, "move-on", "metadata").as_deref(),
        Some("{}")
    );
    assert_eq!(cmd!(con, "DEVICE.COUNT TYPE valve ONLINE").int(), 1);
    assert_eq!(clean(&check(&mut con, "").0), 10);
    assert_consistent(&mut con);
}

#[test]
fn reading_an_unadopted_device_shows_ms_and_writes_nothing() {
    let seen = us_ago(5_000);
    let mut lines = recipe("d", "pump", true, seen);
    lines.extend(recipe("whole", "pump", false, 0));
    lines.push("HSET device:state:whole last_seen 1700000000".to_owned());
    let (_plain, server) = taken_over("60s", lines);
    let mut con = server.connection();
    server.settle();
    let before = snapshot(&mut con);
    let ms = ((seen + 500) / 1_000).to_string();
    let shown = cmd!(con, "DEVICE.GET d").text_fields();
    assert_eq!(shown["last_seen"], ms);
    assert_eq!(shown["status"], "online");
    assert_eq!(shown["reported_state"], "{\"pressure\":4.2,\"on\":true}");
    assert_eq!(cmd!(con, "DEVICE.GET d last_seen").texts(), [ms.as_str()]);
    assert_eq!(
        cmd!(con, "DEVICE.GET whole last_seen").texts(),
        ["1700000000000"]
    );
    let both = cmd!(con, "DEVICE.MGET d nobody");
    assert_eq!(both.at(0).text_fields()["last_seen"], ms);
    assert_eq!(cmd!(con, "DEVICE.WHY d").fields()["last_seen"].text(), ms);
    assert!(cmd!(con, "DEVICE.WHY d").fields()["deadline"].is_nil());
    assert!(cmd!(con, "DEVICE.LIST WITHSTATE").is_ok());
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 2);
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
}

/// Its last heartbeat is an hour old, and nobody who decides about it has looked since.
#[test]
fn a_silent_one_is_told_offline_a_full_timeout_after_its_adoption() {
    let mut lines = recipe("by-check", "pump", true, us_ago(3_600_000));
    lines.extend(recipe("by-command", "pump", true, us_ago(3_600_000)));
    let (_plain, server) = taken_over("1s", lines);
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    server.settle();
    let began = now_ms();
    cmd!(con, "DEVICE.REGISTER by-command pump").int();
    check(&mut con, "REPAIR");
    let done = now_ms();
    let why = cmd!(con, "DEVICE.WHY by-check").fields();
    assert!(why["deadline"].int() >= began + 1_000, "{why:?}");
    expired.wait_for_count(2, SOON);
    for id in ["by-check", "by-command"] {
        let told = events_of(&mut con, id);
        assert_eq!(told.field("type"), ["offline"]);
        let at = told[0].int("timestamp");
        let bounds = began + 1_000..=done + 1_000 + LATE;
        assert!(bounds.contains(&at), "{bounds:?} {told:?}");
    }
    assert_eq!(expired.count(), 2);
    assert_consistent(&mut con);
}

/// Also where the recipe's own keys are not quite in step: the moment between its writes.
#[test]
fn the_background_leaves_unadopted_devices_alone() {
    let mut lines = Vec::new();
    for (i, id) in ids("d", 60).iter().enumerate() {
        lines.extend(recipe(id, "pump", i % 2 == 0, us_ago(3_600_000)));
    }
    for line in [
        // A device that comes: its key is there, its status not yet.
        "SETEX device:heartbeat:d-1 600 1",
        "SADD devices:online d-1",
        // One that goes: the key has expired, and the poller has not come by.
        "DEL device:heartbeat:d-2",
        "SREM devices:online d-4",
        "SREM devices:registered d-5",
        // An adopted device, so that the check has something to mend and shows that it was there.
        "HSET device:state:ours version 0 last_seen 1700000000000 status offline device_id ours \
         device_type pump status_since 1700000000000 registered_at 1700000000000",
    ] {
        lines.push(line.to_owned());
    }
    let (_plain, server) = taken_over("100ms", lines);
    let mut con = server.connection();
    let of_recipe = |con: &mut Connection| {
        let mut keys = snapshot_with_expiry(con);
        for lines in keys.values_mut() {
            lines.retain(|line| line != "ours" && !line.starts_with("ours: "));
        }
        keys.retain(|key, lines| key != "device:state:ours" && lines.len() > 1);
        keys
    };
    let before = of_recipe(&mut con);
    assert_eq!(before["devices:online"].len(), 1 + 30);
    server.settle();
    assert_eq!(cmd!(con, "SISMEMBER devices:registered ours").int(), 1);
    // The bounded look at what must not happen: several timeouts.
    cmd!(con, "DEVICE.HEARTBEAT clock TIMEOUT 500").items();
    wait_until_offline(&mut con, "clock");
    cmd!(con, "DEVICE.REMOVE clock").int();
    cmd!(con, "DEL devices:events").int();
    assert_eq!(
        difference(&before, &of_recipe(&mut con)),
        Vec::<String>::new()
    );
}

/// The old timeout passed before anybody adopted the device, and the old listener heard so. That
/// must not silence the death of the device that lives on.
#[test]
fn an_expiry_before_the_adoption_does_not_silence_the_death_after_it() {
    let mut lines = recipe("d", "pump", true, us_ago(1_000));
    lines.push("PEXPIRE device:heartbeat:d 1500".to_owned());
    let (_plain, server) = taken_over("300ms", lines);
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    server.settle();
    wait_for("the key expires", SOON, || {
        cmd!(con, "EXISTS device:heartbeat:d").int() == 0 && expired.count() == 1
    });
    assert!(is_online(&mut con, "d"), "nobody decides about it yet");
    assert_eq!(adopting_beat(&mut con, "d"), [0, 1, 1]);
    wait_until_offline(&mut con, "d");
    expired.wait_for_count(2, Duration::from_secs(5));
    assert_eq!(events_of(&mut con, "d").field("type"), ["offline"]);
}
