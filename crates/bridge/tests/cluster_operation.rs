//! Queues, dead letters, `check` and TLS over a cluster.

mod support;

use redis::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use support::bridge::Bridge;
use support::broker::Broker;
use support::certificates::Authority;
use support::cluster::Cluster;
use support::events::ON;
use support::reports::{device, publish_all, wait_for_all};
use support::server::Server;
use support::subscriber::Subscriber;
use support::{free_port, heartbeat, wait_until};

/// The subcommand's exit status, and what it wrote.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .args(words)
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), found + &told)
}

/// What the documentation gives the bridge.
const RULES: &str =
    "on >pass ~* resetchannels -@all +ping +device.heartbeat +device.offline +xadd \
    +client|setname +client|id +client|list +client|kill \
    +device.get +device.command.done +device.list +device.shadow.get +device.shadow.names \
    +device.command.take +multi +exec \
    +cluster|slots +asking +device.events +xinfo|stream +eval +hmget +hset +time";

fn set_user(cluster: &Cluster, node: usize, rules: &str) {
    let words = ["ACL", "SETUSER", "bridge"].into_iter();
    let words: Vec<&str> = words.chain(rules.split_whitespace()).collect();
    cluster.nodes[node].command(&words);
}

#[test]
fn queues_are_worked_off_while_their_slots_move() {
    const REPORTS: usize = 100;
    const CONFIG: &str = "[queue]\nenabled = true\ncount = 4\nlease = \"2s\"\n";
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let mut receiver = Bridge::start(&broker.url(), &cluster.url(), CONFIG);
    let mut processors =
        ["left", "right"].map(|name| Bridge::process(&["--worker", name], &cluster.url(), CONFIG));
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&broker, REPORTS));
        // The slots of all four queues are among those that move.
        let [a, b, c] = [0, 1, 2].map(|at| &cluster.nodes[at]);
        for (from, to) in [(a, b), (b, c), (c, a)] {
            cluster.reshard(from, to, 500);
        }
    });
    wait_for_all(&cluster, REPORTS);
    for queue in 0..4 {
        wait_until("the queue is empty", || {
            cluster.query::<i64>(&["XLEN", &format!("ingest:{queue}")]) == 0
        });
    }
    for bridge in processors.iter_mut().chain([&mut receiver]) {
        bridge.terminate();
        let (status, summary) = bridge.exit();
        assert_eq!(status, Some(0));
        assert!(summary.contains("refused 0"), "{summary}");
    }
}

/// Otherwise one processor after the other would get it in vain, until it is dead.
#[test]
fn a_message_is_kept_while_the_primary_of_its_device_is_away() {
    const CONFIG: &str = "[queue]\nenabled = true\ncount = 1\nlease = \"3s\"\n";
    let broker = Broker::start();
    let mut cluster = Cluster::start_with(&["cluster-require-full-coverage no"]);
    let queue = primary_of(&cluster, "ingest:0");
    let device = (0..).map(device);
    let mut device = device.map(|device| (primary_of(&cluster, &device), device));
    let (away, device) = device.find(|(primary, _)| *primary != queue).unwrap();
    let _receiver = Bridge::start(&broker.url(), &cluster.url(), CONFIG);
    let processor = Bridge::process(&[], &cluster.url(), CONFIG);
    processor.freeze();
    broker.publish(&heartbeat(&device), "");
    let left = |cluster: &Cluster| cluster.query::<i64>(&["XLEN", "ingest:0"]);
    wait_until("it is in the queue", || left(&cluster) == 1);
    // Without its replica nobody takes its place.
    cluster.nodes[away + 3].kill();
    cluster.nodes[away].kill();
    processor.thaw();
    let node = &cluster.nodes[queue];
    wait_until("the lease is renewed", || touches(node) >= 1);
    let delivered = deliveries(node);
    wait_until("it is renewed again and again", || touches(node) >= 6);
    assert_eq!(deliveries(node), delivered);
    cluster.nodes[away].resume();
    wait_until("it is applied", || left(&cluster) == 0);
    assert_ne!(cluster.command(&["DEVICE.GET", &device]), Value::Nil);
}

/// Which of the first nodes has the slot of the key, or of the device with this id.
fn primary_of(cluster: &Cluster, key: &str) -> usize {
    let slot: usize = cluster.nodes[0].query(&["CLUSTER", "KEYSLOT", key]);
    (0..3).rfind(|at| slot >= 16_384 * at / 3).unwrap()
}

