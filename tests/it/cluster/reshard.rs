//! Slots that move from node to node while devices live and die.

use std::thread;
use std::time::Duration;

use super::{check, id, offline, told, Over};
use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Half of the devices send heartbeats all the time, the others die in the midst of it.
#[test]
fn devices_live_and_die_while_slots_move() {
    const DEVICES: usize = 1_200;
    let cluster = Cluster::start(3, 0, || {
        Server::builder()
            .module_arg("restart-grace", 0)
            .module_arg("heartbeat-timeout", "3s")
    });
    let mut client = cluster.client();
    for number in 0..DEVICES {
        let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
        assert_eq!(reply.at(0).int(), 1, "{number}");
    }
    let is_over = Over::default();
    let redirected = thread::scope(|scope| {
        let _set = is_over.on_drop();
        let load = scope.spawn(|| {
            let mut client = cluster.client();
            while !is_over.get() {
                for number in (0..DEVICES).step_by(2) {
                    let reply = client.call(&["DEVICE.HEARTBEAT", &id(number)]);
                    assert_eq!(reply.at(0).int(), 0, "device {number} was told offline");
                }
            }
            client.redirected
        });
        for round in 0..4 {
            let (from, to) = (&cluster.nodes[round % 2], &cluster.nodes[(round + 1) % 2]);
            cluster.reshard(from, to, 300);
        }
        wait_for("the silent ones are told", LIMIT, || {
            offline(&cluster) == DEVICES / 2
        });
        is_over.set();
        load.join().expect("the load")
    });
    assert!(
        redirected.contains_key("ASK") || redirected.contains_key("MOVED"),
        "{redirected:?}"
    );
    let (online, offline) = check(&cluster);
    assert_eq!((online, offline), (DEVICES as i64 / 2, DEVICES as i64 / 2));
    let told = told(&cluster);
    for number in 0..DEVICES {
        let wanted: &[&str] = match number % 2 {
            0 => &["registered", "online"],
            _ => &["registered", "online", "offline"],
        };
        assert_eq!(told[&id(number)], wanted, "device {number}");
    }
}
