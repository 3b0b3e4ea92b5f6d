//! Hashes and streams with values that other hands wrote and the module never would.

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// Sends the command. It must work or be refused with nothing changed; gives what went wrong.
#[track_caller]
fn half_done(con: &mut Connection, line: &str) -> Option<String> {
    let before = snapshot(con);
    let error = cmd!(con, line).err()?;
    let changed = difference(&before, &snapshot(con));
    (!changed.is_empty()).then(|| format!("{line} was refused ({error}) and changed {changed:?}"))
}

/// Numbers beyond what commands take.
const NUMBERS: &[&str] = &[
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "9000000000000000000",
    "-1",
    "-9223372036854775808",
    "1.5",
    "1e300",
    "nan",
    "inf",
    "",
    "x",
    "\u{661}",
];

#[test]
fn numbers_of_a_device_beyond_all_bounds_spoil_no_step() {
    let mut server = quick();
    let mut con = server.connection();
    let mut faults = Vec::new();
    let fields = [
        "timeout",
        "version",
        "session",
        "seq",
        "last_seen",
        "status_since",
        "ignored",
    ];
    for name in fields {
        for value in NUMBERS {
            cmd!(con, "FLUSHALL").text();
            cmd!(
                con,
                "DEVICE.HEARTBEAT on SESSION 5 SEQ 5 REPORTED {\"a\":1}"
            )
            .items();
            cmd!(con, "DEVICE.REGISTER off sensor").int();
            for id in ["on", "off"] {
                cmd!(con, "HSET", format!("device:state:{id}"), name, value).int();
            }
            for line in [
                "DEVICE.HEARTBEAT off",
                "DEVICE.HEARTBEAT on",
                "DEVICE.HEARTBEAT on SESSION 1",
                "DEVICE.HEARTBEAT on SESSION 6 SEQ 6 REPORTED {\"a\":2}",
                "DEVICE.GET on",
                "DEVICE.WHY on",
                "DEVICE.LIST STALE 0",
                "DEVICE.REGISTER on motor",
                "DEVICE.OFFLINE on",
                "DEVICE.REMOVE on",
                "DEVICE.REMOVE off",
            ] {
                faults.extend(
                    half_done(&mut con, line).map(|fault| format!("{name} {value}: {fault}")),
                );
            }
        }
    }
    assert!(server.is_alive());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(
        faults.is_empty(),
        "{} times, as\n{}",
        faults.len(),
        faults[..faults.len().min(4)].join("\n")
    );
}

#[test]
fn a_timeout_of_a_type_beyond_all_bounds_spoils_no_step() {
    let server = Server::start();
    let mut con = server.connection();
    let mut faults = Vec::new();
    for value in [
        "18446744073709551615",
        "9223372036854775807",
        "9000000000000000000",
    ] {
        cmd!(con, "FLUSHALL").text();
        cmd!(
            con,
            "HSET",
            "devices:types",
            "sensor",
            format!("{{\"timeout\":{value}}}")
        )
        .int();
        cmd!(con, "DEVICE.REGISTER d sensor").int();
        for line in [
            "DEVICE.HEARTBEAT d",
            "DEVICE.HEARTBEAT d",
            "DEVICE.WHY d",
            "DEVICE.OFFLINE d",
        ] {
            faults.extend(half_done(&mut con, line).map(|fault| format!("{value}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Whatever stands in one hash, the others are told offline.
#[test]
fn one_spoilt_device_does_not_stop_the_sweeper() {
    let server = quick();
    let mut con = server.connection();
    for (n, value) in NUMBERS.iter().enumerate() {
        let id = format!("spoilt-{n}");
        cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", 200).items();
        let key = format!("device:state:{id}");
        cmd!(con, "HSET", key, "timeout", value, "status_since", value).int();
    }
    cmd!(con, "DEVICE.HEARTBEAT good TIMEOUT 300").items();
    wait_until_offline(&mut con, "good");
}

/// A stream takes no more entries once its last id is the last of all ids. Then no step can be
/// told, so none is done.
#[test]
fn a_used_up_stream_of_events_spoils_no_step() {
    let server = quick();
    let mut con = server.connection();
    let last = "18446744073709551615-18446744073709551615";
    let mut faults = Vec::new();
    for line in [
        "DEVICE.REGISTER new sensor",
        "DEVICE.HEARTBEAT new REPORTED {}",
        "DEVICE.HEARTBEAT off REPORTED {\"a\":2} TIMEOUT 1h",
        "DEVICE.HEARTBEAT off SESSION 6",
        "DEVICE.HEARTBEAT off SESSION 5 SEQ 5 REPORTED {}",
        "DEVICE.OFFLINE on SESSION 6",
        "DEVICE.REMOVE off BLOCK 1s",
        "DEVICE.REMOVE on BLOCK 1s",
    ] {
        cmd!(con, "FLUSHALL").text();
        for id in ["on", "off"] {
            cmd!(
                con,
                "DEVICE.HEARTBEAT",
                id,
                "SESSION",
                5,
                "SEQ",
                5,
                "REPORTED",
                "{}"
            )
            .items();
        }
        cmd!(con, "DEVICE.OFFLINE off SESSION 5").int();
        cmd!(con, "XADD", "devices:events", last, "type", "last").text();
        assert!(
            cmd!(con, "DEVICE.HEARTBEAT on").is_ok(),
            "a steady beat tells nothing"
        );
        faults.extend(half_done(&mut con, line));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
