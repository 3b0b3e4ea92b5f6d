//! Clients that wait for the next event, what wakes them, and how their waiting ends.

use std::time::Duration;

use super::*;

/// A client that waits in DEVICE.EVENTS.
pub fn waiting(server: &Server, words: &[&str]) -> Raw {
    let mut con = server.connection();
    let before = blocked(&mut con);
    let mut raw = Raw::connect(server);
    raw.send_args(&[&["DEVICE.EVENTS"], words].concat());
    wait_until_blocked(&mut con, before + 1);
    raw
}

fn blocked(con: &mut Connection) -> i64 {
    server_info(con, "clients", "blocked_clients")
}

#[track_caller]
fn wait_until_blocked(con: &mut Connection, clients: i64) {
    wait_for(&format!("{clients} clients wait"), SOON, || {
        blocked(con) == clients
    });
}

impl Raw {
    /// What the client that waited got at last.
    pub fn value_of_reply(&mut self) -> redis::Value {
        redis::parse_redis_value(&self.read()).expect("a reply")
    }
}

/// The devices that the client is told of.
#[track_caller]
fn told(client: &mut Raw) -> Vec<String> {
    let read = Read::of(&client.value_of_reply());
    let devices = read.devices().into_iter();
    devices.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_step_wakes() {
    let server = Server::builder().module_arg("restart-grace", 0).start();
    server.settle();
    let mut con = server.connection();
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(con, "DEVICE.HEARTBEAT a TIMEOUT 300").items();
    assert_eq!(told(&mut client), ["a", "a"]);
    // Told by the timer.
    let mut client = waiting(&server, &["BLOCK", "1h", "AFTER", "$"]);
    let read = Read::of(&client.value_of_reply());
    assert_eq!(read.entries[0].1["reason"], "timeout");
    let cursor = read.cursor;
    // All of a transaction comes together.
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", &cursor]);
    cmd!(con, "MULTI").text();
    cmd!(con, "DEVICE.HEARTBEAT b TIMEOUT 0").text();
    cmd!(con, "DEVICE.OFFLINE b").text();
    cmd!(con, "EXEC").items();
    assert_eq!(told(&mut client), ["b", "b", "b"]);
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", "$"]);
    cmd!(con, "EVAL", "redis.call('DEVICE.REMOVE', KEYS[1])", 1, "b").value();
    assert_eq!(told(&mut client), ["b"]);
    // Hands that know of no devices.
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", "$"]);
    cmd!(con, "XADD devices:events * device_id c").text();
    assert_eq!(told(&mut client), ["c"]);
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", "$"]);
    cmd!(con, "QUEUE.ADD devices:events x").text();
    let read = Read::of(&client.value_of_reply());
    assert_eq!(read.entries.len(), 1);
}

#[test]
fn what_is_there_is_not_waited_for() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT a").items();
    assert_eq!(read(&mut con, "BLOCK 0").devices(), ["a", "a"]);
}

#[test]
fn nobody_waits_in_transactions_and_scripts() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    cmd!(con, "DEVICE.EVENTS AFTER $ BLOCK 0").text();
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(Read::of(&replies[0]).entries.len(), 0);
    let script = "return redis.call('DEVICE.EVENTS', 'BLOCK', '0')";
    let reply = cmd!(con, "EVAL", script, 0);
    assert_eq!(Read::of(&reply).cursor, "0-0");
}

#[test]
fn it_ends_with_the_cursor_and_nothing_when_the_time_is_over() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT a").items();
    let newest = read(&mut con, "").cursor;
    let start = now_ms();
    let page = read(&mut con, "AFTER $ BLOCK 300ms");
    assert_eq!((page.cursor, page.entries.len()), (newest, 0));
    assert!(now_ms() >= start + 300, "after {} ms", now_ms() - start);
    assert_eq!(blocked(&mut con), 0);
}

/// Times of all lengths, each of which ends by itself, in whatever order.
#[test]
fn each_waits_for_its_own_time() {
    let server = Server::start();
    let mut con = server.connection();
    let mut for_ever = waiting(&server, &["BLOCK", "0"]);
    let lengths = [900, 300, 600];
    let start = now_ms();
    let clients = lengths.map(|ms: i64| waiting(&server, &["BLOCK", &ms.to_string()]));
    for (mut client, ms) in clients.into_iter().zip(lengths) {
        assert_eq!(told(&mut client), [""; 0]);
        assert!(now_ms() >= start + ms, "{ms}");
    }
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    assert_eq!(told(&mut for_ever), ["a"]);
}

/// An event that is not behind its cursor is none that it waits for.
#[test]
fn who_waits_for_later_events_waits_on() {
    let server = Server::start();
    let mut con = server.connection();
    let later = format!("{}-0", now_ms() + 100_000);
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", &later]);
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    let behind = format!("{}-1", now_ms() + 100_000);
    cmd!(con, "XADD", "devices:events", behind, "device_id", "b").text();
    assert_eq!(told(&mut client), ["b"]);
}

