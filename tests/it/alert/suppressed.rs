//! Raises that are only counted, which are made in the text of the record as it stands.

use super::*;

/// A record with every part that one may have while it fires, and a raise that changes none of them.
const FULL: &str = "d a SEVERITY 2 EVERY 1d FOR 0 KEEP 1h WAIT 0 NOTIFY 2 ann ops";

/// The record without what each raise changes.
fn rest_of_record(con: &mut redis::Connection) -> serde_json::Value {
    let text = cmd!(con, "HGET device:alerts:d a").text();
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for changing in ["count", "last"] {
        let was = record.as_object_mut().and_then(|r| r.remove(changing));
        assert!(was.is_some(), "{text}");
    }
    record
}

#[test]
fn only_the_count_and_the_last_raise_change() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    assert_eq!(
        raise(&mut con, &format!("{FULL} DATA {{\"t\":[\"}}\"]}}")),
        "new 1"
    );
    // Told again after a clear, and to one user up to some count: the record says more by then.
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(raise(&mut con, FULL), "suppressed 2");
    assert_eq!(told(&mut con, "ops").len(), 1);
    assert_eq!(cmd!(con, "ALERT.ACK d a").int(), 1);
    let rest = rest_of_record(&mut con);
    for count in 3..=120 {
        let before = now_ms();
        assert_eq!(raise(&mut con, FULL), format!("suppressed {count}"));
        let last = list(&mut con, "d")["a"]["last"].int();
        assert!((before..=now_ms()).contains(&last), "{last}");
    }
    assert_eq!(rest_of_record(&mut con), rest);
    assert_eq!(info_number(&mut con, "alerts_suppressed"), 119);
}

#[test]
fn a_raise_that_asks_for_something_else_changes_the_record() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    assert_eq!(raise(&mut con, FULL), "new 1");
    assert_eq!(raise(&mut con, FULL), "suppressed 2");
    let field = |con: &mut _, name: &str| rest_of_record(con)[name].clone();
    assert_eq!(raise(&mut con, "d a SEVERITY 1 EVERY 2h"), "suppressed 3");
    assert_eq!(field(&mut con, "every"), 7_200_000);
    assert!(field(&mut con, "keep").is_null());
    assert_eq!(raise(&mut con, "d a EVERY 2h KEEP 5m"), "suppressed 4");
    assert_eq!(field(&mut con, "keep"), 300_000);
    assert_eq!(raise(&mut con, "d a EVERY 2h FOR 5s"), "suppressed 5");
    assert_eq!(field(&mut con, "hold"), 5_000);
    assert_eq!(raise(&mut con, "d a DATA {\"t\":1}"), "suppressed 6");
    assert_eq!(field(&mut con, "data"), serde_json::json!({"t": 1}));
    assert_eq!(raise(&mut con, "d a SEVERITY 3"), "escalated 7");
    assert_eq!(raise(&mut con, "d a SEVERITY 3"), "suppressed 8");
    assert_eq!(raise(&mut con, "d a EVERY 0"), "repeat 9");
}

/// As `a_record_that_is_none_is_a_clear_error_and_stays`, for what is a record up to its last bytes.
#[test]
fn a_record_that_was_cut_is_a_clear_error_and_stays() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a WAIT 0 NOTIFY 1 ops DATA {\"t\":{}}");
    told(&mut con, "ops");
    let text = cmd!(con, "HGET device:alerts:d a").text();
    for end in 0..text.len() {
        cmd!(con, "HSET", "device:alerts:d", "a", &text[..end]).int();
        expect_refusal(
            &mut con,
            &["ALERT.RAISE", "d", "a"],
            "ERR",
            "the record of alert 'a'",
        );
    }
    cmd!(con, "HSET", "device:alerts:d", "a", &text).int();
    assert_eq!(raise(&mut con, "d a"), "suppressed 2");
}

#[test]
fn who_asks_for_notifications_of_hashes_gets_them() {
    let server = Server::builder()
        .config("notify-keyspace-events", "KEhd")
        .start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a");
    let written = Subscriber::channels(&server, &["__keyspace@0__:device:alerts:d"]);
    for count in 2..=10 {
        assert_eq!(raise(&mut con, "d a"), format!("suppressed {count}"));
    }
    written.wait_for_count(9, SOON);
    let events = written.payloads("__keyspace@0__:device:alerts:d");
    assert_eq!(events, ["hset"; 9]);
}
