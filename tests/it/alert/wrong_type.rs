//! Keys of alerts that hold another type: whoever would write them is refused, names the key, and changes
//! nothing; who does not touch them goes on.

use redis::Connection;

use super::*;

/// `on` and `off` are what their names say, with an alert of each kind; `new` is unknown.
#[track_caller]
fn populate(con: &mut Connection) {
    cmd!(con, "FLUSHALL").text();
    for line in [
        r#"ALERT.RULE.SET t gone {"on":"offline","wait":0,"notify":["ops"]}"#,
        r#"ALERT.RULE.SET t hot {"path":"v","bands":[{"severity":1,"high":5}],"notify":["ops"]}"#,
        r#"ALERT.RULE.SET unknown hot {"path":"v","bands":[{"severity":1,"high":5}],"notify":["ops"]}"#,
        "DEVICE.REGISTER on t",
        "DEVICE.REGISTER off t",
        "DEVICE.HEARTBEAT off TIMEOUT 0",
        "DEVICE.OFFLINE off",
        "DEVICE.HEARTBEAT on TIMEOUT 0",
        "ALERT.RAISE on a WAIT 0 NOTIFY 1 u",
        "ALERT.RAISE on held FOR 1h NOTIFY 1 u",
        "ALERT.NOTIFY u n {} WAIT 0",
        "DEL device:history:on device:history:off",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
}

const WRITES: &[&str] = &[
    "ALERT.RAISE on a WAIT 0 NOTIFY 1 u",
    "ALERT.RAISE on a SEVERITY 9 WAIT 0 NOTIFY 1 u",
    "ALERT.RAISE on held FOR 1h NOTIFY 1 u",
    "ALERT.RAISE on held FOR 0 NOTIFY 1 u",
    "ALERT.RAISE on other NOTIFY 2 u ops",
    "ALERT.RAISE on other FOR 1h NOTIFY 1 u",
    "ALERT.CLEAR on a",
    "ALERT.CLEAR on held",
    "ALERT.CLEAR off gone",
    "ALERT.ACK on a",
    "ALERT.NOTIFY u n {}",
    "ALERT.NOTIFY ops n {}",
    "ALERT.BATCH u",
    "ALERT.BATCH ops NOW",
    "ALERT.RULE.SET t new {\"on\":\"offline\"}",
    "ALERT.RULE.DEL t gone",
    "DEVICE.OFFLINE on",
    "DEVICE.REMOVE on",
    "DEVICE.REMOVE off",
    "DEVICE.HEARTBEAT off",
    "DEVICE.HEARTBEAT off REPORTED {\"v\":9}",
    "DEVICE.HEARTBEAT on",
    "DEVICE.HEARTBEAT on REPORTED {\"v\":9}",
    "DEVICE.HEARTBEAT new",
    "DEVICE.HEARTBEAT new REPORTED {\"v\":9}",
    "DEVICE.SHADOW.REPORT on {\"v\":9}",
    "DEVICE.SHADOW.REPORT new {\"v\":9}",
    "DEVICE.SHADOW.UPDATE on {\"state\":{\"reported\":{\"v\":9}}}",
];

/// Each key, and which of [`WRITES`] begin with what must be refused.
const KEYS: &[(&str, &[&str])] = &[
    (
        "device:alerts:on",
        &[
            "ALERT.RAISE on",
            "ALERT.CLEAR on",
            "ALERT.ACK on",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE on",
            "DEVICE.HEARTBEAT on REPORTED",
            "DEVICE.SHADOW.REPORT on",
            "DEVICE.SHADOW.UPDATE on",
        ],
    ),
    (
        "device:alerts:off",
        &[
            "ALERT.CLEAR off",
            "DEVICE.REMOVE off",
            "DEVICE.HEARTBEAT off",
        ],
    ),
    (
        "device:alerts:new",
        &["DEVICE.HEARTBEAT new", "DEVICE.SHADOW.REPORT new"],
    ),
    (
        "alerts:user:u",
        &[
            "ALERT.RAISE on a SEVERITY",
            "ALERT.RAISE on held FOR 0",
            "ALERT.RAISE on other NOTIFY",
            "ALERT.CLEAR on a",
            "ALERT.NOTIFY u",
            "ALERT.BATCH u",
            "DEVICE.REMOVE on",
        ],
    ),
    (
        "alerts:user:ops",
        &[
            "ALERT.RAISE on other NOTIFY",
            "ALERT.CLEAR off gone",
            "ALERT.NOTIFY ops",
            "ALERT.BATCH ops",
            "DEVICE.OFFLINE on",
            "DEVICE.HEARTBEAT off",
            "DEVICE.HEARTBEAT on REPORTED",
            "DEVICE.HEARTBEAT new REPORTED",
            "DEVICE.SHADOW",
        ],
    ),
    (
        "alerts:due",
        &[
            "ALERT.RAISE on a SEVERITY",
            "ALERT.RAISE on other NOTIFY",
            "ALERT.CLEAR on a",
            "ALERT.CLEAR off gone",
            "ALERT.NOTIFY",
            "ALERT.BATCH",
            "DEVICE.OFFLINE on",
            "DEVICE.HEARTBEAT off",
            "DEVICE.HEARTBEAT on REPORTED",
            "DEVICE.SHADOW.REPORT",
        ],
    ),
    (
        "devices:events",
        &[
            "ALERT.RAISE on a SEVERITY",
            "ALERT.RAISE on other NOTIFY",
            "ALERT.CLEAR on a",
            "ALERT.CLEAR off gone",
            "DEVICE.HEARTBEAT on REPORTED",
            "DEVICE.SHADOW.REPORT",
        ],
    ),
    (
        "device:history:on",
        &[
            "ALERT.RAISE on a SEVERITY",
            "ALERT.RAISE on other NOTIFY",
            "ALERT.CLEAR on a",
            "DEVICE.OFFLINE on",
            "DEVICE.REMOVE on",
        ],
    ),
    ("alerts:rules:t", &["ALERT.RULE"]),
];

#[test]
fn every_write_meets_every_wrong_key() {
    let mut server = Server::start();
    let mut con = server.connection();
    let mut faults = Vec::new();
    for (key, expected) in KEYS {
        for line in WRITES {
            populate(&mut con);
            cmd!(con, "DEL", key).int();
            cmd!(con, "SET", key, "x").text();
            let before = snapshot(&mut con);
            let reply = cmd!(con, line);
            let after = snapshot(&mut con);
            let must = expected.iter().any(|start| line.starts_with(start));
            let Err(error) = reply else {
                if before.get(*key) != after.get(*key) {
                    faults.push(format!("{key}: {line} overwrote it"));
                }
                if must {
                    faults.push(format!("{key}: {line} was not refused"));
                }
                continue;
            };
            let names_it = error.to_string().contains(&format!("'{key}'"));
            if error.code() != Some("WRONGTYPE") || !names_it {
                faults.push(format!("{key}: {line} says: {error}"));
            }
            let changed = difference(&before, &after);
            if !changed.is_empty() {
                faults.push(format!("{key}: {line} was refused and changed {changed:?}"));
            }
        }
    }
    assert!(server.is_alive());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn reads_of_a_wrong_key_are_refused_and_name_it() {
    let server = Server::start();
    let mut con = server.connection();
    for (key, line) in [
        ("device:alerts:on", "ALERT.LIST on"),
        ("alerts:due", "ALERT.DUE"),
        ("alerts:due", "ALERT.DONE u x"),
        ("alerts:rules:t", "ALERT.RULE.LIST t"),
        ("alerts:user:u", "ALERT.DONE u x"),
    ] {
        populate(&mut con);
        cmd!(con, "DEL", key).int();
        cmd!(con, "SET", key, "x").text();
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "WRONGTYPE", key);
    }
}

/// The rules of a type whose key is something else are none: its devices report all the same.
#[test]
fn a_wrong_key_of_rules_keeps_no_report_away() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    cmd!(con, "DEL alerts:rules:t").int();
    cmd!(con, "SET alerts:rules:t x").text();
    report(&mut con, "on", r#"{"v":9}"#);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE on").int(), 1);
    assert_eq!(state(&mut con, "on", "hot"), "none");
    assert_eq!(state(&mut con, "on", "gone"), "none");
    assert!(server
        .log()
        .contains("the alert rules of type 't' can't be read"));
    cmd!(con, "DEL alerts:rules:t").int();
    set_rule(
        &mut con,
        "t",
        "hot",
        r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#,
    );
    report(&mut con, "on", r#"{"v":9}"#);
    assert_eq!(state(&mut con, "on", "hot"), "firing 1 1");
}

/// What the timer can't write it catches up with when the key is mended.
#[test]
fn the_timer_backs_off_says_so_and_catches_up() {
    for key in [
        "device:alerts:d",
        "alerts:user:u",
        "alerts:due",
        "devices:events",
    ] {
        let server = quick();
        let mut con = server.connection();
        cmd!(con, "DEVICE.REGISTER d t").int();
        raise(&mut con, "d a KEEP 300 WAIT 0 NOTIFY 1 u");
        let swap = "redis.call('RENAME', KEYS[1], 'aside') redis.call('SET', KEYS[1], 'x')";
        cmd!(con, "EVAL", swap, 1, key).is_nil();
        let before = snapshot(&mut con);
        wait_for("the timer backs off", SOON, || {
            info_number(&mut con, "back_offs") > 0
        });
        assert_eq!(
            difference(&before, &snapshot(&mut con)),
            Vec::<String>::new(),
            "{key}"
        );
        let log = server.log();
        let says = |line: &&str| line.contains("WRONGTYPE") && line.contains(key);
        assert!(log.lines().any(|line| says(&line)), "{key}: {log}");
        cmd!(con, "DEL", key).int();
        cmd!(con, "RENAME", "aside", key).text();
        wait_for("it clears", SOON, || state(&mut con, "d", "a") == "none");
        assert_eq!(told(&mut con, "u"), ["d a resolved 1 1"], "{key}");
    }
}
