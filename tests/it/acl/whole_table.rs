//! A tenant, and every command there is: what belongs to another tenant stays as it is and is not
//! seen, whatever the tenant says. The commands come from the workload that says all of the table, so
//! that a new one can't be forgotten.

use std::collections::BTreeSet;

use redis::Value;

use crate::survival::fuzz::breaking::break_it;
use crate::survival::fuzz::replies::look_at;
use crate::workload::{self, shown, Args, Workload};

use super::*;

/// Stands in everything that the other tenant has, and in nothing that the tenant says.
const SECRET: &str = "zq7-secret";

/// Names of the other tenant that the tenant has heard of.
const HEARD_OF: [&str; 8] = [
    "other-d-0",
    "other-d-1",
    "other-user-0",
    "other-queue-0",
    "other-window-0",
    "device:state:other-d-0",
    "alerts:user:other-user-0",
    "devices:registered",
];

/// Scripts that run what they are given.
const CALL: &str = "return redis.call(unpack(ARGV))";
const TRY: &str = "return redis.pcall(unpack(ARGV))";

/// Everything that can belong to a tenant, with nothing in it that time will change.
#[track_caller]
fn populate(admin: &mut Connection) {
    let secret = format!(r#"{{"k":"{SECRET}"}}"#);
    let rule = format!(r#"{{"on":"offline","every":"1h","notify":["other-user-0","{SECRET}"]}}"#);
    for id in ["other-d-0", "other-d-1", &format!("other-{SECRET}")] {
        cmd!(
            admin,
            "DEVICE.REGISTER",
            id,
            "other-type-0",
            "META",
            &secret
        )
        .int();
        cmd!(
            admin,
            "DEVICE.HEARTBEAT",
            id,
            "REPORTED",
            &secret,
            "TIMEOUT",
            0
        )
        .items();
        cmd!(admin, "DEVICE.SHADOW.SET", id, r#"{"k":"zq7-secret-2"}"#).items();
        cmd!(admin, "DEVICE.SHADOW.SET", id, &secret, "NAME", "shadow-0").items();
        cmd!(admin, "DEVICE.COMMAND", id, &secret, "TTL", "7d").text();
        let raise = "SEVERITY 2 WAIT 1h EVERY 1h NOTIFY 1 other-user-0 DATA";
        let mut alert = command("ALERT.RAISE");
        alert
            .arg(id)
            .arg("alert-0")
            .arg(raise.split(' ').collect::<Vec<_>>());
        admin.run(alert.arg(&secret)).unwrap();
    }
    cmd!(admin, "DEVICE.OFFLINE other-d-1").int();
    cmd!(admin, "DEVICE.TYPE.SET other-type-0 TIMEOUT 1h").text();
    cmd!(admin, "ALERT.RULE.SET", "other-type-0", "rule-0", &rule).int();
    cmd!(
        admin,
        "ALERT.NOTIFY",
        "other-user-0",
        "alert-1",
        &secret,
        "WAIT",
        "1h"
    )
    .int();
    for queue in ["other-queue-0", "other-queue-1"] {
        for _ in 0..3 {
            cmd!(admin, "QUEUE.ADD", queue, &secret, "ATTR", "k", SECRET).text();
        }
        cmd!(admin, "QUEUE.GET", queue, SECRET, "LEASE", "1h").items();
    }
    cmd!(admin, "THROTTLE.HIT other-window-0 5 1h").items();
    cmd!(admin, "THROTTLE.HIT other-bucket-0 5 1h GCRA").items();
}

/// What there is of the other tenant: its keys, and what of it stands where all tenants' devices and
/// users stand.
fn of_other(admin: &mut Connection) -> Snapshot {
    let is_others = |text: &str| text.contains("other-") || text.contains(SECRET);
    let mut all = snapshot(admin);
    all.retain(|key, lines| {
        let is_shared = key.starts_with("devices:") || key == "alerts:due";
        if is_shared {
            lines.retain(|line| is_others(line));
        }
        !lines.is_empty() && (is_shared || is_others(key))
    });
    let told = events(admin).only(|event| is_others(event.device()));
    let told = told.iter().map(|event| format!("{event:?}")).collect();
    all.insert("devices:events".to_owned(), told);
    all
}

/// Asserts that the reply is a refusal for want of a permission.
#[track_caller]
fn assert_refused(command: &Args, reply: &Value) {
    let is_refused = match reply {
        Value::ServerError(error) => {
            let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
            // Servers differ in how they say it of a script.
            ["NOPERM", "ermission", "can't access"]
                .iter()
                .any(|word| text.contains(word))
        }
        _ => false,
    };
    assert!(is_refused, "{}: {reply:?}", shown(command));
}

fn scripted(script: &str, command: &Args) -> Args {
    let mut words = ["EVAL", script, "0"].map(Vec::from).to_vec();
    words.extend(command.iter().cloned());
    words
}

/// A server with all that another tenant has, and the tenant's connection.
#[track_caller]
fn two_tenants() -> (Server, Connection, Raw) {
    let (server, mut admin, _) = tenant("~acme-* ~device:commands:acme-* &*");
    cmd!(admin, "FLUSHALL").text();
    populate(&mut admin);
    let mut raw = Raw::connect(&server);
    assert_eq!(raw.call(&["AUTH", "tenant", "secret"]), b"+OK\r\n");
    (server, admin, raw)
}

#[test]
fn every_command_is_refused_with_the_names_of_another() {
    let (_server, mut admin, mut con) = two_tenants();
    let before = snapshot(&mut admin);
    let mut refused = BTreeSet::new();
    let mut others = Workload::of(1, "other-", 3);
    for _ in 0..2_000 {
        let command = others.command();
        let reply = look_at(&command, &con.call(&command));
        assert_refused(&command, &reply);
        refused.insert(String::from_utf8_lossy(&command[0]).to_lowercase());
        match others.random.below(8) {
            0 => {
                let command = scripted(CALL, &command);
                assert_refused(&command, &look_at(&command, &con.call(&command)));
            }
            1 => {
                let command = scripted(TRY, &command);
                assert_refused(&command, &look_at(&command, &con.call(&command)));
            }
            2 => {
                con.call(&["MULTI"]);
                con.call(&command);
                let exec = vec![b"EXEC".to_vec()];
                match look_at(&exec, &con.call(&exec)) {
                    Value::Array(replies) => assert_refused(&command, &replies[0]),
                    Value::ServerError(error) => assert_eq!(error.code(), "EXECABORT"),
                    reply => panic!("{}: {reply:?}", shown(&command)),
                }
            }
            _ => {}
        }
    }
    let table = cmd!(admin, "COMMAND LIST FILTERBY MODULE devicestate").texts();
    assert_eq!(refused, table.into_iter().collect());
    assert_eq!(refused, workload::names());
    let after = snapshot(&mut admin);
    assert_eq!(difference(&before, &after), Vec::<String>::new());
}

/// Own names and foreign ones in every place, whole commands and broken ones, also within scripts and
/// transactions.
#[test]
fn nothing_that_a_tenant_says_changes_or_shows_what_is_another_s() {
    let (server, mut admin, mut con) = two_tenants();
    let told = Subscriber::patterns(&server, &["device:acme-*"]);
    // With rules and defaults of its types, which it can't set itself.
    Workload::of(3, "acme-", 6).run(&mut admin, 1_000);
    let before = of_other(&mut admin);
    assert!(before.len() > 20, "{:?}", before.keys());
    let mut own = Workload::of(2, "acme-", 6);
    let mut accepted = BTreeSet::new();
    for round in 0..6_000 {
        let mut command = own.command();
        if own.random.one_in(3) {
            let at = 1 + own.random.below(command.len());
            let name = own.random.pick(&HEARD_OF).as_bytes().to_vec();
            match command.get_mut(at) {
                Some(word) => *word = name,
                None => command.push(name),
            }
        }
        let is_whole = own.random.one_in(2);
        if !is_whole {
            break_it(&mut command, &mut own.random);
        }
        if command
            .iter()
            .any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
        {
            continue;
        }
        let sent = match own.random.below(6) {
            0 => scripted(TRY, &command),
            _ => command.clone(),
        };
        let reply = con.call(&sent);
        let shows = reply
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!shows, "{} showed {}", shown(&sent), reply.escape_ascii());
        let value = look_at(&sent, &reply);
        if sent == command && !matches!(value, Value::ServerError(_)) {
            accepted.insert(String::from_utf8_lossy(&command[0]).to_lowercase());
            own.learn(&command, &value);
        }
        if round % 500 == 499 {
            let after = of_other(&mut admin);
            assert_eq!(difference(&before, &after), Vec::<String>::new());
        }
    }
    // A tenant has the use of all but what is the fleet's.
    let fleet_wide = [
        "device.list",
        "device.count",
        "device.events",
        "device.check",
        "alert.due",
    ];
    let is_fleet_wide = |name: &String| {
        fleet_wide.contains(&name.as_str())
            || name.starts_with("device.type.")
            || name.starts_with("alert.rule.")
    };
    let mut usable = workload::names();
    usable.retain(|name| !is_fleet_wide(name));
    assert_eq!(accepted, usable);
    for message in told.take() {
        assert!(!message.payload.contains(SECRET), "{message:?}");
    }
}

/// Keys of the module are not the tenant's, though the devices in them are.
#[test]
fn core_commands_reach_no_key_of_the_module() {
    let (_server, mut admin, mut con) = two_tenants();
    cmd!(admin, "DEVICE.HEARTBEAT acme-1 TIMEOUT 0").items();
    let before = snapshot(&mut admin);
    for key in before.keys() {
        let key = key.as_str();
        for words in [
            vec!["TYPE", key],
            vec!["DUMP", key],
            vec!["DEL", key],
            vec!["UNLINK", key],
            vec!["EXISTS", key],
            vec!["RENAME", key, "acme-x"],
            vec!["COPY", key, "acme-x"],
            vec!["MOVE", key, "1"],
            vec!["PEXPIRE", key, "1"],
            vec!["OBJECT", "ENCODING", key],
            vec!["SET", key, "x"],
            vec!["HGETALL", key],
            vec!["XRANGE", key, "-", "+"],
            vec!["XREAD", "STREAMS", key, "0"],
            vec!["SMEMBERS", key],
            vec!["SUNION", "acme-y", key],
            vec!["ZRANGE", key, "0", "-1"],
            vec!["WATCH", key],
            vec!["SORT", key],
            vec!["EVAL", "return 1", "1", key],
        ] {
            let command: Args = words.into_iter().map(Vec::from).collect();
            assert_refused(&command, &look_at(&command, &con.call(&command)));
        }
    }
    let after = snapshot(&mut admin);
    assert_eq!(difference(&before, &after), Vec::<String>::new());
}

/// Some commands of the server name no key and show all: whoever allows the module's by name, as the
/// documentation says, allows none of them.
#[test]
fn a_tenant_with_the_commands_of_the_table_has_no_other_way() {
    let (_server, mut admin, mut con) = two_tenants();
    let names: Vec<String> = workload::names()
        .iter()
        .map(|name| format!("+{name}"))
        .collect();
    let channels = "resetchannels &device:acme-*:commands";
    grant(
        &mut admin,
        &format!(
            "-@all +auth +subscribe +unsubscribe +psubscribe {} {channels}",
            names.join(" ")
        ),
    );
    let mine = ["SUBSCRIBE", "device:acme-1:commands"];
    assert!(con.call(&mine).starts_with(b"*3"));
    assert!(con.call(&["UNSUBSCRIBE"]).starts_with(b"*3"));
    let before = snapshot(&mut admin);
    for line in [
        "SCAN 0",
        "KEYS *",
        "RANDOMKEY",
        "DBSIZE",
        "MONITOR",
        "INFO",
        "CLIENT LIST",
        "SLOWLOG GET",
        "CONFIG GET *",
        "ACL LIST",
        "ACL SETUSER tenant allkeys",
        "PUBSUB CHANNELS",
        "SUBSCRIBE devices:presence",
        "SUBSCRIBE device:other-d-0:commands",
        "PSUBSCRIBE *",
        "PSUBSCRIBE device:*",
        "PSUBSCRIBE __keyspace@0__:*",
        "PUBLISH devices:presence x",
        "EVAL return(1) 0",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "SELECT 1",
        "DEBUG RELOAD",
        "SAVE",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "PSYNC ? -1",
        "MODULE LIST",
        "FUNCTION FLUSH",
    ] {
        let command: Args = line.split(' ').map(Vec::from).collect();
        assert_refused(&command, &look_at(&command, &con.call(&command)));
    }
    let after = snapshot(&mut admin);
    assert_eq!(difference(&before, &after), Vec::<String>::new());
    let beat: Args = ["DEVICE.HEARTBEAT", "acme-1"].map(Vec::from).to_vec();
    assert!(matches!(look_at(&beat, &con.call(&beat)), Value::Array(_)));
}
