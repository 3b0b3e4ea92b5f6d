//! What changes nothing replicates nothing: reading commands, refused ones, and each writing command
//! in the forms that have nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Connection, RedisResult, Value};

use super::*;
use crate::heartbeat::replication::{aof_bytes, replicated, server_with_aof};
use crate::support::random::Random;
use crate::survival::size::size;
use crate::workload::{names, run, shown, Args, Workload};

/// The commands that the server itself takes for reading ones.
#[track_caller]
fn reading(con: &mut Connection) -> BTreeSet<String> {
    let mut reading = names();
    reading.retain(|name| {
        let flags = cmd!(con, "COMMAND INFO", name).at(0).at(2).texts();
        let has = |flag: &str| flags.iter().any(|found| found == flag);
        let (reads, writes) = (has("readonly"), has("write"));
        assert_ne!(reads, writes, "{name}: {flags:?}");
        reads
    });
    assert!(reading.len() > 10, "{reading:?}");
    reading
}

fn name(command: &Args) -> String {
    String::from_utf8_lossy(&command[0]).to_lowercase()
}

/// A write of a reading command would end the server here: it could not be replicated.
#[test]
fn reading_commands_write_nothing_even_while_writes_are_paused() {
    const EACH: usize = 40;
    let mut server = server_with_aof();
    let mut con = server.connection();
    let reading = reading(&mut con);
    let mut workload = Workload::new(11);
    workload.run(&mut con, 2_000);
    // What a reading command must not mend: a device that is gone, one of the plain recipe, one
    // whose keys are of other types, and queues and throttles of other types.
    cmd!(con, "DEL device:state:d-1 device:state:d-2").int();
    cmd!(
        con,
        "HSET device:state:d-2 device_id d-2 status online last_seen 1700000000.5"
    )
    .int();
    for key in [
        "state:d-3",
        "shadows:d-4",
        "alerts:d-5",
        "commands:d-6",
        "history:d-7",
    ] {
        cmd!(con, "SET", format!("device:{key}"), "text").text();
    }
    cmd!(con, "SET queue-0 text").text();
    cmd!(con, "SET alerts:user:user-0 text").text();
    cmd!(con, "SADD devices:online nobody").int();

    cmd!(con, "CLIENT PAUSE 600000 WRITE").text();
    let before = aof_bytes(&server);
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    while said.len() < reading.len() || said.values().any(|count| *count < EACH) {
        let command = workload.command();
        if reading.contains(&name(&command)) {
            let _ = run(&mut con, &command);
            *said.entry(name(&command)).or_default() += 1;
        }
    }
    assert_eq!(aof_bytes(&server), before);
    assert!(server.is_alive());
    cmd!(con, "CLIENT UNPAUSE").text();
}

/// What one command did, looked at within one step, so that no timer comes between.
struct Done {
    command: Args,
    reply: RedisResult<Value>,
    /// Whether a digest of the whole data set came out differently after it.
    changed: bool,
}

/// Says a command in a transaction, marked with its number. There are two writes besides it, as one
/// alone would not be kept apart from what a timer writes next.
#[track_caller]
fn say_marked(con: &mut Connection, number: usize, command: Args) -> Done {
    cmd!(con, "MULTI").text();
    cmd!(con, "SET marker", number).text();
    cmd!(con, "DEBUG DIGEST").text();
    if let Err(error) = run(con, &command) {
        // What does not even get into a transaction breaks it.
        assert!(cmd!(con, "EXEC").is_err());
        return Done {
            command,
            reply: Err(error),
            changed: false,
        };
    }
    cmd!(con, "DEBUG DIGEST").text();
    cmd!(con, "DEL marker").text();
    let replies = cmd!(con, "EXEC").items();
    let reply = match replies[2].clone() {
        Value::ServerError(error) => Err(error.into()),
        reply => Ok(reply),
    };
    let changed = replies[1] != replies[3];
    Done {
        command,
        reply,
        changed,
    }
}

