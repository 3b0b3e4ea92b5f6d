//! `COMMAND DOCS`, `COMMAND INFO`, `COMMAND GETKEYS`.

use std::collections::BTreeSet;

use redis::{Connection, Value};

use crate::support::*;

/// A command of the contract: name, arity, whether it writes, whether its id is a key, keywords.
type Row = (&'static str, i64, bool, bool, &'static [&'static str]);

const COMMANDS: &[Row] = &[
    ("throttle.hit", -4, true, true, &["COST", "GCRA"]),
    (
        "queue.add",
        -3,
        true,
        true,
        &["ATTR", "TTL", "MAXLEN", "DELAY"],
    ),
    (
        "queue.get",
        -3,
        true,
        true,
        &["COUNT", "LEASE", "MAX", "INFLIGHT", "BLOCK"],
    ),
    ("queue.ack", -3, true, true, &[]),
    ("queue.nack", -4, true, true, &["DELAY", "DEAD"]),
    ("queue.touch", -5, true, true, &[]),
    ("queue.kick", -3, true, true, &[]),
    ("queue.pending", -2, false, true, &["COUNT"]),
    ("queue.stat", 2, false, true, &[]),
    ("device.register", -3, true, true, &["META"]),
    ("device.remove", -2, true, true, &["BLOCK"]),
    (
        "device.heartbeat",
        -2,
        true,
        true,
        &["REPORTED", "REPLACE", "TIMEOUT", "SESSION", "SEQ"],
    ),
    ("device.offline", -2, true, true, &["REASON", "SESSION"]),
    (
        "device.ingest",
        -3,
        true,
        true,
        &["BASE64", "SESSION", "SEQ"],
    ),
    ("device.command", -3, true, true, &["TTL", "DELAY"]),
    ("device.command.take", -2, true, true, &["COUNT", "LEASE"]),
    (
        "device.command.done",
        -4,
        true,
        true,
        &["OK", "FAILED", "REJECTED"],
    ),
    ("device.command.cancel", 3, true, true, &[]),
    ("device.command.list", 2, false, true, &[]),
    ("device.get", -2, false, true, &[]),
    ("device.mget", -2, false, true, &[]),
    (
        "device.list",
        -1,
        false,
        false,
        &[
            "ONLINE",
            "OFFLINE",
            "TYPE",
            "STALE",
            "OUTOFSYNC",
            "CURSOR",
            "COUNT",
            "WITHSTATE",
        ],
    ),
    (
        "device.count",
        -1,
        false,
        false,
        &["ONLINE", "OFFLINE", "TYPE", "STALE", "OUTOFSYNC"],
    ),
    (
        "device.events",
        -1,
        false,
        false,
        &["AFTER", "COUNT", "BLOCK"],
    ),
    ("device.type.set", -4, true, false, &["TIMEOUT", "HISTORY"]),
    ("device.type.get", 2, false, false, &[]),
    ("device.type.del", 2, true, false, &[]),
    ("device.type.list", 1, false, false, &[]),
    ("device.why", 2, false, true, &[]),
    ("device.check", -2, true, false, &["COUNT", "REPAIR"]),
    (
        "device.shadow.set",
        -3,
        true,
        true,
        &["NAME", "VERSION", "REPLACE"],
    ),
    (
        "device.shadow.report",
        -3,
        true,
        true,
        &["NAME", "VERSION", "REPLACE", "SESSION", "SEQ"],
    ),
    ("device.shadow.update", -3, true, true, &["NAME"]),
    ("device.shadow.get", -2, false, true, &["NAME"]),
    ("device.shadow.del", -2, true, true, &["NAME"]),
    ("device.shadow.names", 2, false, true, &[]),
    ("device.delta", -2, false, true, &["NAME"]),
    (
        "alert.raise",
        -3,
        true,
        true,
        &["SEVERITY", "EVERY", "FOR", "KEEP", "WAIT", "DATA", "NOTIFY"],
    ),
    ("alert.clear", 3, true, true, &[]),
    ("alert.ack", 3, true, true, &[]),
    ("alert.list", 2, false, true, &[]),
    ("alert.rule.set", 4, true, false, &[]),
    ("alert.rule.del", 3, true, false, &[]),
    ("alert.rule.list", 2, false, false, &[]),
    ("alert.notify", -4, true, true, &["SEVERITY", "WAIT"]),
    ("alert.batch", -2, true, true, &["COUNT", "LEASE", "NOW"]),
    ("alert.done", 3, true, true, &[]),
    ("alert.due", -1, false, false, &["COUNT"]),
    (
        "device.history",
        -2,
        false,
        true,
        &["FROM", "TO", "COUNT", "REV"],
    ),
];

/// The row of `COMMAND INFO`: name, arity, flags, first, last, step, categories, tips, key specs.
#[track_caller]
fn command_info(con: &mut Connection, name: &str) -> Vec<Value> {
    cmd!(con, "COMMAND INFO", name).at(0).items()
}

#[track_caller]
fn docs(con: &mut Connection, name: &str) -> std::collections::BTreeMap<String, Value> {
    cmd!(con, "COMMAND DOCS", name).fields()[name].fields()
}

/// All keywords among the arguments, however deep.
fn tokens(arguments: &Value, found: &mut BTreeSet<String>) {
    for argument in arguments.items() {
        let fields = argument.fields();
        assert!(!fields["name"].text().is_empty() && !fields["type"].text().is_empty());
        found.extend(fields.get("token").map(Reply::text));
        if let Some(inner) = fields.get("arguments") {
            tokens(inner, found);
        }
    }
}

#[test]
fn the_module_has_these_commands_and_no_others() {
    let server = Server::start();
    let mut con = server.connection();
    let found = cmd!(con, "COMMAND LIST FILTERBY MODULE devicestate").sorted();
    let mut expected: Vec<&str> = COMMANDS.iter().map(|row| row.0).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn every_command_is_documented() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, arity, _, _, keywords) in COMMANDS {
        let docs = docs(&mut con, name);
        for text in ["summary", "since", "complexity"] {
            assert!(!docs[text].text().is_empty(), "{name}: {text}");
        }
        assert_eq!(docs["module"].text(), "devicestate");
        let mut found = BTreeSet::new();
        match docs.get("arguments") {
            Some(arguments) => tokens(arguments, &mut found),
            None => assert_eq!(*arity, 1, "{name} has no arguments"),
        }
        let expected: BTreeSet<String> = keywords.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn every_command_says_whether_it_writes() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, arity, writes, _, _) in COMMANDS {
        let info = command_info(&mut con, name);
        assert_eq!(info[1].int(), *arity, "{name}");
        let flags = info[2].texts();
        let has = |flag: &str| flags.iter().any(|found| found == flag);
        assert_eq!(
            (has("write"), has("readonly")),
            (*writes, !writes),
            "{name}: {flags:?}"
        );
        assert!(has("module"), "{name}: {flags:?}");
    }
}

#[test]
fn memory_is_denied_only_to_what_need_not_go_on() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, denied) in [
        ("device.register", true),
        ("device.type.set", true),
        ("device.shadow.set", true),
        ("device.shadow.report", true),
        ("device.shadow.update", true),
        ("device.shadow.del", false),
        // Devices stay online when memory is short, and can be removed to make room.
        ("device.heartbeat", false),
        ("device.offline", false),
        ("device.remove", false),
        // A throttle must not become an outage.
        ("throttle.hit", false),
        // Whoever works off a queue makes room.
        ("queue.add", true),
        ("queue.get", false),
        ("queue.ack", false),
        ("queue.nack", false),
        ("queue.touch", false),
        ("queue.kick", false),
        ("alert.raise", true),
        ("alert.notify", true),
        ("alert.rule.set", true),
        // What is told makes room.
        ("alert.clear", false),
        ("alert.ack", false),
        ("alert.batch", false),
        ("alert.done", false),
        ("alert.rule.del", false),
    ] {
        let flags = command_info(&mut con, name)[2].texts();
        assert_eq!(
            flags.iter().any(|flag| flag == "denyoom"),
            denied,
            "{name}: {flags:?}"
        );
    }
}

