//! TIMEOUT, and the heartbeat key that mirrors the status.

use redis::Connection;

use crate::devices::*;
use crate::support::*;

const DAY_MS: i64 = 86_400_000;
const YEARS_MS: i64 = 10 * 365 * DAY_MS;

/// The life left of the heartbeat key, in milliseconds; -1: for ever, -2: no key.
#[track_caller]
fn key_life(con: &mut Connection, id: &str) -> i64 {
    cmd!(con, "PTTL", format!("device:heartbeat:{id}")).int()
}

/// Lets at least `ms` pass by the server's own account: until a device with that timeout, which
/// speaks up now, is told offline.
#[track_caller]
fn wait_for_another_to_time_out(con: &mut Connection, ms: i64) {
    cmd!(con, "DEVICE.HEARTBEAT", "clock", "TIMEOUT", ms).items();
    wait_until_offline(con, "clock");
}

#[test]
fn silence_for_the_timeout_is_offline_and_not_before() {
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(
        con,
        "DEVICE.HEARTBEAT",
        "d",
        "TIMEOUT",
        "150ms",
        "SESSION",
        4
    )
    .items();
    let last_seen = number(&mut con, "d", "last_seen");
    wait_until_offline(&mut con, "d");
    let told = events_of(&mut con, "d").of_type("offline");
    assert_eq!(told.field("reason"), ["timeout"]);
    assert_eq!(told.field("session"), ["4"]);
    assert!(told[0].int("timestamp") >= last_seen + 150, "{told:?}");
    assert_eq!(number(&mut con, "d", "last_seen"), last_seen);
    assert_eq!(
        number(&mut con, "d", "status_since"),
        told[0].int("timestamp")
    );
    assert_eq!(cmd!(con, "ZSCORE", "devices:offline", "d").int(), last_seen);
    assert_eq!(key_life(&mut con, "d"), -2);
    assert_eq!(
        expired.wait_for_count(1, SOON)[0].payload,
        "device:heartbeat:d"
    );
    // A timeout keeps the session: late messages of an older one stay out.
    assert_eq!(field(&mut con, "d", "session").as_deref(), Some("4"));
}

#[test]
fn a_device_that_keeps_beating_stays_online() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 300).items();
    cmd!(con, "DEVICE.HEARTBEAT", "silent", "TIMEOUT", 900).items();
    wait_for("three timeouts pass", SOON, || {
        assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
        !is_online(&mut con, "silent")
    });
    assert_eq!(events_of(&mut con, "d").of_type("offline").len(), 0);
}

#[test]
fn a_timeout_is_kept_until_it_is_changed() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 100).items();
    for _ in 0..2 {
        wait_until_offline(&mut con, "d");
        assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
        assert_eq!(number(&mut con, "d", "timeout"), 100);
    }
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", "2h").items();
    assert_eq!(number(&mut con, "d", "timeout"), 7_200_000);
}

#[test]
fn timeout_0_is_online_until_the_goodbye() {
    let server = quick();
    let mut con = server.connection();
    // The default would have taken it offline.
    cmd!(con, "CONFIG SET", "devicestate.heartbeat-timeout", 100).text();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 0).items();
    assert_eq!(key_life(&mut con, "d"), -1);
    wait_for_another_to_time_out(&mut con, 300);
    assert!(is_online(&mut con, "d"));
    assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE", "d").int(), 1);
}

#[test]
fn a_shorter_timeout_counts_at_once() {
    let server = quick();
    let mut con = server.connection();
    for before in ["1h", "0"] {
        cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", before).items();
        cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 100).items();
        wait_until_offline(&mut con, "d");
    }
}

#[test]
fn a_longer_timeout_counts_at_once() {
    let server = quick();
    let mut con = server.connection();
    for longer in ["1h", "0"] {
        cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 300).items();
        cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", longer).items();
        wait_for_another_to_time_out(&mut con, 500);
        assert!(is_online(&mut con, "d"), "{longer}");
    }
    assert_eq!(events_of(&mut con, "d").of_type("offline").len(), 0);
}

