//! Records, items, leases and rules that other hands wrote and the module never would.

use redis::Connection;

use super::*;

const NO_RECORDS: &[&[u8]] = &[
    b"",
    b"x",
    b"{}",
    b"[]",
    b"1",
    b"\xff\0",
    br#"{"state":"odd","severity":1,"count":1,"first":1,"last":1,"since":1,"every":1}"#,
    br#"{"state":"firing","severity":-1,"count":1,"first":1,"last":1,"since":1,"every":1}"#,
    br#"{"state":"firing","severity":1}"#,
];

#[track_caller]
fn server_with_device() -> (Server, Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    (server, con)
}

#[test]
fn a_record_that_is_none_is_a_clear_error_and_stays() {
    let (mut server, mut con) = server_with_device();
    raise(&mut con, "d good");
    for text in NO_RECORDS {
        cmd!(con, "HSET", "device:alerts:d", "a", *text).int();
        for line in ["ALERT.RAISE d a", "ALERT.CLEAR d a", "ALERT.ACK d a"] {
            let words: Vec<&str> = line.split(' ').collect();
            let error = expect_refusal(&mut con, &words, "ERR", "the record of alert 'a'");
            assert!(error.contains("device 'd'"), "{error}");
        }
        // The others go on.
        let active: Vec<String> = list(&mut con, "d").keys().cloned().collect();
        assert_eq!(active, ["good"]);
        assert!(raise(&mut con, "d good").starts_with("suppressed"));
    }
    // As the error says.
    cmd!(con, "HDEL device:alerts:d a").int();
    assert_eq!(raise(&mut con, "d a"), "new 1");
    assert!(server.is_alive());
}

