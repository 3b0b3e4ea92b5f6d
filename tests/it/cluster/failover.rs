//! A primary that dies or hands over, while devices live and die.

use std::thread;

use devicestate_core::slot::{self, Slot};

use super::{assert_half_died, id, last_offline_ms, offline, LIMIT};
use crate::support::*;
use crate::survival::size::size;

/// How long a device may be silent, and how long a promoted replica waits before it tells anybody offline.
const GRACE_MS: i64 = 10_000;

/// Half of the devices send heartbeats all the time, the others are silent; `fault` happens meanwhile.
/// In the end the silent ones are offline, each told once and in time, and the others never were.
fn devices_live_and_die(fault: impl FnOnce(&mut Cluster)) {
    let devices = size(600, 20_000);
    let mut cluster = Cluster::start(3, 1, || {
        Server::builder()
            .config("repl-diskless-sync-delay", 0)
            .module_arg("restart-grace", GRACE_MS)
            .module_arg("heartbeat-timeout", GRACE_MS)
    });
    let mut client = cluster.client();
    for number in 0..devices {
        let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
        assert_eq!(reply.at(0).int(), 1, "{number}");
    }
    cluster.wait_until_replicated();
    let is_over = Over::default();
    // A client for each primary: one that waits must not hold up those of the others.
    let clients: Vec<ClusterClient> = (0..3).map(|_| cluster.client()).collect();
    let is_whole_again = thread::scope(|scope| {
        let _set = is_over.on_drop();
        let load = |(at, mut client): (usize, ClusterClient)| {
            let is_over = &is_over;
            scope.spawn(move || {
                client.outlives_failover = true;
                let is_here = |number: &usize| {
                    let slot = Slot::of(id(*number).as_bytes()).number();
                    usize::from(slot) * 3 / slot::COUNT == at
                };
                while !is_over.is_set() {
                    for number in (0..devices).step_by(2).filter(is_here) {
                        let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
                        assert_eq!(reply.at(0).int(), 0, "device {number} was told offline");
                    }
                }
            })
        };
        let loads: Vec<_> = clients.into_iter().enumerate().map(load).collect();
        fault(&mut cluster);
        cluster.wait_until_up();
        let is_whole_again = now_ms();
        wait_for("the silent ones are told", LIMIT, || {
            loads.iter().any(|load| load.is_finished()) || offline(&cluster) == devices / 2
        });
        is_over.set();
        for load in loads {
            load.join().expect("a load");
        }
        is_whole_again
    });
    let late = last_offline_ms(&cluster) - is_whole_again - GRACE_MS;
    // In the suite the machine is busy with other tests.
    let bound = size(5_000, 1_000);
    assert!(late <= bound, "the last one was told {late} ms late");
    assert_half_died(&cluster, devices);
}

#[test]
fn a_replica_takes_over_on_request() {
    devices_live_and_die(|cluster| cluster.fail_over_to(&cluster.nodes[3]));
}

#[test]
fn a_replica_takes_over_when_its_primary_is_killed() {
    devices_live_and_die(|cluster| {
        cluster.nodes[0].kill_hard();
        let mut con = cluster.nodes[3].connection();
        wait_for("the replica is a primary", LIMIT, || {
            cmd!(con, "ROLE").at(0).text() == "master"
        });
    });
}
