//! Random sets and reports against a model of a shadow, which is written here a second time in the
//! simplest way.

pub mod plain;
pub mod random;

use std::collections::BTreeSet;

use redis::Connection;
use serde_json::{json, Value};

use self::plain::*;
use self::random::Random;
use super::*;

/// What a reply must say: where the version and the delta are in it, and what they are.
struct Expected {
    sent: String,
    version: i64,
    delta: Value,
    place: Place,
}

enum Place {
    /// `[version, delta]`
    Set,
    /// `[applied, version, delta]`
    Report,
    /// `[came_online, applied, version, delta, commands]`
    Beat,
    /// The accepted document, which carries this state and no delta.
    Update(Value),
    /// `{"version", "timestamp"}`
    Delete,
}

impl Expected {
    #[track_caller]
    fn compare(&self, reply: &redis::Value) {
        let of_array = |applied: Option<usize>, version: usize| {
            let items = reply.items();
            assert!(applied.is_none_or(|at| items[at].int() == 1), "{reply:?}");
            (items[version].int(), delta_in(&items[version + 1]))
        };
        let of_json = |json: Value| {
            let version = json["version"].as_i64().expect("a version");
            (version, self.delta.clone())
        };
        let found = match &self.place {
            Place::Set => of_array(None, 0),
            Place::Report => of_array(Some(0), 1),
            Place::Beat => of_array(Some(1), 2),
            Place::Update(state) => {
                let accepted = reply.json();
                assert_eq!(accepted["state"], *state, "{}", self.sent);
                of_json(accepted)
            }
            Place::Delete => of_json(reply.json()),
        };
        assert_eq!(found, (self.version, self.delta.clone()), "{}", self.sent);
    }
}

struct Run {
    random: Random,
    /// Two for each device: the classic one, and the one with the name `n`.
    shadows: Vec<Shadow>,
    /// Replies of either kind, so that neither is missing from the test.
    in_sync: usize,
    out_of_sync: usize,
}

/// The device of a shadow, and the option that names the shadow.
fn names(at: usize) -> (String, &'static str) {
    (format!("d-{}", at / 2), ["", " NAME n"][at % 2])
}

impl Run {
    fn new(seed: u64, devices: usize) -> Run {
        eprintln!("seed {seed}, {devices} devices");
        Run {
            random: Random(seed),
            shadows: vec![Shadow::default(); 2 * devices],
            in_sync: 0,
            out_of_sync: 0,
        }
    }

    /// One command into the pipeline, and what it must answer.
    fn step(&mut self, pipe: &mut redis::Pipeline) -> Expected {
        let at = self.random.below(self.shadows.len() as u64) as usize;
        let (is_named, shadow) = (at % 2 == 1, &mut self.shadows[at]);
        let before = shadow.clone();
        let mut patch = self.random.object(3);
        let replace = self.random.below(10) == 0;
        let (name, section, place) = match self.random.below(32) {
            0..=11 => ("DEVICE.SHADOW.SET", Section::Desired, Place::Set),
            12..=21 => ("DEVICE.SHADOW.REPORT", Section::Reported, Place::Report),
            22..=27 if !is_named => ("DEVICE.HEARTBEAT", Section::Reported, Place::Beat),
            28..=30 => {
                // A device that does exactly as it is told, so that many get in sync.
                patch.clone_from(&shadow.desired);
                ("DEVICE.SHADOW.REPORT", Section::Reported, Place::Report)
            }
            31 if shadow.exists && self.random.below(4) == 0 => {
                shadow.delete();
                return self.send(pipe, at, "DEVICE.SHADOW.DEL", "", "", Place::Delete);
            }
            _ => return self.update(pipe, at, &patch),
        };
        shadow.write(section, &patch, replace);
        let mut options = String::from(if replace { " REPLACE" } else { "" });
        if !matches!(place, Place::Beat) && before.exists && self.random.below(8) == 0 {
            options += &format!(" VERSION {}", before.version);
        }
        let document = Value::Object(patch).to_string();
        self.send(pipe, at, name, &document, &options, place)
    }