/// What each of the marked commands left in the append-only file.
#[track_caller]
fn effects(server: &Server) -> BTreeMap<usize, Vec<Vec<String>>> {
    let mut effects: BTreeMap<usize, Vec<Vec<String>>> = BTreeMap::new();
    let mut marked = None;
    for words in replicated(server) {
        match (words[0].as_str(), words.get(1).map(String::as_str)) {
            ("MULTI" | "EXEC", _) => marked = None,
            ("DEL", Some("marker")) => marked = None,
            ("SET", Some("marker")) => marked = words[2].parse().ok(),
            _ => {
                if let Some(number) = marked {
                    effects.entry(number).or_default().push(words);
                }
            }
        }
    }
    effects
}

/// A command that is most likely refused: something in it is lost, odd or too much.
fn spoilt(mut command: Args, random: &mut Random) -> Args {
    const ODD: &[&[u8]] = &[
        b"",
        b"-1",
        b"[",
        b"{",
        b"{d}",
        b"nobody",
        b"\xff\0%n",
        b"99999999999999999999",
        b"s",
    ];
    let last = command.len() - 1;
    match random.below(4) {
        0 if last > 0 => _ = command.pop(),
        1 => command.push(random.pick(ODD).to_vec()),
        _ if last > 0 => command[1 + random.below(last)] = random.pick(ODD).to_vec(),
        _ => command.push(b"nonsense".to_vec()),
    }
    command
}

#[test]
fn refused_and_reading_commands_leave_no_trace() {
    // What a key that expires just then leaves is the server's own.
    let is_expiry = |words: &Vec<String>| {
        let keys = ["device:blocked:", "window-", "bucket-"];
        matches!(words[0].as_str(), "DEL" | "UNLINK")
            && keys.iter().any(|key| words[1].starts_with(key))
    };
    for seed in 0..size(1, 5) {
        let server = Server::builder()
            .config("appendonly", "yes")
            .config("appendfsync", "no")
            .start();
        let mut con = server.connection();
        let reading = reading(&mut con);
        cmd!(con, "CONFIG SET devicestate.events-maxlen 100").text();
        cmd!(con, "SET s text").text();
        let mut workload = Workload::of(seed, "", 10);
        let mut done = Vec::new();
        for number in 0..size(1_500, 4_000) {
            let mut command = workload.command();
            if workload.random.one_in(2) {
                command = spoilt(command, &mut workload.random);
            }
            let step = say_marked(&mut con, number, command);
            if let Ok(reply) = &step.reply {
                workload.learn(&step.command, reply);
            }
            done.push(step);
        }
        let mut effects = effects(&server);
        let (mut refused, mut codes) = (BTreeSet::new(), BTreeSet::new());
        for (number, step) in done.iter().enumerate() {
            let mut left = effects.remove(&number).unwrap_or_default();
            let told = format!(
                "{} answered {:?} and left {left:?}",
                shown(&step.command),
                step.reply
            );
            // A change that nobody is told of, or the other way round.
            assert!(!step.changed || !left.is_empty(), "{told}");
            left.retain(|words| !is_expiry(words));
            if let Err(error) = &step.reply {
                refused.insert(name(&step.command));
                codes.extend(error.code().map(str::to_owned));
            }
            if step.reply.is_err() || reading.contains(&name(&step.command)) {
                assert!(left.is_empty(), "{told}");
            }
        }
        assert!(
            refused.is_superset(&names()),
            "never refused: {:?}",
            names().difference(&refused)
        );
        assert!(codes.len() > 5, "{codes:?}");
    }
}

