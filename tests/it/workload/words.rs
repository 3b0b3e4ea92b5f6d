//! The words that fill the forms of commands: names from small sets, so that commands meet each
//! other, and what the replies taught.

use std::collections::BTreeMap;

use prost::Message as _;
use redis::Value;

use devicestate_proto::v1::{CommandResult, CommandStatus, DeviceMessage, Vitals};

use crate::support::random::Random;
use crate::support::*;

use super::Args;

/// How many ids of messages and batches are kept for each queue, device or user.
const KEPT: usize = 20;

pub struct Words {
    prefix: String,
    devices: usize,
    /// How many words have been given: what is written differs each time.
    given: u64,
    /// Names that the server gave, by the key, device or user that they belong to.
    learnt: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// What the command that is being filled is about: the first name in it.
    about: Vec<u8>,
}

impl Words {
    pub fn new(prefix: &str, devices: usize) -> Words {
        Words {
            prefix: prefix.to_owned(),
            devices,
            given: 0,
            learnt: BTreeMap::new(),
            about: Vec::new(),
        }
    }

    /// A word of this kind.
    pub fn word(&mut self, kind: &str, random: &mut Random) -> Vec<u8> {
        self.given += 1;
        let n = self.given;
        let named = |what: &str, i: usize| format!("{}{what}-{i}", self.prefix);
        let word = match kind {
            "device" => named("d", random.below(self.devices)),
            "queue" => named("queue", random.below(3)),
            "window" => named("window", random.below(4)),
            "bucket" => named("bucket", random.below(4)),
            "type" => named("type", random.below(3)),
            "user" => named("user", random.below(4)),
            "worker" => format!("worker-{}", random.below(3)),
            "shadow" => format!("shadow-{}", random.below(3)),
            "alert" => format!("alert-{}", random.below(4)),
            "rule" => format!("rule-{}", random.below(3)),
            "few" => (1 + random.below(10)).to_string(),
            "number" => (1 + random.below(1_000)).to_string(),
            "severity" => random.below(5).to_string(),
            "cost" => (random.below(6) as i64 - 2).to_string(),
            "timeout" => (100 + random.below(400)).to_string(),
            "lease" => (1 + random.below(100)).to_string(),
            "wait" => (1 + random.below(200)).to_string(),
            "document" => document(n, random),
            "metadata" => format!(
                r#"{{"n":{n},"owners":["{}"]}}"#,
                named("user", random.below(4))
            ),
            "update" => format!(
                r#"{{"state":{{"{}":{}}},"clientToken":"t-{n}"}}"#,
                random.pick(&["desired", "reported"]),
                document(n, random)
            ),
            "rule-document" => rule(&named("user", random.below(4)), random),
            "protobuf" => return protobuf(n, random),
            "command" | "message" | "token" => return self.learnt_word(random),
            other => panic!("no word <{other}>"),
        };
        if matches!(kind, "device" | "queue" | "user") {
            self.about = word.clone().into_bytes();
        }
        word.into_bytes()
    }

    /// A name that the server gave to something of what this command is about, or one of nothing.
    fn learnt_word(&self, random: &mut Random) -> Vec<u8> {
        match self.learnt.get(&self.about) {
            Some(names) if !names.is_empty() => random.pick(names).clone(),
            _ => b"1-1".to_vec(),
        }
    }

    /// Keeps the names that a reply gives.
    pub fn learn(&mut self, command: &Args, reply: &Value) {
        let names: Vec<Value> = match command[0].as_slice() {
            b"DEVICE.COMMAND" | b"QUEUE.ADD" => vec![reply.clone()],
            b"DEVICE.COMMAND.TAKE" | b"QUEUE.GET" if !reply.is_nil() => {
                reply.items().iter().map(|message| message.at(0)).collect()
            }
            b"ALERT.BATCH" if !reply.is_nil() => vec![reply.at(0)],
            _ => return,
        };
        let kept = self.learnt.entry(command[1].clone()).or_default();
        kept.extend(names.iter().map(Reply::bytes));
        let old = kept.len().saturating_sub(KEPT);
        kept.drain(..old);
    }
}

/// A document of two members, of which one may be taken away.
fn document(n: u64, random: &mut Random) -> String {
    let name = random.pick(&["temp", "fan", "led", "rssi"]);
    match random.below(4) {
        0 => format!(r#"{{"{name}":null}}"#),
        1 => format!(r#"{{"{name}":{{"at":{n},"on":true}}}}"#),
        _ => format!(r#"{{"{name}":{},"list":[{n},"x"]}}"#, random.below(100)),
    }
}

fn rule(user: &str, random: &mut Random) -> String {
    match random.below(3) {
        0 => format!(
            r#"{{"on":"offline","for":{},"notify":["{user}"]}}"#,
            random.below(100)
        ),
        1 => format!(
            r#"{{"path":"rssi","bands":[{{"severity":2,"low":20,"high":80}}],"every":100,"for":50,"notify":["{user}"]}}"#
        ),
        _ => format!(
            r#"{{"path":"temp","bands":[{{"severity":1,"high":50}},{{"severity":3,"high":90}}],"hysteresis":5,"notify":["{user}"]}}"#
        ),
    }
}

fn protobuf(n: u64, random: &mut Random) -> Vec<u8> {
    let mut message = DeviceMessage {
        vitals: Some(Vitals {
            battery_percent: Some(random.below(101) as u32),
            uptime_s: Some(n),
            ..Vitals::default()
        }),
        ..DeviceMessage::default()
    };
    if random.one_in(3) {
        message.reported_json = Some(document(n, random));
    }
    if random.one_in(4) {
        message.command_results.push(CommandResult {
            command_id: Some("1-1".to_owned()),
            status: Some(CommandStatus::Ok as i32),
            ..CommandResult::default()
        });
    }
    message.encode_to_vec()
}
