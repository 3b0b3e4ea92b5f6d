//! Redis with Sentinels: the bridge finds the master, and finds it again after a failover.

mod support;

use redis::Value;
use support::bridge::Bridge;
use support::broker::Broker;
use support::sentinel::Sentinel;
use support::server::Server;
use support::{heartbeat, wait_until};

const DEVICES: usize = 20;
const MESSAGES: usize = 100;

/// A master that takes no writes without its replica, the replica, and the Sentinel.
fn fleet() -> (Server, Server, Sentinel) {
    let safe = [
        "min-replicas-to-write 1",
        "min-replicas-max-lag 2",
        "repl-diskless-sync-delay 0",
    ];
    let master = Server::start_with(&safe);
    let of = format!("replicaof 127.0.0.1 {}", master.port);
    let replica = Server::start_with(&[&of, "repl-diskless-sync-delay 0"]);
    wait_until("the replica is in step", || {
        matches!(master.ask(&["WAIT", "1", "1000"]), Ok(Value::Int(1)))
    });
    let sentinel = Sentinel::start(master.port);
    (master, replica, sentinel)
}

/// The number that the device has reported last, as this server has it.
fn reported(server: &Server, device: &str) -> Option<usize> {
    // A server that is made a replica closes connections.
    let answer = server.ask(&["DEVICE.SHADOW.GET", device]).ok()?;
    let document: Option<String> = redis::from_redis_value(answer).ok()?;
    let (_, rest) = document?
        .split_once("\"n\":")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn publish(broker: &Broker, device: &str, numbers: std::ops::RangeInclusive<usize>) {
    let lines =
        numbers.map(|n| format!("{{\"session\":1,\"seq\":{n},\"reported\":{{\"n\":{n}}}}}"));
    broker.publish_lines(&format!("devices/{device}/reported"), lines);
}

/// Strict: what is acknowledged is on the replica. Without `wait_replicas` the last moment of the old
/// master would be missing now and then, as Sentinel promotes the replica as it is.
#[test]
fn a_failover_on_request_loses_nothing() {
    let (broker, (master, replica, sentinel)) = (Broker::start(), fleet());
    let mut bridge = Bridge::start(
        &broker.url(),
        &sentinel.url(),
        "[redis]\nwait_replicas = 1\n",
    );
    bridge.wait_for(&format!("the master fleet is 127.0.0.1:{}", master.port));
    let devices: Vec<String> = (0..DEVICES).map(|n| format!("d{n}")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for device in &devices {
                publish(&broker, device, 1..=MESSAGES);
            }
        });
        wait_until("some are applied", || reported(&master, "d0").is_some());
        let done: redis::RedisResult<()> = sentinel.ask(&["FAILOVER", support::sentinel::MASTER]);
        done.unwrap();
        wait_until("the replica is the master", || {
            sentinel.master() == replica.port
        });
    });
    bridge.wait_for(&format!("the master fleet is 127.0.0.1:{}", replica.port));
    wait_until("the last report of each device is there", || {
        devices
            .iter()
            .all(|d| reported(&replica, d) == Some(MESSAGES))
    });
    bridge.end_with_nothing_left();
}

#[test]
fn without_enough_replicas_nothing_is_acknowledged() {
    let (broker, master) = (Broker::start(), Server::start());
    let config = "drain_timeout = 0\n[redis]\nwait_replicas = 1\nresponse_timeout = \"5s\"\n";
    let mut bridge = Bridge::start(&broker.url(), &master.url(), config);
    broker.publish(&heartbeat("a"), "");
    bridge
        .wait_for("does not take commands: NOREPLICAS 0 replicas have the commands, and 1 should");
    bridge.terminate();
    let (_, summary) = bridge.exit();
    assert!(summary.contains("applied 0"), "{summary}");
    assert!(summary.contains("left to the broker 1"), "{summary}");

    let of = format!("replicaof 127.0.0.1 {}", master.port);
    let replica = Server::start_with(&[&of, "repl-diskless-sync-delay 0"]);
    let _bridge = Bridge::start(&broker.url(), &master.url(), config);
    wait_until("the replica has it", || {
        replica.query::<u64>(&["DEVICE.COUNT"]) == 1
    });
}

/// What a dead master had not passed on is lost, as replication is asynchronous. What comes after its
/// death is not.
#[test]
fn a_dead_master_is_replaced_and_the_bridge_goes_on() {
    let (broker, (mut master, replica, sentinel)) = (Broker::start(), fleet());
    let bridge = Bridge::start(&broker.url(), &sentinel.url(), "");
    publish(&broker, "d0", 1..=10);
    wait_until("it is applied", || reported(&master, "d0") == Some(10));
    master.kill();
    publish(&broker, "d0", 11..=MESSAGES);
    broker.publish(&heartbeat("d1"), "");
    wait_until("the replica is the master", || {
        sentinel.master() == replica.port
    });
    wait_until("everything is there", || {
        reported(&replica, "d0") == Some(MESSAGES)
    });
    wait_until("the heartbeat, too", || {
        replica.query::<u64>(&["DEVICE.COUNT"]) == 2
    });
    bridge.wait_for("works again after");
    assert_eq!(bridge.count("refused a message"), 0);
}

/// A connection to it breaks no more than it answers.
#[test]
fn a_frozen_master_is_replaced() {
    let (broker, (master, replica, sentinel)) = (Broker::start(), fleet());
    let config = "[redis]\nresponse_timeout = \"5s\"\n";
    let bridge = Bridge::start(&broker.url(), &sentinel.url(), config);
    publish(&broker, "d0", 1..=10);
    wait_until("it is applied", || reported(&master, "d0") == Some(10));
    master.freeze();
    publish(&broker, "d0", 11..=MESSAGES);
    bridge.wait_for("does not take commands: it did not answer in time");
    wait_until("everything is there", || {
        sentinel.master() == replica.port && reported(&replica, "d0") == Some(MESSAGES)
    });
    // When it wakes up, it has commands to read that are older than what the new master has.
    master.thaw();
    wait_until("it is a replica, in step with the new master", || {
        let role = master.ask(&["ROLE"]);
        let follows = role.is_ok_and(|role| format!("{role:?}").contains("slave"));
        follows && reported(&master, "d0") == Some(MESSAGES)
    });
    assert_eq!(reported(&replica, "d0"), Some(MESSAGES));
}

#[test]
fn a_name_that_no_sentinel_knows_is_told() {
    let (broker, (_master, _replica, sentinel)) = (Broker::start(), fleet());
    let url = format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port);
    let bridge = Bridge::launch(&broker.url(), &url, "");
    bridge.wait_for("does not take commands: the Sentinels know no master of this name that works");
}
