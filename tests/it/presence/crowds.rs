//! Many devices at once: exactly those that fell silent are told, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::LATE;
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids, Beaters};
use crate::devices::*;
use crate::support::*;

/// Which device an `expired` event or a presence message is about.
fn device(message: &Message) -> String {
    match message.payload.strip_prefix("device:heartbeat:") {
        Some(id) => id.to_owned(),
        None => message.json()["device_id"].text(),
    }
}

trait Text {
    fn text(&self) -> String;
}

impl Text for serde_json::Value {
    fn text(&self) -> String {
        self.as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn of_500_devices_exactly_the_half_that_stops_is_told_and_on_time() {
    let server = quick();
    let mut con = server.connection();
    let live = ids("live", 250);
    let beaters = Beaters::start(&server, &live, Duration::from_millis(100), 1_500);
    // A busy machine may keep a thread from beating for a while; a device with 100 ms, alive or
    // between two of the beats below, would then be rightly told offline.
    let silent = ids("silent", 250);
    let timeout = |i: usize| 1_000 + (i * 7_919) % 1_401;
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let beats = || {
        let line = |(i, id)| format!("DEVICE.HEARTBEAT {id} TIMEOUT {}", timeout(i));
        silent.iter().enumerate().map(line)
    };
    // Some beats before the silence, so that deadlines in the index are too early.
    for _ in 0..3 {
        all(&mut con, beats());
        wait_for_the_clock();
    }
    let offline = |message: &Message| message.payload.contains("\"offline\"");
    presence.wait_until("all deaths", SOON, |heard| {
        heard.iter().filter(|message| offline(message)).count() >= silent.len()
    });
    expired.wait_for_count(silent.len(), SOON);
    // Time for a false one: the live ones go on beyond their own timeout.
    let seen = now_ms();
    wait_for("the longest timeout passes", SOON, || {
        now_ms() > seen + 1_500
    });
    beaters.wait_for_rounds(1);

    let wanted: BTreeSet<&str> = silent.iter().map(String::as_str).collect();
    let deaths: Vec<Message> = presence.messages().into_iter().filter(offline).collect();
    for told in [deaths, expired.messages()] {
        let names: Vec<String> = told.iter().map(device).collect();
        assert_eq!(names.len(), 250, "told more than once, or of the living");
        assert_eq!(
            names.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            wanted
        );
        let seen = all(
            &mut con,
            names
                .iter()
                .map(|id| format!("HGET device:state:{id} last_seen")),
        );
        for ((message, id), seen) in told.iter().zip(&names).zip(&seen) {
            let i: usize = id["silent-".len()..].parse().expect("a number");
            let late = message.at_ms - (seen.int() + timeout(i) as i64);
            assert!((0..=LATE).contains(&late), "{id} is told {late} ms late");
        }
    }
    assert_eq!(cmd!(con, "DEVICE.COUNT ONLINE").int(), 250);
    assert_eq!(cmd!(con, "DEVICE.COUNT OFFLINE").int(), 250);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

/// All are due in the same moment: when the default timeout becomes shorter than their silence.
#[test]
fn a_storm_of_20_000_deaths_tells_each_once_and_lets_clients_in() {
    const MANY: usize = 20_000;
    let server = quick();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    let names = ids("d", MANY);
    all(
        &mut con,
        names.iter().map(|id| format!("DEVICE.HEARTBEAT {id}")),
    );
    cmd!(con, "DEVICE.HEARTBEAT lives TIMEOUT 1h").items();
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);

    let is_over = Over::default();
    let slowest = thread::scope(|scope| {
        let _set = is_over.on_drop();
        let pings = scope.spawn(|| {
            let mut con = server.connection();
            let mut slowest = Duration::ZERO;
            while !is_over.is_set() {
                let start = Instant::now();
                cmd!(con, "PING").text();
                slowest = slowest.max(start.elapsed());
            }
            slowest
        });
        cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
        wait_for("all are told", SOON, || {
            info_number(&mut con, "timed_out") == MANY as i64
        });
        is_over.set();
        pings.join().expect("the pings")
    });
    // A slice of the sweeper takes 2 ms; the rest is the machine's.
    assert!(
        slowest < Duration::from_millis(500),
        "a PING took {slowest:?}"
    );

    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let told = events(&mut con).of_type("offline");
    for event in told.iter() {
        assert_eq!(event.get("reason"), "timeout");
        *count.entry(event.device().to_owned()).or_default() += 1;
    }
    assert_eq!((told.len(), count.len()), (MANY, MANY));
    assert_eq!(cmd!(con, "DEVICE.LIST ONLINE").at(1).texts(), ["lives"]);
    assert_eq!(expired.wait_for_count(MANY, SOON).len(), MANY);
    assert_consistent(&mut con);
}

/// The sweeper leaves off in the middle; what comes meanwhile must not be lost or told twice.
#[test]
fn beats_in_the_middle_of_a_storm_are_an_outage_and_a_return() {
    const MANY: usize = 5_000;
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.sweep-budget-us", 100)
        .start();
    let mut con = server.connection();
    let names = ids("d", MANY);
    let beat_all = || names.iter().map(|id| format!("DEVICE.HEARTBEAT {id}"));
    all(&mut con, beat_all());
    let seen = now_ms();
    wait_for("2 s of silence", SOON, || now_ms() > seen + 2_000);
    let shorter = "CONFIG SET devicestate.heartbeat-timeout 2s".to_owned();
    // Long again in the end, so that nobody dies while the test looks on.
    let longer = "CONFIG SET devicestate.heartbeat-timeout 1h".to_owned();
    let lines = [shorter].into_iter().chain(beat_all());
    let replies = all(&mut con, lines.chain([longer]));
    for reply in &replies[1..=MANY] {
        assert_eq!(
            outcome(reply),
            [1, 1, 0],
            "late is offline, whoever noticed it"
        );
    }
    let told = events(&mut con);
    assert_eq!(told.of_type("offline").len(), MANY);
    assert_eq!(told.of_type("online").len(), 2 * MANY);
    assert_eq!(cmd!(con, "DEVICE.COUNT ONLINE").int(), MANY as i64);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}
