//! Messages of devices on their way into a cluster: each is applied once and in order, while slots move
//! and while a primary dies or is away.

mod support;

use redis::Value;
use support::bridge::Bridge;
use support::broker::Broker;
use support::cluster::Cluster;
use support::reports::{device, publish_all, reported, wait_for_all, DEVICES};
use support::subscriber::Subscriber;
use support::{heartbeat, wait_until};

#[test]
fn messages_come_once_and_in_order_while_slots_move() {
    const REPORTS: usize = 300;
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let mut bridge = Bridge::start(&broker.url(), &cluster.url(), "");
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&broker, REPORTS));
        let [a, b, c] = [0, 1, 2].map(|at| &cluster.nodes[at]);
        for (from, to) in [(a, b), (b, c), (c, a)] {
            cluster.reshard(from, to, 300);
        }
    });
    wait_for_all(&cluster, REPORTS);
    bridge.end_with_nothing_left();
}

#[test]
fn messages_come_once_and_in_order_while_a_primary_dies() {
    const REPORTS: usize = 200;
    let (broker, mut cluster) = (Broker::start(), Cluster::start());
    let config = "[redis]\nwait_replicas = 1\nresponse_timeout = \"5s\"\n";
    let mut bridge = Bridge::start(&broker.url(), &cluster.url(), config);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&broker, REPORTS));
        wait_until("some are applied", || reported(&cluster, "d0").0 > 0);
        cluster.fail_over(0);
        // Its replica has none now, and so may not confirm anything.
        cluster.nodes[0].resume();
    });
    wait_for_all(&cluster, REPORTS);
    bridge.wait_for("works again after");
    bridge.end_with_nothing_left();
}

/// What is said of a node names it.
#[test]
fn a_primary_that_is_away_is_named() {
    let (broker, mut cluster) = (Broker::start(), Cluster::start());
    let bridge = Bridge::start(&broker.url(), &cluster.url(), "");
    // Without its replica nobody takes its place.
    cluster.nodes[3].kill();
    cluster.nodes[0].kill();
    let away = format!("127.0.0.1:{}: ", cluster.nodes[0].port);
    for number in 0..DEVICES {
        broker.publish(&heartbeat(&device(number)), "");
    }
    bridge.wait_for(&format!("does not take commands: {away}"));
    cluster.nodes[0].resume();
    bridge.wait_for("works again after");
    for number in 0..DEVICES {
        wait_until("its heartbeat is there", || {
            cluster.command(&["DEVICE.GET", &device(number)]) != Value::Nil
        });
    }
}

#[test]
fn a_server_that_is_no_cluster_is_told() {
    let (broker, server) = (Broker::start(), support::server::Server::start());
    let url = server.url().replace("redis://", "redis+cluster://");
    let bridge = Bridge::launch(&broker.url(), &url, "");
    bridge.wait_for("ERR This instance has cluster support disabled");
}

/// Each request is a transaction of one device, and goes as one to where the slot is on its way.
#[test]
fn requests_of_aws_devices_are_answered_once_while_slots_move() {
    const REQUESTS: usize = 60;
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let answers = Subscriber::start(&broker, &["$aws/things/+/shadow/update/accepted"]);
    let config = "profiles = [\"aws-shadow\"]\n";
    let mut bridge = Bridge::start(&broker.url(), &cluster.url(), config);
    std::thread::scope(|scope| {
        for number in 0..DEVICES {
            let topic = format!("$aws/things/{}/shadow/update", device(number));
            let lines = (1..=REQUESTS).map(|n| {
                format!("{{\"state\":{{\"reported\":{{\"n\":{n}}}}},\"clientToken\":\"{n}\"}}")
            });
            let broker = &broker;
            scope.spawn(move || broker.publish_lines(&topic, lines));
        }
        let [a, b, c] = [0, 1, 2].map(|at| &cluster.nodes[at]);
        for (from, to) in [(a, b), (b, c), (c, a)] {
            cluster.reshard(from, to, 300);
        }
    });
    for number in 0..DEVICES {
        let topic = format!("$aws/things/{}/shadow/update/accepted", device(number));
        wait_until("all are answered", || answers.count(&topic) >= REQUESTS);
        let tokens: Vec<usize> = answers
            .on(&topic)
            .iter()
            .map(|answer| {
                let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
                answer["clientToken"].as_str().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(tokens, (1..=REQUESTS).collect::<Vec<_>>());
        let n = REQUESTS as u64;
        assert_eq!(reported(&cluster, &device(number)), (n, n));
    }
    bridge.end_with_nothing_left();
}

/// A connection to it breaks no more than it answers. When it wakes up, it has commands to read that are
/// older than what its successor has.
#[test]
fn messages_come_once_and_in_order_while_a_primary_is_frozen() {
    const REPORTS: usize = 200;
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let config = "[redis]\nwait_replicas = 1\nresponse_timeout = \"5s\"\n";
    let mut bridge = Bridge::start(&broker.url(), &cluster.url(), config);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&broker, REPORTS));
        wait_until("some are applied", || reported(&cluster, "d0").0 > 0);
        cluster.nodes[0].freeze();
        wait_until("its replica is the primary", || {
            let role = cluster.nodes[3].ask(&["ROLE"]);
            role.is_ok_and(|role| format!("{role:?}").contains("master"))
        });
        let away = format!("127.0.0.1:{}: ", cluster.nodes[0].port);
        bridge.wait_for(&format!("does not take commands: {away}"));
        cluster.nodes[0].thaw();
    });
    wait_for_all(&cluster, REPORTS);
    bridge.end_with_nothing_left();
}
