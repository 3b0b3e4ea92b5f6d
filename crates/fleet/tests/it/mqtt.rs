//! The fleet at a real mosquitto, seen by another MQTT client.

use std::collections::BTreeMap;

use crate::broker::{Message, Mosquitto, Observer};
use crate::process::{free_port, ids, Fleet};
use rumqttc::QoS;

fn farewells(messages: &[Message], reason: &str) -> Vec<String> {
    let wills = messages
        .iter()
        .filter(|m| m.last() == "will" && m.json()["reason"] == reason);
    wills.map(Message::id).collect()
}

/// The messages of each device that are beats.
fn beats(messages: &[Message]) -> BTreeMap<String, Vec<&Message>> {
    let mut all = BTreeMap::<String, Vec<&Message>>::new();
    for message in messages {
        if ["heartbeat", "reported"].contains(&message.last()) {
            all.entry(message.id()).or_default().push(message);
        }
    }
    all
}

/// The whole life of a fleet: all beat; of 40, 5 fall silent, 4 say goodbye, 3 are cut; 28 stay.
#[test]
fn a_fleet_lives_and_fails_as_planned() {
    let broker = Mosquitto::start(free_port());
    let mut observer = Observer::start(&broker, &["t/#", "$SYS/broker/clients/connected"]);
    let mut fleet = Fleet::start(&[
        "--mqtt",
        &broker.url(),
        "--prefix",
        "t",
        "--devices",
        "40",
        "--interval",
        "300ms",
        "--silent-after",
        "900ms",
        "--silent",
        "5",
        "--goodbye",
        "10%",
        "--cut",
        "3",
        "--json",
    ]);
    fleet.wait_for_line("fleet ready");

    // 16 beats take 4.8 s. The last device ends after 1.8 s.
    observer.wait("28 devices with 16 beats", |messages| {
        beats(messages)
            .values()
            .filter(|beats| beats.len() >= 16)
            .count()
            == 28
    });
    observer.wait("all farewells", |messages| {
        messages.iter().filter(|m| m.last() == "will").count() >= 7
    });
    // The silent ones still have their connection: 28 + 5 and the observer.
    observer.wait("34 connections", |messages| connected(messages) == Some(34));
    fleet.terminate();
    let (summary, stderr) = fleet.summary();
    observer.wait("the fleet gone", |messages| connected(messages) == Some(1));
    let messages = observer.all();

    // Wills of the cut ones only. The end of the run is no accident of the others.
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(
        sorted(farewells(messages, "goodbye")),
        sorted(ids(&summary["goodbye"]))
    );
    assert_eq!(
        sorted(farewells(messages, "connection lost")),
        sorted(ids(&summary["cut"]))
    );
    assert_eq!(summary["goodbyes"], 4);
    assert_eq!(summary["cut_devices"], 3);
    assert_eq!(summary["silent_devices"], 5);

    let beats = beats(messages);
    assert_eq!(beats.len(), 40);
    let total: usize = beats.values().map(Vec::len).sum();
    assert_eq!(summary["connected"], 40);
    assert_eq!(summary["beats_sent"], total);
    assert_eq!(summary["acknowledged"], total);
    assert_eq!(summary["errors"], 0, "{summary}");
    let reports = messages.iter().filter(|m| m.last() == "reported").count();
    assert_eq!(summary["reports"], reports);
    assert!(
        (total / 4..=total / 2).contains(&reports),
        "{reports} of {total}"
    );
    assert_eq!(
        stderr
            .iter()
            .filter(|line| line.contains("fleet ready"))
            .count(),
        1
    );

    // Silent devices stopped when the summary says, long before the others.
    let last = |id: &str| beats[id].last().unwrap().at_ms;
    let gone: Vec<String> = ["silent", "goodbye", "cut"]
        .iter()
        .flat_map(|list| ids(&summary[list]))
        .collect();
    let stayed = beats.keys().filter(|id| !gone.contains(id));
    let stayed = stayed.map(|id| last(id)).min().unwrap();
    for device in summary["silent"].as_array().unwrap() {
        let heard = last(device["id"].as_str().unwrap());
        let (sent, acked) = (&device["last_beat_ms"], &device["last_ack_ms"]);
        assert!(heard >= sent.as_u64().unwrap());
        assert!(heard <= acked.as_u64().unwrap() + 1_000);
        assert!(heard + 1_000 < stayed);
    }
}

/// The newest count of connections that the broker published.
fn connected(messages: &[Message]) -> Option<u64> {
    let newest = messages
        .iter()
        .rev()
        .find(|m| m.topic.starts_with("$SYS"))?;
    String::from_utf8_lossy(&newest.payload).parse().ok()
}

