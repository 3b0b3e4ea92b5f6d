//! Loading and unloading at run time: what is refused says why, and leaves the server as it was.

use std::time::Duration;

use redis::Connection;

use crate::consistency::*;
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::support::module::module;
use crate::support::*;

/// `MODULE LOADEX` of the module with these words; how it was refused, or nothing.
fn load(con: &mut Connection, words: &str) -> Result<(), String> {
    let mut load = command("MODULE LOADEX");
    load.arg(module().display().to_string());
    for word in words.split_whitespace() {
        load.arg(word);
    }
    match con.run(&load) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn is_loaded(con: &mut Connection) -> bool {
    let modules = cmd!(con, "MODULE LIST").items();
    let mut names = modules.iter().map(|module| module.fields()["name"].text());
    names.any(|name| name == "devicestate")
}

/// A module setting as the server shows it.
#[track_caller]
fn setting(con: &mut Connection, name: &str) -> String {
    let name = format!("devicestate.{name}");
    cmd!(con, "CONFIG GET", &name).fields()[&name].text()
}

#[test]
fn loadex_takes_settings_and_arguments() {
    let server = Server::builder().without_module().start();
    let mut con = server.connection();
    let words = "CONFIG devicestate.heartbeat-timeout 150ms CONFIG devicestate.max-devices 8 \
                 ARGS restart-grace 0 max-devices 9";
    load(&mut con, words).expect("loaded");
    assert_eq!(setting(&mut con, "heartbeat-timeout"), "150");
    assert_eq!(setting(&mut con, "restart-grace"), "0");
    // As in redis.conf, a setting wins over an argument.
    assert_eq!(setting(&mut con, "max-devices"), "8");
    beat(&mut con, "d");
    wait_until_offline(&mut con, "d");
}

/// A server takes a load back when settings are left over that nobody has registered. Where the module
/// does not let itself be unloaded then, Redis 8 and Valkey crash, and Redis 7.0 keeps a module that it
/// said it had not loaded.
#[test]
fn a_load_with_settings_that_are_nobodys_is_taken_back() {
    let mut server = Server::builder().without_module().start();
    let mut con = server.connection();
    for words in [
        "CONFIG devicestate.nope 1",
        "CONFIG other.setting 1 ARGS max-devices 7 key-prefix x:",
        "CONFIG devicestate.max-devices 7 CONFIG devicestate.restart-grace much",
        "CONFIG devicestate.key-prefix x: ARGS nope 1",
        "ARGS max-devices 7 key-prefix x: restart-grace",
    ] {
        let refused = load(&mut con, words).expect_err(words);
        assert!(refused.contains("Error loading"), "{words}: {refused}");
        assert!(!is_loaded(&mut con), "{words}");
        assert!(cmd!(con, "DEVICE.COUNT").is_err(), "{words}");
        // Not even by INFO is it called any more.
        assert!(!cmd!(con, "INFO everything").text().contains("devicestate_"));
    }
    // Nothing of them is left.
    load(&mut con, "ARGS restart-grace 0").expect("loaded");
    assert_eq!(setting(&mut con, "max-devices"), "0");
    assert_eq!(setting(&mut con, "key-prefix"), "");
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 150").items();
    wait_until_offline(&mut con, "d");
    assert_consistent(&mut con);
    assert!(server.is_alive());
}

/// Loaded and unloaded before its clock ticks, which a server may do in one go: either it is refused
/// or nothing stays.
#[test]
fn unloaded_at_once_it_goes_or_stays_whole() {
    let mut server = Server::builder().without_module().start();
    let mut con = server.connection();
    let path = module().display().to_string();
    for _ in 0..5 {
        let mut raw = Raw::connect(&server);
        let steps: [&[&str]; 5] = [
            &["MODULE", "LOAD", &path, "restart-grace", "0"],
            &["DEVICE.HEARTBEAT", "d", "TIMEOUT", "150"],
            &["QUEUE.ADD", "q", "A"],
            &["INFO", "devicestate"],
            &["MODULE", "UNLOAD", "devicestate"],
        ];
        raw.send(&steps.map(resp::encode).concat());
        let replies = steps.map(|_| raw.read());
        assert_eq!(replies[0], b"+OK\r\n");
        match replies[4].starts_with(b"+OK") {
            true => assert!(cmd!(con, "DEVICE.COUNT").is_err() && !is_loaded(&mut con)),
            false => break,
        }
    }
    if !is_loaded(&mut con) {
        load(&mut con, "ARGS restart-grace 0").expect("loaded");
    }
    // (Valkey 9 looks commands up before it runs those that came with them, so there they are unknown.)
    cmd!(con, "QUEUE.ADD q A").text();
    assert_eq!(cmd!(con, "QUEUE.GET q w").at(0).at(1).text(), "A");
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 150").items();
    wait_until_offline(&mut con, "d");
    assert_consistent(&mut con);
    assert!(server.is_alive());
}

#[test]
fn a_second_load_is_refused_and_says_why() {
    let mut server = quick();
    let mut con = server.connection();
    let path = module().display().to_string();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 300").items();
    expect_error(&mut con, &["MODULE", "LOAD", &path], "ERR", "Error loading");
    load(
        &mut con,
        "CONFIG devicestate.max-devices 7 ARGS restart-grace 1h",
    )
    .expect_err("refused");
    let said = "devicestate: not loaded: a module of this name is loaded already";
    assert_eq!(server.log().matches(said).count(), 2);
    assert_eq!(setting(&mut con, "restart-grace"), "0");
    assert_eq!(setting(&mut con, "max-devices"), "0");
    wait_until_offline(&mut con, "d");
    assert!(server.is_alive());
}

/// While devices beat, workers wait, and users' rights name its commands (which has crashed servers
/// that let a module go: valkey-io/valkey#2797).
#[test]
fn under_load_unloading_is_refused_and_disturbs_nobody() {
    let mut server = quick();
    let mut con = server.connection();
    cmd!(
        con,
        "ACL SETUSER tenant on >secret +device.get +device.heartbeat -device.remove ~acme-*"
    )
    .text();
    let live = ids("acme", 200);
    let beaters = Beaters::start(&server, &live, Duration::from_millis(100), 5_000);
    let refused = |con: &mut Connection| {
        let words = ["MODULE", "UNLOAD", "devicestate"];
        expect_error(con, &words, "ERR", "Error unloading module: the module ")
    };
    for _ in 0..20 {
        let why = refused(&mut con);
        assert!(why.contains("timer"), "{why}");
    }
    let mut waits = Raw::connect(&server);
    waits.send_args(&["QUEUE.GET", "q", "w", "BLOCK", "0"]);
    wait_for("the worker waits", SOON, || {
        let clients = cmd!(con, "INFO clients").text();
        clients.lines().any(|line| line == "blocked_clients:1")
    });
    for _ in 0..20 {
        refused(&mut con);
    }
    cmd!(con, "QUEUE.ADD q A").text();
    assert_eq!(waits.read()[..2], *b"*1");
    cmd!(con, "DEVICE.HEARTBEAT silent TIMEOUT 200").items();
    wait_until_offline(&mut con, "silent");
    beaters.wait_for_rounds(2);

    let mut tenant = server.connection();
    cmd!(tenant, "AUTH tenant secret").text();
    assert_eq!(cmd!(tenant, "DEVICE.GET acme-0 status").texts(), ["online"]);
    for words in [&["DEVICE.REMOVE", "acme-0"][..], &["DEVICE.GET", "silent"]] {
        expect_error(&mut tenant, words, "NOPERM", "");
    }
    cmd!(con, "ACL DELUSER tenant").int();
    refused(&mut con);
    assert_eq!(
        events(&mut con).of_type("offline").field("device_id"),
        ["silent"]
    );
    assert!(server.is_alive());
    assert_consistent(&mut con);
}
