//! What one connection has counted: commands of several kinds that each carry the next number, so that
//! after a crash it can be told which of them are still there.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::Connection;

use crate::support::*;

/// A kind of command: how it says a number, and the last number that is stored.
struct Kind {
    name: &'static str,
    /// `<p>` stands for the ledger's name, `<n>` for the number.
    form: &'static str,
    stored: fn(&mut Connection, &str) -> u64,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "reports",
        form: "DEVICE.HEARTBEAT <p>-device TIMEOUT 0 REPORTED {\"n\":<n>} SESSION 1 SEQ <n>",
        stored: |con, name| {
            let fields = state(con, name, &["reported_state", "seq"]);
            let reported = number_in(&fields[0]);
            assert_eq!(fields[1].parse().unwrap_or(0), reported, "{fields:?}");
            reported
        },
    },
    Kind {
        name: "desired changes",
        form: "DEVICE.SHADOW.SET <p>-device {\"d\":<n>}",
        stored: |con, name| number_in(&state(con, name, &["desired_state"])[0]),
    },
    Kind {
        name: "commands",
        form: "DEVICE.COMMAND <p>-device {\"n\":<n>}",
        stored: |con, name| messages(con, &format!("device:commands:{name}-device")),
    },
    Kind {
        name: "alerts",
        form: "ALERT.RAISE <p>-device alert DATA {\"n\":<n>} NOTIFY 1 <p>-owner",
        stored: |con, name| {
            let record = cmd!(con, "HGET", format!("device:alerts:{name}-device"), "alert");
            counted(&record)
        },
    },
    Kind {
        name: "notifications",
        form: "ALERT.NOTIFY <p>-user notice {\"n\":<n>} WAIT 1h",
        stored: |con, name| {
            let user = format!("alerts:user:{name}-user");
            counted(&cmd!(con, "HGET", user, "pending: notice"))
        },
    },
    Kind {
        name: "messages",
        form: "QUEUE.ADD <p>-queue {\"n\":<n>}",
        stored: |con, name| messages(con, &format!("{name}-queue")),
    },
    Kind {
        name: "hits",
        form: "THROTTLE.HIT <p>-hits 1000000 1h",
        stored: |con, name| match cmd!(con, "GET", format!("{name}-hits")) {
            Ok(redis::Value::Nil) => 0,
            count => count.int() as u64,
        },
    },
];

/// How many commands one line of the ledger is.
pub const LINE: usize = KINDS.len();

/// A number for each kind.
pub type Counts = [u64; LINE];

/// When each number of each kind was acknowledged, from 1 on.
type Acknowledged = [Vec<Instant>; LINE];

pub struct Ledger {
    name: String,
    acknowledged: Mutex<Acknowledged>,
}

impl Ledger {
    pub fn new(name: String) -> Ledger {
        Ledger {
            name,
            acknowledged: Mutex::default(),
        }
    }

    /// The commands that say `number`, one of each kind, in order.
    pub fn line(&self, number: u64) -> impl Iterator<Item = Vec<u8>> + '_ {
        KINDS.iter().map(move |kind| {
            let said = kind.form.replace("<n>", &number.to_string());
            let said = said.replace("<p>", &self.name);
            resp::encode(&said.split(' ').collect::<Vec<_>>())
        })
    }

    /// The next number of this kind was acknowledged.
    pub fn acknowledge(&self, kind: usize) {
        let mut acknowledged = self.acknowledged.lock().expect("no panic");
        acknowledged[kind].push(Instant::now());
    }

    /// How many of each kind have been acknowledged so far.
    pub fn counts(&self) -> Counts {
        let acknowledged = self.acknowledged.lock().expect("no panic");
        std::array::from_fn(|kind| acknowledged[kind].len() as u64)
    }

    /// How many of each kind were acknowledged at least `age` before `end`.
    pub fn counts_before(&self, end: Instant, age: Duration) -> Counts {
        let acknowledged = self.acknowledged.lock().expect("no panic");
        std::array::from_fn(|kind| {
            let is_old = |at: &Instant| *at + age <= end;
            acknowledged[kind].partition_point(is_old) as u64
        })
    }

    /// Compares with what is stored: no number below those of `kept` may be missing. What is there
    /// must be the beginning of what was said, and nothing that was not. Gives how many
    /// acknowledged commands are lost.
    #[track_caller]
    pub fn lost(&self, con: &mut Connection, said: u64, kept: &Counts) -> u64 {
        let name = &self.name;
        let stored: Vec<u64> = KINDS.iter().map(|k| (k.stored)(con, name)).collect();
        // The kinds take turns, so each has at most one more than those behind it.
        let is_beginning =
            stored.windows(2).all(|pair| pair[0] >= pair[1]) && stored[0] <= stored[LINE - 1] + 1;
        assert!(
            is_beginning,
            "{name}: no beginning of what was said: {stored:?}"
        );
        assert!(
            stored[0] <= said,
            "{name}: {stored:?}, but only {said} were said"
        );
        for (kind, (stored, kept)) in KINDS.iter().zip(stored.iter().zip(kept)) {
            let kind = kind.name;
            assert!(stored >= kept, "{name}: {stored} of {kept} {kind} are left");
        }
        let counts = self.counts();
        let lost = counts.iter().zip(&stored);
        lost.map(|(count, stored)| count.saturating_sub(*stored))
            .sum()
    }

    /// Leaves nothing of it.
    #[track_caller]
    pub fn remove(&self, con: &mut Connection) {
        let name = &self.name;
        for user in ["user", "owner"] {
            let batch = cmd!(con, "ALERT.BATCH", format!("{name}-{user}"), "NOW");
            if !batch.is_nil() {
                let token = batch.at(0).text();
                cmd!(con, "ALERT.DONE", format!("{name}-{user}"), token).int();
            }
        }
        cmd!(con, "DEVICE.REMOVE", format!("{name}-device")).int();
        cmd!(con, "DEL", format!("{name}-queue"), format!("{name}-hits")).int();
    }
}

/// Fields of the ledger's device; empty where there are none.
#[track_caller]
fn state(con: &mut Connection, name: &str, fields: &[&str]) -> Vec<String> {
    let found = cmd!(con, "HMGET", format!("device:state:{name}-device"), fields);
    let text = |value: &redis::Value| match value.is_nil() {
        true => String::new(),
        false => value.text(),
    };
    found.items().iter().map(text).collect()
}

/// The number in a document with one member.
#[track_caller]
fn number_in(document: &str) -> u64 {
    if document.is_empty() {
        return 0;
    }
    let document: serde_json::Value = serde_json::from_str(document).expect("a document");
    let members = document.as_object().expect("an object");
    members.values().find_map(|n| n.as_u64()).expect("a number")
}

/// The count of an alert or an item, which the last number in it must equal.
#[track_caller]
fn counted(stored: &redis::RedisResult<redis::Value>) -> u64 {
    if stored.is_nil() {
        return 0;
    }
    let stored = stored.json();
    assert_eq!(stored["count"], stored["data"]["n"], "{stored}");
    stored["count"].as_u64().expect("a count")
}

/// How many messages a queue holds: one of each number from 1 on, in order.
#[track_caller]
fn messages(con: &mut Connection, key: &str) -> u64 {
    let found = stream(con, key);
    for (message, number) in found.iter().zip(1..) {
        assert_eq!(number_in(message.get("b")), number, "{key}: {message:?}");
    }
    found.len() as u64
}
