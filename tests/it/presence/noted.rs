//! Of a device that it knows the sweeper reads only what it has not noted. None of that shows: what the
//! device says of itself, or others write into its hash, counts in the moment in which its time is up.

use super::*;

/// A device that is online, and known: the sweeper has looked at it, and its heartbeats are steady.
fn known(con: &mut redis::Connection, id: &str) {
    for _ in 0..3 {
        cmd!(con, "DEVICE.HEARTBEAT", id).items();
    }
}

fn wait_for_death(con: &mut redis::Connection, id: &str) -> Event {
    wait_for("it is told offline", SOON, || {
        cmd!(con, "HGET", format!("device:state:{id}"), "status").text() == "offline"
    });
    let told = events_of(con, id).of_type("offline");
    assert_eq!(told.len(), 1, "{id}");
    told[0].clone()
}

/// Everybody whose timeout is not their own is due.
fn shorten_default(con: &mut redis::Connection) {
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
}

#[test]
fn a_session_told_later_is_told_with_the_death() {
    let server = quick();
    let mut con = server.connection();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    for id in ["beats", "reports", "never"] {
        known(&mut con, id);
    }
    cmd!(con, "DEVICE.HEARTBEAT beats SESSION 7").items();
    cmd!(con, "DEVICE.SHADOW.REPORT reports {} SESSION 8").items();
    presence.wait_for_count(3, SOON);
    presence.take();
    shorten_default(&mut con);
    for (id, session) in [
        ("beats", json!(7)),
        ("reports", json!(8)),
        ("never", json!(null)),
    ] {
        let event = wait_for_death(&mut con, id);
        if let Some(session) = session.as_u64() {
            assert_eq!(event.get("session"), session.to_string());
        }
        let about = |message: &Message| message.json()["device_id"] == id;
        presence.wait_until("its message", SOON, |heard| heard.iter().any(about));
        let told = presence.messages();
        let told: Vec<&Message> = told.iter().filter(|message| about(message)).collect();
        assert_eq!(told.len(), 1, "{id}");
        assert_eq!(told[0].json()["session"], session);
    }
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn a_timeout_told_later_counts() {
    let server = quick();
    let mut con = server.connection();
    for id in ["longer", "shorter", "none", "same"] {
        known(&mut con, id);
    }
    cmd!(con, "DEVICE.HEARTBEAT shorter TIMEOUT 200").items();
    wait_for_death(&mut con, "shorter");
    cmd!(con, "DEVICE.HEARTBEAT longer TIMEOUT 1h").items();
    cmd!(con, "DEVICE.HEARTBEAT none TIMEOUT 0").items();
    shorten_default(&mut con);
    wait_for_death(&mut con, "same");
    assert_eq!(cmd!(con, "DEVICE.LIST ONLINE").at(1).texts().len(), 2);
    cmd!(con, "DEVICE.HEARTBEAT longer TIMEOUT 100").items();
    cmd!(con, "DEVICE.HEARTBEAT none TIMEOUT 100").items();
    wait_for_death(&mut con, "longer");
    wait_for_death(&mut con, "none");
    assert_consistent(&mut con);
}

#[test]
fn what_other_hands_write_into_a_hash_counts() {
    let server = quick();
    let mut con = server.connection();
    for id in ["timeout", "type", "session", "offline", "gone", "foreign"] {
        known(&mut con, id);
    }
    let write = [
        "HSET device:state:timeout timeout 3600000",
        "HSET device:state:type device_type pump",
        "HSET device:state:session session 9",
        "HSET device:state:offline status offline",
        "DEL device:state:gone",
        "HSET device:state:foreign device_id another",
    ];
    for line in write {
        cmd!(con, line).int();
    }
    shorten_default(&mut con);
    wait_for_death(&mut con, "type");
    let event = wait_for_death(&mut con, "session");
    assert_eq!(event.get("session"), "9");
    for id in ["timeout", "offline", "gone", "foreign"] {
        assert_eq!(events_of(&mut con, id).of_type("offline").len(), 0, "{id}");
    }
    assert_eq!(
        cmd!(con, "SISMEMBER devices:online:type:pump type").int(),
        0
    );
    assert_eq!(
        cmd!(con, "HGET device:state:timeout status").text(),
        "online"
    );
}