/// What is there when the forms below are said.
const GIVEN: &[&str] = &[
    r#"DEVICE.REGISTER d t META {"m":1}"#,
    r#"DEVICE.HEARTBEAT d TIMEOUT 0 SESSION 5 SEQ 5 REPORTED {"a":1}"#,
    "DEVICE.REGISTER off t",
    "DEVICE.TYPE.SET t TIMEOUT 1h HISTORY 3",
    r#"ALERT.RULE.SET t r {"on":"offline"}"#,
    "ALERT.RAISE d acked",
    "ALERT.ACK d acked",
    "ALERT.RAISE d over EVERY 1h",
    "ALERT.CLEAR d over",
    "ALERT.NOTIFY later n {}",
    "ALERT.NOTIFY out n {} WAIT 0",
    "ALERT.BATCH out LEASE 1h",
    "THROTTLE.HIT w 1 1h",
    "THROTTLE.HIT b 1 1h GCRA",
    "QUEUE.ADD q x",
    "QUEUE.GET q w LEASE 1h",
    "DEVICE.COMMAND d {}",
    "DEVICE.COMMAND.TAKE d LEASE 1h",
];

/// Forms of writing commands that have nothing to do, and are not refused.
const NOTHING_TO_DO: &[&str] = &[
    "DEVICE.OFFLINE off",
    "DEVICE.REGISTER d t",
    r#"DEVICE.REGISTER d t META {"m":1}"#,
    "DEVICE.REMOVE nobody",
    "DEVICE.TYPE.SET t TIMEOUT 1h HISTORY 3",
    "DEVICE.TYPE.DEL nope",
    "DEVICE.CHECK 0",
    "DEVICE.CHECK 0 COUNT 10000 REPAIR",
    "DEVICE.COMMAND.TAKE d",
    "DEVICE.COMMAND.TAKE off",
    "DEVICE.COMMAND.DONE d 1-1 OK",
    "DEVICE.COMMAND.CANCEL d 1-1",
    "ALERT.CLEAR d nope",
    "ALERT.CLEAR d over",
    "ALERT.ACK d acked",
    "ALERT.ACK d nope",
    r#"ALERT.RULE.SET t r {"on":"offline"}"#,
    "ALERT.RULE.DEL t nope",
    "ALERT.BATCH nobody",
    "ALERT.BATCH later",
    "ALERT.BATCH out NOW",
    "ALERT.DONE out stale",
    "THROTTLE.HIT w 1 1h",
    "THROTTLE.HIT new 1 1h COST 0",
    "THROTTLE.HIT b 1 1h GCRA",
    "QUEUE.GET none w",
    "QUEUE.GET q w",
    "QUEUE.ACK q 1-1",
    "QUEUE.NACK q stranger 1-1",
    "QUEUE.TOUCH q w 1h 1-1",
    "QUEUE.KICK q 1-1",
];

/// Commands that have something to do whenever they are not refused: each counts, and those that
/// are ignored as stale are counted as such.
const NEVER_IDLE: &[&str] = &[
    "device.heartbeat",
    "device.ingest",
    "device.shadow.report",
    "device.shadow.set",
    "device.shadow.update",
    "device.shadow.del",
    "device.command",
    "alert.raise",
    "alert.notify",
    "queue.add",
];

#[test]
fn writing_commands_that_have_nothing_to_do_replicate_nothing() {
    let server = server_with_aof();
    let mut con = server.connection();
    let mut known = reading(&mut con);
    for line in GIVEN {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    let (before, keys) = (aof_bytes(&server), snapshot_with_expiry(&mut con));
    for line in NOTHING_TO_DO {
        assert!(cmd!(con, line).is_ok(), "{line}");
        assert_eq!(aof_bytes(&server), before, "{line}");
        known.extend(line.split(' ').next().map(str::to_lowercase));
    }
    let after = snapshot_with_expiry(&mut con);
    assert_eq!(difference(&keys, &after), Vec::<String>::new());
    known.extend(NEVER_IDLE.iter().map(|&name| name.to_owned()));
    assert_eq!(known, names(), "each command is here or reads");
}