    /// A request document: null sections, null state, or both sections at once.
    fn update(&mut self, pipe: &mut redis::Pipeline, at: usize, patch: &Object) -> Expected {
        let other = self.random.object(2);
        let state = match self.random.below(6) {
            0 => json!({"desired": null}),
            1 => json!({"reported": null}),
            2 => Value::Null,
            3 => json!({"desired": patch, "reported": null}),
            4 => json!({}),
            _ => json!({"desired": patch, "reported": other}),
        };
        self.shadows[at].update(&state);
        let request = json!({"state": state}).to_string();
        let place = Place::Update(state);
        self.send(pipe, at, "DEVICE.SHADOW.UPDATE", &request, "", place)
    }

    /// The command into the pipeline; what it must answer is what the model says now.
    fn send(
        &self,
        pipe: &mut redis::Pipeline,
        at: usize,
        name: &str,
        document: &str,
        options: &str,
        place: Place,
    ) -> Expected {
        let (id, shadow_name) = names(at);
        let mut words = vec![name, &id];
        words.extend(matches!(place, Place::Beat).then_some("REPORTED"));
        words.extend((!document.is_empty()).then_some(document));
        words.extend(options.split_whitespace());
        words.extend(shadow_name.split_whitespace());
        let mut command = Cmd::new();
        command.arg(&words);
        pipe.add_command(command);
        let shadow = &self.shadows[at];
        Expected {
            sent: words.join(" "),
            version: shadow.version,
            delta: shadow.outstanding(),
            place,
        }
    }

    /// Whole documents of these shadows, and the whole index.
    #[track_caller]
    fn compare(&self, con: &mut Connection, shadows: impl IntoIterator<Item = usize>) {
        for at in shadows {
            let shadow = &self.shadows[at];
            let (id, name) = names(at);
            let whole = get_with(con, &id, name);
            if !shadow.exists {
                assert_eq!(whole, Value::Null, "{id}{name}");
                continue;
            }
            assert_eq!(whole["state"], shadow.state(), "{id}{name}");
            assert_eq!(whole["version"], shadow.version, "{id}{name}");
        }
        // Only classic shadows are in the index.
        let classic = self.shadows.iter().enumerate().step_by(2);
        let wanted: BTreeSet<String> = classic
            .filter(|(_, shadow)| !shadow.outstanding().is_null())
            .map(|(at, _)| names(at).0)
            .collect();
        let found = cmd!(con, "SMEMBERS devices:outofsync").texts();
        let found: BTreeSet<String> = found.into_iter().collect();
        assert_eq!(found, wanted);
        let count = cmd!(con, "DEVICE.COUNT OUTOFSYNC").int();
        assert_eq!(count as usize, wanted.len());
    }
}

#[track_caller]
fn agree(seed: u64, devices: usize, steps: usize) {
    const BATCH: usize = 500;
    let server = Server::builder()
        .config("devicestate.events-maxlen", 1_000)
        .config("devicestate.heartbeat-timeout", "1h")
        .start();
    server.settle();
    let mut con = server.connection();
    let mut run = Run::new(seed, devices);
    for batch in 0..steps / BATCH {
        let mut pipe = redis::pipe();
        let expected: Vec<Expected> = (0..BATCH).map(|_| run.step(&mut pipe)).collect();
        let replies: Vec<redis::Value> = pipe.query(&mut con).expect("no refusal");
        for (expected, reply) in expected.iter().zip(&replies) {
            expected.compare(reply);
            match expected.delta.is_null() {
                true => run.in_sync += 1,
                false => run.out_of_sync += 1,
            }
        }
        if batch % 20 == 19 {
            let some: Vec<usize> = (0..10)
                .map(|_| run.random.below(2 * devices as u64) as usize)
                .collect();
            run.compare(&mut con, some);
        }
    }
    eprintln!("{} replies in sync, {} not", run.in_sync, run.out_of_sync);
    assert!(run.in_sync.min(run.out_of_sync) > steps / 20, "one-sided");
    run.compare(&mut con, 0..2 * devices);
    crate::consistency::assert_consistent(&mut con);
}

#[test]
fn twenty_thousand_random_sets_and_reports_agree_with_the_model() {
    agree(20_262, 100, 20_000);
}

#[test]
fn slow_a_million_random_sets_and_reports_agree_with_the_model() {
    agree(20_261_121, 300, 1_000_000);
}
