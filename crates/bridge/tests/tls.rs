//! TLS to the broker and to Redis, and what becomes of passwords.

mod support;

use support::bridge::Bridge;
use support::broker::Broker;
use support::certificates::{Authority, Certificate};
use support::redis::Redis;
use support::server::Server;
use support::{free_port, heartbeat, wait_until};

/// A broker that listens with TLS as well, and the address of that.
fn broker(authority: &Authority, own: &Certificate, wants_certificates: bool) -> (Broker, String) {
    let port = free_port();
    let broker = Broker::start_with(&[
        &format!("listener {port} 127.0.0.1"),
        &format!("cafile {}", authority.ca()),
        &format!("certfile {}", own.cert),
        &format!("keyfile {}", own.key),
        &format!("require_certificate {wants_certificates}"),
    ]);
    (broker, format!("mqtts://localhost:{port}"))
}

/// A server that listens with TLS as well, and the address of that.
fn server(authority: &Authority, own: &Certificate, wants_certificates: bool) -> (Server, String) {
    let port = free_port();
    let server = Server::start_with(&[
        &format!("tls-port {port}"),
        &format!("tls-cert-file {}", own.cert),
        &format!("tls-key-file {}", own.key),
        &format!("tls-ca-cert-file {}", authority.ca()),
        &format!(
            "tls-auth-clients {}",
            if wants_certificates { "yes" } else { "no" }
        ),
    ]);
    (server, format!("rediss://localhost:{port}"))
}

fn section(peer: &str, authority: &Authority, own: Option<&Certificate>) -> String {
    let ca = authority.ca();
    let own = own.map(|own| format!("cert = {:?}\nkey = {:?}\n", own.cert, own.key));
    format!("[{peer}.tls]\nca = {ca:?}\n{}", own.unwrap_or_default())
}

#[test]
fn both_sides_by_tls_with_a_client_certificate() {
    let authority = Authority::new();
    let (theirs, own) = (authority.issue("them"), authority.issue("bridge"));
    let (broker, mqtts) = broker(&authority, &theirs, true);
    let (server, rediss) = server(&authority, &theirs, true);
    let config =
        section("mqtt", &authority, Some(&own)) + &section("redis", &authority, Some(&own));
    let mut bridge = Bridge::start(&mqtts, &rediss, &config);
    broker.publish(&heartbeat("a"), "");
    broker.publish(&heartbeat("b"), "");
    wait_until("both are applied", || {
        server.query::<u64>(&["DEVICE.COUNT"]) == 2
    });
    bridge.terminate();
    let (status, summary) = bridge.exit();
    assert_eq!(status, Some(0));
    assert!(summary.contains("applied 2"), "{summary}");
}

#[test]
fn a_broker_that_cannot_be_trusted_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let redis = Redis::start();
    let trusted = |own| section("mqtt", &authority, own);
    for (theirs, wants, config, says) in [
        (
            authority.issue("good"),
            false,
            section("mqtt", &other, None),
            "its certificate is signed by none of the CAs that are trusted here",
        ),
        (
            authority.issue("unknown-to-the-system"),
            false,
            String::new(),
            "its certificate is signed by none of the CAs that are trusted here",
        ),
        (
            authority.issue_expired("old"),
            false,
            trusted(None),
            "its certificate has expired",
        ),
        (
            authority.issue_for("elsewhere", "elsewhere.example"),
            false,
            trusted(None),
            "its certificate is for another host name",
        ),
        (
            authority.issue("strict"),
            true,
            trusted(None),
            "it wants a client certificate",
        ),
    ] {
        let (_broker, mqtts) = broker(&authority, &theirs, wants);
        let bridge = Bridge::launch(&mqtts, &redis.url(), &config);
        let line = bridge.wait_for("no connection to MQTT");
        assert!(line.contains(says), "{line}");
    }
}

/// Each is told once, whatever the number of attempts.
#[test]
fn a_server_that_cannot_be_trusted_is_told_in_one_line() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = Broker::start();
    let trusted = |own| section("redis", &authority, own);
    for (theirs, wants, config, says) in [
        (
            authority.issue("good"),
            false,
            section("redis", &other, None),
            "its certificate is signed by none of the CAs that are trusted here",
        ),
        (
            authority.issue_expired("old"),
            false,
            trusted(None),
            "its certificate has expired",
        ),
        (
            authority.issue_for("elsewhere", "elsewhere.example"),
            false,
            trusted(None),
            "its certificate is for another host name",
        ),
        (
            authority.issue("strict"),
            true,
            trusted(None),
            "it wants a client certificate",
        ),
    ] {
        let (server, rediss) = server(&authority, &theirs, wants);
        let attempts = || server.log().matches("Error accepting").count();
        let bridge = Bridge::launch(&broker.url(), &rediss, &config);
        let line = bridge.wait_for("does not take commands");
        assert!(line.contains(says), "{line}");
        wait_until("more attempts", || attempts() >= 6);
        assert_eq!(bridge.count("does not take commands"), 1);
    }
}

/// Users of their own on both sides, with passwords from files.
#[test]
fn passwords_come_from_files_and_stay_out_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let users = folder.path().join("users");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-c", "-b", users.to_str().unwrap(), "bridge", "mqtt-secret"])
        .status()
        .unwrap();
    assert!(made.success());
    let port = free_port();
    let _broker = Broker::start_with(&[
        "per_listener_settings false",
        &format!("password_file {}", users.display()),
        "allow_anonymous false",
        &format!("listener {port} 127.0.0.1"),
    ]);
    let server = Server::start_with(&["user bridge on >redis-secret ~* +@all"]);
    let config = |redis: &str| {
        format!(
            "[mqtt]\npassword_file = {:?}\n[redis]\npassword_file = {redis:?}\n",
            file("mqtt", "mqtt-secret\n")
        )
    };
    let mqtt = format!("mqtt://bridge@127.0.0.1:{port}");
    let redis = format!("redis://bridge@127.0.0.1:{}", server.port);
    let right = Bridge::start(&mqtt, &redis, &config(&file("redis", "redis-secret")));
    let clients: String = server.query(&["CLIENT", "LIST"]);
    assert!(clients.contains("user=bridge"), "{clients}");
    let wrong = Bridge::launch(&mqtt, &redis, &config(&file("wrong", "wrong-secret")));
    wrong.wait_for("does not take commands: it refused the user name or the password");
    for bridge in [right, wrong] {
        assert_eq!(bridge.count("secret"), 0);
    }
}
