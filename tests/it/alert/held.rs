//! What rules hold back for a while, and what they tell although nobody raises it any more.

use redis::Connection;

use super::calls::*;
use crate::devices::*;
use crate::support::*;

#[track_caller]
fn server_with(rule: &str) -> (Server, Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    set_rule(&mut con, "t", "r", rule);
    (server, con)
}

#[track_caller]
fn wait_for_announced(con: &mut Connection, id: &str, expected: &[&str]) {
    wait_for(&format!("{expected:?} is told"), SOON, || {
        announced(con, id).len() >= expected.len()
    });
    assert_eq!(announced(con, id), expected);
}

/// So many ticks of the server's clock: the bounded look at what must not happen.
#[track_caller]
fn ticks(con: &mut Connection, count: i64) {
    let before = info_number(con, "ticks");
    wait_for("ticks", SOON, || {
        info_number(con, "ticks") >= before + count
    });
}

#[test]
fn a_value_that_stays_is_told_when_it_was_held_for_long_enough() {
    let rule =
        r#"{"path":"v","bands":[{"severity":2,"high":5}],"for":300,"wait":0,"notify":["ops"]}"#;
    let (_server, mut con) = server_with(rule);
    let raised = now_ms();
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(state(&mut con, "d", "r"), "held 2 1");
    assert_eq!(announced(&mut con, "d"), Vec::<String>::new());
    // Nobody reports again: what was reported last still holds.
    wait_for_announced(&mut con, "d", &["r firing 2 1"]);
    let at = events_of(&mut con, "d").of_type("alert")[0].int("timestamp");
    assert!(at >= raised + 300, "after {} ms", at - raised);
    assert_eq!(told(&mut con, "ops"), ["d r firing 2 1"]);
    assert_eq!(info_number(&mut con, "alerts_held"), 1);
    assert_eq!(info_number(&mut con, "alerts_new"), 1);
}

