//! A device that is removed takes its alerts along; what its users have still to be told stays.

use super::*;

#[test]
fn alerts_go_and_what_is_pending_stays() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a WAIT 0 NOTIFY 2 ann bob");
    raise(&mut con, "d held FOR 1h KEEP 1h");
    raise(&mut con, "d a SEVERITY 0");
    let out = batch(&mut con, "bob").expect("a batch");
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
    assert_eq!(cmd!(con, "EXISTS device:alerts:d").int(), 0);
    assert_eq!(info_number(&mut con, "alert_timers"), 0);
    expect_error(&mut con, &["ALERT.LIST", "d"], "NODEVICE", "'d'");
    // With all that was counted, pending or out.
    assert_eq!(told(&mut con, "ann"), ["d a firing 1 2"]);
    assert_eq!(done(&mut con, "bob", &out.token), 1);
    assert_eq!(cmd!(con, "KEYS alerts:*").texts(), Vec::<String>::new());
    assert_eq!(cmd!(con, "EXISTS device:alerts:d").int(), 0);
}

#[test]
fn a_device_that_comes_again_begins_anew() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a SEVERITY 5 WAIT 0 NOTIFY 1 u");
    assert_eq!(raise(&mut con, "d a"), "suppressed 2");
    cmd!(con, "DEVICE.REMOVE d").int();
    wait_for_the_clock();
    cmd!(con, "DEVICE.REGISTER d t").int();
    assert_eq!(cmd!(con, "ALERT.LIST d").items().len(), 0);
    assert_eq!(clear(&mut con, "d", "a"), 0);
    // No clock of the old one's runs, and no severity of its bars the way.
    assert_eq!(raise(&mut con, "d a NOTIFY 1 u"), "new 1");
    assert_eq!(raise(&mut con, "d a"), "suppressed 2");
    // What was pending of the old one is one item with what came of the new one.
    assert_eq!(told(&mut con, "u"), ["d a firing 5 4"]);
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(told_now(&mut con, "u"), ["d a resolved 1 0"]);
}

/// Not due yet, fetched all the same.
#[track_caller]
fn told_now(con: &mut redis::Connection, user: &str) -> Vec<String> {
    let batch = batch(con, &format!("{user} NOW")).expect("a batch");
    done(con, user, &batch.token);
    batch.lines()
}

#[test]
fn a_batch_of_the_old_device_says_nothing_about_the_new_one() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a WAIT 0 NOTIFY 1 u");
    let out = batch(&mut con, "u").expect("a batch");
    cmd!(con, "DEVICE.REMOVE d").int();
    wait_for_the_clock();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a WAIT 0 NOTIFY 1 u");
    assert_eq!(done(&mut con, "u", &out.token), 1);
    assert_eq!(told(&mut con, "u"), ["d a firing 1 1"]);
}

/// Those whom the alerts told are written too, so their keys count among those that are checked.
#[test]
fn a_removal_that_a_wrong_key_bars_changes_nothing() {
    let server = quick();
    let mut con = server.connection();
    for (id, beats) in [("on", true), ("off", false)] {
        cmd!(con, "DEVICE.REGISTER", id, "t").int();
        if beats {
            cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", 0).items();
        }
        raise(&mut con, &format!("{id} a NOTIFY 1 {id}-user"));
        let user = format!("alerts:user:{id}-user");
        cmd!(con, "SET", &user, "x").text();
        expect_refusal(&mut con, &["DEVICE.REMOVE", id], "WRONGTYPE", &user);
        cmd!(con, "DEL", &user).int();
        assert_eq!(cmd!(con, "DEVICE.REMOVE", id).int(), 1);
    }
}

/// Of a device whose hash other hands deleted, CHECK takes the alerts away.
#[test]
fn alerts_without_a_device_are_found_by_check() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a KEEP 300");
    cmd!(con, "DEL device:state:d").int();
    for line in [
        "ALERT.CLEAR d a",
        "ALERT.ACK d a",
        "ALERT.LIST d",
        "ALERT.RAISE d b",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "NODEVICE", "'d'");
    }
    wait_for("nobody waits for it", SOON, || {
        info_number(&mut con, "alert_timers") == 0
    });
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1"]);
    cmd!(con, "DEVICE.CHECK 0 COUNT 10000 REPAIR").items();
    assert_eq!(cmd!(con, "EXISTS device:alerts:d").int(), 0);
}
