//! Loading the module, and what keeps it from being loaded.

use super::{shown, SETTINGS};
use crate::devices::*;
use crate::support::*;

/// The lines by devicestate in a log.
fn own_lines(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains("<devicestate>"))
        .collect()
}

/// A start that must fail with one line by devicestate that contains `why`.
#[track_caller]
fn refused(builder: Builder, why: &str) {
    let Err(log) = builder.try_start() else {
        panic!("the server started, though: {why}");
    };
    let lines = own_lines(&log);
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(why), "{}", lines[0]);
    assert!(
        !log.contains("panic") && !log.contains("BUG REPORT"),
        "{log}"
    );
}

#[test]
fn loading_logs_no_warning() {
    let server = Server::start();
    beat(&mut server.connection(), "d");
    let log = server.log();
    let warnings: Vec<&str> = own_lines(&log)
        .into_iter()
        .filter(|line| line.contains(" # "))
        .collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_server_with_its_own_defaults_is_given_one_piece_of_advice() {
    let server = Server::builder()
        .config("hash-max-listpack-value", 64)
        .start();
    let log = server.log();
    let lines = own_lines(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("hash-max-listpack-value") && lines[0].contains(" * "));
}

#[test]
fn settings_come_from_load_arguments() {
    for setting in SETTINGS {
        for (given, expected) in setting.good {
            let name = setting.name.to_uppercase();
            let server = Server::builder().module_arg(&name, given).start();
            assert_eq!(
                shown(&mut server.connection(), setting.name),
                *expected,
                "{name}"
            );
        }
    }
}

#[test]
fn the_configuration_file_wins_over_load_arguments() {
    let server = Server::builder()
        .module_arg("heartbeat-timeout", "1s")
        .module_arg("max-devices", 7)
        .config("devicestate.heartbeat-timeout", 2_000)
        .start();
    let mut con = server.connection();
    assert_eq!(shown(&mut con, "heartbeat-timeout"), "2000");
    assert_eq!(shown(&mut con, "max-devices"), "7");
}

#[test]
fn the_configuration_file_takes_units_too() {
    let server = Server::builder()
        .config("devicestate.heartbeat-timeout", "90s")
        .start();
    assert_eq!(
        shown(&mut server.connection(), "heartbeat-timeout"),
        "90000"
    );
}

#[test]
fn an_unknown_load_argument_is_refused() {
    for name in [
        "nope",
        "",
        "%n%s%d",
        "heartbeat_timeout",
        "devicestate.max-devices",
        "📟",
    ] {
        refused(
            Server::builder().module_arg(name, "1"),
            &format!("'{name}'"),
        );
    }
}

#[test]
fn a_load_argument_without_value_is_refused() {
    let server = Server::builder().without_module().start();
    let mut con = server.connection();
    let path = target_binary("libdevicestate.so").display().to_string();
    let words = ["MODULE", "LOAD", &path, "restart-grace", "0", "max-devices"];
    expect_error(&mut con, &words, "ERR", "");
    let log = server.log();
    let lines = own_lines(&log);
    assert!(
        lines.len() == 1 && lines[0].contains("max-devices has no value"),
        "{lines:?}"
    );
}

#[test]
fn a_bad_load_argument_is_refused() {
    for setting in SETTINGS {
        let bad = setting.bad.first().expect("a bad value");
        refused(
            Server::builder().module_arg(setting.name, bad),
            setting.name,
        );
    }
    refused(
        Server::builder().module_arg("key-prefix", "{a}"),
        "key-prefix",
    );
    refused(
        Server::builder().module_arg("key-prefix", "a b"),
        "key-prefix",
    );
}

#[test]
fn a_bad_setting_in_the_configuration_file_is_refused() {
    for (name, value) in [
        ("max-devices", "x"),
        ("heartbeat-timeout", "1w"),
        ("key-prefix", "{a}"),
    ] {
        let builder = Server::builder().config(&format!("devicestate.{name}"), value);
        let log = builder
            .try_start()
            .err()
            .expect("no server with that setting");
        assert!(log.contains(name), "{log}");
    }
    let builder = Server::builder().config("devicestate.nope", 1);
    assert!(builder.try_start().is_err());
}

#[test]
fn the_module_cannot_be_unloaded_and_the_server_goes_on() {
    let mut server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 200").items();
    for _ in 0..3 {
        expect_error(
            &mut con,
            &["MODULE", "UNLOAD", "devicestate"],
            "ERR",
            "nload",
        );
    }
    // Commands, settings and the sweeper are as before.
    assert_eq!(shown(&mut con, "restart-grace"), "0");
    wait_until_offline(&mut con, "d");
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
    assert!(server.is_alive());
}

#[test]
fn the_module_can_be_loaded_into_a_running_server() {
    let mut server = Server::builder().without_module().start();
    let mut con = server.connection();
    let path = target_binary("libdevicestate.so");
    let path = path.display().to_string();
    let words = ["MODULE", "LOAD", &path, "nope", "1"];
    expect_error(&mut con, &words, "ERR", "");
    assert!(own_lines(&server.log())[0].contains("'nope'"));

    cmd!(
        con,
        "MODULE LOAD",
        &path,
        "restart-grace",
        0,
        "heartbeat-timeout",
        "150ms"
    )
    .text();
    assert_eq!(shown(&mut con, "heartbeat-timeout"), "150");
    beat(&mut con, "d");
    wait_until_offline(&mut con, "d");
    expect_error(&mut con, &["MODULE", "LOAD", &path], "ERR", "");
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
    assert!(server.is_alive());
}

#[test]
fn module_list_shows_name_version_and_arguments() {
    let server = Server::builder().module_arg("max-devices", 7).start();
    let mut con = server.connection();
    // The scripts of Valkey 9 are a module, too.
    let list = cmd!(con, "MODULE LIST").items();
    let mut modules = list.iter().map(Reply::fields);
    let module = modules.find(|module| module["name"].text() == "devicestate");
    let module = module.expect("devicestate is in the list");
    assert!(module["ver"].int() > 0);
    assert_eq!(module["args"].texts(), ["max-devices", "7"]);
}
