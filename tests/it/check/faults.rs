//! Each kind of damage: found without REPAIR and left alone, mended with it, and then gone.

use redis::Connection;

use super::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::all;
use crate::devices::*;
use crate::support::random::Random;
use crate::support::*;

/// Six online (`on-0` ...) and six offline devices (`off-0` ...) of two types.
#[track_caller]
fn small_fleet(con: &mut Connection) {
    let lines = (0..6).flat_map(|i| {
        let t = ["red", "blue"][i % 2];
        [
            format!("DEVICE.REGISTER on-{i} {t}"),
            format!("DEVICE.HEARTBEAT on-{i} TIMEOUT 1h"),
            format!("DEVICE.REGISTER off-{i} {t}"),
            format!("DEVICE.HEARTBEAT off-{i} TIMEOUT 1h"),
            format!("DEVICE.OFFLINE off-{i}"),
        ]
    });
    all(con, lines);
    assert_consistent(con);
}

/// Every even device is red.
const FAULTS: &[&str] = &[
    "SREM devices:registered on-0",
    "SREM devices:registered off-0",
    "SREM devices:type:red on-0",
    "SREM devices:type:red off-0",
    "SREM devices:online on-0",
    "SREM devices:online:type:red on-0",
    "DEL devices:online",
    "DEL devices:online:type:red",
    "DEL devices:type:red",
    "DEL devices:registered",
    "DEL devices:offline",
    "ZREM devices:offline off-0",
    "ZADD devices:offline 5 off-0",
    "ZADD devices:offline inf off-0",
    "ZADD devices:offline -1.5 off-0",
    "DEL device:heartbeat:on-0",
    "PERSIST device:heartbeat:on-0",
    "SET device:heartbeat:on-0 1",
    // What belongs elsewhere.
    "SADD devices:online off-0",
    "SADD devices:online:type:red off-0",
    "SADD devices:online:type:blue on-0",
    "SADD devices:type:blue on-0",
    "SADD devices:type:blue off-0",
    "SADD devices:type:none on-0",
    "SADD devices:online:type:none on-0",
    "ZADD devices:offline 7 on-0",
    "SET device:heartbeat:off-0 1",
    // What is nowhere.
    "SADD devices:registered ghost",
    "SADD devices:type:red ghost",
    "SADD devices:type:none ghost",
    "SADD devices:online ghost",
    "SADD devices:online:type:red ghost",
    "SADD devices:online:type:none ghost",
    "ZADD devices:offline 7 ghost",
    "SET device:heartbeat:ghost 1",
    "SADD devices:online {no-id}",
    // The truth itself.
    "DEL device:state:on-0",
    "DEL device:state:off-0",
    "UNLINK device:state:on-1",
];

#[test]
fn each_kind_of_damage_is_found_then_mended() {
    let server = quick();
    let mut con = server.connection();
    for fault in FAULTS {
        cmd!(con, "FLUSHALL").text();
        small_fleet(&mut con);
        assert_eq!(clean(&check(&mut con, "").0), 12, "{fault}");
        let told = events(&mut con);
        assert!(cmd!(con, fault).is_ok(), "{fault}");
        assert!(
            !inconsistencies(&mut con).is_empty(),
            "{fault} broke nothing"
        );

        let before = snapshot_with_expiry(&mut con);
        let (found, _) = check(&mut con, "");
        let all: i64 = found.values().sum();
        assert!(all > found["checked"], "{fault} was not found: {found:?}");
        assert_eq!(found["mended"], 0, "{fault}");
        let after = snapshot_with_expiry(&mut con);
        assert_eq!(difference(&before, &after), Vec::<String>::new(), "{fault}");

        let (found, _) = check(&mut con, "REPAIR");
        assert!(found["mended"] > 0, "{fault}: {found:?}");
        clean(&check(&mut con, "").0);
        assert_eq!(inconsistencies(&mut con), Vec::<String>::new(), "{fault}");
        assert_eq!(events(&mut con), told, "{fault} told something");
    }
}

#[test]
fn a_member_that_is_no_text_is_mended_too() {
    let server = quick();
    let mut con = server.connection();
    small_fleet(&mut con);
    let member: &[u8] = b"\xff\0%n";
    for set in ["devices:registered", "devices:online", "devices:type:red"] {
        assert_eq!(cmd!(con, "SADD", set, member).int(), 1);
    }
    assert_eq!(cmd!(con, "ZADD", "devices:offline", 1, member).int(), 1);
    let key = [b"device:heartbeat:", member].concat();
    assert_eq!(cmd!(con, "SET", key, 1).text(), "OK");
    assert_eq!(check(&mut con, "REPAIR").0["mended"], 5);
    clean(&check(&mut con, "").0);
    assert_consistent(&mut con);
}