#[test]
fn clients_are_unblocked_killed_and_disconnect() {
    let server = Server::start();
    let mut con = server.connection();
    let id_of = |con: &mut Connection| {
        let list = cmd!(con, "CLIENT LIST").text();
        let line = list.lines().find(|line| line.contains("cmd=device.events"));
        let id = line.and_then(|line| line.split(['=', ' ']).nth(1));
        id.expect("a client that waits").to_owned()
    };
    let mut client = waiting(&server, &["BLOCK", "0", "AFTER", "7-7"]);
    let id = id_of(&mut con);
    assert_eq!(cmd!(con, "CLIENT UNBLOCK", id).int(), 1);
    let read = Read::of(&client.value_of_reply());
    assert_eq!((read.cursor.as_str(), read.entries.len()), ("7-7", 0));
    // It goes on as any other client.
    assert_eq!(client.call(&["PING"]), b"+PONG\r\n");

    let mut client = waiting(&server, &["BLOCK", "0"]);
    let id = id_of(&mut con);
    assert_eq!(cmd!(con, "CLIENT UNBLOCK", id, "ERROR").int(), 1);
    assert!(client.read().starts_with(b"-UNBLOCKED"));
    assert_eq!(client.call(&["PING"]), b"+PONG\r\n");

    let _killed = waiting(&server, &["BLOCK", "0"]);
    let id = id_of(&mut con);
    assert_eq!(cmd!(con, "CLIENT KILL ID", id).int(), 1);
    drop(waiting(&server, &["BLOCK", "0"]));
    drop(waiting(&server, &["BLOCK", "1h"]));
    wait_until_blocked(&mut con, 0);
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    assert_eq!(told(&mut client), ["a"]);
    assert_eq!(client.call(&["PING"]), b"+PONG\r\n");
}

#[test]
fn who_waits_on_a_server_that_becomes_a_replica_is_told() {
    let server = Server::start();
    let master = Server::start();
    let mut con = server.connection();
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(con, "REPLICAOF", "127.0.0.1", master.port()).text();
    assert!(client.read().starts_with(b"-UNBLOCKED"));
    // It is not answered a second time, and those that come are served.
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(master.connection(), "DEVICE.REGISTER a sensor").int();
    assert_eq!(told(&mut client), ["a"]);
}

#[test]
fn a_key_of_another_type_is_waited_out() {
    let server = Server::start();
    let mut con = server.connection();
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(con, "HSET devices:events a b").int();
    cmd!(con, "RENAME devices:events elsewhere").text();
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    assert_eq!(told(&mut client), ["a"]);
}

/// A stream that comes as a whole, too, has something for them.
#[test]
fn streams_that_come_wake() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    let dump = cmd!(con, "DUMP devices:events").bytes();
    for how in ["rename", "restore", "copy"] {
        cmd!(con, "FLUSHALL").text();
        cmd!(con, "RESTORE", "kept", 0, &dump).text();
        let mut client = waiting(&server, &["BLOCK", "0"]);
        match how {
            "rename" => drop(cmd!(con, "RENAME kept devices:events").text()),
            "copy" => drop(cmd!(con, "COPY kept devices:events").int()),
            _ => drop(cmd!(con, "RESTORE", "devices:events", 0, &dump).text()),
        }
        assert_eq!(told(&mut client), ["a"], "{how}");
    }
}

#[test]
fn a_database_that_is_swapped_in_wakes() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    cmd!(con, "SWAPDB 0 1").text();
    let mut client = waiting(&server, &["BLOCK", "0"]);
    cmd!(con, "SWAPDB 0 1").text();
    assert_eq!(told(&mut client), ["a"]);
}

#[test]
fn a_copy_of_another_server_wakes() {
    let (server, master) = (Server::start(), Server::start());
    cmd!(master.connection(), "DEVICE.REGISTER a sensor").int();
    // Its copy comes only when somebody waits.
    master.stop();
    let mut con = server.connection();
    cmd!(con, "REPLICAOF", "127.0.0.1", master.port()).text();
    let mut client = waiting(&server, &["BLOCK", "0"]);
    master.cont();
    assert_eq!(told(&mut client), ["a"]);
}

/// Each is answered once, also those that come and go meanwhile.
#[test]
fn a_thousand_clients_wait_for_one_event() {
    let server = Server::builder().config("maxclients", 5_000).start();
    let mut con = server.connection();
    let mut clients: Vec<Raw> = (0..1_000)
        .map(|number| {
            let mut raw = Raw::connect(&server);
            let timeout = if number % 2 == 0 { "0" } else { "1h" };
            raw.send_args(&["DEVICE.EVENTS", "AFTER", "$", "BLOCK", timeout]);
            raw
        })
        .collect();
    wait_until_blocked(&mut con, 1_000);
    for _ in 0..300 {
        clients.pop();
    }
    cmd!(con, "DEVICE.REGISTER a sensor").int();
    for client in &mut clients {
        assert_eq!(told(client), ["a"]);
        assert_eq!(client.call(&["PING"]), b"+PONG\r\n");
    }
    wait_until_blocked(&mut con, 0);
}

/// A consumer that always waits, under load, with times that end in the midst of it: each event once.
#[test]
fn a_consumer_that_waits_misses_nothing() {
    let server = Server::start();
    let is_over = Over::default();
    thread::scope(|scope| {
        let _set = is_over.on_drop();
        let consumer = scope.spawn(|| {
            let mut con = server.connection();
            let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
            loop {
                let was_over = is_over.is_set();
                let page = read(&mut con, &format!("AFTER {cursor} COUNT 10 BLOCK 2"));
                if page.entries.is_empty() && was_over {
                    return found;
                }
                (cursor, found) = (page.cursor, [found, page.entries].concat());
            }
        });
        let mut con = server.connection();
        for round in 0..200 {
            let id = format!("d-{}", round % 10);
            cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", 0).items();
            thread::sleep(Duration::from_millis(round % 4));
            cmd!(con, "DEVICE.OFFLINE", &id).int();
        }
        is_over.set();
        assert_eq!(consumer.join().expect("the consumer"), whole(&mut con));
    });
}
