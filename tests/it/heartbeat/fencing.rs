//! SESSION and SEQ: what a late message of an older life of the device may not do.

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// `DEVICE.HEARTBEAT d <options>`: `[came_online, applied, version]`.
#[track_caller]
fn beat_with(con: &mut Connection, options: &str) -> [i64; 3] {
    outcome(cmd!(con, &format!("DEVICE.HEARTBEAT d {options}")).value())
}

#[test]
fn a_lower_session_is_ignored_and_told_so() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(
        beat_with(&mut con, "SESSION 5 REPORTED {\"a\":1}"),
        [1, 1, 1]
    );
    let before = snapshot_without_streams(&mut con);
    let events_before = events(&mut con).len();
    for stale in [
        "SESSION 4",
        "SESSION 0",
        "SESSION 4 SEQ 9 TIMEOUT 1s REPORTED {\"a\":2} REPLACE",
    ] {
        assert_eq!(beat_with(&mut con, stale), [0, 0, 1]);
    }
    // That they were ignored is noted in the hash, and that is all.
    let changed = difference(&before, &snapshot_without_streams(&mut con));
    assert!(
        changed
            .iter()
            .all(|line| line.starts_with("device:state:d + ignored")),
        "{changed:?}"
    );
    assert_eq!(number(&mut con, "d", "ignored"), 3);
    assert_eq!(events(&mut con).len(), events_before);
}

#[test]
fn a_lower_session_proves_no_life() {
    let server = quick();
    let mut con = server.connection();
    assert_eq!(beat_with(&mut con, "SESSION 5 TIMEOUT 200"), [1, 1, 0]);
    wait_for("the device times out among stale beats", SOON, || {
        assert_eq!(beat_with(&mut con, "SESSION 4"), [0, 0, 0]);
        !is_online(&mut con, "d")
    });
    // Nor does it bring the device back.
    assert_eq!(beat_with(&mut con, "SESSION 4"), [0, 0, 0]);
    assert!(!is_online(&mut con, "d"));
    assert_eq!(beat_with(&mut con, "SESSION 5"), [1, 1, 0]);
}

#[test]
fn an_equal_and_a_higher_session_are_accepted() {
    let server = Server::start();
    let mut con = server.connection();
    let max = u64::MAX.to_string();
    for (turn, session) in ["0", "5", "5", "6", &max, &max].iter().enumerate() {
        let reply = beat_with(&mut con, &format!("SESSION {session}"));
        assert_eq!(reply, [i64::from(turn == 0), 1, 0], "{session}");
        assert_eq!(field(&mut con, "d", "session").as_deref(), Some(*session));
    }
    assert_eq!(
        beat_with(&mut con, "SESSION 18446744073709551614"),
        [0, 0, 0]
    );
}

#[test]
fn a_beat_without_session_is_accepted_and_keeps_the_stored_one() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 5 SEQ 3 REPORTED {}");
    assert_eq!(beat(&mut con, "d"), [0, 1, 1]);
    assert_eq!(beat_with(&mut con, "REPORTED {\"a\":1}"), [0, 1, 2]);
    assert_eq!(field(&mut con, "d", "session").as_deref(), Some("5"));
    assert_eq!(field(&mut con, "d", "seq").as_deref(), Some("3"));
    assert_eq!(beat_with(&mut con, "SESSION 4"), [0, 0, 2]);
}

#[test]
fn a_report_whose_seq_is_not_above_the_last_is_ignored_but_proves_life() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(
        beat_with(&mut con, "SESSION 1 SEQ 10 REPORTED {\"a\":1}"),
        [1, 1, 1]
    );
    for seq in [10, 9, 0] {
        let before = number(&mut con, "d", "last_seen");
        wait_for_the_clock();
        let late = format!("SESSION 1 SEQ {seq} REPORTED {{\"a\":2}}");
        assert_eq!(beat_with(&mut con, &late), [0, 0, 1]);
        assert!(number(&mut con, "d", "last_seen") > before);
    }
    assert_eq!(
        field(&mut con, "d", "reported_state").as_deref(),
        Some("{\"a\":1}")
    );
    assert_eq!(
        beat_with(&mut con, "SESSION 1 SEQ 11 REPORTED {\"a\":3}"),
        [0, 1, 2]
    );
}

#[test]
fn a_late_report_brings_an_offline_device_back() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 1 SEQ 10 REPORTED {\"a\":1}");
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 1").int(), 1);
    assert_eq!(
        beat_with(&mut con, "SESSION 1 SEQ 10 REPORTED {\"a\":2}"),
        [1, 0, 1]
    );
    assert!(is_online(&mut con, "d"));
}

#[test]
fn a_higher_session_starts_seq_afresh() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 1 SEQ 900 REPORTED {\"a\":1}");
    assert_eq!(
        beat_with(&mut con, "SESSION 2 SEQ 0 REPORTED {\"a\":2}"),
        [0, 1, 2]
    );
    assert_eq!(
        beat_with(&mut con, "SESSION 2 SEQ 0 REPORTED {\"a\":3}"),
        [0, 0, 2]
    );
    // Also when the new session begins without a report.
    assert_eq!(beat_with(&mut con, "SESSION 3"), [0, 1, 2]);
    assert_eq!(field(&mut con, "d", "seq"), None);
    assert_eq!(
        beat_with(&mut con, "SESSION 3 SEQ 0 REPORTED {}"),
        [0, 1, 3]
    );
}

#[test]
fn seq_without_session_is_an_error() {
    let server = Server::start();
    let mut con = server.connection();
    let command = ["DEVICE.HEARTBEAT", "d", "REPORTED", "{}", "SEQ", "1"];
    expect_refusal(&mut con, &command, "ERR", "SESSION");
}

#[test]
fn a_goodbye_of_an_older_session_is_ignored() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 6");
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 5 REASON will").int(), 0);
    assert!(is_online(&mut con, "d"));
    assert_eq!(events_of(&mut con, "d").of_type("offline").len(), 0);
    assert_eq!(field(&mut con, "d", "session").as_deref(), Some("6"));

    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 6 REASON will").int(), 1);
    assert_eq!(
        events_of(&mut con, "d").of_type("offline").field("session"),
        ["6"]
    );
    // The session outlives the goodbye: what the old life still had to say is ignored.
    assert_eq!(beat_with(&mut con, "SESSION 5"), [0, 0, 0]);
    assert_eq!(beat_with(&mut con, "SESSION 6"), [1, 1, 0]);
}

#[test]
fn a_goodbye_of_a_newer_session_counts_and_is_remembered() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 6 SEQ 4 REPORTED {}");
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 7").int(), 1);
    assert_eq!(field(&mut con, "d", "session").as_deref(), Some("7"));
    assert_eq!(field(&mut con, "d", "seq"), None);
    assert_eq!(beat_with(&mut con, "SESSION 6"), [0, 0, 1]);
}

#[test]
fn a_goodbye_without_session_always_counts_and_forgets_the_stored_one() {
    let server = Server::start();
    let mut con = server.connection();
    beat_with(&mut con, "SESSION 600 SEQ 4 REPORTED {}");
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
    assert_eq!(field(&mut con, "d", "session"), None);
    assert_eq!(field(&mut con, "d", "seq"), None);
    assert_eq!(
        beat_with(&mut con, "SESSION 1 SEQ 0 REPORTED {}"),
        [1, 1, 2]
    );

    // It forgets also where the device was offline already.
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 9").int(), 1);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 0);
    assert_eq!(beat_with(&mut con, "SESSION 1"), [1, 1, 2]);
}