#[test]
fn a_changed_default_counts_at_once_for_devices_without_their_own() {
    let server = quick();
    let mut con = server.connection();
    beat(&mut con, "d");
    cmd!(con, "DEVICE.HEARTBEAT", "own", "TIMEOUT", "1h").items();
    cmd!(con, "CONFIG SET", "devicestate.heartbeat-timeout", "100ms").text();
    wait_until_offline(&mut con, "d");
    assert!(is_online(&mut con, "own"));
}

#[test]
fn the_bounds_of_a_timeout() {
    let server = Server::start();
    let mut con = server.connection();
    for good in ["0", "100", "100ms", &YEARS_MS.to_string(), "3650d"] {
        assert!(
            cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", good).is_ok(),
            "{good}"
        );
    }
    assert_eq!(number(&mut con, "d", "timeout"), YEARS_MS);
    for bad in ["1", "99", "99ms", &(YEARS_MS + 1).to_string(), "3651d"] {
        expect_refusal(
            &mut con,
            &["DEVICE.HEARTBEAT", "d", "TIMEOUT", bad],
            "ERR",
            "TIMEOUT",
        );
    }
}

#[test]
fn the_heartbeat_key_lives_for_the_timeout_and_a_day() {
    let server = Server::start();
    let mut con = server.connection();
    let timeouts = [("a", "100"), ("b", "1h"), ("c", "3650d")];
    for ((id, timeout), ms) in timeouts.into_iter().zip([100, 3_600_000, YEARS_MS]) {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", timeout).items();
        let life = key_life(&mut con, id);
        let wanted = ms + DAY_MS;
        assert!(
            (wanted - 20_000..=wanted).contains(&life),
            "{timeout}: {life}"
        );
    }
    beat(&mut con, "default");
    let life = key_life(&mut con, "default");
    assert!((DAY_MS..=DAY_MS + 60_000).contains(&life), "{life}");
}

#[test]
fn the_heartbeat_key_follows_a_change_between_none_and_some() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", "1h").items();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 0).items();
    assert_eq!(key_life(&mut con, "d"), -1);
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", "1h").items();
    assert!(key_life(&mut con, "d") > DAY_MS);
    // It must outlive a much longer timeout.
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", "30d").items();
    assert!(key_life(&mut con, "d") > 30 * DAY_MS);
}

/// A heartbeat that comes after the deadline, but before the sweeper could write the offline step
/// (a key was broken), tells the outage first.
#[test]
fn a_beat_after_the_deadline_does_both_steps() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100 SESSION 3").items();
    cmd!(con, "RENAME", "devices:events", "aside").text();
    cmd!(con, "SET", "devices:events", "x").text();
    wait_for("the sweeper backs off", SOON, || {
        info_number(&mut con, "back_offs") > 0
    });
    assert!(is_online(&mut con, "d"));
    let last_seen = number(&mut con, "d", "last_seen");
    expect_refusal(
        &mut con,
        &["DEVICE.HEARTBEAT", "d"],
        "WRONGTYPE",
        "devices:events",
    );

    // In one step, so that the sweeper can't come between.
    cmd!(con, "MULTI").text();
    cmd!(con, "RENAME aside devices:events").text();
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 3").text();
    assert_eq!(outcome(&cmd!(con, "EXEC").at(1)), [1, 1, 0]);
    let told = events_of(&mut con, "d");
    assert_eq!(
        told.field("type"),
        ["registered", "online", "offline", "online"]
    );
    assert_eq!(told[2].get("reason"), "timeout");
    assert!(told[2].int("timestamp") >= last_seen + 100);
    assert_eq!(told[2].get("timestamp"), told[3].get("timestamp"));
    wait_until_offline(&mut con, "d");
}
