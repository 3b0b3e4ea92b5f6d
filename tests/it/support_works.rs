//! The test support itself, on plain servers.

use std::time::Duration;

use crate::support::*;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn replies_are_read_and_errors_expected() {
    let server = Server::builder().without_module().start();
    let mut con = server.connection();
    assert_eq!(cmd!(con, "SET", "a", 7).text(), "OK");
    assert_eq!(cmd!(con, "GET", "a").int(), 7);
    assert!(cmd!(con, "GET", "b").is_nil());
    assert_eq!(cmd!(con, "HSET", "h", "x", 1, "y", "{\"z\":[2]}").int(), 2);
    assert_eq!(cmd!(con, "HGETALL", "h").fields()["y"].json()["z"][0], 2);
    assert_eq!(
        cmd!(con, "CONFIG GET", "notify-keyspace-events")
            .at(1)
            .text()
            .len(),
        3
    );
    let borrowed = &mut con;
    assert_eq!(cmd!(borrowed, "HGETALL", "h").text_fields()["x"], "1");
    assert_eq!(
        cmd!(server.connection_resp3(), "HGETALL", "h").text_fields()["x"],
        "1"
    );
    assert_eq!(cmd!(server.connection_to_db(3), "DBSIZE").int(), 0);
    expect_error(&mut con, &["LPUSH", "a", "1"], "WRONGTYPE", "wrong kind");
    expect_error(
        &mut con,
        &[b"SETEX".as_slice(), b"a", b"\xff\0", b"1"],
        "ERR",
        "not an integer",
    );
}

#[test]
fn raw_bytes_go_out_and_come_back() {
    let server = Server::builder()
        .without_module()
        .config("requirepass", "secret")
        .start();
    let mut raw = Raw::connect(&server);
    assert_eq!(
        raw.call(&[b"SET".as_slice(), b"k\0\xff", b"\r\n"]),
        b"+OK\r\n"
    );
    assert_eq!(
        raw.call(&[b"GET".as_slice(), b"k\0\xff"]),
        b"$2\r\n\r\n\r\n"
    );
    assert_eq!(raw.value(&["STRLEN", "nope"]).int(), 0);
    assert!(raw.value(&["NOPE"]).is_err());
    raw.send(b"PING\r\n");
    assert_eq!(raw.read(), b"+PONG\r\n");
}

#[test]
fn a_snapshot_shows_every_change() {
    let server = Server::builder().without_module().start();
    let mut con = server.connection();
    for line in [
        "SET s 1",
        "HSET h b 2 a 1",
        "SADD m y x",
        "ZADD z 2 b 1 a",
        "RPUSH l 3 1 2",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "SET t 1 PX 100000",
    ] {
        assert!(cmd!(con, line).is_ok());
    }
    let before = snapshot(&mut con);
    assert_eq!(before["h"], ["hash", "a: 1", "b: 2"]);
    assert_eq!(before["z"], ["zset", "a: 1", "b: 2"]);
    assert_eq!(before["l"], ["list", "3", "1", "2"]);
    assert_eq!(before["t"], ["string, expires", "1"]);
    let with_expiry = snapshot_with_expiry(&mut con);
    assert_eq!(before, snapshot(&mut con));

    assert!(cmd!(con, "PEXPIRE", "t", 200_000).is_ok());
    assert_eq!(before, snapshot(&mut con));
    assert_ne!(with_expiry, snapshot_with_expiry(&mut con));
    assert!(cmd!(con, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">").is_ok());
    assert_ne!(before["x"], snapshot(&mut con)["x"]);
}

#[test]
fn a_subscriber_loses_nothing_of_200_000_at_once() {
    let server = Server::builder().without_module().start();
    let names = Subscriber::channels(&server, &["other", "news"]);
    let patterns = Subscriber::patterns(&server, &["n*"]);
    let mut con = server.connection();
    let burst = "for i = 1, 200000 do redis.call('PUBLISH', 'news', i) end";
    assert!(cmd!(con, "EVAL", burst, 0).is_ok());
    for subscriber in [&names, &patterns] {
        let messages = subscriber.wait_for_count(200_000, SOON);
        let in_order = messages
            .iter()
            .enumerate()
            .all(|(i, m)| m.payload == (i + 1).to_string());
        assert!(in_order && messages.len() == 200_000);
        assert_eq!(messages[0].channel, "news");
    }
}

#[test]
fn a_server_restarts_in_its_place_with_its_data() {
    let builder = Server::builder().without_module();
    let mut server = builder
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start();
    let (port, pid) = (server.port(), server.pid());
    assert!(cmd!(server.connection(), "SET", "a", 1).is_ok());
    server.kill_hard();
    assert!(!server.is_alive());
    server.restart();
    assert_eq!(cmd!(server.connection(), "GET", "a").int(), 1);
    server.restart();
    assert_eq!(cmd!(server.connection(), "GET", "a").int(), 1);
    assert!(server.port() == port && server.pid() != pid);
    server.stop();
    assert!(server.is_alive());
    server.cont();
    server.terminate();
    assert!(server.exit_status().is_some_and(|status| status.success()));
    assert!(server.log().contains("bye bye"));
}

#[test]
fn a_server_that_refuses_to_start_says_why() {
    let refused = Server::builder()
        .without_module()
        .config("maxmemory", "much")
        .try_start();
    let log = refused.err().expect("no server with that setting");
    assert!(log.contains("maxmemory"), "{log}");
}

#[test]
fn a_stream_is_read_whole() {
    let server = Server::builder().without_module().start();
    let mut con = server.connection();
    let fill = "for i = 1, 25000 do redis.call('XADD', 'devices:events', '1-' .. i, 'type', \
                i % 2 == 0 and 'online' or 'offline', 'device_id', 'd' .. i % 10) end";
    assert!(cmd!(con, "EVAL", fill, 0).is_ok());
    let all = events(&mut con);
    assert_eq!(all.len(), 25_000);
    assert_eq!(all.of_type("online").of_device("d4").len(), 2_500);
    assert_eq!(events_of(&mut con, "d3")[0].id, "1-3");
    assert!(stream(&mut con, "nope").is_empty());
}

#[test]
fn a_broker_starts_restarts_and_shows_its_output() {
    let mut broker = Mosquitto::with(&["persistence true"]);
    let port = broker.port();
    broker.restart();
    assert_eq!(broker.port(), port);
    assert!(broker.process().has_printed("running"));
    assert!(broker.process().terminate().success());
    assert!(broker.dir().join("mosquitto.db").is_file());
}

#[test]
#[should_panic(expected = "the server crashed during the test")]
fn a_crash_that_nobody_noticed_fails_the_test() {
    let mut server = Server::builder().without_module().start();
    let mut con = server.connection();
    assert!(cmd!(con, "DEBUG", "SEGFAULT").is_err());
    wait_for("the server is gone", SOON, || !server.is_alive());
}

#[test]
fn settings_reach_the_module_from_the_file_and_as_load_arguments() {
    let builder = Server::builder().config("devicestate.heartbeat-timeout", 1234);
    let server = builder.module_arg("key-prefix", "a\"\\:").start();
    let mut con = server.connection();
    for (name, value) in [("heartbeat-timeout", "1234"), ("key-prefix", "a\"\\:")] {
        let found = cmd!(con, "CONFIG GET", format!("devicestate.{name}"));
        assert_eq!(found.at(1).text(), value);
    }
}
