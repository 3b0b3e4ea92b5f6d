//! The fleet straight to a server that speaks RESP: a stub that answers as the module does.

use std::collections::{BTreeMap, BTreeSet};

use crate::process::{free_port, ids, Fleet};
use crate::stub::{Command, Stub};

fn of<'a>(commands: &'a [Command], name: &str) -> Vec<&'a Command> {
    commands.iter().filter(|c| c.name() == name).collect()
}

fn devices(commands: &[&Command]) -> BTreeSet<String> {
    commands.iter().map(|c| c.id()).collect()
}

#[test]
fn a_fleet_lives_and_fails_as_planned() {
    let stub = Stub::start(free_port());
    let fleet = Fleet::start(&[
        "--redis",
        &stub.url(),
        "--devices",
        "100",
        "--interval",
        "200ms",
        "--duration",
        "4s",
        "--connections",
        "3",
        "--pipeline",
        "16",
        "--type",
        "meter",
        "--timeout",
        "9s",
        "--silent",
        "10%",
        "--goodbye",
        "5",
        "--cut",
        "4",
        "--json",
    ]);
    let (summary, stderr) = fleet.summary();
    let commands = stub.commands();

    // Everybody is registered before anybody beats.
    let registered = of(&commands, "DEVICE.REGISTER");
    assert_eq!((registered.len(), devices(&registered).len()), (100, 100));
    assert!(registered.iter().all(|c| c.args[2] == "meter"));
    let last = commands
        .iter()
        .rposition(|c| c.name() == "DEVICE.REGISTER")
        .unwrap();
    let first = commands
        .iter()
        .position(|c| c.name() == "DEVICE.HEARTBEAT")
        .unwrap();
    assert!(last < first);

    // All beat, and what the summary counts is what the server got.
    let beats = of(&commands, "DEVICE.HEARTBEAT");
    assert_eq!(devices(&beats).len(), 100);
    assert!(beats.iter().all(|c| c.after("TIMEOUT") == Some("9000")));
    assert_eq!(summary["connected"], 100);
    assert_eq!(summary["beats_sent"], beats.len());
    assert_eq!(summary["acknowledged"], beats.len());
    assert_eq!(summary["errors"], 0, "{summary}");
    assert_eq!(
        stderr
            .iter()
            .filter(|line| line.contains("fleet ready"))
            .count(),
        1
    );

    // One beat in three reports; numbers rise from 1 by 1.
    let mut seqs = BTreeMap::<String, Vec<u64>>::new();
    for beat in &beats {
        if let Some(seq) = beat.after("SEQ") {
            let document = beat.after("REPORTED").unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(document).is_ok());
            seqs.entry(beat.id())
                .or_default()
                .push(seq.parse().unwrap());
        }
    }
    assert_eq!(
        summary["reports"],
        seqs.values().map(Vec::len).sum::<usize>()
    );
    for seqs in seqs.values() {
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    }

    // Ends: told with a reason and the session, and nothing after them.
    for (list, reason, count) in [("goodbye", "goodbye", 5), ("cut", "connection lost", 4)] {
        let told: Vec<&Command> = of(&commands, "DEVICE.OFFLINE")
            .into_iter()
            .filter(|c| c.after("REASON") == Some(reason))
            .collect();
        assert_eq!(told.len(), count);
        assert_eq!(devices(&told), ids(&summary[list]).into_iter().collect());
    }
    for offline in of(&commands, "DEVICE.OFFLINE") {
        let of_device: Vec<&Command> = beats
            .iter()
            .copied()
            .filter(|c| c.id() == offline.id())
            .collect();
        let beat = of_device.last().unwrap();
        assert!(beat.at_ms <= offline.at_ms);
        assert_eq!(beat.after("SESSION"), offline.after("SESSION"));
    }

    // Silent devices stopped when the summary says, others went on: 4 s are 20 intervals.
    let silent = summary["silent"].as_array().unwrap();
    assert_eq!(silent.len(), 10);
    let end = beats.iter().map(|c| c.at_ms).max().unwrap();
    for device in silent {
        let id = device["id"].as_str().unwrap();
        let last = beats.iter().rev().find(|c| c.id() == id).unwrap();
        assert!(last.at_ms >= device["last_beat_ms"].as_u64().unwrap());
        assert!(last.at_ms <= device["last_ack_ms"].as_u64().unwrap());
        assert!(last.at_ms + 500 < end);
    }
}

