//! Everybody hears the same: the events stream, the channel, the keyspace, the history. What is
//! suppressed nobody hears.

use serde_json::json;

use super::calls::*;
use crate::devices::*;
use crate::heartbeat::replication::{replicated, server_with_aof};
use crate::support::*;

#[test]
fn an_alert_is_told_on_every_way_with_the_same_words() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let channel = Subscriber::channels(&server, &["devices:alerts"]);
    let keyspace = Subscriber::patterns(&server, &["__keyevent@0__:device.alert"]);
    raise(
        &mut con,
        "d a:b SEVERITY 2 DATA {\"t\":91.5,\"s\":\"\\u00e9\"}",
    );
    raise(&mut con, "d a:b SEVERITY 3");
    clear(&mut con, "d", "a:b");
    let told = events_of(&mut con, "d").of_type("alert");
    let messages = channel.wait_for_count(3, SOON);
    for (at, (severity, state, count)) in [(2, "firing", 1), (3, "firing", 2), (3, "resolved", 2)]
        .into_iter()
        .enumerate()
    {
        let event = &told[at];
        let at_ms = event.int("timestamp");
        // The stream: flat, and nothing else.
        let mut fields = event.fields.clone();
        let stored = fields.remove("data").expect("data");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&stored).ok(),
            Some(json!({"t": 91.5, "s": "é"}))
        );
        let fields: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let expected = [
            "alert=a:b".to_owned(),
            format!("count={count}"),
            "device_id=d".to_owned(),
            format!("severity={severity}"),
            format!("state={state}"),
            format!("timestamp={at_ms}"),
            "type=alert".to_owned(),
        ];
        assert_eq!(fields, expected);
        // The channel: these bytes.
        let message = format!(
            "{{\"type\":\"alert\",\"device_id\":\"d\",\"alert\":\"a:b\",\"severity\":{severity},\
             \"state\":\"{state}\",\"count\":{count},\"data\":{stored},\"timestamp\":{at_ms}}}"
        );
        assert_eq!(messages[at].payload, message);
    }
    let keys = keyspace.wait_for_count(3, SOON);
    assert!(
        keys.iter().all(|m| m.payload == "device:state:d"),
        "{keys:?}"
    );

    let history = cmd!(con, "DEVICE.HISTORY d").items();
    let line = |entry: &redis::Value| {
        let fields = entry.at(1).text_fields();
        ["type", "alert", "severity", "old", "new", "count"]
            .map(|name| fields[name].clone())
            .join(" ")
    };
    let lines: Vec<String> = history.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "alert a:b 2 cleared firing 1",
            "alert a:b 3 firing firing 2",
            "alert a:b 3 firing resolved 2"
        ]
    );
    for (entry, event) in history.iter().zip(told.iter()) {
        let fields = entry.at(1).text_fields();
        assert_eq!(fields.len(), 7, "{fields:?}");
        assert_eq!(fields["timestamp"], event.get("timestamp"));
    }
}

#[test]
fn without_data_it_is_null_and_large_data_stays_out_of_the_stream() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let channel = Subscriber::channels(&server, &["devices:alerts"]);
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1_024));
    raise(&mut con, "d none");
    raise(&mut con, &format!("d large DATA {large} WAIT 0 NOTIFY 1 u"));
    let told = events_of(&mut con, "d").of_type("alert");
    assert_eq!(told[0].get("data"), "null");
    assert!(!told[1].fields.contains_key("data"), "{:?}", told[1]);
    let messages = channel.wait_for_count(2, SOON);
    assert_eq!(messages[0].json()["data"], json!(null));
    assert_eq!(messages[1].json()["data"].to_string(), large);
    let batch = batch(&mut con, "u").expect("a batch");
    assert_eq!(batch.items[0].data, large);
}

#[test]
fn names_and_texts_that_need_escapes_arrive_as_they_are() {
    let server = quick();
    let mut con = server.connection();
    let channel = Subscriber::channels(&server, &["devices:alerts"]);
    for (turn, name) in ["%n%s%d", "\"", "\\", "📟", "a:b", "-ERR", "é'<>"]
        .iter()
        .enumerate()
    {
        cmd!(con, "DEVICE.REGISTER", name, name).int();
        let reply = cmd!(con, "ALERT.RAISE", name, name, "WAIT", 0, "NOTIFY", 1, name);
        assert_eq!(reply.at(0).text(), "new");
        let message = channel.wait_for_count(2 * turn + 1, SOON)[2 * turn].json();
        assert_eq!(
            (&message["device_id"], &message["alert"]),
            (&json!(name), &json!(name))
        );
        let event = &events_of(&mut con, name).of_type("alert")[0];
        assert_eq!(event.get("alert"), *name);
        let token = cmd!(con, "ALERT.BATCH", name);
        let batch = batch_in(token.value()).expect("a batch");
        assert_eq!(batch.items[0].device, *name);
        assert_eq!(batch.items[0].alert, *name);
        assert_eq!(cmd!(con, "ALERT.DONE", name, &batch.token).int(), 1);
        assert_eq!(cmd!(con, "ALERT.CLEAR", name, name).int(), 1);
        let message = channel.wait_for_count(2 * turn + 2, SOON)[2 * turn + 1].json();
        assert_eq!(message["state"], "resolved");
    }
}

