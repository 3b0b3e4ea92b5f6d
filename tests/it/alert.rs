//! `ALERT.*` on a real server: what is told of a device, to whom, and how often. Here: the replies and
//! what each command does by itself.

mod bad_input;
mod by_hand;
pub mod calls;
mod clock;
mod concurrency;
pub mod consistent;
pub mod due;
mod held;
mod limits;
mod presence;
mod removal;
pub mod replication;
mod resolved;
mod restart;
mod rule_refusals;
mod rules;
mod steps;
mod stories;
mod suppressed;
mod told;
mod vectors;
mod wrong_type;

use self::calls::*;
use crate::devices::*;
use crate::support::*;

#[test]
fn the_replies_are_these_bytes_in_both_protocols() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    raw.call(&["DEVICE.REGISTER", "d", "t"]);
    let rule = r#"{"on":"offline"}"#;
    for (protocol, null, map) in [("2", "$-1\r\n", "*22"), ("3", "_\r\n", "%11")] {
        raw.call(&["HELLO", protocol]);
        raw.call(&["DEL", "device:alerts:d", "alerts:user:u", "alerts:rules:t"]);
        for (words, reply) in [
            (&["ALERT.LIST", "d"][..], "*0\r\n".to_owned()),
            (
                &["ALERT.RAISE", "d", "a", "NOTIFY", "1", "u"],
                "*2\r\n$3\r\nnew\r\n:1\r\n".to_owned(),
            ),
            (&["ALERT.ACK", "d", "a"], ":1\r\n".to_owned()),
            (&["ALERT.BATCH", "u"], null.to_owned()),
            (&["ALERT.DONE", "u", "x"], ":0\r\n".to_owned()),
            (&["ALERT.DUE"], "*0\r\n".to_owned()),
            (&["ALERT.NOTIFY", "u", "b", "{}"], ":2\r\n".to_owned()),
            (&["ALERT.CLEAR", "d", "a"], ":1\r\n".to_owned()),
            (&["ALERT.CLEAR", "d", "a"], ":0\r\n".to_owned()),
            (&["ALERT.RULE.SET", "t", "r", rule], ":1\r\n".to_owned()),
            (&["ALERT.RULE.SET", "t", "r", rule], ":0\r\n".to_owned()),
            (
                &["ALERT.RULE.LIST", "t"],
                format!(
                    "{}\r\n$1\r\nr\r\n$16\r\n{rule}\r\n",
                    if protocol == "2" { "*2" } else { "%1" }
                ),
            ),
            (&["ALERT.RULE.DEL", "t", "r"], ":1\r\n".to_owned()),
            (&["ALERT.RULE.DEL", "t", "r"], ":0\r\n".to_owned()),
        ] {
            let got = raw.call(words);
            assert_eq!(String::from_utf8_lossy(&got), reply, "{words:?}");
        }
        raw.call(&["ALERT.RAISE", "d", "b"]);
        let listed = String::from_utf8_lossy(&raw.call(&["ALERT.LIST", "d"])).into_owned();
        assert!(listed.starts_with(&format!("*1\r\n{map}\r\n")), "{listed}");
        let batch = raw.call(&["ALERT.BATCH", "u", "NOW"]);
        let batch = String::from_utf8_lossy(&batch).into_owned();
        let map = if protocol == "2" { "*16" } else { "%8" };
        assert!(batch.starts_with("*2\r\n$"), "{batch}");
        assert!(batch.contains(&format!("\r\n*2\r\n{map}\r\n")), "{batch}");
        // A notification of no device's says so.
        assert!(
            batch.contains(&format!("$9\r\ndevice_id\r\n{null}")),
            "{batch}"
        );
    }
}

#[test]
fn list_shows_what_is_known_of_an_alert() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let before = now_ms();
    raise(
        &mut con,
        "d b SEVERITY 2 DATA {\"t\":91.5} NOTIFY 2 ann bob",
    );
    raise(&mut con, "d a FOR 1h");
    raise(&mut con, "d gone");
    clear(&mut con, "d", "gone");
    let alerts = cmd!(con, "ALERT.LIST d").items();
    assert_eq!(alerts.len(), 2);
    let (a, b) = (alerts[0].fields(), alerts[1].fields());
    let texts = |alert: &Alert, names: [&str; 3]| names.map(|name| alert[name].text());
    assert_eq!(
        texts(&a, ["alert", "state", "severity"]),
        ["a", "held", "1"]
    );
    assert_eq!(
        texts(&b, ["alert", "state", "severity"]),
        ["b", "firing", "2"]
    );
    assert_eq!(
        texts(&b, ["count", "acked", "data"]),
        ["1", "0", "{\"t\":91.5}"]
    );
    assert!(a["told"].is_nil() && a["data"].is_nil() && a["users"].items().is_empty());
    assert_eq!(b["users"].texts(), ["ann", "bob"]);
    for name in ["first", "last", "since", "told"] {
        let at = b[name].int();
        assert!((before..=now_ms()).contains(&at), "{name}: {at}");
    }
}

