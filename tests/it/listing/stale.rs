//! `STALE` against a walk over all hashes, whatever happened to the fleet and to the server.

use std::collections::BTreeMap;

use redis::Connection;

use super::walk::{assert_as_walked, HOUR_MS};
use crate::devices::*;
use crate::replication::{replica_of, wait_for_sync};
use crate::support::*;

fn stamp(con: &mut Connection, id: &str, age: i64) {
    let key = format!("device:state:{id}");
    cmd!(con, "HSET", key, "last_seen", now_ms() - age).int();
}

/// Devices with the default timeout, with longer ones and with none; some seen long ago.
#[track_caller]
fn fleet(con: &mut Connection, prefix: &str) {
    for number in 0..60 {
        let id = format!("{prefix}{number}");
        let device_type = ["lamp", "pump"][number % 2];
        cmd!(con, "DEVICE.REGISTER", &id, device_type).int();
        let reply = match number % 5 {
            0 => cmd!(con, "DEVICE.HEARTBEAT", &id),
            1 => cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", "30d"),
            2 => cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", "2d"),
            3 => cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", 0),
            _ => continue,
        };
        assert!(reply.is_ok(), "{reply:?}");
        match number % 20 {
            1 | 3 => stamp(con, &id, HOUR_MS),
            6 | 8 => stamp(con, &id, 24 * HOUR_MS - 5),
            7 | 13 => stamp(con, &id, 24 * HOUR_MS + 5_000),
            10 | 16 => {
                cmd!(con, "DEVICE.OFFLINE", &id).int();
            }
            _ => {}
        }
    }
}

/// Heartbeats of a part, and a few more of them, so that they find everything noted.
#[track_caller]
fn some_beat(con: &mut Connection, prefix: &str) {
    for number in (0..60).filter(|number| number % 3 == 0 && number % 5 != 4) {
        beat(con, &format!("{prefix}{number}"));
    }
}

/// Waits until the sweeper has looked at what other hands changed: its next ticks do that. (Some it
/// looks at again and again.)
#[track_caller]
fn wait_for_looks(con: &mut Connection) {
    let start = info_number(con, "ticks");
    wait_for("three ticks", SOON, || {
        info_number(con, "ticks") >= start + 3
    });
}

#[test]
fn stale_is_what_a_walk_finds_in_a_changing_fleet() {
    let server = quick();
    let mut con = server.connection();
    assert_as_walked(&mut con, "an empty fleet");
    fleet(&mut con, "d");
    assert_as_walked(&mut con, "new devices");
    wait_for_looks(&mut con);
    assert_as_walked(&mut con, "the sweeper has looked");
    for _ in 0..2 {
        some_beat(&mut con, "d");
        assert_as_walked(&mut con, "some were heard");
    }
    cmd!(con, "CONFIG SET devicestate.last-seen-interval 1h").text();
    some_beat(&mut con, "d");
    assert_as_walked(&mut con, "replicas are told less");
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 3d").text();
    assert_as_walked(&mut con, "a longer timeout");
    cmd!(con, "DEVICE.TYPE.SET pump TIMEOUT 1h").text();
    wait_for_looks(&mut con);
    assert_as_walked(&mut con, "the type has another timeout");
    cmd!(con, "DEVICE.REGISTER d0 pump").int();
    cmd!(con, "DEVICE.REGISTER d1 lamp").int();
    cmd!(con, "DEVICE.REMOVE d2").int();
    cmd!(con, "DEVICE.HEARTBEAT d3 TIMEOUT 40d").items();
    cmd!(con, "DEVICE.HEARTBEAT d6 REPORTED {\"a\":1}").items();
    assert_as_walked(&mut con, "types and timeouts changed");
}

#[test]
fn stale_is_what_a_walk_finds_after_hands_were_in_the_data() {
    let server = quick();
    let mut con = server.connection();
    fleet(&mut con, "d");
    wait_for_looks(&mut con);
    let seconds = (now_ms() - 2 * HOUR_MS) as f64 / 1_000.0;
    for (id, status) in [("r1", "online"), ("r2", "online"), ("r3", "offline")] {
        let key = format!("device:state:{id}");
        let seen = format!("{seconds:.6}");
        cmd!(
            con,
            "HSET",
            key,
            "device_id",
            id,
            "device_type",
            "lamp",
            "status",
            status,
            "last_seen",
            seen
        )
        .int();
    }
    assert_as_walked(&mut con, "hashes of the plain recipe in no index");
    cmd!(con, "SADD devices:online r1 r3 ghost").int();
    cmd!(con, "SADD devices:online:type:lamp r1").int();
    assert_as_walked(&mut con, "some of them in the sets");
    wait_for_looks(&mut con);
    assert_as_walked(&mut con, "and the sweeper has looked");
    cmd!(con, "HSET device:state:d0 last_seen 5").int();
    cmd!(con, "HSET device:state:d1 status offline").int();
    cmd!(con, "HSET device:state:d2 device_id d1").int();
    cmd!(con, "DEL device:state:d3").int();
    cmd!(con, "SET device:state:d5 x").text();
    cmd!(con, "HSET device:state:d6 last_seen soon").int();
    assert_as_walked(&mut con, "broken hashes");
    wait_for_looks(&mut con);
    assert_as_walked(&mut con, "broken hashes, looked at");
    cmd!(con, "SREM devices:online d7 d8").int();
    cmd!(con, "ZADD devices:offline 7 d11 8 d4").int();
    assert_as_walked(&mut con, "members that are missing");
    cmd!(con, "COPY devices:online before").int();
    cmd!(con, "DEL devices:online").int();
    assert_as_walked(&mut con, "no set");
    cmd!(con, "SADD devices:online d12 d13").int();
    cmd!(con, "RENAME before devices:online").text();
    assert_as_walked(&mut con, "the old set again");
}

