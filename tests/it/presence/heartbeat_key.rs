//! The heartbeat key, when other hands or the server's own expiry got to it first. Code that listens
//! to `expired` must hear each death once, whatever happened to the key.

use redis::Connection;

use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

/// How often the key's expiry of this device was told.
fn told(expired: &Subscriber, id: &str) -> usize {
    let key = format!("device:heartbeat:{id}");
    expired
        .payloads("__keyevent@0__:expired")
        .iter()
        .filter(|payload| **payload == key)
        .count()
}

/// By the time that a device which comes now has died and been heard of, everything that was told
/// before has been heard too.
#[track_caller]
fn wait_for_another_death(con: &mut Connection, expired: &Subscriber) {
    let before = told(expired, "other");
    cmd!(con, "DEVICE.HEARTBEAT other TIMEOUT 100").items();
    wait_for("another death is told", SOON, || {
        told(expired, "other") > before
    });
}

/// Lets the server expire the key by itself, and waits until it has told so.
#[track_caller]
fn expire_by_hand(con: &mut Connection, expired: &Subscriber, id: &str) {
    let key = format!("device:heartbeat:{id}");
    let before = told(expired, id);
    assert_eq!(cmd!(con, "PEXPIRE", &key, 1).int(), 1);
    wait_for("the key expires", SOON, || {
        // Looking at it makes the server notice.
        cmd!(con, "EXISTS", &key).int() == 0 && told(expired, id) > before
    });
}

#[test]
fn an_expiry_by_the_server_is_not_told_again_by_the_death() {
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 600").items();
    expire_by_hand(&mut con, &expired, "d");
    wait_until_offline(&mut con, "d");
    wait_for_another_death(&mut con, &expired);
    assert_eq!(told(&expired, "d"), 1);
    assert_consistent(&mut con);

    // The next outage is a new one.
    beat(&mut con, "d");
    wait_until_offline(&mut con, "d");
    wait_for_another_death(&mut con, &expired);
    assert_eq!(told(&expired, "d"), 2);
}

#[test]
fn a_key_deleted_by_hand_does_not_silence_the_death() {
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 400").items();
    assert_eq!(cmd!(con, "DEL device:heartbeat:d").int(), 1);
    wait_until_offline(&mut con, "d");
    wait_for_another_death(&mut con, &expired);
    assert_eq!(told(&expired, "d"), 1);
    assert_consistent(&mut con);
}

#[test]
fn the_sweeper_recreates_a_missing_key() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 300").items();
    assert_eq!(cmd!(con, "DEL device:heartbeat:d").int(), 1);
    wait_for("the key is there again", SOON, || {
        assert_eq!(beat(&mut con, "d"), [0, 1, 0]);
        cmd!(con, "EXISTS device:heartbeat:d").int() == 1
    });
    assert_consistent(&mut con);
}

/// The sweeper also lengthens a life that other hands cut short, before it is over.
#[test]
fn a_live_device_keeps_its_key_although_others_set_a_short_life() {
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 300").items();
    assert_eq!(cmd!(con, "EXPIRE device:heartbeat:d 30").int(), 1);
    wait_for("its life is long again", SOON, || {
        beat(&mut con, "d");
        cmd!(con, "TTL device:heartbeat:d").int() > 3_600
    });
    assert_eq!(told(&expired, "d"), 0);
}

/// The listener heard an expiry that was none; then the key came back. The death must not go
/// untold because of it.
#[test]
fn a_death_is_told_although_an_earlier_key_expired_by_itself() {
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 300").items();
    expire_by_hand(&mut con, &expired, "d");
    wait_for("the key is there again", SOON, || {
        beat(&mut con, "d");
        cmd!(con, "EXISTS device:heartbeat:d").int() == 1
    });
    assert!(is_online(&mut con, "d"));
    wait_until_offline(&mut con, "d");
    wait_for_another_death(&mut con, &expired);
    assert_eq!(events_of(&mut con, "d").of_type("offline").len(), 1);
    assert_eq!(told(&expired, "d"), 2, "the false one and the death");
}

#[test]
fn without_heartbeat_keys_nothing_is_said_to_expire() {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.heartbeat-keys", "no")
        .start();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    wait_until_offline(&mut con, "d");
    // Another key that does expire: by then the other would have been told.
    cmd!(con, "SET k 1 PX 1").text();
    wait_for("k expires", SOON, || {
        cmd!(con, "EXISTS k").int() == 0 && expired.count() > 0
    });
    assert_eq!(expired.payloads("__keyevent@0__:expired"), ["k"]);
    assert_eq!(cmd!(con, "KEYS device:heartbeat:*").items(), []);
}
