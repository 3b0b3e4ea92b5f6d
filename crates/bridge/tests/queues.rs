//! Queue mode: a receiver that puts messages into queues of a real server, and processors that apply
//! them. Whatever happens to a processor, each message is applied, and in order for its device.

mod support;

use redis::Value;
use std::collections::BTreeMap;
use support::bridge::Bridge;
use support::broker::Broker;
use support::monitor::Monitor;
use support::server::Server;
use support::{heartbeat, numbered, wait_until};

/// Of the receiver and of processors. Four queues, so that each has messages of several devices.
const CONFIG: &str = "
    [queue]
    enabled = true
    count = 4
    lease = \"1s\"
";

/// One queue, and leases that never end while a test runs.
const ONE: &str = "
    [queue]
    enabled = true
    count = 1
    lease = \"1h\"
    max_deliveries = 3
";

fn stat(server: &Server, queue: usize, field: &str) -> i64 {
    let key = format!("ingest:{queue}");
    let stat: BTreeMap<String, Option<i64>> = server.query(&["QUEUE.STAT", &key]);
    stat[field].unwrap_or(0)
}

fn held(server: &Server, queue: usize) -> i64 {
    server.query(&["XLEN", &format!("ingest:{queue}")])
}

fn all_held(server: &Server) -> i64 {
    (0..4).map(|queue| held(server, queue)).sum()
}

fn is_known(server: &Server, device: &str) -> bool {
    server.command(&["DEVICE.GET", device]) != Value::Nil
}

fn dead_letters(server: &Server) -> Vec<BTreeMap<String, String>> {
    let entries: Vec<(String, BTreeMap<String, String>)> =
        server.query(&["XRANGE", "bridge:dead-letters", "-", "+"]);
    entries.into_iter().map(|(_, fields)| fields).collect()
}

/// Publishes numbered heartbeats of `devices` devices side by side.
fn publish_numbered(broker: &Broker, devices: usize, each: usize) {
    std::thread::scope(|scope| {
        for device in 0..devices {
            let topic = heartbeat(&format!("d{device}"));
            scope.spawn(move || broker.publish_lines(&topic, (1..=each).map(numbered)));
        }
    });
}