/// How often the node was asked to renew leases.
fn touches(node: &Server) -> u32 {
    let stats: String = node.query(&["INFO", "commandstats"]);
    let calls = stats.to_lowercase();
    let calls = calls.split("cmdstat_queue.touch:calls=").nth(1);
    let calls = calls.and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// How often the only message of the queue was delivered.
fn deliveries(node: &Server) -> Value {
    let pending: Vec<BTreeMap<String, Value>> = node.query(&["QUEUE.PENDING", "ingest:0"]);
    pending[0]["deliveries"].clone()
}

#[test]
fn dead_letters_are_replayed() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let _bridge = Bridge::start(&broker.url(), &cluster.url(), "");
    let wrong = r#"{"reported":{"n":1}"#;
    for device in ["a", "b", "c", "d"] {
        let payload = format!("{{\"reported\":{{\"{}\":1}}}}", "x".repeat(70_000));
        broker.publish(&format!("devices/{device}/reported"), payload);
    }
    broker.publish("devices/e/reported", wrong);
    let left = || cluster.query::<i64>(&["XLEN", "bridge:dead-letters"]);
    wait_until("they are kept", || left() == 5);
    for node in &cluster.nodes {
        node.command(&["CONFIG", "SET", "devicestate.max-document-bytes", "1000000"]);
    }
    let (status, told) = run(&["replay", "--redis", &cluster.url()]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("4 replayed, 1 left"), "{told}");
    assert_eq!(left(), 1);
    for device in ["a", "b", "c", "d"] {
        assert!(cluster
            .query::<Option<String>>(&["DEVICE.SHADOW.GET", device])
            .is_some());
    }
}

#[test]
fn check_looks_at_each_node() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    for node in 0..cluster.nodes.len() {
        set_user(&cluster, node, RULES);
    }
    cluster.wait_until_replicas_are_listed();
    let url = cluster.url().replace("//", "//bridge:pass@");
    let (status, found) = run(&["check", "--mqtt", &broker.url(), "--redis", &url]);
    assert_eq!(status, Some(0), "{found}");
    for node in &cluster.nodes[..3] {
        for line in [
            "answers",
            "may run DEVICE.HEARTBEAT",
            "may run EVAL",
            "may run CLUSTER SLOTS",
        ] {
            let line = format!("ok    Redis 127.0.0.1:{}: {line}", node.port);
            assert!(found.contains(&line), "no {line:?} in:\n{found}");
        }
        assert_eq!(node.query::<i64>(&["DBSIZE"]), 0);
    }
    for node in &cluster.nodes[3..] {
        let line = format!(
            "ok    Redis 127.0.0.1:{} (replica): may run DEVICE.EVENTS",
            node.port
        );
        assert!(found.contains(&line), "no {line:?} in:\n{found}");
    }
    // That is all it takes.
    let subscriber = Subscriber::start(&broker, &["devices/#"]);
    let _bridge = Bridge::start(&broker.url(), &url, ON);
    broker.publish("devices/a/heartbeat", "");
    cluster.command(&["DEVICE.SHADOW.SET", "a", r#"{"on":true}"#]);
    subscriber.wait_for("devices/a/delta", r#"{"version":1,"delta":{"on":true}}"#);

    set_user(&cluster, 1, "-xadd -device.events");
    // What would come to light only when it is a primary.
    set_user(&cluster, 4, "-device.heartbeat");
    let (status, found) = run(&["check", "--mqtt", &broker.url(), "--redis", &url]);
    assert_eq!(status, Some(1), "{found}");
    for command in ["XADD", "DEVICE.EVENTS"] {
        let line = format!(
            "FAIL  Redis 127.0.0.1:{}: {command}: NOPERM",
            cluster.nodes[1].port
        );
        assert!(found.contains(&line), "no {line:?} in:\n{found}");
    }
    let replica = cluster.nodes[4].port;
    let line = format!("FAIL  Redis 127.0.0.1:{replica} (replica): DEVICE.HEARTBEAT: NOPERM");
    assert!(found.contains(&line), "no {line:?} in:\n{found}");
    assert_eq!(found.matches("FAIL").count(), 3, "{found}");
}

#[test]
fn check_tells_a_node_that_is_addressed_alone() {
    let (broker, cluster) = (Broker::start(), Cluster::start());
    let url = cluster.nodes[0].url();
    let (status, found) = run(&["check", "--mqtt", &broker.url(), "--redis", &url]);
    assert_eq!(status, Some(1), "{found}");
    let told = "is a node of a cluster: its address is redis+cluster://host:port";
    assert!(found.contains(told), "{found}");
}

#[test]
fn all_nodes_are_spoken_to_by_tls() {
    let authority = Authority::new();
    let (theirs, own) = (authority.issue("them"), authority.issue("bridge"));
    let ports = RefCell::new(Vec::new());
    let cluster = Cluster::start_each(|| {
        let port = free_port();
        ports.borrow_mut().push(port);
        vec![
            "tls-cluster yes".to_owned(),
            "tls-replication yes".to_owned(),
            format!("tls-port {port}"),
            format!("tls-cert-file {}", theirs.cert),
            format!("tls-key-file {}", theirs.key),
            format!("tls-ca-cert-file {}", authority.ca()),
        ]
    });
    let broker = Broker::start();
    // One of them leads to the others.
    let url = format!("rediss+cluster://localhost:{}", ports.borrow()[4]);
    let config = format!(
        "[redis.tls]\nca = {:?}\ncert = {:?}\nkey = {:?}\n",
        authority.ca(),
        own.cert,
        own.key
    );
    let bridge = Bridge::start(&broker.url(), &url, &config);
    publish_all(&broker, 10);
    wait_for_all(&cluster, 10);
    let named = |port: &u16| bridge.count(&format!("127.0.0.1:{port}")) > 0;
    assert!(ports.borrow()[..3].iter().all(named));
}
