//! `devicestate.commands-maxlen`: what is full refuses, and loses nothing.

use super::*;

#[track_caller]
fn set_maxlen(con: &mut Connection, maxlen: usize) {
    let name = "devicestate.commands-maxlen";
    assert_eq!(cmd!(con, "CONFIG SET", name, maxlen).text(), "OK");
}

/// Nothing changes and nobody is told.
#[track_caller]
fn expect_full(con: &mut Connection, length: usize, maxlen: usize) {
    let error = expect_refusal(con, &["DEVICE.COMMAND", "d", "{}"], "QUEUEFULL", "");
    let numbers = [length, maxlen].map(|n| n.to_string());
    assert!(numbers.iter().all(|n| error.contains(n)), "{error}");
    assert!(error.contains("'device:commands:d'"), "{error}");
}

#[test]
fn a_full_queue_refuses_and_loses_nothing() {
    let (_server, mut con) = with_device();
    set_maxlen(&mut con, 3);
    let ids = give_many(&mut con, 3);
    let told = info_number(&mut con, "commands");
    expect_full(&mut con, 3, 3);
    assert_eq!(info_number(&mut con, "commands"), told);
    assert_eq!(waiting(&mut con, "d"), 3);
    // What is taken, or dead, is not done: it has its place still.
    assert_eq!(take_ids(&mut con, "d LEASE 1h"), ids[..1]);
    expect_full(&mut con, 3, 3);
    assert_eq!(done(&mut con, &format!("d {} OK", ids[0])), 1);
    let next = give(&mut con, "d {\"n\":3}");
    expect_full(&mut con, 3, 3);
    cancel(&mut con, "d", &ids[1]);
    give(&mut con, "d {\"n\":4}");
    assert_eq!(take_ids(&mut con, "d COUNT 2"), [ids[2].clone(), next]);
    // Other devices have queues of their own.
    beat(&mut con, "e");
    give(&mut con, "e {}");
}

#[test]
fn dead_commands_count_until_they_are_settled() {
    let (_server, mut con) = with_device();
    set_maxlen(&mut con, 1);
    let id = give(&mut con, "d {}");
    wear_out(&mut con, &id);
    expect_full(&mut con, 1, 1);
    assert_eq!(cancel(&mut con, "d", &id), 1);
    give(&mut con, "d {}");
}

#[test]
fn expired_commands_make_room() {
    let (_server, mut con) = with_device();
    set_maxlen(&mut con, 3);
    let long = give(&mut con, "d {\"n\":0}");
    give(&mut con, "d {\"n\":1} TTL 50");
    give(&mut con, "d {\"n\":2} TTL 50 DELAY 40");
    let given = now_ms();
    wait_for("two expire", SOON, || now_ms() > given + 50);
    let new = [3, 4].map(|n| give(&mut con, &format!("d {{\"n\":{n}}}")));
    expect_full(&mut con, 3, 3);
    assert_eq!(
        take_ids(&mut con, "d COUNT 9"),
        [vec![long], new.to_vec()].concat()
    );
}

#[test]
fn the_limit_is_1000_and_can_be_changed_at_run_time() {
    let (_server, mut con) = with_device();
    assert_eq!(give_many(&mut con, 1_000).len(), 1_000);
    expect_full(&mut con, 1_000, 1_000);
    set_maxlen(&mut con, 1_001);
    give(&mut con, "d {}");
    set_maxlen(&mut con, 5);
    expect_full(&mut con, 1_001, 5);
    // All that wait are there still.
    assert_eq!(take_ids(&mut con, "d COUNT 10000").len(), 1_001);
}