#[test]
fn interval_0_is_as_fast_as_the_server() {
    let stub = Stub::start(free_port());
    let fleet = Fleet::start(&[
        "--redis",
        &stub.url(),
        "--devices",
        "1000",
        "--interval",
        "0",
        "--report-every",
        "0",
        "--json",
    ]);
    stub.wait("20 beats of every device", |commands| {
        of(commands, "DEVICE.HEARTBEAT").len() >= 20_000
    });
    fleet.terminate();
    let (summary, _) = fleet.summary();
    let beats = stub.commands();
    let beats = of(&beats, "DEVICE.HEARTBEAT");
    assert_eq!(summary["acknowledged"], beats.len());
    assert_eq!(summary["reports"], 0);
    // In turns: nobody is a round ahead of the others by more than the connections differ.
    let mut counts = BTreeMap::<String, u64>::new();
    for beat in &beats {
        *counts.entry(beat.id()).or_default() += 1;
    }
    assert_eq!(counts.len(), 1_000);
    assert!(counts.values().all(|&count| count >= 2));
}

#[test]
fn refused_beats_are_counted_with_the_servers_words() {
    let stub = Stub::start(free_port());
    stub.refuse("sim-000002", "LIMIT the registry holds 1 device");
    let fleet = Fleet::start(&[
        "--redis",
        &stub.url(),
        "--devices",
        "3",
        "--interval",
        "50ms",
        "--json",
    ]);
    stub.wait("5 refusals", |commands| {
        commands
            .iter()
            .filter(|c| c.is_beat_of("sim-000002"))
            .count()
            >= 5
    });
    fleet.terminate();
    let (summary, stderr) = fleet.summary();
    assert_eq!(summary["connected"], 2);
    assert!(summary["errors"].as_u64().unwrap() >= 5);
    let text = summary["error_texts"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("LIMIT") && text.contains("the registry holds 1 device"),
        "{text}"
    );
    assert!(!stderr.iter().any(|line| line.contains("fleet ready")));
}

#[test]
fn a_lost_connection_comes_back_in_a_higher_session() {
    let stub = Stub::start(free_port());
    let mut fleet = Fleet::start(&[
        "--redis",
        &stub.url(),
        "--devices",
        "20",
        "--interval",
        "50ms",
        "--connections",
        "1",
        "--json",
    ]);
    fleet.wait_for_line("fleet ready");
    stub.drop_connections();
    stub.wait("a second session of every device", |commands| {
        let beats = of(commands, "DEVICE.HEARTBEAT");
        let session = |c: &Command| c.after("SESSION").unwrap().parse::<u64>().unwrap();
        let first = session(beats[0]);
        let back: Vec<&Command> = beats.into_iter().filter(|c| session(c) > first).collect();
        devices(&back).len() == 20
    });
    fleet.terminate();
    let (summary, _) = fleet.summary();
    assert_eq!(summary["reconnects"], 1);
    assert!(summary["errors"].as_u64().unwrap() >= 1);
}

#[test]
fn a_server_that_comes_late_is_waited_for() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let mut fleet = Fleet::start(&["--redis", &url, "--devices", "5", "--json"]);
    fleet.wait_for_line("trying again");
    let _stub = Stub::start(port);
    fleet.wait_for_line("fleet ready");
    fleet.terminate();
    let (summary, _) = fleet.summary();
    assert_eq!(summary["connected"], 5);
}