#[test]
fn rules_write_anew_what_they_cannot_read() {
    let (_server, mut con) = server_with_device();
    above_70(&mut con, "a", "v", "");
    set_rule(&mut con, "t", "gone", r#"{"on":"offline"}"#);
    for text in NO_RECORDS {
        cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
        for name in ["a", "gone"] {
            cmd!(con, "HSET", "device:alerts:d", name, *text).int();
        }
        report(&mut con, "d", r#"{"v":71}"#);
        assert_eq!(state(&mut con, "d", "a"), "firing 1 1");
        assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
        assert_eq!(state(&mut con, "d", "gone"), "firing 1 1");
        cmd!(con, "DEL device:alerts:d").int();
    }
    // Coming online reads them all.
    cmd!(con, "HSET", "device:alerts:d", b"\xff", "x", "b", "y").int();
    assert_eq!(beat(&mut con, "d")[0], 1);
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
}

/// Times, counts and durations beyond all bounds.
#[test]
fn a_record_of_huge_numbers_spoils_no_step() {
    let max = u64::MAX.to_string();
    let (mut server, mut con) = server_with_device();
    set_rule(&mut con, "t", "gone", r#"{"on":"offline","notify":["u"]}"#);
    above_70(&mut con, "hot", "v", r#","notify":["u"]"#);
    let mut faults = Vec::new();
    for (name, field) in [
        ("count", r#""count":1"#),
        ("first", r#""first":1"#),
        ("last", r#""last":1"#),
        ("since", r#""since":1"#),
        ("every", r#""every":1"#),
        ("keep", r#""keep":1"#),
        ("hold", r#""hold":1"#),
        ("at", r#""at":1"#),
        ("wait", r#""wait":1"#),
        ("reported", r#""u":1"#),
        ("severity", r#""severity":1"#),
    ] {
        for (state, by) in [
            ("held", "presence"),
            ("firing", "value"),
            ("cleared", "command"),
        ] {
            let record = format!(
                r#"{{"state":"{state}","severity":1,"count":1,"first":1,"last":1,"since":1,
                "every":1,"keep":1,"hold":1,"by":"{by}","users":["u"],"reported":{{"u":1}},
                "told":{{"at":1,"severity":1,"firing":true,"wait":1}}}}"#
            );
            // A severity is a number of 32 bits.
            let value = if name == "severity" {
                "4294967295"
            } else {
                &max
            };
            let spoilt = field.replace(":1", &format!(":{value}"));
            let record = record.replacen(field, &spoilt, 1);
            for line in [
                "ALERT.RAISE d gone",
                "ALERT.RAISE d hot SEVERITY 1000 WAIT 3650d KEEP 3650d NOTIFY 2 u v",
                "ALERT.CLEAR d gone",
                "ALERT.ACK d hot",
                "ALERT.LIST d",
                "DEVICE.OFFLINE d",
                "DEVICE.HEARTBEAT d TIMEOUT 0 REPORTED {\"v\":99}",
                "DEVICE.HEARTBEAT d TIMEOUT 0 REPORTED {\"v\":1}",
                "ALERT.BATCH u NOW",
                "ALERT.NOTIFY u n {}",
                "DEVICE.REMOVE d",
                "DEVICE.REGISTER d t",
            ] {
                for alert in ["gone", "hot"] {
                    cmd!(con, "HSET", "device:alerts:d", alert, &record).int();
                }
                if let Err(error) = cmd!(con, line) {
                    faults.push(format!("{name} {state}: {line} says: {error}"));
                }
            }
            cmd!(con, "DEL device:alerts:d alerts:user:u alerts:due").int();
        }
    }
    assert!(server.is_alive());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    // And the clock goes on for others.
    cmd!(con, "HSET", "device:alerts:d", "hot", "{}").int();
    cmd!(con, "DEVICE.REGISTER e t").int();
    raise(&mut con, "e kept KEEP 100");
    wait_for("it clears", SOON, || state(&mut con, "e", "kept") == "none");
}

#[test]
fn items_and_leases_that_are_none_keep_no_later_ones_back() {
    let (mut server, mut con) = server_with_device();
    let huge = u64::MAX;
    let lease = format!(r#"{{"token":"x","until":{huge},"ms":{huge},"items":{huge}}}"#);
    let over = r#"{"token":"x","until":1,"ms":1,"items":1}"#;
    for (name, text) in [
        ("lease", ""),
        ("lease", "x"),
        ("lease", "{}"),
        ("lease", over),
        ("leased:d a", "x"),
        ("leased:nonsense", "x"),
        ("pending:d a", "x"),
        ("pending:d a", "{}"),
        ("pending:", "1"),
        ("due", "x"),
        ("due", "-1"),
        ("due", "18446744073709551616"),
        ("other", "x"),
    ] {
        cmd!(con, "FLUSHALL").text();
        cmd!(con, "DEVICE.REGISTER d t").int();
        cmd!(con, "HSET", "alerts:user:u", name, text).int();
        // There is nothing that could be told.
        assert_eq!(batch(&mut con, "u NOW"), None, "{name} {text}");
        raise(&mut con, "d b WAIT 0 NOTIFY 1 u");
        cmd!(con, "ALERT.NOTIFY u n {}").int();
        assert_eq!(due(&mut con), ["u"], "{name} {text}");
        let mut items = told(&mut con, "u");
        items.sort();
        assert_eq!(items, [" n firing 1 1", "d b firing 1 1"], "{name} {text}");
    }
    // A lease for ever is that of somebody who set it so.
    cmd!(con, "FLUSHALL").text();
    cmd!(con, "HSET", "alerts:user:u", "lease", &lease).int();
    assert!(cmd!(con, "ALERT.NOTIFY u n {} WAIT 0").is_ok());
    assert_eq!(batch(&mut con, "u NOW"), None);
    assert_eq!(done(&mut con, "u", "x"), 0);
    assert_eq!(told(&mut con, "u").len(), 1);
    assert!(server.is_alive());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// A user whom other hands took out of the sorted set comes back with the next notification.
#[test]
fn a_user_who_is_not_listed_as_due_is_with_the_next_notification() {
    let (_server, mut con) = server_with_device();
    cmd!(con, "ALERT.NOTIFY u a {} WAIT 0").int();
    cmd!(con, "DEL alerts:due").int();
    assert_eq!(due(&mut con), Vec::<String>::new());
    cmd!(con, "ALERT.NOTIFY u b {} WAIT 1h").int();
    assert_eq!(due(&mut con), ["u"]);
    assert_eq!(told(&mut con, "u").len(), 2);
    // And one who is listed without anything pending is dropped when he is asked for.
    cmd!(con, "ZADD alerts:due 1 nobody").int();
    assert_eq!(due(&mut con), ["nobody"]);
    assert_eq!(batch(&mut con, "nobody"), None);
    assert_eq!(due(&mut con), Vec::<String>::new());
}

#[test]
fn rules_that_are_none_are_skipped_and_logged() {
    let (mut server, mut con) = server_with_device();
    let good = r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#;
    let texts: [&[u8]; 7] = [
        b"",
        b"x",
        b"{}",
        b"\xff\0",
        br#"{"on":"online"}"#,
        br#"{"path":"v","bands":[]}"#,
        br#"{"on":"offline","for":"3651d"}"#,
    ];
    for (n, text) in texts.iter().enumerate() {
        cmd!(con, "HSET", "alerts:rules:t", format!("bad{n}"), *text).int();
    }
    cmd!(con, "HSET", "alerts:rules:t", b"\xff{ }", "x").int();
    cmd!(con, "HSET", "alerts:rules:t", "good", good).int();
    report(&mut con, "d", r#"{"v":6}"#);
    let active: Vec<String> = list(&mut con, "d").keys().cloned().collect();
    assert_eq!(active, ["good"]);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
    assert_eq!(list(&mut con, "d").len(), 1);
    assert!(server.log().contains("of type 't': "), "{}", server.log());
    // They are shown as they stand, and can be deleted.
    assert_eq!(cmd!(con, "ALERT.RULE.LIST t").items().len(), 18);
    assert_eq!(cmd!(con, "ALERT.RULE.DEL t bad0").int(), 1);
    assert!(server.is_alive());
}

/// The stream's ids are used up: what can't be told is not done, and a transition stands without.
#[test]
fn a_used_up_stream_of_events_spoils_no_step() {
    let (server, mut con) = server_with_device();
    let mut faults = Vec::new();
    for line in [
        "ALERT.RAISE d new",
        "ALERT.RAISE d a SEVERITY 9",
        "ALERT.CLEAR d a",
    ] {
        cmd!(con, "FLUSHALL").text();
        cmd!(con, "DEVICE.REGISTER d t").int();
        raise(&mut con, "d a NOTIFY 1 u");
        let last = "18446744073709551615-18446744073709551615";
        cmd!(con, "XADD", "devices:events", last, "type", "last").text();
        let before = snapshot(&mut con);
        match cmd!(con, line) {
            Ok(reply) => faults.push(format!("{line} answers {reply:?}")),
            Err(_) => faults.extend(difference(&before, &snapshot(&mut con))),
        }
        // What tells nothing goes on.
        assert_eq!(raise(&mut con, "d a"), "suppressed 2");
        assert_eq!(cmd!(con, "ALERT.ACK d a").int(), 1);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    // A report stands, and what its rule makes of it too, though the stream does not tell it.
    above_70(&mut con, "hot", "v", r#","wait":0,"notify":["ops"]"#);
    let reported = cmd!(con, "DEVICE.SHADOW.REPORT", "d", r#"{"v":71}"#);
    assert_eq!(reported.at(0).int(), 1);
    assert_eq!(told(&mut con, "ops"), ["d hot firing 1 1"]);
    assert!(
        server.log().contains("an alert can't be told"),
        "{}",
        server.log()
    );
}
