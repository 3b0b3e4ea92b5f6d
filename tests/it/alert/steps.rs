//! In transactions and scripts all commands are what they are outside.

use super::*;

/// Each command of the users and of a device, and what it answers.
const LINES: &[(&str, &str)] = &[
    ("ALERT.RAISE d a SEVERITY 2 WAIT 0 NOTIFY 1 u", "new 1"),
    ("ALERT.RAISE d a", "suppressed 2"),
    ("ALERT.RAISE d a SEVERITY 3", "escalated 3"),
    ("ALERT.RAISE d h FOR 1h", "held 1"),
    ("ALERT.RAISE d r EVERY 0", "new 1"),
    ("ALERT.RAISE d r EVERY 0", "repeat 2"),
    ("ALERT.ACK d a", "1"),
    ("ALERT.CLEAR d h", "0"),
    ("ALERT.CLEAR d r", "1"),
    ("ALERT.NOTIFY u n {}", "2"),
    ("ALERT.DUE", "u"),
    ("ALERT.DONE u nope", "0"),
    ("ALERT.RULE.SET t x {\"on\":\"offline\"}", "1"),
    ("ALERT.RULE.DEL t x", "1"),
];

#[track_caller]
fn shown(reply: &redis::Value) -> String {
    match reply {
        redis::Value::Array(items) => items.iter().map(Reply::text).collect::<Vec<_>>().join(" "),
        other => other.text(),
    }
}

/// Everything but times and tokens, which differ from run to run.
#[track_caller]
fn outcome(con: &mut redis::Connection) -> Vec<String> {
    let mut lines = announced(con, "d");
    lines.push(state(con, "d", "a"));
    lines.extend(batch(con, "u").expect("a batch").lines());
    lines.extend(cmd!(con, "KEYS *").sorted());
    lines
}

#[test]
fn a_transaction_and_a_script_do_as_single_commands_do() {
    let mut outcomes = Vec::new();
    for way in ["single", "MULTI", "EVAL"] {
        let server = quick();
        let mut con = server.connection();
        cmd!(con, "DEVICE.REGISTER d t").int();
        match way {
            "single" => {
                for (line, expected) in LINES {
                    assert_eq!(shown(cmd!(con, line).value()), *expected, "{line}");
                }
            }
            "MULTI" => {
                cmd!(con, "MULTI").text();
                for (line, _) in LINES {
                    assert_eq!(cmd!(con, line).text(), "QUEUED", "{line}");
                }
                let replies = cmd!(con, "EXEC").items();
                for ((line, expected), reply) in LINES.iter().zip(&replies) {
                    assert_eq!(shown(reply), *expected, "{line}");
                }
            }
            _ => {
                for (line, expected) in LINES {
                    let words: Vec<&str> = line.split(' ').collect();
                    let script = "return redis.call(unpack(ARGV))";
                    let reply = cmd!(con, "EVAL", script, 0, words);
                    assert_eq!(shown(reply.value()), *expected, "{line}");
                }
            }
        }
        outcomes.push(outcome(&mut con));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
}

#[test]
fn a_script_fetches_and_finishes_a_batch_in_one_step() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "ALERT.NOTIFY u a {\"x\":1} WAIT 0").int();
    let script = "local batch = redis.call('ALERT.BATCH', KEYS[1])
        local item = batch[2][1]
        return {redis.call('ALERT.DONE', KEYS[1], batch[1]), item[4], item[16]}";
    let reply = cmd!(con, "EVAL", script, 1, "u");
    assert_eq!(reply.at(0).int(), 1);
    assert_eq!([reply.at(1).text(), reply.at(2).text()], ["a", "{\"x\":1}"]);
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
}

#[test]
fn errors_in_a_transaction_spoil_only_their_own_command() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    cmd!(con, "MULTI").text();
    for line in [
        "ALERT.RAISE d a",
        "ALERT.RAISE nobody a",
        "ALERT.RAISE d a SEVERITY x",
    ] {
        cmd!(con, line).text();
    }
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(shown(&replies[0]), "new 1");
    for reply in &replies[1..] {
        assert!(matches!(reply, redis::Value::ServerError(_)), "{reply:?}");
    }
}

/// WATCH and client-side caches go by the id and the user, the keys that the commands declare.
#[test]
fn a_watched_device_or_user_is_seen_to_change() {
    let server = quick();
    let (mut con, mut other) = (server.connection(), server.connection());
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut other, "d quiet");
    for (watched, line, changes) in [
        ("d", "ALERT.RAISE d a WAIT 0 NOTIFY 1 u", true),
        ("u", "ALERT.RAISE d b NOTIFY 1 u", true),
        ("d", "ALERT.RAISE d a", true),
        ("d", "ALERT.ACK d a", true),
        ("d", "ALERT.ACK d a", false),
        ("d", "ALERT.LIST d", false),
        ("d", "ALERT.CLEAR d a", true),
        ("u", "ALERT.NOTIFY u n {}", true),
        ("u", "ALERT.BATCH u", true),
        ("u", "ALERT.BATCH u", false),
        ("u", "ALERT.DONE u nope", false),
        ("other", "ALERT.RAISE d c NOTIFY 1 u", false),
    ] {
        cmd!(con, "WATCH", watched).text();
        assert!(cmd!(other, line).is_ok(), "{line}");
        cmd!(con, "MULTI").text();
        cmd!(con, "PING").text();
        assert_eq!(cmd!(con, "EXEC").is_nil(), changes, "{watched}: {line}");
    }
}
