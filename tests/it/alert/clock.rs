//! Clocks that are set back, and servers that stand still. What is stored lies in the future then, as
//! if it had been written by a clock that was ahead.

use super::*;
use crate::check::{check, clean};

const DAY_MS: i64 = 86_400_000;

#[track_caller]
fn server_with_device() -> (Server, redis::Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    (server, con)
}

#[test]
fn what_is_kept_clears_by_the_new_clock() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d a KEEP 500");
    let_pass(&mut con, -DAY_MS);
    wait_for("it clears", SOON, || state(&mut con, "d", "a") == "none");
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1", "a resolved 1 1"]);
}

#[test]
fn what_is_held_back_is_told_by_the_new_clock() {
    let (_server, mut con) = server_with_device();
    set_rule(
        &mut con,
        "t",
        "gone",
        r#"{"on":"offline","for":300,"every":"500ms"}"#,
    );
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    cmd!(con, "DEVICE.OFFLINE d").int();
    let_pass(&mut con, -DAY_MS);
    wait_for("it is told", SOON, || announced(&mut con, "d").len() == 1);
    // And what flaps, when its clock has run.
    beat(&mut con, "d");
    set_rule(&mut con, "t", "gone", r#"{"on":"offline","every":"500ms"}"#);
    cmd!(con, "DEVICE.OFFLINE d").int();
    let_pass(&mut con, -DAY_MS);
    wait_for("it is told again", SOON, || {
        announced(&mut con, "d").len() == 3
    });
    let told = announced(&mut con, "d");
    assert_eq!(
        told,
        ["gone firing 1 1", "gone resolved 1 1", "gone firing 1 2"]
    );
}

#[test]
fn an_alert_is_silent_for_no_longer_than_its_own_clock() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d a EVERY 300");
    let_pass(&mut con, -DAY_MS);
    wait_for("it is told again", SOON, || {
        raise(&mut con, "d a EVERY 300").starts_with("repeat")
    });
}

#[test]
fn a_batch_that_is_out_comes_back_and_a_new_notification_makes_due() {
    let (_server, mut con) = server_with_device();
    cmd!(con, "ALERT.NOTIFY u a {} WAIT 0").int();
    assert!(batch(&mut con, "u LEASE 1h").is_some());
    let_pass(&mut con, -DAY_MS);
    assert_eq!(told(&mut con, "u"), [" a firing 1 1"]);

    cmd!(con, "ALERT.NOTIFY u a {} WAIT 0").int();
    let_pass(&mut con, -DAY_MS);
    cmd!(con, "ALERT.NOTIFY u b {} WAIT 0").int();
    assert_eq!(due(&mut con), ["u"]);
    assert_eq!(told(&mut con, "u").len(), 2);
}

/// Who raised it while the server stood still could not be heard, and is heard before anybody else acts
/// on his silence.
#[test]
fn who_raises_while_the_server_stands_still_is_heard() {
    let (server, mut con) = server_with_device();
    raise(&mut con, "d a KEEP 900");
    let mut other = Raw::connect(&server);
    let mut sleeper = Raw::connect(&server);
    sleeper.send_args(&["DEBUG", "SLEEP", "1.5"]);
    let began = now_ms();
    wait_for("a part of it passes", SOON, || now_ms() > began + 300);
    other.send_args(&["ALERT.RAISE", "d", "a", "KEEP", "1h"]);
    sleeper.read();
    let reply = String::from_utf8_lossy(&other.read()).into_owned();
    assert!(reply.contains("suppressed"), "{reply}");
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1"]);
    assert_eq!(state(&mut con, "d", "a"), "firing 1 2");
}

/// What waits for company waits from now on no longer than it was to wait; a batch that is out, than its
/// lease. Both are found by BATCH, and by the check for those who ask DUE.
#[test]
fn what_waits_for_company_is_due_by_the_new_clock() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d fire SEVERITY 3 NOTIFY 1 ops");
    raise(&mut con, "d door WAIT 1h NOTIFY 1 ann");
    cmd!(con, "ALERT.NOTIFY out a {} WAIT 0").int();
    assert!(batch(&mut con, "out LEASE 1h").is_some());
    assert_eq!(due(&mut con), ["ops"]);
    assert_eq!(batch(&mut con, "ann"), None);
    check(&mut con, "REPAIR");
    assert_eq!(due(&mut con), ["ops"]);

    let_pass(&mut con, -DAY_MS);
    assert_eq!(due(&mut con), Vec::<String>::new());
    assert_eq!(check(&mut con, "REPAIR").0["mended"], 3);
    assert_eq!(due(&mut con), ["ann", "ops", "out"]);
    clean(&check(&mut con, "").0);
    // What comes now has time, and makes nobody wait who is due.
    cmd!(con, "ALERT.NOTIFY ann b {} WAIT 1h").int();
    assert_eq!(due(&mut con), ["ann", "ops", "out"]);
    for (user, lines) in [
        ("ann", &[" b firing 1 1", "d door firing 1 1"][..]),
        ("ops", &["d fire firing 3 1"]),
        ("out", &[" a firing 1 1"]),
    ] {
        assert_eq!(told(&mut con, user), lines);
    }
    assert_eq!(due(&mut con), Vec::<String>::new());
}

/// Without a check, who asks for the batch gets it.
#[test]
fn a_batch_is_handed_out_by_the_new_clock() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d fire SEVERITY 3 NOTIFY 1 ops");
    raise(&mut con, "d door WAIT 1h NOTIFY 1 ops");
    let_pass(&mut con, -DAY_MS);
    let first = batch(&mut con, "ops COUNT 1").expect("a batch");
    assert_eq!(first.lines(), ["d fire firing 3 1"]);
    // What is left is due when the batch is done, also if the clock is set back once more.
    let_pass(&mut con, -DAY_MS);
    assert_eq!(done(&mut con, "ops", &first.token), 1);
    assert_eq!(due(&mut con), ["ops"]);
    assert_eq!(told(&mut con, "ops"), ["d door firing 1 1"]);
    assert_eq!(cmd!(con, "EXISTS alerts:user:ops alerts:due").int(), 0);
}
