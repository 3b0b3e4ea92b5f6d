//! `devicestate-bridge check`, against what may be wrong.

mod support;

use std::process::Command;
use support::bridge::Bridge;
use support::broker::Broker;
use support::free_port;
use support::redis::Redis;
use support::server::Server;

/// The exit status, and what was found.
fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .arg("check")
        .args(arguments)
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !found.contains("secret") && !told.contains("secret"),
        "{found}{told}"
    );
    (output.status.code(), found + &told)
}

#[track_caller]
fn assert_found(found: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            found.lines().any(|l| l.starts_with(line)),
            "no {line:?} in:\n{found}"
        );
    }
}

fn failures(found: &str) -> usize {
    found
        .lines()
        .filter(|line| line.starts_with("FAIL"))
        .count()
}

#[test]
fn all_is_well() {
    let (broker, server) = (Broker::start(), Server::start());
    let (mqtt, redis) = (
        format!("MQTT 127.0.0.1:{}", broker.port),
        format!("Redis 127.0.0.1:{}", server.port),
    );
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &server.url()]);
    assert_eq!(status, Some(0), "{found}");
    assert_found(
        &found,
        &[
            "ok    the configuration is valid",
            &format!("ok    {mqtt}: connected as devicestate-bridge-0-check"),
            &format!("ok    {mqtt}: may subscribe to devices/+/heartbeat"),
            &format!("ok    {redis}: answers"),
            &format!("ok    {redis}: takes writes"),
            &format!("ok    {redis}: keeps an append-only file"),
            &format!("ok    {redis}: may run DEVICE.HEARTBEAT"),
            &format!("ok    {redis}: may run CLIENT KILL"),
            &format!("ok    {redis}: may run XADD"),
        ],
    );
    assert!(
        found.lines().all(|line| line.starts_with("ok    ")),
        "{found}"
    );
}

/// What is tried has no effect, neither on what is there nor on what is not.
#[test]
fn nothing_is_changed() {
    let (broker, server) = (Broker::start(), Server::start());
    let folder = tempfile::tempdir().unwrap();
    let files = ["", "[queue]\nenabled = true\n"].map(|queue| {
        let file = folder.path().join(format!("{}.toml", queue.len()));
        let profiles = "profiles = [\"native\", \"aws-shadow\"]\n";
        std::fs::write(&file, format!("{profiles}{queue}")).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let peers = [
        "--mqtt",
        &broker.url(),
        "--redis",
        &server.url(),
        "--config",
    ];
    let check = || {
        for file in &files {
            let (status, found) = check(&[peers.as_slice(), &[file.as_str()]].concat());
            assert_eq!((status, failures(&found)), (Some(0), 0), "{found}");
        }
    };
    check();
    assert_eq!(server.query::<u64>(&["DBSIZE"]), 0);

    let bridge = Bridge::start(&broker.url(), &server.url(), "");
    broker.publish("devices/a/reported", "{\"reported\":{\"x\":1}}");
    broker.publish("devices/b/reported", "no json");
    support::wait_until("the messages are there", || {
        server.query::<u64>(&["EXISTS", "device:state:a", "bridge:dead-letters"]) == 2
    });
    let digest = || server.query::<String>(&["DEBUG", "DIGEST"]);
    let before = digest();
    check();
    assert_eq!(digest(), before);
    drop(bridge);
}

/// One that only receives applies nothing, and needs no more.
#[test]
fn a_receiver_needs_the_queues() {
    let (broker, server) = (Broker::start(), Server::start());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[queue]\nenabled = true\n[downlink]\nenabled = false\n",
    )
    .unwrap();
    let config = file.path().to_str().unwrap();
    let peers = ["--mqtt", &broker.url(), "--redis", &server.url()];
    let (status, found) = check(&[&["--config", config][..], &peers].concat());
    assert_eq!(status, Some(0), "{found}");
    assert!(found.contains("may run QUEUE.ADD"), "{found}");
    assert!(!found.contains("DEVICE.HEARTBEAT"), "{found}");
    assert!(!found.contains("DEVICE.OFFLINE"), "{found}");
    assert_eq!(server.query::<u64>(&["DBSIZE"]), 0);
}

/// The session of a bridge that runs is its own.
#[test]
fn a_running_bridge_is_not_disturbed() {
    let (broker, server) = (Broker::start(), Server::start());
    let bridge = Bridge::start(&broker.url(), &server.url(), "");
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &server.url()]);
    assert_eq!(status, Some(0), "{found}");
    broker.publish(&support::heartbeat("a"), "");
    support::wait_until("the message is applied", || {
        server.query::<u64>(&["DEVICE.COUNT"]) == 1
    });
    assert_eq!(bridge.count("no connection to MQTT"), 0);
}

#[test]
fn peers_that_are_away() {
    let nobody = free_port();
    let (status, found) = check(&[
        "--mqtt",
        &format!("mqtt://127.0.0.1:{nobody}"),
        "--redis",
        &format!("redis://:secret@127.0.0.1:{nobody}"),
    ]);
    assert_eq!(status, Some(1), "{found}");
    assert_found(
        &found,
        &[
            &format!("FAIL  MQTT 127.0.0.1:{nobody}: no connection: "),
            &format!("FAIL  Redis 127.0.0.1:{nobody}: no connection: "),
        ],
    );
}

#[test]
fn a_server_without_the_module() {
    let (broker, server) = (Broker::start(), Redis::start());
    server.answer(|_| {
        support::redis::Answer::Error("ERR unknown command 'DEVICE.HEARTBEAT', with args")
    });
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &server.url()]);
    assert_eq!(status, Some(1), "{found}");
    assert!(
        found.contains("DEVICE.HEARTBEAT: the devicestate module is not loaded"),
        "{found}"
    );
}

