//! Keys of the shadow that hold another type: what needs them is refused and changes nothing.

use super::bad_input::populate;
use super::*;

/// Each key of the shadow, and commands that need it. All are writes that have something to do.
const KEYS: &[(&str, &[&str])] = &[
    (
        "device:shadows:d",
        &[
            "DEVICE.SHADOW.SET d {\"x\":1} NAME n",
            "DEVICE.SHADOW.REPORT d {\"x\":1} NAME n",
            "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"x\":1}}} NAME n",
            "DEVICE.SHADOW.GET d NAME n",
            "DEVICE.SHADOW.DEL d NAME n",
            "DEVICE.SHADOW.NAMES d",
            "DEVICE.DELTA d NAME n",
            "DEVICE.REMOVE d",
        ],
    ),
    // Of a device that nobody knows yet.
    (
        "device:shadows:new",
        &[
            "DEVICE.SHADOW.SET new {\"x\":1} NAME n",
            "DEVICE.SHADOW.REPORT new {\"x\":1} NAME n",
            "DEVICE.SHADOW.UPDATE new {\"state\":{\"desired\":{\"x\":1}}} NAME n",
        ],
    ),
    (
        "device:history:d",
        &[
            "DEVICE.SHADOW.SET d {\"x\":1}",
            "DEVICE.SHADOW.REPORT d {\"x\":1}",
            "DEVICE.SHADOW.UPDATE d {\"state\":{\"desired\":{\"x\":1}}}",
            "DEVICE.HEARTBEAT d REPORTED {\"x\":1}",
            "DEVICE.SHADOW.SET d {\"x\":1} NAME n",
            "DEVICE.HISTORY d",
            "DEVICE.REMOVE d",
        ],
    ),
    (
        "devices:outofsync",
        &[
            // `d` gets in sync, `e` gets out of it.
            "DEVICE.SHADOW.REPORT d {\"a\":1}",
            "DEVICE.SHADOW.SET e {\"x\":1}",
            "DEVICE.SHADOW.UPDATE d {\"state\":null}",
            "DEVICE.HEARTBEAT d REPORTED {\"a\":1}",
            "DEVICE.SHADOW.DEL d",
            "DEVICE.REMOVE d",
            "DEVICE.LIST OUTOFSYNC",
            "DEVICE.COUNT OUTOFSYNC",
        ],
    ),
    (
        "devices:reports",
        &[
            "DEVICE.SHADOW.REPORT d {\"x\":1}",
            "DEVICE.SHADOW.REPORT d {}",
            "DEVICE.HEARTBEAT d REPORTED {\"x\":1}",
            "DEVICE.SHADOW.UPDATE d {\"state\":{\"reported\":{\"x\":1}}}",
        ],
    ),
    (
        "devices:events",
        &[
            "DEVICE.SHADOW.SET d {\"x\":1}",
            "DEVICE.SHADOW.SET d {}",
            "DEVICE.SHADOW.REPORT d {\"a\":1}",
            "DEVICE.SHADOW.SET d {\"x\":1} NAME n",
        ],
    ),
];

#[test]
fn keys_of_another_type_refuse_what_needs_them() {
    let mut server = Server::builder()
        .config("devicestate.reports-maxlen", 100)
        .config("devicestate.heartbeat-timeout", "1h")
        .start();
    server.settle();
    let mut con = server.connection();
    let mut faults = Vec::new();
    for (key, lines) in KEYS {
        for line in *lines {
            cmd!(con, "FLUSHALL").text();
            beat(&mut con, "d");
            beat(&mut con, "e");
            populate(&mut con);
            cmd!(con, "DEL", key).int();
            cmd!(con, "SET", key, "x").text();
            let before = snapshot(&mut con);
            match cmd!(con, line) {
                Ok(reply) => faults.push(format!("{key}: {line} answers {reply:?}")),
                Err(error) => {
                    let named = error.code() == Some("WRONGTYPE");
                    if !named || !error.to_string().contains(key) {
                        faults.push(format!("{key}: {line} says: {error}"));
                    }
                }
            }
            let changed = difference(&before, &snapshot(&mut con));
            if !changed.is_empty() {
                faults.push(format!("{key}: {line} changed {changed:?}"));
            }
        }
    }
    assert!(server.is_alive());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_hash_of_another_device_is_refused_and_left_alone() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(
        con,
        "HSET device:state:d device_id e status online version 1"
    )
    .int();
    for line in [
        "DEVICE.SHADOW.SET d {}",
        "DEVICE.SHADOW.SET d {} NAME n",
        "DEVICE.SHADOW.REPORT d {}",
        "DEVICE.SHADOW.UPDATE d {\"state\":{}}",
        "DEVICE.SHADOW.GET d",
        "DEVICE.SHADOW.DEL d",
        "DEVICE.DELTA d",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "WRONGTYPE", "'device:state:d'");
    }
}
