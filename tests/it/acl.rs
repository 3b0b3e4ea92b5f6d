//! Users who may touch some devices only.

mod alerts;
mod roles;
mod whole_table;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// A server and a connection of the user `tenant`, who may run every command (`+@all`) on keys as
/// `rules` say. One device of the tenant and one of somebody else are there.
#[track_caller]
fn tenant(rules: &str) -> (Server, Connection, Connection) {
    let server = Server::start();
    let mut admin = server.connection();
    grant(&mut admin, &format!("on >secret +@all {rules}"));
    for id in ["acme-1", "other-1"] {
        cmd!(admin, "DEVICE.REGISTER", id, "sensor").int();
    }
    let mut con = server.connection();
    cmd!(con, "AUTH", "tenant", "secret").text();
    (server, admin, con)
}

#[track_caller]
fn grant(admin: &mut Connection, rules: &str) {
    assert_eq!(
        cmd!(admin, &format!("ACL SETUSER tenant {rules}")).text(),
        "OK"
    );
}

/// Refused for want of a permission, with nothing changed.
#[track_caller]
fn forbidden(admin: &mut Connection, con: &mut Connection, line: &str) {
    let before = snapshot(admin);
    let words: Vec<&str> = line.split(' ').collect();
    expect_error(con, &words, "NOPERM", "");
    assert_eq!(
        difference(&before, &snapshot(admin)),
        Vec::<String>::new(),
        "{line}"
    );
}

/// Each command with an id, on a device of this name.
fn commands_on(id: &str) -> [String; 22] {
    [
        format!("DEVICE.REGISTER {id} sensor META {{}}"),
        format!("DEVICE.HEARTBEAT {id} REPORTED {{\"a\":1}} SESSION 1"),
        format!("DEVICE.HEARTBEAT {id}"),
        format!("DEVICE.GET {id}"),
        format!("DEVICE.MGET {id} acme-1"),
        format!("DEVICE.WHY {id}"),
        format!("DEVICE.SHADOW.SET {id} {{\"a\":2}}"),
        format!("DEVICE.SHADOW.REPORT {id} {{\"a\":3}}"),
        format!("DEVICE.SHADOW.SET {id} {{\"a\":2}} NAME n"),
        format!("DEVICE.SHADOW.UPDATE {id} {{\"state\":{{}}}}"),
        format!("DEVICE.SHADOW.GET {id}"),
        format!("DEVICE.SHADOW.NAMES {id}"),
        format!("DEVICE.DELTA {id}"),
        format!("DEVICE.HISTORY {id}"),
        format!("DEVICE.SHADOW.DEL {id} NAME n"),
        format!("ALERT.RAISE {id} a"),
        format!("ALERT.RAISE {id} a SEVERITY 9 NOTIFY 1 acme-user"),
        format!("ALERT.ACK {id} a"),
        format!("ALERT.LIST {id}"),
        format!("ALERT.CLEAR {id} a"),
        format!("DEVICE.OFFLINE {id}"),
        format!("DEVICE.REMOVE {id}"),
    ]
}

#[test]
fn a_tenant_works_on_its_own_devices_and_on_no_others() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    for id in ["acme-1", "acme-new"] {
        for line in commands_on(id) {
            assert!(cmd!(con, &line).is_ok(), "{line}");
        }
    }
    for id in ["other-1", "other-new", "acme", "xacme-1"] {
        for line in commands_on(id) {
            forbidden(&mut admin, &mut con, &line);
        }
    }
    // The pattern is matched against the id, not against the keys behind it.
    forbidden(&mut admin, &mut con, "GET device:state:acme-1");
    forbidden(&mut admin, &mut con, "XRANGE devices:events - +");
}

#[test]
fn one_foreign_id_spoils_mget() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    assert_eq!(cmd!(con, "DEVICE.MGET acme-1 acme-2").items().len(), 2);
    for line in [
        "DEVICE.MGET acme-1 other-1",
        "DEVICE.MGET other-1 acme-1",
        "DEVICE.MGET acme-1 acme-2 acme-3 nobody",
    ] {
        forbidden(&mut admin, &mut con, line);
    }
}