#[test]
fn notifications_by_hand_are_merged_by_their_name() {
    let server = Server::start();
    let mut con = server.connection();
    let notify = |con: &mut redis::Connection, words: &str| {
        cmd!(con, &format!("ALERT.NOTIFY {words}")).int()
    };
    assert_eq!(notify(&mut con, "ann a {\"n\":1} SEVERITY 2"), 1);
    assert_eq!(notify(&mut con, "ann b {}"), 2);
    assert_eq!(notify(&mut con, "ann a {\"n\":2} SEVERITY 1"), 2);
    assert_eq!(notify(&mut con, "bob a {} SEVERITY 0 WAIT 1h"), 1);
    assert_eq!(batch(&mut con, "ann"), None);
    let items = batch(&mut con, "ann NOW").expect("a batch").items;
    let lines: Vec<String> = items.iter().map(Item::line).collect();
    assert_eq!(lines, [" a firing 2 2", " b firing 1 1"]);
    assert_eq!(items[0].data, "{\"n\":2}");
    // Beside the batch that is out, one more waits.
    assert_eq!(notify(&mut con, "ann a {}"), 1);
    assert_eq!(batch(&mut con, "ann NOW"), None);
    // What is urgent waits for nobody.
    assert_eq!(notify(&mut con, "bob c {} SEVERITY 3"), 2);
    assert_eq!(due(&mut con), ["bob"]);
}

#[test]
fn the_wait_is_as_the_settings_say_unless_the_raise_does() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let waits = |con: &mut redis::Connection, words: &str| {
        cmd!(con, "DEL alerts:user:u alerts:due device:alerts:d").int();
        let before = now_ms();
        let words = format!("d a {words} NOTIFY 1 u");
        raise(con, &words.replace("  ", " "));
        let at = cmd!(con, "ZSCORE alerts:due u")
            .text()
            .parse::<f64>()
            .expect("a time") as i64;
        let waits = at - before;
        // Down to what the call took.
        waits - waits % 1_000
    };
    assert_eq!(waits(&mut con, ""), 10_800_000);
    assert_eq!(waits(&mut con, "SEVERITY 2"), 10_800_000);
    assert_eq!(waits(&mut con, "SEVERITY 3"), 0);
    assert_eq!(waits(&mut con, "SEVERITY 3 WAIT 1h"), 3_600_000);
    assert_eq!(waits(&mut con, "WAIT 0"), 0);
    cmd!(
        con,
        "CONFIG SET devicestate.alert-wait 10m devicestate.alert-urgent-severity 1001"
    )
    .text();
    assert_eq!(waits(&mut con, "SEVERITY 1000"), 600_000);
    cmd!(con, "CONFIG SET devicestate.alert-urgent-severity 0").text();
    assert_eq!(waits(&mut con, "SEVERITY 0"), 0);
}

#[test]
fn keywords_are_case_insensitive_in_any_order() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    for words in [
        "d a SEVERITY 2 EVERY 1h FOR 0 KEEP 10m WAIT 0 DATA {\"x\":1} NOTIFY 2 u v",
        "d a notify 2 u v data {\"x\":1} wait 0ms keep 600s for 0 every 60m severity 2",
        "d a Notify 3 u v u Severity 2 Data {\"x\":1} Keep 600000 Every 3600000 Wait 0s",
    ] {
        cmd!(con, "DEL device:alerts:d").int();
        assert_eq!(raise(&mut con, words), "new 1");
        let alert = &list(&mut con, "d")["a"];
        assert_eq!(alert["users"].texts(), ["u", "v"], "{words}");
        let stored = cmd!(con, "HGET device:alerts:d a").json();
        assert_eq!(
            (&stored["every"], &stored["keep"], &stored["severity"]),
            (&3_600_000.into(), &600_000.into(), &2.into()),
            "{words}"
        );
    }
}
