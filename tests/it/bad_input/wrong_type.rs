//! Keys of ours that hold another type: commands are refused and change nothing, and what the
//! sweeper could not write it catches up with once the key is mended.

use std::collections::BTreeSet;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// A fleet in which every command has something to do: `new` is unknown, `off` and `on` are what
/// their names say.
#[track_caller]
fn populate(con: &mut Connection) {
    for line in [
        "DEVICE.REGISTER off sensor",
        "DEVICE.REGISTER on sensor",
        "DEVICE.HEARTBEAT on REPORTED {\"a\":1} SESSION 5",
        "DEVICE.TYPE.SET motor TIMEOUT 1h",
    ] {
        assert!(cmd!(con, line).is_ok());
    }
}

/// Puts a value of another type where the key was.
#[track_caller]
fn break_key(con: &mut Connection, key: &str) {
    // In one step: the sweeper brings a heartbeat key back.
    let other = match key.starts_with("device:heartbeat:") {
        true => "RPUSH",
        false => "SET",
    };
    let script = "redis.call('DEL', KEYS[1]) redis.call(ARGV[1], KEYS[1], 'x') return 1";
    cmd!(con, "EVAL", script, 1, key, other).int();
}

/// Everything that writes.
const WRITES: &[&str] = &[
    "DEVICE.REGISTER new sensor",
    "DEVICE.REGISTER new motor META {}",
    "DEVICE.REGISTER off motor META {}",
    "DEVICE.REGISTER on motor META {}",
    "DEVICE.HEARTBEAT new",
    "DEVICE.HEARTBEAT new REPORTED {\"a\":1}",
    "DEVICE.HEARTBEAT off TIMEOUT 1h",
    "DEVICE.HEARTBEAT on",
    "DEVICE.HEARTBEAT on SESSION 4",
    "DEVICE.HEARTBEAT on REPORTED {\"a\":2} TIMEOUT 30d SESSION 6",
    "DEVICE.OFFLINE off SESSION 9",
    "DEVICE.OFFLINE on SESSION 9",
    "DEVICE.REMOVE off BLOCK 1s",
    "DEVICE.REMOVE on BLOCK 1s",
    "DEVICE.REMOVE new BLOCK 1s",
    "DEVICE.TYPE.SET motor TIMEOUT 2h",
    "DEVICE.TYPE.DEL motor",
];

/// Each key of ours, and which of [`WRITES`] must be refused while it holds another type.
const KEYS: &[(&str, &[&str])] = &[
    (
        "device:state:new",
        &[
            "DEVICE.REGISTER new",
            "DEVICE.HEARTBEAT new",
            "DEVICE.REMOVE new",
        ],
    ),
    (
        "device:state:off",
        &[
            "DEVICE.REGISTER off",
            "DEVICE.HEARTBEAT off",
            "DEVICE.OFFLINE off",
            "DEVICE.REMOVE off",
        ],
    ),
    (
        "device:state:on",
        &[
            "DEVICE.REGISTER on",
            "DEVICE.HEARTBEAT on",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE on",
        ],
    ),
    ("device:heartbeat:new", &["DEVICE.HEARTBEAT new"]),
    ("device:heartbeat:off", &["DEVICE.HEARTBEAT off"]),
    (
        "device:heartbeat:on",
        &["DEVICE.OFFLINE on", "DEVICE.REMOVE on"],
    ),
    (
        "devices:registered",
        &[
            "DEVICE.REGISTER new",
            "DEVICE.HEARTBEAT new",
            "DEVICE.REMOVE off",
            "DEVICE.REMOVE on",
        ],
    ),
    (
        "devices:online",
        &[
            "DEVICE.HEARTBEAT new",
            "DEVICE.HEARTBEAT off",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE on",
        ],
    ),
    (
        "devices:offline",
        &[
            "DEVICE.REGISTER new",
            "DEVICE.HEARTBEAT off",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE o",
        ],
    ),
    (
        "devices:events",
        &[
            "DEVICE.REGISTER new",
            "DEVICE.HEARTBEAT off",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE o",
        ],
    ),
    (
        "devices:type:sensor",
        &[
            "DEVICE.REGISTER new sensor",
            "DEVICE.REGISTER o",
            "DEVICE.REMOVE o",
        ],
    ),
    (
        "devices:type:motor",
        &["DEVICE.REGISTER new motor", "DEVICE.REGISTER o"],
    ),
    (
        "devices:online:type:sensor",
        &[
            "DEVICE.REGISTER on",
            "DEVICE.HEARTBEAT off",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE on",
        ],
    ),
    ("devices:online:type:motor", &["DEVICE.REGISTER on"]),
    ("devices:types", &["DEVICE.TYPE"]),
];

/// Runs every write on a fresh fleet in which `key` is broken: each is refused, naming the key and
/// changing nothing, or does not touch the key at all. Gives those refused.
#[track_caller]
fn refused_while_broken(
    con: &mut Connection,
    key: &str,
    faults: &mut Vec<String>,
) -> BTreeSet<String> {
    let mut refused = BTreeSet::new();
    for line in WRITES {
        cmd!(con, "FLUSHALL").text();
        populate(con);
        break_key(con, key);
        let before = snapshot(con);
        let reply = cmd!(con, line);
        let after = snapshot(con);
        let Err(error) = reply else {
            if before.get(key) != after.get(key) {
                faults.push(format!("{key}: {line} overwrote it"));
            }
            continue;
        };
        refused.insert((*line).to_owned());
        if error.code() != Some("WRONGTYPE") || !error.to_string().contains(&format!("'{key}'")) {
            faults.push(format!("{key}: {line} says: {error}"));
        }
        let changed = difference(&before, &after);
        if !changed.is_empty() {
            faults.push(format!("{key}: {line} was refused and changed {changed:?}"));
        }
    }
    refused
}