#[test]
fn a_foreign_id_spoils_a_transaction() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    let before = snapshot(&mut admin);
    cmd!(con, "MULTI").text();
    assert_eq!(cmd!(con, "DEVICE.HEARTBEAT acme-1").text(), "QUEUED");
    expect_error(&mut con, &["DEVICE.HEARTBEAT", "other-1"], "NOPERM", "");
    expect_error(&mut con, &["EXEC"], "EXECABORT", "");
    assert_eq!(before, snapshot(&mut admin));
}

#[test]
fn a_script_may_no_more_than_its_user() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    let beat = "return redis.call('DEVICE.HEARTBEAT', ARGV[1])";
    assert!(cmd!(con, "EVAL", beat, 0, "acme-1").is_ok());
    let before = snapshot(&mut admin);
    // Servers differ in how they say it.
    let says_so = |error: &str| error.contains("ermission") || error.contains("can't access");
    for command in [
        "DEVICE.HEARTBEAT",
        "DEVICE.GET",
        "DEVICE.REMOVE",
        "DEVICE.OFFLINE",
    ] {
        let script = format!("return redis.call('{command}', ARGV[1])");
        let error = cmd!(con, "EVAL", &script, 0, "other-1").expect_err(command);
        assert!(says_so(&error.to_string()), "{error}");
    }
    for command in [
        "'DEVICE.LIST'",
        "'DEVICE.COUNT'",
        "'DEVICE.TYPE.LIST'",
        "'DEVICE.CHECK', '0', 'REPAIR'",
    ] {
        let script = format!("return redis.call({command})");
        let error = cmd!(con, "EVAL", &script, 0).expect_err(command);
        assert!(says_so(&error.to_string()), "{error}");
    }
    assert_eq!(before, snapshot(&mut admin));
}

#[test]
fn reading_and_writing_are_separate_permissions() {
    let (_server, mut admin, mut con) = tenant("%R~acme-*");
    for line in [
        "DEVICE.GET acme-1",
        "DEVICE.MGET acme-1",
        "DEVICE.WHY acme-1",
        "DEVICE.SHADOW.GET acme-1",
        "DEVICE.SHADOW.NAMES acme-1",
        "DEVICE.DELTA acme-1",
        "DEVICE.HISTORY acme-1",
        "ALERT.LIST acme-1",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "ALERT.RAISE acme-1 a",
        "ALERT.CLEAR acme-1 a",
        "ALERT.ACK acme-1 a",
        "ALERT.NOTIFY acme-user a {}",
        "ALERT.BATCH acme-user",
        "ALERT.DONE acme-user token",
        "DEVICE.HEARTBEAT acme-1",
        "DEVICE.REGISTER acme-1 motor",
        "DEVICE.OFFLINE acme-1",
        "DEVICE.REMOVE acme-1",
        "DEVICE.SHADOW.SET acme-1 {}",
        "DEVICE.SHADOW.REPORT acme-1 {}",
        "DEVICE.SHADOW.UPDATE acme-1 {\"state\":{}}",
        "DEVICE.SHADOW.DEL acme-1",
    ] {
        forbidden(&mut admin, &mut con, line);
    }
}

