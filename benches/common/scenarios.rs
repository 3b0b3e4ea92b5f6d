//! Fleets that die, as a subscriber outside the server sees it. The tests of `tests/it/scale.rs`
//! and the bench `detection` run the same two scenarios; both check that every death is told
//! exactly once, everywhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, Value};

use devicestate_report::Spread;

use super::meanwhile::{beat_at_rate, ping, Ping};
use super::{load, machine};
use crate::support::*;

const PRESENCE: &str = "devices:presence";
const EXPIRED: &str = "__keyevent@0__:expired";

/// How long a fleet may take to die beyond its timeouts before that counts as never.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long live devices may be silent.
const HOUR_MS: u64 = 3_600_000;

/// What came of a scenario. Times are in milliseconds.
pub struct Deaths {
    /// When each subscriber's message was received, counted from `last_seen + timeout`.
    pub lateness: Spread,
    /// The module's own figure, of the largest.
    pub lag_max: u64,
    /// From the first offline event to the last, by their time stamps.
    pub span_ms: u64,
    /// Round trips of PING on a second connection, from the first message to the last.
    pub pings: Spread,
    /// How long it took to load the fleet, in seconds, and how many devices it has.
    pub load_seconds: f64,
    pub devices: usize,
    /// Heartbeats of the live ones that came in meanwhile, and the share of its core that the server's
    /// main thread was busy for.
    pub beats_per_second: f64,
    pub server_share: f64,
}

fn live_id(number: usize) -> String {
    format!("live-{number:07}")
}

fn dying_id(number: usize) -> String {
    format!("dies-{number:07}")
}

/// A server on which devices may die at once.
pub fn server() -> Server {
    Server::builder().module_arg("restart-grace", 0).start()
}

/// `live` devices, and `dying` ones that were beaten once and die one after the other over
/// `window_ms`, while `beats` heartbeats a second of the live ones come in.
pub fn trickle(server: &Server, live: usize, dying: usize, window_ms: u64, beats: usize) -> Deaths {
    let start = Instant::now();
    load::bring_online(server, 0..live, live_id, |_| HOUR_MS);
    // A moment of quiet before the first death, even if loading the dying is slow.
    let lead_ms = 3_000 + 3 * start.elapsed().as_millis() as u64 * dying as u64 / live as u64;
    let step = window_ms as f64 / dying as f64;
    let timeout = |number| lead_ms + (number as f64 * step) as u64;
    load::bring_online(server, 0..dying, dying_id, timeout);
    let load_seconds = start.elapsed().as_secs_f64();

    let witness = Witness::take_its_place(server);
    let enough = AtomicBool::new(false);
    let (start, used) = (Instant::now(), machine::processor_seconds(server));
    let (pings, sent) = thread::scope(|scope| {
        let pings = scope.spawn(|| ping(server, &enough));
        let beats = scope.spawn(|| beat_at_rate(server, live_id, live, beats, &enough));
        let told = witness.wait_for(dying, Duration::from_millis(lead_ms + window_ms) + PATIENCE);
        enough.store(true, Ordering::Relaxed);
        told.unwrap_or_else(|why| panic!("{why}"));
        (
            pings.join().expect("the thread that sends PING"),
            beats.join().expect("the thread that sends heartbeats"),
        )
    });
    let seconds = start.elapsed().as_secs_f64();
    let share = (machine::processor_seconds(server) - used) / seconds;
    Deaths {
        beats_per_second: sent as f64 / seconds,
        server_share: share,
        ..witness.judge(live, dying, pings, load_seconds)
    }
}

/// `dying` devices that are beaten in one go, all with the same timeout.
pub fn storm(server: &Server, dying: usize) -> Deaths {
    let start = Instant::now();
    load::bring_online(server, 0..dying, dying_id, |_| HOUR_MS);
    let load_seconds = start.elapsed().as_secs_f64();
    // Twice as long as it took to register them: none dies before all were beaten.
    let timeout_ms = 2_000 + (load_seconds * 2_000.0) as u64;
    load::beat(server, 0..dying, dying_id, Some(timeout_ms));
    load::beat(server, 0..dying, dying_id, None);

    let witness = Witness::take_its_place(server);
    let enough = AtomicBool::new(false);
    let pings = thread::scope(|scope| {
        let pings = scope.spawn(|| ping(server, &enough));
        let told = witness.wait_for(dying, Duration::from_millis(timeout_ms) + PATIENCE);
        enough.store(true, Ordering::Relaxed);
        told.unwrap_or_else(|why| panic!("{why}"));
        pings.join().expect("the thread that sends PING")
    });
    witness.judge(0, dying, pings, load_seconds)
}

/// Subscribers of a fleet that is about to die.
struct Witness<'a> {
    server: &'a Server,
    con: Connection,
    presence: Subscriber,
    expired: Subscriber,
    /// The last event before.
    last_event: String,
}