#[test]
fn a_value_that_is_back_inside_in_time_is_never_told() {
    let rule = r#"{"path":"v","bands":[{"severity":2,"high":5}],"hysteresis":2,"for":"1h"}"#;
    let (_server, mut con) = server_with(rule);
    for inside in ["3", "4.5", "5"] {
        report(&mut con, "d", r#"{"v":6}"#);
        assert_eq!(state(&mut con, "d", "r"), "held 2 1");
        // By however little: what is held back needs no hysteresis.
        report(&mut con, "d", &format!("{{\"v\":{inside}}}"));
        assert_eq!(cmd!(con, "EXISTS device:alerts:d").int(), 0, "{inside}");
    }
    report(&mut con, "d", r#"{"v":6}"#);
    let_pass(&mut con, 3_600_000);
    wait_for_announced(&mut con, "d", &["r firing 2 1"]);
}

/// What becomes true of a value behind the back of the rule is seen when it is looked at.
#[test]
fn a_held_alert_whose_reason_is_gone_vanishes() {
    let rule = r#"{"path":"v","bands":[{"severity":2,"high":5}],"for":"1h"}"#;
    for gone in [
        // The value, the rule, the device's type.
        r#"DEVICE.HEARTBEAT d REPORTED {"v":null}"#,
        "DEVICE.HEARTBEAT d REPORTED {} REPLACE",
        "ALERT.RULE.DEL t r",
        "DEVICE.REGISTER d other",
        "DEVICE.SHADOW.DEL d",
    ] {
        let (_server, mut con) = server_with(rule);
        report(&mut con, "d", r#"{"v":6}"#);
        assert!(cmd!(con, gone).is_ok(), "{gone}");
        assert_eq!(state(&mut con, "d", "r"), "held 2 1", "{gone}");
        let_pass(&mut con, 3_600_000);
        wait_for(&format!("it is gone after {gone}"), SOON, || {
            cmd!(con, "EXISTS device:alerts:d").int() == 0
        });
        assert_eq!(announced(&mut con, "d"), Vec::<String>::new(), "{gone}");
    }
}

#[test]
fn while_it_is_held_the_worst_counts() {
    let rule =
        r#"{"path":"v","bands":[{"severity":1,"high":5},{"severity":3,"high":9}],"for":"1h"}"#;
    let (_server, mut con) = server_with(rule);
    report(&mut con, "d", r#"{"v":10}"#);
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(state(&mut con, "d", "r"), "held 3 2");
    let_pass(&mut con, 3_600_000);
    wait_for_announced(&mut con, "d", &["r firing 3 2"]);
}

/// A device that flaps is told once in `every`; when the clock has run while it is on, it is told
/// again, though nobody raises it.
#[test]
fn what_flaps_is_told_again_when_its_clock_has_run() {
    let rule =
        r#"{"path":"v","bands":[{"severity":1,"high":5}],"every":"1h","wait":0,"notify":["ops"]}"#;
    let (_server, mut con) = server_with(rule);
    for _ in 0..5 {
        report(&mut con, "d", r#"{"v":6}"#);
        report(&mut con, "d", r#"{"v":1}"#);
    }
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(announced(&mut con, "d"), ["r firing 1 1", "r resolved 1 1"]);
    ticks(&mut con, 5);
    assert_eq!(announced(&mut con, "d").len(), 2);
    let_pass(&mut con, 3_600_000);
    let all = ["r firing 1 1", "r resolved 1 1", "r firing 1 6"];
    wait_for_announced(&mut con, "d", &all);
    assert_eq!(told(&mut con, "ops"), ["d r firing 1 6"]);
    report(&mut con, "d", r#"{"v":1}"#);
    assert_eq!(told(&mut con, "ops"), ["d r resolved 1 0"]);
}

#[test]
fn what_flaps_and_is_off_when_its_clock_has_run_is_forgotten() {
    let rule = r#"{"path":"v","bands":[{"severity":1,"high":5}],"every":"1h"}"#;
    let (_server, mut con) = server_with(rule);
    for _ in 0..5 {
        report(&mut con, "d", r#"{"v":6}"#);
        report(&mut con, "d", r#"{"v":1}"#);
    }
    assert_eq!(cmd!(con, "HLEN device:alerts:d").int(), 1);
    let_pass(&mut con, 3_600_000);
    wait_for("it is forgotten", SOON, || {
        cmd!(con, "EXISTS device:alerts:d").int() == 0
    });
    assert_eq!(info_number(&mut con, "alert_timers"), 0);
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(state(&mut con, "d", "r"), "firing 1 1");
}

/// Of a client's own alerts nobody knows whether they go on: only he can say so.
#[test]
fn what_a_client_raised_again_is_not_told_by_itself() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a EVERY 1h");
    clear(&mut con, "d", "a");
    assert_eq!(raise(&mut con, "d a EVERY 1h"), "suppressed 2");
    raise(&mut con, "d held FOR 1h");
    let_pass(&mut con, 3_600_000);
    ticks(&mut con, 5);
    assert_eq!(announced(&mut con, "d").len(), 2);
    assert_eq!(state(&mut con, "d", "held"), "held 1 1");
    assert_eq!(raise(&mut con, "d a EVERY 1h"), "repeat 3");
    assert_eq!(raise(&mut con, "d held FOR 1h"), "new 2");
}

#[test]
fn a_value_is_kept_for_as_long_as_it_is_reported() {
    let rule = r#"{"path":"v","bands":[{"severity":1,"high":5}],"keep":"400ms"}"#;
    let (_server, mut con) = server_with(rule);
    let began = now_ms();
    let mut last = began;
    wait_for("three times KEEP pass", SOON, || {
        report(&mut con, "d", r#"{"v":6}"#);
        last = now_ms();
        last > began + 1_200
    });
    wait_for("it clears", SOON, || state(&mut con, "d", "r") == "none");
    let told = events_of(&mut con, "d").of_type("alert");
    let at = told.last().expect("an event").int("timestamp");
    assert_eq!(
        told.last().map(|event| event.get("state")),
        Some("resolved")
    );
    assert!(at >= last, "{at} {last}");
}

/// An acknowledged alert is nobody's business until it is over.
#[test]
fn what_somebody_takes_care_of_is_not_told_again() {
    let rule =
        r#"{"path":"v","bands":[{"severity":1,"high":5},{"severity":2,"high":9}],"every":"1h"}"#;
    let (_server, mut con) = server_with(rule);
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(cmd!(con, "ALERT.ACK d r").int(), 1);
    assert_eq!(list(&mut con, "d")["r"]["acked"].int(), 1);
    let_pass(&mut con, 3_600_000);
    report(&mut con, "d", r#"{"v":6}"#);
    ticks(&mut con, 5);
    assert_eq!(announced(&mut con, "d").len(), 1);
    report(&mut con, "d", r#"{"v":10}"#);
    assert_eq!(announced(&mut con, "d")[1..], ["r firing 2 3"]);
    assert_eq!(list(&mut con, "d")["r"]["acked"].int(), 0);
}
