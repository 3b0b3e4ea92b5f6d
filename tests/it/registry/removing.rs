//! `DEVICE.REMOVE`, with and without BLOCK.

use crate::devices::*;
use crate::support::*;

#[test]
fn removing_an_unknown_device_answers_0_and_changes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "other");
    let before = snapshot(&mut con);
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 0);
    assert_eq!(difference(&before, &snapshot(&mut con)), [] as [&str; 0]);
}

#[test]
fn removing_leaves_nothing_behind_but_the_events() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER other sensor").int();
    cmd!(con, "DEVICE.HEARTBEAT other TIMEOUT 0").items();
    let before = snapshot_without_streams(&mut con);
    for lines in [
        &["DEVICE.REGISTER d sensor"][..],
        &[
            "DEVICE.REGISTER d rare META {\"m\":1}",
            "DEVICE.HEARTBEAT d",
            "DEVICE.OFFLINE d",
        ],
        &[
            "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 3 SEQ 1 TIMEOUT 1h",
            "DEVICE.HEARTBEAT d SESSION 1",
        ],
        &["DEVICE.HEARTBEAT d", "DEVICE.REGISTER d rare"],
    ] {
        for line in lines {
            assert!(cmd!(con, line).is_ok());
        }
        assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
        let after = snapshot_without_streams(&mut con);
        assert_eq!(difference(&before, &after), [] as [&str; 0], "{lines:?}");
        assert!(cmd!(con, "DEVICE.GET d").is_nil());
    }
    let entries: i64 = info_number(&mut con, "deadline_index_devices");
    assert!(entries <= 1, "the deadline index forgets it too: {entries}");
}

#[test]
fn an_online_device_goes_offline_before_it_is_removed() {
    let server = Server::start();
    let told = Subscriber::channels(&server, &["devices:presence", "__keyevent@0__:expired"]);
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 8").items();
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
    let all = events_of(&mut con, "d");
    assert_eq!(
        all.field("type"),
        ["registered", "online", "offline", "removed"]
    );
    assert_eq!(all[2].get("reason"), "removed");
    assert_eq!(all[2].get("session"), "8");
    let messages = told.wait_for_count(3, SOON);
    let payloads: Vec<_> = messages.iter().map(|m| m.payload.as_str()).collect();
    assert!(payloads.contains(&"device:heartbeat:d"), "{payloads:?}");
    let last = messages.iter().rfind(|m| m.channel == "devices:presence");
    let last = last.map(|m| m.json()).unwrap_or_default();
    assert_eq!(
        (&last["status"], &last["reason"]),
        (&"offline".into(), &"removed".into())
    );
}

#[test]
fn a_removed_device_registers_itself_again_when_it_speaks_up() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(
        con,
        "DEVICE.HEARTBEAT d REPORTED {\"a\":1} SESSION 9 TIMEOUT 0"
    )
    .items();
    cmd!(con, "DEVICE.REMOVE d").int();
    // As new: no session, no timeout, no document of its former life.
    let reply = cmd!(con, "DEVICE.HEARTBEAT d SESSION 1");
    assert_eq!(outcome(reply.value()), [1, 1, 0]);
    let state = cmd!(con, "DEVICE.GET d").text_fields();
    assert!(
        !state.contains_key("timeout") && !state.contains_key("reported_state"),
        "{state:?}"
    );
}

#[test]
fn a_block_keeps_a_removed_device_out_until_it_lapses() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    assert_eq!(cmd!(con, "DEVICE.REMOVE d BLOCK 300ms").int(), 1);
    expect_refusal(
        &mut con,
        &["DEVICE.HEARTBEAT", "d", "REPORTED", "{}"],
        "NODEVICE",
        "'d'",
    );
    wait_for("the block lapses", SOON, || {
        cmd!(con, "DEVICE.HEARTBEAT d").is_ok()
    });
    assert!(is_online(&mut con, "d"));
}

#[test]
fn an_unknown_device_can_be_blocked_before_it_speaks_up() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(cmd!(con, "DEVICE.REMOVE d BLOCK 1h").int(), 0);
    expect_refusal(&mut con, &["DEVICE.HEARTBEAT", "d"], "NODEVICE", "'d'");
    assert_eq!(beat(&mut con, "other"), [1, 1, 0]);
    // A later removal says anew for how long.
    assert_eq!(cmd!(con, "DEVICE.REMOVE d BLOCK 100ms").int(), 0);
    wait_for("the block lapses", SOON, || {
        cmd!(con, "DEVICE.HEARTBEAT d").is_ok()
    });
}

#[test]
fn registering_lifts_a_block() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    let before = {
        cmd!(con, "DEVICE.REMOVE d").int();
        snapshot_without_streams(&mut con)
    };
    cmd!(con, "DEVICE.REMOVE d BLOCK 1h").int();
    assert_eq!(cmd!(con, "DEVICE.REGISTER d sensor").int(), 1);
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
    cmd!(con, "DEVICE.REMOVE d").int();
    assert_eq!(
        difference(&before, &snapshot_without_streams(&mut con)),
        [] as [&str; 0]
    );
    assert_eq!(beat(&mut con, "d"), [1, 1, 0]);
}