#[test]
fn a_message_waits_in_the_queue_until_a_processor_applies_it() {
    let (broker, server) = (Broker::start(), Server::start());
    let mut receiver = Bridge::start(&broker.url(), &server.url(), ONE);
    let report = r#"{"reported":{"temp":21.50}}"#;
    broker.publish("devices/a/reported", report);
    wait_until("it is in the queue", || held(&server, 0) == 1);
    assert!(!is_known(&server, "a"));
    let processor = Bridge::process(&[], &server.url(), ONE);
    wait_until("it is applied", || is_known(&server, "a"));
    wait_until("the queue is empty", || held(&server, 0) == 0);
    let shadow: String = server.query(&["DEVICE.SHADOW.GET", "a"]);
    assert!(shadow.contains("21.5"), "{shadow}");
    receiver.terminate();
    let (status, summary) = receiver.exit();
    assert_eq!(status, Some(0));
    assert!(summary.contains("applied 0,"), "{summary}");
    assert!(summary.contains("queued 1,"), "{summary}");
    drop(processor);
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_and_the_others_flow() {
    let (broker, server) = (Broker::start(), Server::start());
    let _receiver = Bridge::start(&broker.url(), &server.url(), ONE);
    broker.publish(&heartbeat("a"), "");
    let content_type = ["-q", "1", "-D", "publish", "content-type", "text/plain"];
    broker.publish_as(&content_type, &heartbeat("broken"), "{");
    broker.publish("devices/b%/heartbeat", "");
    broker.publish(
        "devices/c/reported",
        r#"{"reported":{"a":{"b":1}},"seq":1}"#,
    );
    broker.publish(&heartbeat("z"), "");
    let _processor = Bridge::process(&[], &server.url(), ONE);
    wait_until("the last one is applied", || is_known(&server, "z"));
    wait_until("the queue is empty", || held(&server, 0) == 0);
    assert!(is_known(&server, "a"));
    let dead = dead_letters(&server);
    let of = |topic: &str| dead.iter().find(|fields| fields["topic"] == topic).unwrap();
    let broken = of("devices/broken/heartbeat");
    assert_eq!(broken["device"], "broken");
    assert_eq!(broken["payload"], "{");
    assert_eq!(broken["content_type"], "text/plain");
    assert!(broken["reason"].contains("is not accepted"), "{broken:?}");
    assert!(of("devices/c/reported")["reason"].contains("\"seq\" needs"));
    // The receiver sees by itself that this one is nobody's.
    assert!(!of("devices/b%/heartbeat").contains_key("device"));
    assert_eq!(dead.len(), 3);
}

/// What somebody waits for is done at once, without a processor.
#[test]
fn what_is_answered_does_not_wait_in_a_queue() {
    let (broker, server) = (Broker::start(), Server::start());
    let config = format!("profiles = [\"native\", \"aws-shadow\"]\n{ONE}");
    let mut receiver = Bridge::start(&broker.url(), &server.url(), &config);
    let wish = r#"{"state":{"desired":{"on":true}}}"#;
    broker.publish("$aws/things/lamp/shadow/update", wish);
    wait_until("the wish is applied", || is_known(&server, "lamp"));
    let command: String = server.query(&["DEVICE.COMMAND", "lamp", r#"{"do":"blink"}"#]);
    broker.publish("devices/lamp/get", "");
    broker.publish(&format!("devices/lamp/commands/{command}/result"), "");
    let list = || format!("{:?}", server.command(&["DEVICE.COMMAND.LIST", "lamp"]));
    wait_until("the command is done", || list().contains("outcome"));
    broker.publish(&heartbeat("lamp"), "");
    wait_until("the heartbeat waits", || held(&server, 0) == 1);
    receiver.terminate();
    let summary = receiver.exit().1;
    assert!(summary.contains("refused 0,"), "{summary}");
    assert!(summary.contains("queued 1,"), "{summary}");
}

/// What `docs/bridge.md` says their users need.
#[test]
fn the_permissions_of_the_page_are_enough() {
    // And client|setinfo, which Redis 7.0 does not know.
    const CONNECTION: &str = "+ping +client|setname +client|id +client|list +client|kill";
    let (broker, server) = (Broker::start(), Server::start());
    let users = [
        format!("receiver on >pw {CONNECTION} +queue.add +xadd ~ingest:* ~bridge:dead-letters"),
        format!(
            "processor on >pw {CONNECTION} +device.heartbeat +device.offline +xadd ~* \
             +queue.get +queue.ack +queue.touch +queue.nack +queue.pending"
        ),
    ];
    for user in &users {
        let words = ["ACL", "SETUSER"].into_iter();
        server.command(&words.chain(user.split_whitespace()).collect::<Vec<_>>());
    }
    let url = |user: &str| server.url().replace("://", &format!("://{user}:pw@"));
    let receiver = Bridge::start(&broker.url(), &url("receiver"), ONE);
    broker.publish("devices/b%/heartbeat", "");
    broker.publish(&heartbeat("broken"), "{");
    broker.publish(&heartbeat("a"), "");
    let processor = Bridge::process(&[], &url("processor"), ONE);
    wait_until("it is applied", || is_known(&server, "a"));
    wait_until("the queue is empty", || held(&server, 0) == 0);
    assert_eq!(dead_letters(&server).len(), 2);
    for bridge in [receiver, processor] {
        assert_eq!(bridge.count("NOPERM"), 0);
    }
}

/// The receiver holds what finds no room, and the broker holds the rest.
#[test]
fn a_full_queue_holds_messages_back_and_loses_none() {
    let (broker, server) = (Broker::start(), Server::start());
    let config = format!("{CONFIG}maxlen = 10\n");
    let receiver = Bridge::start(&broker.url(), &server.url(), &config);
    let monitor = Monitor::start(&server);
    publish_numbered(&broker, 8, 100);
    receiver.wait_for("QUEUEFULL");
    assert!((0..4).all(|queue| held(&server, queue) <= 10));
    let _processor = Bridge::process(&[], &server.url(), &config);
    wait_until("all are applied", || monitor.distinct() == 800);
    wait_until("the queues are empty", || all_held(&server) == 0);
    monitor.assert_in_order(8, 100);
}

/// What a dead processor had comes to another one, which goes on where that one was.
#[test]
fn processors_that_are_killed_lose_nothing_and_keep_the_order() {
    kill_processors(8, 625, 500);
}

mod full_size {
    #[test]
    fn slow_processors_killed_every_second_lose_none_of_100_000() {
        super::kill_processors(16, 6250, 0);
    }
}

/// Four processors; one after the other is killed whenever `step` more messages are applied (0: every
/// second), and started again.
fn kill_processors(devices: usize, each: usize, step: usize) {
    let (broker, server) = (Broker::start(), Server::start());
    let config = format!("{CONFIG}[redis]\nbatch = 64\n");
    let _receiver = Bridge::start(&broker.url(), &server.url(), &config);
    let monitor = Monitor::start(&server);
    let start = || Bridge::launch_processor(&[], &server.url(), &config);
    let mut processors: Vec<Bridge> = (0..4).map(|_| start()).collect();
    let (all, mut kills) = (devices * each, 0);
    std::thread::scope(|scope| {
        let published = scope.spawn(|| publish_numbered(&broker, devices, each));
        let begin = std::time::Instant::now();
        loop {
            let enough = |kills: usize| match step {
                0 => begin.elapsed().as_secs() as usize > kills,
                step => monitor.distinct() > kills * step,
            };
            wait_until("messages are applied", || {
                monitor.distinct() == all || enough(kills)
            });
            if monitor.distinct() == all && published.is_finished() {
                break;
            }
            let one = &mut processors[kills % 4];
            one.kill();
            *one = start();
            kills += 1;
        }
    });
    wait_until("the queues are empty", || all_held(&server) == 0);
    monitor.assert_in_order(devices, each);
    assert!((0..4).all(|queue| stat(&server, queue, "dead") == 0));
    let repeated = monitor.all() - all;
    println!("{all} messages, {kills} processors killed, {repeated} applied again");
    assert!(step == 0 || kills >= all / step - 1, "{kills}");
}

/// A message that its processors die of. The test plays the killer: it ends each processor that has
/// the message, which this user may not apply.
#[test]
fn a_message_that_kills_is_dead_after_exactly_max_deliveries() {
    let (broker, server) = (Broker::start(), Server::start());
    let user = "ACL SETUSER victim on >pw ~* &* +@all -device.offline";
    server.command(&user.split(' ').collect::<Vec<_>>());
    let victim = server.url().replace("://", "://victim:pw@");
    let _receiver = Bridge::start(&broker.url(), &server.url(), ONE);
    let monitor = Monitor::start(&server);
    broker.publish_lines(&heartbeat("before"), (1..=20).map(numbered));
    broker.publish("devices/killer/will", "");
    broker.publish_lines(&heartbeat("behind"), (1..=20).map(numbered));
    wait_until("all are in the queue", || held(&server, 0) == 41);

    let deliveries = || {
        let pending: Vec<BTreeMap<String, Value>> =
            server.query(&["QUEUE.PENDING", "ingest:0", "COUNT", "100"]);
        let counts = pending.iter().map(|row| match row["deliveries"] {
            Value::Int(count) => count,
            _ => 0,
        });
        counts.max().unwrap_or(0)
    };
    for delivery in 1..=3 {
        let flags = ["--worker", "one"];
        let mut processor = Bridge::launch_processor(&flags, &victim, ONE);
        processor.wait_for("device.offline");
        wait_until("it has the killer", || deliveries() == delivery);
        processor.kill();
    }
    assert_eq!(stat(&server, 0, "dead"), 0);
    // Under the same name, it need not wait for the end of the lease.
    let _healthy = Bridge::process(&["--worker", "one"], &server.url(), ONE);
    wait_until("the others flow", || monitor.distinct() == 40);
    wait_until("only the dead one is left", || held(&server, 0) == 1);
    assert_eq!(stat(&server, 0, "dead"), 1);
    assert_eq!(deliveries(), 3);
    assert!(!is_known(&server, "killer"));
    monitor.assert_in_order(2, 20);
}

/// A stop finishes what is in hand, and a processor that starts has nothing to repeat.
#[test]
fn a_stop_repeats_nothing() {
    let (broker, server) = (Broker::start(), Server::start());
    let config = CONFIG.replace("1s", "1h");
    let _receiver = Bridge::start(&broker.url(), &server.url(), &config);
    let monitor = Monitor::start(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_numbered(&broker, 8, 500));
        for stops in 1..=5 {
            let mut processor = Bridge::process(&[], &server.url(), &config);
            let some = stops * 500;
            wait_until("some are applied", || monitor.distinct() > some);
            processor.terminate();
            assert_eq!(processor.exit().0, Some(0));
        }
    });
    let _processor = Bridge::process(&[], &server.url(), &config);
    wait_until("all are applied", || monitor.distinct() == 4000);
    wait_until("the queues are empty", || all_held(&server) == 0);
    monitor.assert_in_order(8, 500);
    assert_eq!(monitor.all(), 4000);
}

/// One that was stalled for longer than its lease finds that others have gone on.
#[test]
fn a_processor_that_was_stalled_takes_nothing_back() {
    let (broker, server) = (Broker::start(), Server::start());
    let config = format!("{}\n[redis]\nbatch = 10\n", ONE.replace("1h", "1s"));
    let _receiver = Bridge::start(&broker.url(), &server.url(), &config);
    let monitor = Monitor::start(&server);
    broker.publish_lines(&heartbeat("d0"), (1..=2000).map(numbered));
    wait_until("all are in the queue", || held(&server, 0) == 2000);
    let stalled = Bridge::process(&[], &server.url(), &config);
    wait_until("it works", || monitor.distinct() > 20);
    stalled.freeze();
    let before = monitor.distinct();
    let _other = Bridge::process(&[], &server.url(), &config);
    wait_until("the other one goes on", || monitor.distinct() > before + 20);
    stalled.thaw();
    wait_until("all are applied", || monitor.distinct() == 2000);
    wait_until("the queue is empty", || held(&server, 0) == 0);
    monitor.assert_in_order(1, 2000);
}

/// What is in hand stays there while the server puts it off or is away: a single delivery is enough.
#[test]
fn a_server_that_restarts_costs_no_deliveries() {
    let user = "user late on >pw ~* &* +@all -device.heartbeat";
    let (broker, mut server) = (Broker::start(), Server::start_with(&[user]));
    let config = ONE.replace("max_deliveries = 3", "max_deliveries = 1");
    let _receiver = Bridge::start(&broker.url(), &server.url(), &config);
    broker.publish_lines(&heartbeat("a"), (1..=500).map(numbered));
    wait_until("all are in the queue", || held(&server, 0) == 500);
    let late = server.url().replace("://", "://late:pw@");
    let processor = Bridge::launch_processor(&[], &late, &config);
    for _ in 0..3 {
        let put_off = || processor.count("NOPERM");
        let before = put_off();
        wait_until("it tries", || put_off() > before + 1);
        server.stop();
        let waits = || processor.count("the queue ingest:0 waits");
        let before = waits();
        wait_until("it notices", || waits() > before);
        server.resume();
    }
    let monitor = Monitor::start(&server);
    server.command(&["ACL", "SETUSER", "late", "+device.heartbeat"]);
    wait_until("the queue is empty", || held(&server, 0) == 0);
    monitor.assert_in_order(1, 500);
}

#[test]
fn wrong_settings_end_it_with_one_line() {
    let mut processor =
        Bridge::launch_processor(&["--queues", "0-4"], "redis://127.0.0.1:1", CONFIG);
    let (status, line) = processor.exit();
    assert_eq!(status, Some(2));
    assert!(line.ends_with("--queues names 4; with queue.count 4 the last one is 3"));
}
