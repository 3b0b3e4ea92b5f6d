//! The two transitions: what each writes and tells, when, and how often.

mod crowds;
mod heartbeat_key;
mod noted;
mod slices;

use serde_json::json;

use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

/// How late a transition may be told on a busy machine, in milliseconds. On a quiet one it is a few;
/// `benches/` and `scale.rs` have the figures.
const LATE: i64 = 1_000;

#[test]
fn going_offline_is_written_and_told_everywhere_once_and_on_time() {
    let server = quick();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let transitions = Subscriber::channels(&server, &["__keyevent@0__:device.offline"]);
    // What a listener of the plain recipe does.
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 1);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 200 SESSION 7").items();
    let last_seen = number(&mut con, "d", "last_seen");
    presence.wait_for_count(1, SOON);
    presence.take();

    let told = [
        presence.wait_for_count(1, SOON)[0].clone(),
        transitions.wait_for_count(1, SOON)[0].clone(),
        expired.wait_for_count(1, SOON)[0].clone(),
    ];
    for message in &told {
        let late = message.at_ms - (last_seen + 200);
        assert!(
            (0..=LATE).contains(&late),
            "{} is {late} ms late",
            message.channel
        );
    }
    let since = number(&mut con, "d", "status_since");
    assert!(since >= last_seen + 200);
    assert_eq!(
        told[0].json(),
        json!({"type": "presence", "device_id": "d", "status": "offline", "timestamp": since,
               "reason": "timeout", "session": 7})
    );
    assert_eq!(told[1].payload, "device:state:d");
    assert_eq!(told[2].payload, "device:heartbeat:d");

    let hash = cmd!(con, "HGETALL device:state:d").text_fields();
    assert_eq!(hash["status"], "offline");
    assert_eq!(hash["status_reason"], "timeout");
    assert_eq!(hash["last_seen"], last_seen.to_string());
    assert_eq!(cmd!(con, "ZSCORE devices:offline d").int(), last_seen);
    assert_eq!(cmd!(con, "DEVICE.COUNT ONLINE TYPE sensor").int(), 0);
    let event = &events_of(&mut con, "d").of_type("offline")[0];
    let fields: Vec<(&str, &str)> = event
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("device_id", "d"),
            ("reason", "timeout"),
            ("session", "7"),
            ("status", "offline"),
            ("timestamp", &since.to_string()),
            ("type", "offline"),
        ]
    );
    assert_consistent(&mut con);

    // Nothing is told again: by the time another device has lived and died, it would have been.
    cmd!(con, "DEVICE.HEARTBEAT other TIMEOUT 100").items();
    wait_until_offline(&mut con, "other");
    let is_d = |message: &&Message| message.payload.contains("\"d\"");
    assert_eq!(presence.messages().iter().filter(is_d).count(), 1);
    let of_other = |heard: &Subscriber| heard.wait_for_count(2, SOON)[1].payload.clone();
    assert_eq!(of_other(&transitions), "device:state:other");
    assert_eq!(of_other(&expired), "device:heartbeat:other");
    assert_told_once(&mut con);
}

#[test]
fn coming_online_is_written_and_told_everywhere() {
    let server = quick();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let transitions = Subscriber::channels(&server, &["__keyevent@0__:device.online"]);
    let mut con = server.connection();
    assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 1);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 1h").items();
    assert_eq!(beat(&mut con, "d"), [0, 1, 0]);

    let since = number(&mut con, "d", "status_since");
    let told = presence.wait_for_count(1, SOON)[0].clone();
    assert_eq!(
        told.json(),
        json!({"type": "presence", "device_id": "d", "status": "online", "timestamp": since,
               "reason": "heartbeat", "session": null})
    );
    assert!(told.at_ms - since <= LATE);
    assert_eq!(
        transitions.wait_for_count(1, SOON)[0].payload,
        "device:state:d"
    );
    assert!(is_online(&mut con, "d"));
    for set in ["devices:online", "devices:online:type:sensor"] {
        assert_eq!(cmd!(con, "SISMEMBER", set, "d").int(), 1, "{set}");
    }
    assert!(cmd!(con, "ZSCORE devices:offline d").is_nil());
    assert_eq!(cmd!(con, "EXISTS device:heartbeat:d").int(), 1);
    let told = events_of(&mut con, "d");
    assert_eq!(told.field("type"), ["registered", "online"]);
    assert_eq!(told[1].int("timestamp"), since);
    assert_eq!(told[1].get("reason"), "heartbeat");
    assert_eq!(told[1].get("session"), "");
    assert_consistent(&mut con);

    // The goodbye, with a reason and a session.
    assert_eq!(
        cmd!(con, "DEVICE.OFFLINE d REASON", "the will", "SESSION", 3).int(),
        1
    );
    let told = presence.wait_for_count(2, SOON)[1].json();
    assert_eq!(told["reason"], "the will");
    assert_eq!(told["session"], 3);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 0);
    assert_eq!((presence.count(), transitions.count()), (2, 1));
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