#[test]
fn logins_and_permissions() {
    let (broker, server) = (Broker::start(), Server::start());
    let login = |user: &str| format!("redis://{user}@127.0.0.1:{}", server.port);
    let redis = format!("Redis 127.0.0.1:{}", server.port);
    let down = "+device.get +device.command.done +device.list +device.shadow.get \
                +device.shadow.names +device.command.take +multi +exec +xread +xreadgroup +xack \
                +xautoclaim +xgroup|create +xgroup|setid +xinfo|stream +xinfo|groups";
    for user in [
        "all on >secret ~* +device.heartbeat +device.offline +xadd +ping +client|setname \
         +client|id +client|list +client|kill",
        "tenant on >secret ~acme:* ~device:commands:acme:* ~bridge:dead-letters ~devices:events \
         %R~devices:registered +device.heartbeat +device.offline +xadd +ping",
        "reader on >secret ~devices:* +device.offline +xadd +ping",
    ] {
        let mut words = vec!["ACL", "SETUSER"];
        words.extend(user.split_whitespace().chain(down.split_whitespace()));
        server.command(&words);
    }

    let (status, found) = check(&[
        "--mqtt",
        &broker.url(),
        "--redis",
        &login("all:wrong-secret"),
    ]);
    assert_eq!(status, Some(1), "{found}");
    assert_found(&found, &[&format!("FAIL  {redis}: no connection: ")]);

    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &login("all:secret")]);
    assert_eq!((status, failures(&found)), (Some(0), 0), "{found}");
    assert_found(&found, &[&format!("skip  {redis}: its version, role")]);
    assert!(!found.contains("warn"), "{found}");

    // A pattern of keys is no fault, and the CLIENT commands are not essential.
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &login("tenant:secret")]);
    assert_eq!((status, failures(&found)), (Some(0), 0), "{found}");
    assert_found(&found, &[&format!("warn  {redis}: CLIENT KILL: NOPERM")]);

    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &login("reader:secret")]);
    assert_eq!((status, failures(&found)), (Some(1), 2), "{found}");
    assert_found(
        &found,
        &[
            &format!("FAIL  {redis}: DEVICE.HEARTBEAT: NOPERM"),
            &format!("ok    {redis}: may run DEVICE.OFFLINE"),
            &format!("FAIL  {redis}: XADD: NOPERM"),
        ],
    );

    // Each profile and the queues have needs of their own.
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = "profiles = [\"native\", \"aws-shadow\"]\n[queue]\nenabled = true\n";
    std::fs::write(file.path(), settings).unwrap();
    let file = file.path().to_str().unwrap();
    let login = login("all:secret");
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &login, "--config", file]);
    assert_eq!(status, Some(1), "{found}");
    for name in ["QUEUE.ADD", "DEVICE.SHADOW.UPDATE", "DEVICE.SHADOW.DEL"] {
        assert_found(&found, &[&format!("FAIL  {redis}: {name}: NOPERM")]);
    }
    let gets = found.matches("may run DEVICE.SHADOW.GET\n").count();
    assert_eq!((gets, failures(&found)), (1, 3), "{found}");
}

#[test]
fn a_replica_without_persistence() {
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&["CONFIG", "SET", "appendonly", "no"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1gb"]);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    let (status, found) = check(&["--mqtt", &broker.url(), "--redis", &server.url()]);
    let redis = format!("Redis 127.0.0.1:{}", server.port);
    assert_eq!(status, Some(1), "{found}");
    assert_found(
        &found,
        &[
            &format!("FAIL  {redis}: is a replica"),
            &format!("warn  {redis}: keeps no append-only file"),
            &format!("warn  {redis}: evicts keys"),
            &format!("FAIL  {redis}: DEVICE.HEARTBEAT: READONLY"),
        ],
    );
}

#[test]
fn a_wrong_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(
        folder.path().join("x.proto"),
        "syntax = \"proto3\"; message {",
    )
    .unwrap();
    let file = |text: &str| {
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    for (text, says) in [
        (
            "[mqtt]\nurl = \"mqtt://u:secret@h\"\nqos = 1\n",
            "line 3: unknown field `qos`",
        ),
        ("[protobuf]\nfiles = [\"x.proto\"]\n", "x.proto"),
        (
            "[http]\nlisten = \"here\"\n",
            "http.listen is not address:port",
        ),
    ] {
        let (status, found) = check(&["--config", &file(text)]);
        assert_eq!(status, Some(2), "{found}");
        assert!(found.contains(says), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

/// Where the broker lets nobody in.
#[test]
fn a_broker_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (port, server) = (free_port(), Server::start());
    let settings = format!("listener {port} 127.0.0.1\nallow_anonymous false\nuser root\n");
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, settings).unwrap();
    let mut broker = Command::new("mosquitto")
        .arg("-c")
        .arg(&file)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    support::wait_until("mosquitto listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let url = format!("mqtt://user:secret@127.0.0.1:{port}");
    let (status, found) = check(&["--mqtt", &url, "--redis", &server.url()]);
    broker.kill().unwrap();
    broker.wait().unwrap();
    assert_eq!((status, failures(&found)), (Some(1), 1), "{found}");
    let line = format!("FAIL  MQTT 127.0.0.1:{port}: no connection: it refused: NotAuthorized");
    assert_found(&found, &[&line]);
}