impl<'a> Witness<'a> {
    fn take_its_place(server: &'a Server) -> Witness<'a> {
        let mut con = server.connection();
        let presence = Subscriber::channels(server, &[PRESENCE]);
        let expired = Subscriber::channels(server, &[EXPIRED]);
        let last_event =
            cmd!(con, "XINFO STREAM", "devices:events").fields()["last-generated-id"].text();
        let offline = cmd!(con, "DEVICE.COUNT", "OFFLINE").int();
        assert_eq!(offline, 0, "loading took so long that devices died of it");
        Witness {
            server,
            con,
            presence,
            expired,
            last_event,
        }
    }

    /// Waits until so many deaths were told; says what is missing if they never are.
    fn wait_for(&self, count: usize, limit: Duration) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let told = (self.presence.count(), self.expired.count());
            if told.0 >= count && told.1 >= count {
                return Ok(());
            }
            if start.elapsed() > limit {
                return Err(format!(
                    "after {limit:?} subscribers had {told:?} of {count}\n{}",
                    self.server.log()
                ));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everybody was told of every death once, and of nothing else.
    fn judge(mut self, live: usize, dying: usize, pings: Vec<Ping>, load_seconds: f64) -> Deaths {
        assert_eq!(cmd!(self.con, "DEVICE.COUNT", "ONLINE").int(), live as i64);
        assert_eq!(
            cmd!(self.con, "DEVICE.COUNT", "OFFLINE").int(),
            dying as i64
        );
        // What was sent twice would have come before these.
        for (channel, subscriber) in [(PRESENCE, &self.presence), (EXPIRED, &self.expired)] {
            assert_eq!(cmd!(self.con, "PUBLISH", channel, "the end").int(), 1);
            subscriber
                .wait_for_message("the end", PATIENCE, |message| message.payload == "the end");
        }
        let presence = without_the_end(self.presence.take());
        let expired = without_the_end(self.expired.take());
        let stream = offline_events(&mut self.con, &self.last_event);

        let mut deadlines = deadlines(&mut self.con, dying);
        let span_ms = match (stream.first(), stream.last()) {
            (Some(first), Some(last)) => last.1 - first.1,
            _ => 0,
        };
        let lateness: Vec<f64> = presence
            .iter()
            .map(|message| {
                let json = message.json();
                assert!(
                    json["status"] == "offline" && json["reason"] == "timeout",
                    "{json}"
                );
                let id = json["device_id"].as_str().unwrap_or_default();
                match deadlines.remove(id) {
                    Some(deadline) => (message.at_ms - deadline) as f64,
                    None => panic!("{id} was told twice, or should not have been: {json}"),
                }
            })
            .collect();
        assert!(deadlines.is_empty(), "never told: {deadlines:?}");
        assert_each_once(
            "in the stream",
            dying,
            stream.iter().map(|(id, _)| id.as_str()),
        );
        let keys = expired.iter().map(|message| message.payload.as_str());
        assert_each_once(
            "as expired",
            dying,
            keys.map(|key| key.trim_start_matches("device:heartbeat:")),
        );

        let (from, to) = match (presence.first(), presence.last()) {
            (Some(first), Some(last)) => (first.at, last.at),
            _ => panic!("nobody died"),
        };
        let during = |(answered, took): &Ping| *answered >= from && *answered - *took <= to;
        let pings = pings.iter().filter(|ping| during(ping));
        Deaths {
            lateness: Spread::new(lateness),
            lag_max: info(&mut self.con, "detection_lag_max_ms"),
            span_ms,
            pings: Spread::new(
                pings
                    .map(|(_, took)| took.as_secs_f64() * 1_000.0)
                    .collect(),
            ),
            load_seconds,
            devices: live + dying,
            beats_per_second: 0.0,
            server_share: 0.0,
        }
    }
}

fn without_the_end(mut messages: Vec<Message>) -> Vec<Message> {
    messages.retain(|message| message.payload != "the end");
    messages
}

/// These ids are all of the dying ones, each once.
fn assert_each_once<'a>(what: &str, dying: usize, ids: impl Iterator<Item = &'a str>) {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    for number in 0..dying {
        let id = dying_id(number);
        let found = times.remove(id.as_str()).unwrap_or(0);
        assert_eq!(found, 1, "{id} is {found} times {what}");
    }
    assert!(times.is_empty(), "{what}: {times:?}");
}

/// Id and time stamp of each offline event after an entry of the stream.
fn offline_events(con: &mut Connection, after: &str) -> Vec<(String, u64)> {
    const PAGE: usize = 10_000;
    let mut found = Vec::new();
    let mut after = after.to_owned();
    loop {
        let from = format!("({after}");
        let page = cmd!(con, "XRANGE", "devices:events", from, "+", "COUNT", PAGE);
        let Ok(Value::Array(page)) = page else {
            panic!("no page of the stream: {page:?}");
        };
        for entry in &page {
            let Value::Array(entry) = entry else {
                panic!("no entry: {entry:?}");
            };
            after = entry[0].text();
            let fields = entry[1].text_fields();
            if fields["type"] == "offline" {
                let timestamp = fields["timestamp"].parse().expect("a time stamp");
                found.push((fields["device_id"].clone(), timestamp));
            }
        }
        if page.len() < PAGE {
            return found;
        }
    }
}

/// `last_seen + timeout` of each dying device, as its hash tells.
fn deadlines(con: &mut Connection, dying: usize) -> HashMap<String, i64> {
    let mut found = HashMap::with_capacity(dying);
    let numbers: Vec<usize> = (0..dying).collect();
    for some in numbers.chunks(1_000) {
        let mut pipe = redis::pipe();
        for number in some {
            let key = format!("device:state:{}", dying_id(*number));
            pipe.cmd("HMGET").arg(key).arg("last_seen").arg("timeout");
        }
        let times: Vec<(i64, i64)> = pipe.query(con).expect("the times of the dead");
        let ids = some.iter().map(|number| dying_id(*number));
        found.extend(ids.zip(times.iter().map(|(seen, timeout)| seen + timeout)));
    }
    found
}

/// A number of `INFO devicestate`.
pub fn info(con: &mut Connection, name: &str) -> u64 {
    let info = cmd!(con, "INFO", "devicestate").text();
    let line = info.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name || found.ends_with(&format!("_{name}"))).then_some(value)
    });
    match line.and_then(|value| value.trim().parse().ok()) {
        Some(number) => number,
        None => panic!("no {name} in\n{info}"),
    }
}