#[test]
fn stale_is_what_a_walk_finds_around_a_restart() {
    let mut server = Server::builder()
        .config("devicestate.restart-grace", 1_000)
        .config("devicestate.heartbeat-timeout", "1s")
        .start();
    server.settle();
    let mut con = server.connection();
    fleet(&mut con, "d");
    cmd!(con, "SADD devices:online ghost").int();
    cmd!(con, "SAVE").text();
    server.restart();
    let mut con = server.connection();
    assert_as_walked(&mut con, "right after the restart");
    server.settle();
    assert_as_walked(&mut con, "everything was checked");
    wait_until_offline(&mut con, "d0");
    assert_as_walked(&mut con, "those that did not come back are offline");
    server.stop();
    server.cont();
    cmd!(con, "FLUSHALL").text();
    assert_as_walked(&mut con, "nothing is left");
    fleet(&mut con, "e");
    assert_as_walked(&mut con, "a new fleet");
    cmd!(con, "SWAPDB 0 1").text();
    assert_as_walked(&mut con, "an empty database in its place");
    fleet(&mut con, "f");
    cmd!(con, "SWAPDB 0 1").text();
    assert_as_walked(&mut con, "the old one again");
}

#[test]
fn stale_is_what_a_walk_finds_on_a_replica_and_after_its_promotion() {
    let master = quick();
    let mut con = master.connection();
    fleet(&mut con, "d");
    let replica = replica_of(&master);
    let mut other = replica.connection();
    assert_as_walked(&mut other, "a replica");
    some_beat(&mut con, "d");
    wait_for_sync(&master, &replica);
    assert_as_walked(&mut other, "a replica that goes along");
    cmd!(other, "REPLICAOF NO ONE").text();
    assert_as_walked(&mut other, "promoted");
    replica.settle();
    some_beat(&mut other, "d");
    assert_as_walked(&mut other, "a master of its own");
    cmd!(con, "REPLICAOF", "127.0.0.1", replica.port()).text();
    assert_as_walked(&mut con, "a master that is one no more");
    wait_for_sync(&replica, &master);
    assert_as_walked(&mut con, "now a replica");
}

/// How many keys the server has looked up for commands.
fn look_ups(con: &mut Connection) -> i64 {
    let info = cmd!(con, "INFO", "stats").text();
    let stats: BTreeMap<&str, &str> = info.lines().filter_map(|l| l.split_once(':')).collect();
    ["keyspace_hits", "keyspace_misses"]
        .iter()
        .map(|name| stats[name].trim().parse::<i64>().expect("a number"))
        .sum()
}

#[test]
fn who_was_seen_since_is_not_looked_at() {
    let server = quick();
    let mut con = server.connection();
    for number in 0..500 {
        let timeout = ["10d", "2h", "0"][number % 3];
        let id = format!("d{number}");
        cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", timeout).items();
    }
    // The timer may look at some keys meanwhile.
    const FEW: i64 = 20;
    for question in [
        "DEVICE.COUNT STALE 1h",
        "DEVICE.COUNT ONLINE STALE 1d",
        "DEVICE.COUNT TYPE unknown ONLINE STALE 1d",
        "DEVICE.LIST STALE 1d",
    ] {
        let before = look_ups(&mut con);
        assert!(cmd!(con, question).is_ok());
        let looked = look_ups(&mut con) - before;
        assert!(looked <= FEW, "{question} looked at {looked} keys");
    }
    // What was read once is known then.
    cmd!(con, "CONFIG SET devicestate.restart-grace 1s").text();
    wait_for("nobody is looked at again", SOON, || {
        cmd!(con, "DEVICE.COUNT STALE 1h").int();
        let before = look_ups(&mut con);
        assert_eq!(cmd!(con, "DEVICE.COUNT STALE 1h").int(), 0);
        look_ups(&mut con) - before <= FEW
    });
}
