//! Many devices of a node die at once: those of a slot are told together, and none of that shows.

use devicestate_core::slot::Slot;

use super::*;
use crate::devices::{info_number, SOON};

const MANY: usize = 1_000;
/// So many that the stream of each keeps all of its events.
const SLOTS: u16 = 64;

/// Ids of devices in a few slots only, some fifteen in each.
fn crowd() -> Vec<String> {
    let is_near = |id: &String| {
        Slot::of(id.as_bytes())
            .number()
            .is_multiple_of(16_384 / SLOTS)
    };
    (0..).map(id).filter(is_near).take(MANY).collect()
}

#[test]
fn those_of_a_slot_are_told_together_and_each_once() {
    let cluster = Cluster::start(1, 0, || {
        Server::builder()
            .config("devicestate.restart-grace", 0)
            .config("devicestate.sweep-budget-us", 100_000)
    });
    let mut con = cluster.nodes[0].connection();
    let ids = crowd();
    for (number, id) in ids.iter().enumerate() {
        match number % 2 {
            0 => cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", "1h").items(),
            _ => cmd!(con, "DEVICE.HEARTBEAT", id).items(),
        };
    }
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);
    cmd!(con, "CONFIG RESETSTAT").text();
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
    wait_for("half of them are offline", SOON, || {
        info_number(&mut con, "went_offline") >= MANY as i64 / 2
    });
    let stats = cmd!(con, "INFO commandstats").text();
    let calls = stats.lines().find_map(|line| {
        let calls = line.strip_prefix("cmdstat_srem:calls=")?;
        calls.split(',').next()?.parse::<usize>().ok()
    });
    let calls = calls.expect("they left two sets");
    assert!(calls < MANY / 2, "{calls} calls, as if each were alone");

    assert_eq!(check(&cluster), (MANY as i64 / 2, MANY as i64 / 2));
    let told = told(&cluster);
    for (number, id) in ids.iter().enumerate() {
        let wanted: &[&str] = match number % 2 {
            0 => &["registered", "online"],
            _ => &["registered", "online", "offline"],
        };
        assert_eq!(told[id], wanted, "{id}");
    }
}
