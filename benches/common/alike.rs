//! Whether the module and the scripts do the same: asked before anything is timed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::Connection;
use serde_json::{json, Value};

use super::documents::{desired, desired_patch, id, reported, reported_patch, Object, TURNS};
use super::load::{bring_online, write_plain, Form};
use super::scripts::{module_reported, module_set, Scripts};
use crate::support::*;

const DEVICES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// What is certain to be left of a history that is cut at about 16 entries.
const HISTORY: usize = 16;

/// One command to both.
enum Step {
    Set(Object),
    Report(Object),
}

/// The module, or the scripts.
struct Side<'a> {
    name: &'static str,
    server: &'a Server,
    con: Connection,
    heard: Subscriber,
    /// `None`: the module.
    scripts: Option<Scripts>,
    /// When each step began.
    starts: Vec<i64>,
}

/// Panics unless both answer, keep and tell the same all through the workload of the bench, and
/// through some changes that it has not: null that meets nothing, other types, a device in sync.
pub fn assert_same_work(module: &Server, plain: &Server) {
    bring_online(module, 0..DEVICES, id, |_| 3_600_000);
    write_plain(plain, 0..DEVICES, id, Form::LikeOurs);
    let mut sides = [
        Side::new("the module", module, None),
        Side::new("Lua", plain, Some(Scripts::load(plain))),
    ];
    for number in 0..DEVICES {
        let id = id(number);
        for (at, step) in steps(number).iter().enumerate() {
            wait_for_next_millisecond();
            let done = sides.each_mut().map(|side| side.perform(&id, step));
            assert_same(&format!("step {at} of {id}"), &sides, done);
        }
        let told = sides.each_mut().map(|side| side.told(&id));
        assert_same(&format!("what was told of {id}"), &sides, told);
        sides.iter_mut().for_each(|side| side.starts.clear());
    }
}

fn assert_same(what: &str, sides: &[Side<'_>; 2], [a, b]: [Value; 2]) {
    let [a, b] = [a, b].map(whole_numbers);
    assert!(
        a == b,
        "{what} differs\n{}: {a:#}\n{}: {b:#}",
        sides[0].name,
        sides[1].name
    );
}

/// The workload, and then what it leaves out.
fn steps(number: usize) -> Vec<Step> {
    let object = |value: Value| match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    };
    let mut steps = vec![Step::Report(reported(number)), Step::Set(desired(number))];
    for turn in 0..2 * TURNS {
        steps.push(Step::Set(desired_patch(number, turn)));
        steps.push(Step::Report(reported_patch(number, turn)));
    }
    let mut done = desired(number);
    super::documents::merge(&mut done, &desired_patch(number, 2 * TURNS - 1));
    steps.extend([
        // In sync, and nothing new while it is.
        Step::Report(done),
        Step::Set(desired_patch(number, 2 * TURNS - 1)),
        // Out of sync and back by what is set.
        Step::Set(desired_patch(number, 0)),
        Step::Set(desired_patch(number, 2 * TURNS - 1)),
        Step::Set(desired_patch(number, 0)),
        // The same again: outstanding, but no change.
        Step::Set(desired_patch(number, 0)),
        Step::Set(object(json!({"climate": null, "none": null}))),
        Step::Set(object(
            json!({"climate": {"fan": {"speed": 1, "no": null}, "gone": {"no": null}}}),
        )),
        Step::Set(object(json!({"telemetry": "off", "empty": {}}))),
        Step::Report(object(json!({"climate": 7, "telemetry": {"batch": null}}))),
        Step::Set(object(json!({"telemetry": {"batch": 1}}))),
        Step::Report(object(
            json!({"climate": {"fan": {"speed": 1.0}}, "empty": {"a": 1}}),
        )),
    ]);
    steps
}