#[test]
fn fleet_wide_reads_need_the_registry() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    let reads = [
        "DEVICE.LIST",
        "DEVICE.LIST TYPE sensor ONLINE WITHSTATE",
        "DEVICE.LIST STALE 0",
        "DEVICE.COUNT",
        "DEVICE.COUNT OFFLINE",
        "DEVICE.LIST OUTOFSYNC",
        "DEVICE.COUNT OUTOFSYNC",
        "DEVICE.CHECK 0",
    ];
    for line in reads {
        forbidden(&mut admin, &mut con, line);
    }
    // Neither the index it happens to read nor the right to write is what counts.
    grant(
        &mut admin,
        "~devices:online ~devices:offline ~devices:type:* %W~devices:registered",
    );
    for line in reads {
        forbidden(&mut admin, &mut con, line);
    }
    grant(&mut admin, "resetkeys %R~devices:registered");
    for line in reads {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    forbidden(&mut admin, &mut con, "DEVICE.CHECK 0 REPAIR");
    grant(&mut admin, "resetkeys ~devices:registered");
    assert!(cmd!(con, "DEVICE.CHECK 0 REPAIR").is_ok());
}

#[test]
fn type_commands_need_the_key_of_the_types() {
    let (_server, mut admin, mut con) = tenant("~acme-* ~devices:registered");
    let reads = ["DEVICE.TYPE.GET sensor", "DEVICE.TYPE.LIST"];
    let writes = [
        "DEVICE.TYPE.SET sensor TIMEOUT 1h",
        "DEVICE.TYPE.DEL sensor",
    ];
    for line in reads.iter().chain(&writes) {
        forbidden(&mut admin, &mut con, line);
    }
    grant(&mut admin, "%R~devices:types");
    for line in reads {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in writes {
        forbidden(&mut admin, &mut con, line);
    }
    grant(&mut admin, "~devices:types");
    for line in writes.iter().chain(&reads) {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
}

#[test]
fn the_error_names_the_key_that_is_needed() {
    let (_server, _admin, mut con) = tenant("~acme-*");
    expect_error(&mut con, &["DEVICE.LIST"], "NOPERM", "devices:registered");
    expect_error(&mut con, &["DEVICE.TYPE.LIST"], "NOPERM", "devices:types");
}

#[test]
fn selectors_count_as_well() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    grant(&mut admin, "(+@all %R~devices:registered)");
    assert!(cmd!(con, "DEVICE.LIST").is_ok());
    assert!(cmd!(con, "DEVICE.HEARTBEAT acme-1").is_ok());
    forbidden(&mut admin, &mut con, "DEVICE.CHECK 0 REPAIR");
}

#[test]
fn a_user_without_the_command_is_refused() {
    let (_server, mut admin, mut con) = tenant("~*");
    grant(&mut admin, "-device.remove");
    forbidden(&mut admin, &mut con, "DEVICE.REMOVE acme-1");
    assert!(cmd!(con, "DEVICE.OFFLINE acme-1").is_ok());
    grant(&mut admin, "-device.heartbeat");
    forbidden(&mut admin, &mut con, "DEVICE.HEARTBEAT acme-1");
    assert!(cmd!(con, "DEVICE.GET acme-1").is_ok());
}

#[test]
fn a_tenant_tells_the_world_without_rights_on_its_channels() {
    let (server, _admin, mut con) = tenant("resetchannels ~acme-*");
    let told = Subscriber::channels(&server, &["devices:presence", "devices:status"]);
    cmd!(con, "DEVICE.HEARTBEAT acme-1 REPORTED {\"a\":1}").items();
    assert_eq!(told.wait_for_count(2, SOON).len(), 2);
}

#[test]
fn permissions_are_asked_for_keys_with_their_prefix() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    let mut admin = server.connection();
    grant(
        &mut admin,
        "on >secret +@all ~acme-* ~devices:registered ~devices:types",
    );
    let mut con = server.connection();
    cmd!(con, "AUTH", "tenant", "secret").text();
    expect_error(
        &mut con,
        &["DEVICE.LIST"],
        "NOPERM",
        "sc:devices:registered",
    );
    expect_error(
        &mut con,
        &["DEVICE.TYPE.LIST"],
        "NOPERM",
        "sc:devices:types",
    );
    grant(&mut admin, "~sc:devices:*");
    assert!(cmd!(con, "DEVICE.LIST").is_ok());
    assert!(cmd!(con, "DEVICE.HEARTBEAT acme-1").is_ok());
}