#[test]
fn every_write_meets_every_wrong_key() {
    let mut server = Server::start();
    let mut con = server.connection();
    let mut faults = Vec::new();
    for (key, expected) in KEYS {
        let refused = refused_while_broken(&mut con, key, &mut faults);
        let must = WRITES
            .iter()
            .filter(|line| expected.iter().any(|start| line.starts_with(start)));
        for line in must.filter(|line| !refused.contains(**line)) {
            faults.push(format!("{key}: {line} was not refused"));
        }
    }
    assert!(server.is_alive());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn reads_of_a_wrong_key_are_refused_and_name_it() {
    let server = Server::start();
    let mut con = server.connection();
    let mut faults = Vec::new();
    for (key, lines) in [
        (
            "device:state:on",
            &["DEVICE.GET on", "DEVICE.MGET off on", "DEVICE.WHY on"][..],
        ),
        ("devices:registered", &["DEVICE.LIST", "DEVICE.COUNT"]),
        (
            "devices:events",
            &["DEVICE.EVENTS", "DEVICE.EVENTS AFTER $"],
        ),
        (
            "devices:online",
            &[
                "DEVICE.LIST ONLINE",
                "DEVICE.COUNT ONLINE",
                "DEVICE.LIST ONLINE STALE 0",
            ],
        ),
        (
            "devices:offline",
            &[
                "DEVICE.LIST OFFLINE",
                "DEVICE.COUNT OFFLINE",
                "DEVICE.COUNT STALE 0",
            ],
        ),
        (
            "devices:type:sensor",
            &["DEVICE.LIST TYPE sensor", "DEVICE.COUNT TYPE sensor"],
        ),
        (
            "devices:online:type:sensor",
            &["DEVICE.LIST TYPE sensor ONLINE"],
        ),
        (
            "devices:types",
            &["DEVICE.TYPE.GET motor", "DEVICE.TYPE.LIST"],
        ),
    ] {
        cmd!(con, "FLUSHALL").text();
        populate(&mut con);
        break_key(&mut con, key);
        let before = snapshot(&mut con);
        for line in lines {
            match cmd!(con, line) {
                Ok(reply) => faults.push(format!("{key}: {line} answers {reply:?}")),
                Err(error)
                    if error.code() == Some("WRONGTYPE") && error.to_string().contains(key) => {}
                Err(error) => faults.push(format!("{key}: {line} says: {error}")),
            }
        }
        assert_eq!(before, snapshot(&mut con), "{key}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_hash_of_another_device_is_refused_and_left_alone() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(
        con,
        "HSET",
        "device:state:d",
        "device_id",
        "e",
        "status",
        "online"
    )
    .int();
    for line in [
        "DEVICE.REGISTER d sensor",
        "DEVICE.HEARTBEAT d",
        "DEVICE.OFFLINE d",
        "DEVICE.GET d",
        "DEVICE.MGET d",
        "DEVICE.WHY d",
        "DEVICE.REMOVE d",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "WRONGTYPE", "'device:state:d'");
    }
}

/// Keys that the offline step of `d` (type sensor) writes.
const OF_THE_SWEEPER: &[&str] = &[
    "devices:online",
    "devices:offline",
    "devices:events",
    "devices:online:type:sensor",
    "device:heartbeat:%n%s%d📟",
];

#[test]
fn the_sweeper_backs_off_says_so_and_catches_up() {
    let id = "%n%s%d📟";
    for key in OF_THE_SWEEPER {
        let mut server = quick();
        let mut con = server.connection();
        cmd!(con, "DEVICE.REGISTER", id, "sensor").int();
        cmd!(con, "DEVICE.REGISTER", "another", "sensor").int();
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", 300).items();
        cmd!(con, "RENAME", key, "aside").text();
        break_key(&mut con, key);
        let before = snapshot(&mut con);
        wait_for("the sweeper backs off", SOON, || {
            info_number(&mut con, "back_offs") > 0
        });
        assert_eq!(
            difference(&before, &snapshot(&mut con)),
            Vec::<String>::new()
        );
        let log = server.log();
        let complaint = log
            .lines()
            .find(|line| line.contains("can't be told offline"));
        let complaint = complaint.unwrap_or_else(|| panic!("{key}: no complaint in {log}"));
        assert!(
            complaint.contains("WRONGTYPE") && complaint.contains(key),
            "{complaint}"
        );
        // Others are served meanwhile, and the sweeper does not run in circles.
        assert!(cmd!(con, "DEVICE.GET", id).is_ok());
        assert!(info_number(&mut con, "back_offs") < 5);

        cmd!(con, "RENAME", "aside", key).text();
        wait_until_offline(&mut con, id);
        assert_eq!(events_of(&mut con, id).of_type("offline").len(), 1);
        assert!(server.is_alive());
    }
}

#[test]
fn a_state_key_of_another_type_is_caught_up_with_too() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT", "d", "TIMEOUT", 300).items();
    // In one step, or the sweeper might see that the device is gone.
    let swap = "redis.call('RENAME', KEYS[1], 'aside') redis.call('RPUSH', KEYS[1], 'x')";
    cmd!(con, "EVAL", swap, 1, "device:state:d").is_nil();
    wait_for("the sweeper backs off", SOON, || {
        info_number(&mut con, "back_offs") > 0
    });
    cmd!(con, "DEL", "device:state:d").int();
    cmd!(con, "RENAME", "aside", "device:state:d").text();
    wait_until_offline(&mut con, "d");
}