impl<'a> Side<'a> {
    fn new(name: &'static str, server: &'a Server, scripts: Option<Scripts>) -> Side<'a> {
        Side {
            name,
            server,
            con: server.connection(),
            heard: Subscriber::patterns(server, &["device:*:commands", "devices:status"]),
            scripts,
            starts: Vec::new(),
        }
    }

    /// Does one step; gives the answer and all that is stored then.
    fn perform(&mut self, id: &str, step: &Step) -> Value {
        self.starts.push(now_ms());
        let args = match (step, &self.scripts) {
            (Step::Set(patch), None) => module_set(id, patch),
            (Step::Set(patch), Some(scripts)) => scripts.set(id, patch),
            (Step::Report(patch), None) => module_reported(id, patch),
            (Step::Report(patch), Some(scripts)) => scripts.reported(id, patch),
        };
        let mut command = command(&args[0]);
        args[1..].iter().for_each(|arg| {
            command.arg(arg);
        });
        let reply = plain(&self.con.run(&command).expect("the step"));
        let state = format!("device:state:{id}");
        let mut seen = json!({"reply": reply});
        for field in ["version", "desired_state", "reported_state", "delta"] {
            seen[field] = plain(cmd!(self.con, "HGET", &state, field).value());
        }
        seen["outofsync"] = plain(cmd!(self.con, "SISMEMBER", "devices:outofsync", id).value());
        for section in ["desired", "reported"] {
            let document = seen[format!("{section}_state")].clone();
            let times = self.times(id, section);
            let mut steps = BTreeMap::new();
            self.steps_of_leaves(section, &document, &times, &mut steps);
            seen[format!("{section}_times")] = json!(steps);
        }
        seen
    }

    /// The times of a section's leaves, as each side gives them.
    fn times(&mut self, id: &str, section: &str) -> Value {
        if self.scripts.is_none() {
            let shadow = cmd!(self.con, "DEVICE.SHADOW.GET", id).json();
            return shadow["metadata"][section].clone();
        }
        let read = "local m = redis.call('HGET', KEYS[1], ARGV[1]) \
                    return m and cjson.encode(cmsgpack.unpack(m))";
        let (key, field) = (format!("device:state:{id}"), format!("{section}_meta"));
        plain(cmd!(self.con, "EVAL", read, 1, key, field).value())
    }

    /// For each leaf by its path: the step that its time belongs to.
    fn steps_of_leaves(
        &self,
        path: &str,
        value: &Value,
        times: &Value,
        steps: &mut BTreeMap<String, usize>,
    ) {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                for (key, member) in members {
                    self.steps_of_leaves(&format!("{path}/{key}"), member, &times[key], steps);
                }
            }
            _ => {
                let mut time = times;
                while let Some(inner) = time.get(0).or_else(|| time.get("timestamp")) {
                    time = inner;
                }
                let time = time
                    .as_f64()
                    .unwrap_or_else(|| panic!("{} has no time of {path}: {times}", self.name));
                let step = self.starts.partition_point(|start| *start as f64 <= time);
                steps.insert(path.to_owned(), step);
            }
        }
    }

    /// The history, the events and the messages of a device, without their times.
    fn told(&mut self, id: &str) -> Value {
        let con = &mut self.con;
        let history = stream(con, &format!("device:history:{id}"));
        let recent = history.len().saturating_sub(HISTORY);
        let history: Vec<Value> = history[recent..].iter().map(without_time).collect();
        let events = events_of(con, id).of_type("delta");
        let events: Vec<Value> = events.iter().map(without_time).collect();

        let end = format!("the end of {id}");
        let _ = cmd!(con, "PUBLISH", "devices:status", &end).int();
        self.heard
            .wait_for_message(&end, PATIENCE, |message| message.payload == end);
        let mut messages = Vec::new();
        for message in self.heard.take() {
            if message.payload != end {
                let mut json = message.json();
                let time = json["timestamp"].take();
                assert!(time.is_u64(), "{}: no time in {json}", self.name);
                messages.push(json!([message.channel, json]));
            }
        }
        assert!(!messages.is_empty(), "{} told nothing", self.name);
        json!({"history": history, "events": events, "messages": messages})
    }
}

/// An entry of a stream; documents in it as documents.
fn without_time(event: &Event) -> Value {
    let mut fields: BTreeMap<&str, Value> = event
        .fields
        .iter()
        .map(|(name, text)| (name.as_str(), document_or_text(text)))
        .collect();
    assert!(fields.remove("timestamp").is_some(), "no time in {event:?}");
    json!(fields)
}

/// A reply as JSON; documents in it as documents.
fn plain(reply: &redis::Value) -> Value {
    match reply {
        redis::Value::Nil => Value::Null,
        redis::Value::Int(number) => json!(number),
        redis::Value::Array(items) => items.iter().map(plain).collect(),
        other => document_or_text(&other.text()),
    }
}

fn document_or_text(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(document @ Value::Object(_)) => document,
        _ => json!(text),
    }
}

/// `10.0` is `10`, everywhere in a document.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, member)| (key, whole_numbers(member)))
            .collect(),
        other => other,
    }
}

/// So that two steps never have the same time.
fn wait_for_next_millisecond() {
    let (now, start) = (now_ms(), Instant::now());
    while now_ms() <= now {
        assert!(start.elapsed() < PATIENCE, "the clock stands still");
    }
}
