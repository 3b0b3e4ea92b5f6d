//! Shadows while memory is short, while a device is barred, and while the sweeper can't write.

use serde_json::{json, Value};

use super::*;

#[test]
fn short_memory_refuses_what_grows_and_lets_shadows_be_deleted() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    cmd!(con, "CONFIG SET maxmemory 1").text();
    for line in [
        "DEVICE.SHADOW.SET d {\"a\":2}",
        "DEVICE.SHADOW.SET new {\"a\":2}",
        "DEVICE.SHADOW.REPORT d {\"a\":2}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"a\":2}}}",
        "DEVICE.HEARTBEAT d REPORTED {\"a\":2}",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut con, &words, "OOM", "");
    }
    // A beat without a report still answers what is outstanding.
    assert_eq!(
        delta_in(&cmd!(con, "DEVICE.HEARTBEAT d").at(3)),
        json!({"a": 1})
    );
    assert_eq!(get(&mut con, "d")["version"], 1);
    assert_eq!(cmd!(con, "DEVICE.SHADOW.DEL d NAME n").json()["version"], 2);
    assert_eq!(cmd!(con, "DEVICE.SHADOW.DEL d").json()["version"], 2);
    cmd!(con, "CONFIG SET maxmemory 0").text();
    assert_eq!(set(&mut con, "d", json!({"a": 2})).0, 3);
    crate::consistency::assert_consistent(&mut con);
}

#[test]
fn a_barred_device_has_no_shadow() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    assert_eq!(cmd!(con, "DEVICE.REMOVE d BLOCK 1h").int(), 1);
    for line in [
        "DEVICE.SHADOW.SET d {\"a\":2}",
        "DEVICE.SHADOW.SET d {\"a\":2} NAME n",
        "DEVICE.SHADOW.REPORT d {\"a\":2}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "NODEVICE", "'d'");
    }
    assert_eq!(get(&mut con, "d"), Value::Null);
    cmd!(con, "DEVICE.REGISTER d sensor").int();
    assert_eq!(set(&mut con, "d", json!({"a": 1})).0, 1);
}

/// With presence in the history, the offline step needs that key too.
#[test]
fn the_sweeper_waits_for_a_history_of_another_type_and_catches_up() {
    let server = Server::builder()
        .config("devicestate.history-presence", "yes")
        .config("devicestate.restart-grace", 0)
        .start();
    server.settle();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 600").items();
    cmd!(con, "RENAME device:history:d aside").text();
    cmd!(con, "SET device:history:d x").text();
    let before = snapshot(&mut con);
    wait_for("the sweeper backs off", SOON, || {
        info_number(&mut con, "back_offs") > 0
    });
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
    cmd!(con, "RENAME aside device:history:d").text();
    wait_until_offline(&mut con, "d");
    let told = stream(&mut con, "device:history:d");
    assert_eq!(told.of_type("presence").field("new"), ["online", "offline"]);
    crate::consistency::assert_consistent(&mut con);
}

/// A type without history has none of its presence either.
#[test]
fn no_history_is_no_history_of_presence() {
    let server = Server::builder()
        .config("devicestate.history-presence", "yes")
        .start();
    server.settle();
    let mut con = server.connection();
    cmd!(con, "DEVICE.TYPE.SET none HISTORY 0").text();
    cmd!(con, "DEVICE.REGISTER d none").int();
    beat(&mut con, "d");
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(cmd!(con, "EXISTS device:history:d").int(), 0);
}

/// Reading the hash of a device that the plain recipe wrote changes nothing.
#[test]
fn reading_the_shadow_of_an_unadopted_device_writes_nothing() {
    let server = quick();
    let mut con = server.connection();
    cmd!(
        con,
        "HSET device:state:d device_id d device_type pump registered_at 1700000000.5 \
         status offline last_seen 1700000001.5 reported_state {\"a\":1} desired_state {\"a\":2}"
    )
    .int();
    let before = snapshot(&mut con);
    let whole = json!({"desired": {"a": 2}, "reported": {"a": 1}, "delta": {"a": 2}});
    assert_eq!(state(&mut con, "d"), whole);
    assert_eq!(both_sides(&mut con, "d")["in_sync"], false);
    assert_eq!(cmd!(con, "DEVICE.SHADOW.NAMES d").items().len(), 0);
    assert_eq!(cmd!(con, "DEVICE.HISTORY d").items().len(), 0);
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
    // One with a name adopts it, as any write does.
    set_with(&mut con, "d", json!({}), "NAME n");
    assert_eq!(number(&mut con, "d", "version"), 1);
    assert!(is_out_of_sync(&mut con, "d"));
    crate::consistency::assert_consistent(&mut con);
}
