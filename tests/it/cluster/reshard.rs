//! Slots that move from node to node while devices live and die.

use std::collections::BTreeSet;
use std::thread;

use devicestate_core::cluster::slots_of_myself;
use devicestate_core::slot::{self, Slot};
use redis::Value;

use super::{assert_half_died, id, offline, told, LIMIT};
use crate::support::cluster::{id_of, move_keys, moves_slots_whole};
use crate::support::*;
use crate::survival::size::size;

/// Half of the devices send heartbeats all the time, the others die in the midst of it, while `slots_move`
/// round after round. The codes of all redirections that the clients met.
fn devices_live_and_die(slots_move: impl Fn(&Cluster, usize)) -> BTreeSet<String> {
    let (devices, rounds) = size((1_200, 4), (100_000, 20));
    let cluster = Cluster::start(3, 1, || {
        Server::builder()
            .config("repl-diskless-sync-delay", 0)
            .module_arg("restart-grace", 0)
            .module_arg("heartbeat-timeout", size("3s", "40s"))
    });
    let mut client = cluster.client();
    for number in 0..devices {
        let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
        assert_eq!(reply.at(0).int(), 1, "{number}");
    }
    let is_over = Over::default();
    let redirected = thread::scope(|scope| {
        let _set = is_over.on_drop();
        let load = scope.spawn(|| {
            let mut client = cluster.client();
            while !is_over.is_set() {
                for number in (0..devices).step_by(2) {
                    let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
                    assert_eq!(reply.at(0).int(), 0, "device {number} was told offline");
                }
            }
            client.redirected
        });
        for round in 0..rounds {
            slots_move(&cluster, round);
        }
        wait_for("the silent ones are told", LIMIT, || {
            load.is_finished() || offline(&cluster) == devices / 2
        });
        is_over.set();
        load.join().expect("the load")
    });
    assert_half_died(&cluster, devices);
    redirected.into_keys().collect()
}

#[test]
fn devices_live_and_die_while_slots_move_key_by_key() {
    let codes = devices_live_and_die(|cluster, round| {
        let (from, to) = (&cluster.nodes[round % 2], &cluster.nodes[(round + 1) % 2]);
        cluster.reshard(from, to, 300);
    });
    assert_only_redirections(&codes);
}

#[track_caller]
fn assert_only_redirections(codes: &BTreeSet<String>) {
    let allowed = ["ASK", "MOVED", "TRYAGAIN"];
    assert!(codes.contains("MOVED"), "nothing moved: {codes:?}");
    assert!(
        codes.iter().all(|code| allowed.contains(&code.as_str())),
        "{codes:?}"
    );
}

/// Valkey from 9 on moves slots whole: commands are answered all the time.
#[test]
fn devices_live_and_die_while_slots_move_whole() {
    if !moves_slots_whole(&Server::start()) {
        return;
    }
    let codes = devices_live_and_die(|cluster, round| {
        let (from, to) = (&cluster.nodes[round % 2], &cluster.nodes[(round + 1) % 2]);
        let (mut source, mut target) = (from.connection(), to.connection());
        let first = Slot::new(0).expect("a slot");
        let migrate = "CLUSTER MIGRATESLOTS SLOTSRANGE 0 1500 NODE";
        cmd!(source, migrate, id_of(to)).text();
        wait_for("the slots have moved", LIMIT, || {
            let nodes = cmd!(target, "CLUSTER NODES").text();
            let jobs = cmd!(source, "CLUSTER GETSLOTMIGRATIONS").items();
            let is_over = |job: &Value| job.fields()["state"].text() == "success";
            slots_of_myself(&nodes).is_some_and(|slots| slots.owned.contains(&first))
                && jobs.iter().all(is_over)
        });
    });
    assert_only_redirections(&codes);
}

/// While its slot is on its way, nobody hears a device: it gets one timeout to speak up afterwards.
#[test]
fn a_slot_that_moves_for_long_buries_nobody() {
    const TIMEOUT: i64 = 1_000;
    let cluster = Cluster::start(3, 0, || {
        Server::builder()
            .module_arg("restart-grace", 0)
            .module_arg("heartbeat-timeout", TIMEOUT)
    });
    let (from, to) = (&cluster.nodes[0], &cluster.nodes[1]);
    let (mut at_from, mut at_to) = (from.connection(), to.connection());
    let is_here = |id: &String| usize::from(Slot::of(id.as_bytes()).number()) < slot::COUNT / 3;
    let id = (0..)
        .map(id)
        .find(is_here)
        .expect("an id in the first third");
    let slot = Slot::of(id.as_bytes()).number();
    cmd!(at_from, "DEVICE.HEARTBEAT", &id).items();
    let seen = now_ms();
    // The new node has just looked at its slots, and found that none moves.
    let elsewhere = (0..).map(super::id).find(|id| {
        let slot = usize::from(Slot::of(id.as_bytes()).number());
        (slot::COUNT / 3 + 1..slot::COUNT / 2).contains(&slot)
    });
    let elsewhere = elsewhere.expect("an id in the second third");
    assert!(cmd!(at_to, "DEVICE.GET", &elsewhere).is_nil());

    cmd!(at_to, "CLUSTER SETSLOT", slot, "IMPORTING", id_of(from)).text();
    cmd!(at_from, "CLUSTER SETSLOT", slot, "MIGRATING", id_of(to)).text();
    expect_error(&mut at_from, &["DEVICE.HEARTBEAT", &id], "ASK", "");
    let mut heartbeat_there = || {
        cmd!(at_to, "ASKING").text();
        cmd!(at_to, "DEVICE.HEARTBEAT", &id)
    };
    let refused = heartbeat_there().expect_err("the slot is not settled");
    assert_eq!(refused.code(), Some("TRYAGAIN"));
    wait_for("its time is over", LIMIT, || {
        now_ms() > seen + TIMEOUT + 500
    });
    assert_eq!(
        cmd!(at_from, "HGET", format!("device:state:{{{id}}}"), "status").text(),
        "online"
    );

    let keys = cmd!(at_from, "CLUSTER GETKEYSINSLOT", slot, 100).texts();
    move_keys(from, to, &keys);
    assert_eq!(
        heartbeat_there().expect_err("still not").code(),
        Some("TRYAGAIN")
    );
    for node in [to, from] {
        cmd!(
            node.connection(),
            "CLUSTER SETSLOT",
            slot,
            "NODE",
            id_of(to)
        )
        .text();
    }
    let beat = cmd!(at_to, "DEVICE.HEARTBEAT", &id);
    assert_eq!(beat.at(0).int(), 0, "it was told offline");
    // And from then on its silence counts again.
    wait_for("it is told offline", LIMIT, || offline(&cluster) == 1);
    assert_eq!(told(&cluster)[&id], ["registered", "online", "offline"]);
}
