//! Small runs of some scenarios, so that every run of the tests shows that faults lose nothing.
//! `scripts/faults` runs all of them, with forty times the load.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// One at a time: each scenario has four programs at work.
static TURN: Mutex<()> = Mutex::new(());

fn passes(scenario: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_devicestate-faults"))
        .args([scenario, "--messages", "5000", "--devices", "50"])
        .output()
        .unwrap();
    let (told, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{told}{errors}");
    assert!(told.contains("PASS"), "{told}");
}

#[test]
fn a_bridge_that_is_killed_loses_nothing() {
    passes("bridge-kill");
}

#[test]
fn a_redis_that_is_killed_loses_nothing() {
    passes("redis-kill");
}

#[test]
fn a_broker_that_is_restarted_loses_nothing() {
    passes("broker-restart");
}

#[test]
fn a_late_answer_acknowledges_no_other_message() {
    passes("stale-ack");
}
