//! The phase in which old writers still write by hand what the module has adopted.

use std::thread;
use std::time::Duration;

use super::{recipe, taken_over, us_ago};
use crate::check::{check, clean};
use crate::deaf_time::beaters::{all, ids};
use crate::devices::*;
use crate::support::*;

const TIMEOUT: i64 = 1_000;

/// A heartbeat of the recipe; its TTL is the timeout.
fn old_beat(id: &String) -> [String; 3] {
    let us = us_ago(0);
    let float = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    [
        format!("HSET device:state:{id} status online last_seen {float}"),
        format!("SADD devices:online {id}"),
        format!("SETEX device:heartbeat:{id} {} 1", TIMEOUT / 1_000),
    ]
}

#[test]
fn old_writers_after_the_adoption_get_nobody_told_offline_who_is_not() {
    let old = ids("old", 50);
    let both = ids("both", 50);
    let write = |id: &String| recipe(id, "pump", true, us_ago(0));
    let lines = old.iter().chain(&both).flat_map(write).collect();
    let (_plain, server) = taken_over("1s", lines);
    let mut con = server.connection();
    server.settle();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);

    let is_over = Over::default();
    thread::scope(|scope| {
        let _set = is_over.on_drop();
        let server = &server;
        scope.spawn(|| {
            let mut con = server.connection();
            while !is_over.is_set() {
                all(&mut con, old.iter().chain(&both).flat_map(old_beat));
                all(
                    &mut con,
                    both.iter().map(|id| format!("DEVICE.HEARTBEAT {id}")),
                );
                thread::sleep(Duration::from_millis(200));
            }
        });
        let (found, _) = check(&mut con, "REPAIR");
        // Old beats may have adopted the half that the new ones touch.
        assert!(found["adopted"] >= 50, "{found:?}");
        // The bounded look at what must not happen: three timeouts.
        let start = now_ms();
        wait_for("three timeouts", SOON, || now_ms() > start + 3 * TIMEOUT);
        is_over.set();
    });
    assert_eq!(events(&mut con).of_type("offline").len(), 0);
    assert_eq!(expired.count(), 0);

    // They stop: each death is told once, also by `expired`, although the key was the old writer's.
    let all_ids = || old.iter().chain(&both);
    wait_for("all are offline", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 0
    });
    let told = events(&mut con).of_type("offline");
    let mut names = told.field("device_id");
    names.sort_unstable();
    let mut wanted: Vec<&str> = all_ids().map(String::as_str).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for event in told.iter() {
        let at = event.int("timestamp");
        let seen = cmd!(con, "DEVICE.WHY", event.device()).fields()["last_seen"].int();
        assert!(at >= seen + TIMEOUT, "{event:?}");
    }
    let mut keys = expired.wait_for_count(100, SOON);
    keys.sort_by(|a, b| a.payload.cmp(&b.payload));
    keys.dedup_by(|a, b| a.payload == b.payload);
    assert_eq!((keys.len(), expired.count()), (100, 100));

    // An old writer brings a dead one back by hand: its death is told as well.
    all(&mut con, old_beat(&old[0]));
    wait_for("it is dead again", SOON, || {
        events_of(&mut con, &old[0]).of_type("offline").len() == 2
    });
    check(&mut con, "REPAIR");
    assert_eq!(clean(&check(&mut con, "").0), 100);
}

/// An old writer's time is in the hash of an adopted device until its next heartbeat, or for ever.
#[test]
fn float_seconds_in_an_adopted_device_are_shown_in_ms() {
    let server = quick();
    let mut con = server.connection();
    for id in ["on", "off"] {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", "1h").items();
    }
    cmd!(con, "DEVICE.OFFLINE off").int();
    for id in ["on", "off"] {
        let key = format!("device:state:{id}");
        cmd!(con, "HSET", key, "last_seen", "1700000000.123456").int();
        let why = cmd!(con, "DEVICE.WHY", id).fields();
        assert_eq!(why["last_seen"].int(), 1_700_000_000_123);
        let shown = cmd!(con, "DEVICE.GET", id, "last_seen").at(0).text();
        assert_eq!(shown, "1700000000123", "{id}");
    }
    check(&mut con, "REPAIR");
    let score = cmd!(con, "ZSCORE devices:offline off").int();
    assert_eq!(score, 1_700_000_000_123);
}