#[test]
fn payloads_are_as_documented() {
    let broker = Mosquitto::start(free_port());
    let mut observer = Observer::start(&broker, &["devices/#"]);
    let fleet = Fleet::start(&[
        "--mqtt",
        &broker.url(),
        "--devices",
        "3",
        "--interval",
        "100ms",
        "--timeout",
        "7s",
        "--id-prefix",
        "a/+é-",
        "--first",
        "41",
        "--goodbye",
        "1",
        "--silent-after",
        "500ms",
    ]);
    observer.wait("reports and a goodbye", |messages| {
        beats(messages)
            .values()
            .filter(|beats| beats.len() >= 12)
            .count()
            >= 2
            && !farewells(messages, "goodbye").is_empty()
    });
    fleet.terminate();
    fleet.end();

    let messages = observer.all();
    // Percent-encoded, and numbered from 41.
    assert!(messages
        .iter()
        .all(|m| m.topic.starts_with("devices/a%2F%2B%C3%A9-0000")));
    let all = beats(messages);
    assert_eq!(all.keys().next_back().unwrap(), "a%2F%2B%C3%A9-000043");
    for beats in all.values() {
        let session = beats[0].json()["session"].as_u64().unwrap();
        assert!(session <= beats[0].at_ms && session > beats[0].at_ms - 60_000);
        let mut seq = 0;
        for beat in beats {
            let json = beat.json();
            assert_eq!(beat.qos, QoS::AtLeastOnce);
            assert_eq!(json["session"], session);
            assert_eq!(json["timeout"], 7_000);
            if beat.last() == "reported" {
                seq += 1;
                assert_eq!(json["seq"], seq);
                assert!(json["reported"]["temperature"].is_f64());
                assert!(json["reported"]["position"]["lat"].is_f64());
            } else {
                assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
            }
        }
        assert!(seq > 0);
    }
    let will = messages.iter().find(|m| m.last() == "will").unwrap();
    assert_eq!(will.qos, QoS::AtLeastOnce);
    assert_eq!(will.json()["session"], all[&will.id()][0].json()["session"]);
}

#[test]
fn a_broker_that_comes_late_is_waited_for() {
    let port = free_port();
    let url = format!("mqtt://127.0.0.1:{port}");
    let mut fleet = Fleet::start(&["--mqtt", &url, "--devices", "5", "--json"]);
    fleet.wait_for_line("trying again");
    let _broker = Mosquitto::start(port);
    fleet.wait_for_line("fleet ready");
    fleet.terminate();
    let (summary, _) = fleet.summary();
    assert_eq!(summary["connected"], 5);
    assert!(summary["errors"].as_u64().unwrap() >= 1);
    let text = summary["error_texts"][0]["text"].as_str().unwrap();
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn devices_come_back_in_a_higher_session() {
    let port = free_port();
    let broker = Mosquitto::start(port);
    let mut observer = Observer::start(&broker, &["devices/#"]);
    let mut fleet = Fleet::start(&[
        "--mqtt",
        &broker.url(),
        "--devices",
        "5",
        "--interval",
        "100ms",
        "--report-every",
        "1",
        "--json",
    ]);
    fleet.wait_for_line("fleet ready");
    // The broker acknowledges a beat before it passes it on: so wait for the observer as well.
    observer.wait("beats of all", |messages| beats(messages).len() == 5);
    drop(broker);
    let _broker = Mosquitto::start(port);
    observer.wait("beats of a second session", |messages| {
        let back = |beats: &Vec<&Message>| {
            let session = |m: &Message| m.json()["session"].as_u64().unwrap();
            session(beats[beats.len() - 1]) > session(beats[0])
        };
        let beats = beats(messages);
        beats.len() == 5 && beats.values().all(back)
    });
    fleet.terminate();
    let (summary, _) = fleet.summary();
    assert_eq!(summary["reconnects"], 5);
    assert_eq!(summary["connected"], 5);

    // Reports are numbered from 1 again in the new session.
    for beats in beats(observer.all()).values() {
        let newest = beats[beats.len() - 1].json()["session"].clone();
        let first = beats
            .iter()
            .find(|m| m.json()["session"] == newest)
            .unwrap();
        assert_eq!(first.json()["seq"], 1);
    }
}

/// Nobody connected: that is no success, and it ends in time.
#[test]
fn a_run_without_a_broker_ends_with_code_1() {
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let args = ["--mqtt", &url, "--devices", "2", "--duration", "300ms"];
    let (status, stdout, _) = Fleet::start(&args).end();
    assert_eq!(status.code(), Some(1));
    assert!(stdout.contains("0 connected"), "{stdout}");
}