#[test]
fn ids_are_keys_and_nothing_else_is() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, arity, writes, has_key, _) in COMMANDS {
        let specs = command_info(&mut con, name)[8].items();
        assert_eq!(specs.len(), usize::from(*has_key), "{name}");
        let words = ["d", "ONLINE", "x", "y"];
        let call = &words[..(arity.unsigned_abs() as usize - 1).max(1).min(words.len())];
        if !has_key {
            if *arity != 1 {
                expect_error(
                    &mut con,
                    &[&["COMMAND", "GETKEYS", name], call].concat(),
                    "ERR",
                    "key",
                );
            }
            continue;
        }
        assert_eq!(
            cmd!(con, "COMMAND GETKEYS", name, call).texts(),
            ["d"],
            "{name}"
        );
        let flags = cmd!(con, "COMMAND GETKEYSANDFLAGS", name, call)
            .at(0)
            .at(1)
            .texts();
        let wanted = if *writes { "RW" } else { "RO" };
        assert!(flags.iter().any(|flag| flag == wanted), "{name}: {flags:?}");
    }
    let all = cmd!(con, "COMMAND GETKEYS DEVICE.MGET a b c").texts();
    assert_eq!(all, ["a", "b", "c"]);
    let one = cmd!(
        con,
        "COMMAND GETKEYS DEVICE.HEARTBEAT a REPORTED {} SESSION 1"
    )
    .texts();
    assert_eq!(one, ["a"]);
}

#[test]
fn fleet_wide_commands_tell_clusters_how_to_ask_all_shards() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, tip) in [
        ("device.count", "request_policy:all_shards"),
        ("device.count", "response_policy:agg_sum"),
        ("device.mget", "request_policy:multi_shard"),
        ("alert.due", "request_policy:all_shards"),
    ] {
        let tips = command_info(&mut con, name)[7].texts();
        assert!(tips.iter().any(|found| found == tip), "{name}: {tips:?}");
    }
    // One node tells all others.
    for name in ["device.type.set", "alert.rule.set", "alert.rule.del"] {
        assert!(command_info(&mut con, name)[7].texts().is_empty(), "{name}");
    }
    let list = command_info(&mut con, "device.list")[7].texts();
    assert!(
        list.iter().any(|tip| tip.starts_with("request_policy:")),
        "{list:?}"
    );
}