#[test]
fn what_is_suppressed_is_one_field_of_one_hash_and_nobody_hears_of_it() {
    let server = server_with_aof();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    above_70(&mut con, "hot", "v", r#","notify":["u"]"#);
    raise(&mut con, "d a NOTIFY 1 u");
    raise(&mut con, "d held FOR 1h NOTIFY 1 u");
    report(&mut con, "d", r#"{"v":71}"#);
    let told = Subscriber::patterns(&server, &["*"]);
    cmd!(con, "CONFIG SET notify-keyspace-events KEd").text();
    let before = snapshot(&mut con);
    let written = replicated(&server).len();
    assert_eq!(
        raise(&mut con, "d a SEVERITY 0 NOTIFY 2 u v"),
        "suppressed 2"
    );
    assert_eq!(
        raise(&mut con, "d held SEVERITY 5 FOR 1h NOTIFY 1 v"),
        "held 2"
    );
    let after = snapshot(&mut con);
    let changed: Vec<&String> = before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key))
        .collect();
    assert_eq!(changed, ["device:alerts:d", "device:alerts:d"]);
    let commands = replicated(&server).split_off(written);
    let heads: Vec<String> = commands.iter().map(|words| words[..3].join(" ")).collect();
    assert_eq!(
        heads,
        ["HSET device:alerts:d a", "HSET device:alerts:d held"]
    );
    assert!(
        commands.iter().all(|words| words.len() == 4),
        "{commands:?}"
    );

    // The same by a rule: nothing but what the report itself writes.
    let written = replicated(&server).len();
    report(&mut con, "d", r#"{"v":71}"#);
    let commands = replicated(&server).split_off(written);
    let of_alerts = commands
        .iter()
        .filter(|words| words.get(1).is_some_and(|key| key.contains("alert")));
    let heads: Vec<String> = of_alerts.map(|words| words[..3].join(" ")).collect();
    assert_eq!(heads, ["HSET device:alerts:d hot"]);
    cmd!(con, "PUBLISH last x").int();
    let heard = told.wait_until("the last", SOON, |all| {
        all.iter().any(|m| m.channel == "last")
    });
    let of_alerts = heard.iter().filter(|m| m.channel.contains("alert"));
    assert_eq!(of_alerts.count(), 0, "{heard:?}");
}

#[test]
fn held_alerts_and_acknowledgements_are_told_to_nobody() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a FOR 1h NOTIFY 1 u");
    assert_eq!(clear(&mut con, "d", "a"), 0);
    raise(&mut con, "d b");
    cmd!(con, "ALERT.ACK d b").int();
    assert_eq!(announced(&mut con, "d"), ["b firing 1 1"]);
    assert_eq!(cmd!(con, "EXISTS alerts:user:u").int(), 0);
}

#[test]
fn the_channel_goes_where_the_setting_says_and_may_be_silent() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let told = Subscriber::channels(&server, &["devices:alerts", "elsewhere", "last"]);
    cmd!(con, "CONFIG SET", "devicestate.alert-channel", "").text();
    raise(&mut con, "d a");
    cmd!(con, "CONFIG SET", "devicestate.alert-channel", "elsewhere").text();
    raise(&mut con, "d b");
    cmd!(con, "PUBLISH last x").int();
    let channels: Vec<String> = told
        .wait_for_count(2, SOON)
        .into_iter()
        .map(|m| m.channel)
        .collect();
    assert_eq!(channels, ["elsewhere", "last"]);
    assert_eq!(announced(&mut con, "d").len(), 2);
}

#[test]
fn a_history_of_no_length_has_no_alerts() {
    let server = Server::builder()
        .config("devicestate.history-maxlen", 0)
        .start();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a");
    assert_eq!(cmd!(con, "EXISTS device:history:d").int(), 0);
    assert_eq!(cmd!(con, "DEVICE.HISTORY d").items().len(), 0);
}