/// Between the deadline and the sweep nothing else can run but what stands in the same transaction.
#[test]
fn a_heartbeat_after_the_deadline_and_before_the_sweep_is_an_outage() {
    let server = quick();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 5").items();
    let seen = number(&mut con, "d", "last_seen");
    wait_for("100 ms of silence", SOON, || now_ms() >= seen + 100);
    presence.wait_for_count(1, SOON);
    presence.take();
    cmd!(con, "MULTI").text();
    for line in [
        "CONFIG SET devicestate.heartbeat-timeout 100",
        "DEVICE.HEARTBEAT d TIMEOUT 1h SESSION 6",
        "DEVICE.HEARTBEAT d",
    ] {
        cmd!(con, line).text();
    }
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(outcome(&replies[1]), [1, 1, 0]);
    assert_eq!(outcome(&replies[2]), [0, 1, 0]);
    let told = events_of(&mut con, "d");
    assert_eq!(
        told.field("type"),
        ["registered", "online", "offline", "online"]
    );
    assert_eq!(
        told.field("reason")[1..],
        ["heartbeat", "timeout", "heartbeat"]
    );
    // The outage belongs to the session that fell silent.
    assert_eq!(told.field("session")[1..], ["5", "5", "6"]);
    let heard = presence.wait_for_count(2, SOON);
    assert_eq!(heard[0].json()["status"], "offline");
    assert_eq!(heard[1].json()["status"], "online");
    assert_eq!(
        expired.wait_for_count(1, SOON)[0].payload,
        "device:heartbeat:d"
    );
    assert_eq!(info_number(&mut con, "timed_out"), 1);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn a_goodbye_after_the_deadline_and_before_the_sweep_is_told_once() {
    let server = quick();
    let mut con = server.connection();
    beat(&mut con, "d");
    let seen = number(&mut con, "d", "last_seen");
    wait_for("100 ms of silence", SOON, || now_ms() >= seen + 100);
    cmd!(con, "MULTI").text();
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
    cmd!(con, "DEVICE.OFFLINE d REASON will").text();
    assert_eq!(cmd!(con, "EXEC").at(1).int(), 1);
    cmd!(con, "DEVICE.HEARTBEAT other").items();
    wait_until_offline(&mut con, "other");
    let told = events_of(&mut con, "d").of_type("offline");
    assert_eq!(told.field("reason"), ["will"]);
    assert_consistent(&mut con);
}

#[test]
fn without_a_timeout_a_device_never_goes_offline() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 0").text();
    cmd!(con, "DEVICE.TYPE.SET wired TIMEOUT 0").text();
    cmd!(con, "DEVICE.REGISTER by-type wired").int();
    cmd!(con, "DEVICE.REGISTER own wired").int();
    cmd!(con, "DEVICE.HEARTBEAT own TIMEOUT 0").items();
    for id in ["by-type", "by-default"] {
        beat(&mut con, id);
    }
    // The clock: it dies several times meanwhile.
    for _ in 0..3 {
        cmd!(con, "DEVICE.HEARTBEAT clock TIMEOUT 100").items();
        wait_until_offline(&mut con, "clock");
    }
    for id in ["own", "by-type", "by-default"] {
        assert_eq!(
            events_of(&mut con, id).field("type"),
            ["registered", "online"]
        );
        assert!(cmd!(con, "DEVICE.WHY", id).fields()["deadline"].is_nil());
    }
    assert_consistent(&mut con);
}