/// A key that only looks like one of ours must not keep the walk from going on.
#[test]
fn keys_of_another_type_do_not_stop_the_walk() {
    for key in [
        "devices:type:odd",
        "devices:online:type:odd",
        "device:state:odd",
        "device:heartbeat:odd",
    ] {
        let server = quick();
        let mut con = server.connection();
        small_fleet(&mut con);
        assert_eq!(cmd!(con, "RPUSH", key, "x").int(), 1);
        assert_eq!(cmd!(con, "SADD devices:online ghost").int(), 1);
        let mut cursor = "0".to_owned();
        loop {
            let reply = cmd!(con, "DEVICE.CHECK", &cursor, "REPAIR");
            assert!(reply.is_ok(), "{key} stops the walk: {reply:?}");
            cursor = reply.at(0).text();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(
            cmd!(con, "SISMEMBER devices:online ghost").int(),
            0,
            "{key}"
        );
    }
}

/// Enough devices for every cursor form, many faults at once, taken at random.
#[track_caller]
fn large_fleet(con: &mut Connection) -> usize {
    const BIG: usize = 700;
    let lines = (0..BIG + 100).flat_map(|i| {
        let t = if i < BIG { "big" } else { "small" };
        let mut lines = vec![format!("DEVICE.REGISTER d-{i} {t}")];
        if i % 3 > 0 {
            lines.push(format!("DEVICE.HEARTBEAT d-{i} TIMEOUT 1h"));
        }
        if i % 3 == 2 {
            lines.push(format!("DEVICE.OFFLINE d-{i}"));
        }
        lines
    });
    all(con, lines);
    BIG + 100
}

#[track_caller]
fn break_at_random(con: &mut Connection, devices: usize) {
    let mut random = Random::new(42);
    let mut lines = Vec::new();
    for _ in 0..300 {
        let d = format!("d-{}", random.below(devices));
        let t = random.pick(&["big", "small", "none"]);
        lines.push(match random.below(12) {
            0 => format!("SREM devices:registered {d}"),
            1 => format!("SREM devices:type:{t} {d}"),
            2 => format!("SREM devices:online {d}"),
            3 => format!("SREM devices:online:type:{t} {d}"),
            4 => format!("ZREM devices:offline {d}"),
            5 => format!("ZADD devices:offline {} {d}", random.below(1_000)),
            6 => format!("DEL device:heartbeat:{d}"),
            7 => format!("DEL device:state:{d}"),
            8 => format!("SADD devices:type:{t} {d} ghost-{d}"),
            9 => format!("SADD devices:online:type:{t} {d} ghost-{d}"),
            10 => format!("SADD devices:online {d} ghost-{d}"),
            _ => format!("SET device:heartbeat:{d} 1 KEEPTTL"),
        });
    }
    all(con, lines);
}

#[test]
fn many_faults_at_once_with_every_form_of_cursor() {
    let server = quick();
    let mut con = server.connection();
    let devices = large_fleet(&mut con);
    let told = events(&mut con);
    break_at_random(&mut con, devices);
    let before = snapshot_with_expiry(&mut con);
    let (found, cursors) = check(&mut con, "COUNT 20");
    for form in ["k:", "i:"] {
        assert!(
            cursors.iter().any(|cursor| cursor.starts_with(form)),
            "no cursor {form}"
        );
    }
    for kind in ["unindexed", "dangling", "stray_heartbeats"] {
        assert!(found[kind] > 0, "{kind}: {found:?}");
    }
    assert_eq!(
        difference(&before, &snapshot_with_expiry(&mut con)),
        Vec::<String>::new()
    );

    assert!(check(&mut con, "COUNT 20 REPAIR").0["mended"] > 100);
    clean(&check(&mut con, "COUNT 20").0);
    assert_consistent(&mut con);
    assert_eq!(events(&mut con), told);
}

#[test]
fn the_background_mends_the_same_after_a_restart() {
    let builder = Server::builder().config("save", "360000 1000000");
    let mut server = builder.start();
    let mut con = server.connection();
    let devices = large_fleet(&mut con);
    let told = events(&mut con);
    server.settle();
    break_at_random(&mut con, devices);
    assert!(!inconsistencies(&mut con).is_empty());
    server.restart();
    let mut con = server.connection();
    server.settle();
    assert_consistent(&mut con);
    assert_eq!(events(&mut con), told, "the check told something");
    clean(&check(&mut con, "").0);
    assert!(info_number(&mut con, "mended") > 100);
    assert!(server.log().contains("<devicestate> mended "));
}
