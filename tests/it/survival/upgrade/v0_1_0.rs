//! Every kind of state that 0.1.0 stores, and what must be found of it whenever it is loaded: so
//! whatever runs out by itself has ten years to do so, or is expected to have run out.

use std::collections::BTreeMap;

use redis::{Connection, Value};
use serde_json::json;

use crate::check::{check, clean};
use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

/// The timeout of the device that falls silent, in milliseconds.
const SHORT: i64 = 2_000;

/// Says these commands, `...` standing for ten years; all must be accepted.
#[track_caller]
fn say(con: &mut Connection, lines: &[&str]) {
    for line in lines {
        let line = line.replace("...", "3650d");
        let reply = cmd!(con, &line);
        assert!(reply.is_ok(), "{line}: {reply:?}");
    }
}

/// Lets leases of a millisecond end.
#[track_caller]
fn wait_for_leases() {
    let start = now_ms();
    wait_for("the leases end", SOON, || now_ms() > start + 20);
}

#[track_caller]
fn first_id(reply: &Value) -> String {
    reply.at(0).at(0).text()
}

/// Types, rules, devices, shadows.
#[track_caller]
pub fn write_first_half(con: &mut Connection) {
    say(
        con,
        &[
            "DEVICE.TYPE.SET sensor TIMEOUT 1h HISTORY 20",
            "DEVICE.TYPE.SET gateway HISTORY 0",
            r#"ALERT.RULE.SET sensor hot {"path":"temp","bands":[{"severity":1,"high":70},{"severity":3,"high":85}],"hysteresis":2,"every":"...","wait":"...","notify":["ops"]}"#,
            r#"ALERT.RULE.SET sensor gone {"on":"offline","for":"...","severity":2,"notify":["ops"]}"#,
            r#"DEVICE.REGISTER on sensor META {"site":"hall-3","owners":["olga"]}"#,
            r#"DEVICE.HEARTBEAT on SESSION 7 SEQ 3 REPORTED {"temp":60,"fw":"1.0"}"#,
            r#"DEVICE.SHADOW.SET on {"temp":65,"led":{"on":true}}"#,
            r#"DEVICE.SHADOW.SET on {"rate":5} NAME config"#,
            r#"DEVICE.SHADOW.REPORT on {"rate":1} NAME config"#,
            r#"DEVICE.SHADOW.SET on {"x":1} NAME old"#,
            "DEVICE.SHADOW.DEL on NAME old",
            "DEVICE.REGISTER wired gateway",
            "DEVICE.HEARTBEAT wired TIMEOUT 0",
            "DEVICE.HEARTBEAT own TIMEOUT 30d",
            "DEVICE.REGISTER off sensor",
            "DEVICE.HEARTBEAT off SESSION 4",
            "DEVICE.OFFLINE off REASON will SESSION 4",
            "DEVICE.HEARTBEAT late TIMEOUT 100",
            r#"DEVICE.REGISTER never sensor META {"n":1}"#,
            "DEVICE.HEARTBEAT removed",
            "DEVICE.REMOVE removed BLOCK ...",
        ],
    );
    wait_until_offline(con, "late");
}

/// Commands, alerts, throttles, queues; at last what has little time.
#[track_caller]
pub fn write_second_half(con: &mut Connection) {
    say(con, &[r#"DEVICE.COMMAND on {"n":1} TTL ..."#]);
    for _ in 0..5 {
        say(con, &["DEVICE.COMMAND.TAKE on LEASE 1"]);
        wait_for_leases();
    }
    say(
        con,
        &[
            r#"DEVICE.COMMAND on {"n":2} TTL ..."#,
            "DEVICE.COMMAND.TAKE on LEASE ...",
            r#"DEVICE.COMMAND on {"n":3} TTL ..."#,
            "DEVICE.COMMAND.TAKE on LEASE 1",
        ],
    );
    wait_for_leases();
    say(
        con,
        &[
            r#"DEVICE.COMMAND on {"n":4} TTL ... DELAY 3600d"#,
            r#"DEVICE.COMMAND on {"n":5} TTL ..."#,
        ],
    );
    for (n, end) in [
        (6, r#"DONE on <id> OK {"took":3}"#),
        (7, "DONE on <id> FAILED"),
        (8, "CANCEL on <id>"),
    ] {
        let id = cmd!(con, "DEVICE.COMMAND", "on", format!("{{\"n\":{n}}}")).text();
        say(
            con,
            &[&format!("DEVICE.COMMAND.{}", end.replace("<id>", &id))],
        );
    }

    say(
        con,
        &[
            r#"DEVICE.SHADOW.REPORT on {"temp":72,"fw":null}"#,
            r#"ALERT.RAISE on door SEVERITY 2 EVERY ... WAIT ... DATA {"by":"eve"} NOTIFY 2 ann bob"#,
            "ALERT.ACK on door",
            "ALERT.RAISE on smoke FOR ...",
            "ALERT.RAISE on flap EVERY ... WAIT ...",
            "ALERT.CLEAR on flap",
            "ALERT.BATCH bob LEASE ... NOW",
            r#"ALERT.NOTIFY carl backup {"size":1} WAIT 0"#,
            r#"ALERT.NOTIFY carl backup {"size":2} SEVERITY 2 WAIT 0"#,
            "ALERT.NOTIFY dora backup {} WAIT 0",
            "ALERT.BATCH dora LEASE 1",
            "THROTTLE.HIT window 5 ... COST 3",
            "THROTTLE.HIT bucket 100 ... COST 100 GCRA",
            // The server's own clock of it: 2100-01-01.
            "PEXPIREAT window 4102444800000",
            "QUEUE.ADD jobs dead",
        ],
    );
    let dead = first_id(cmd!(con, "QUEUE.GET jobs w").value());
    say(
        con,
        &[
            &format!("QUEUE.NACK jobs w {dead} DEAD"),
            "QUEUE.ADD jobs leased ATTR topic a/b ATTR n 1",
            "QUEUE.GET jobs w LEASE ...",
            "QUEUE.ADD jobs lapsed",
            "QUEUE.GET jobs w LEASE 1",
        ],
    );
    wait_for_leases();
    say(
        con,
        &[
            "QUEUE.ADD jobs later DELAY ...",
            "QUEUE.ADD jobs ready TTL ...",
            "ALERT.RAISE wired motion KEEP 2000",
            &format!("DEVICE.HEARTBEAT silent TIMEOUT {SHORT}"),
        ],
    );
}

/// Asserts that all of it is there, that time goes on for it, and that it can be worked with.
#[track_caller]
pub fn holds(con: &mut Connection, began: i64) {
    wait_for("the server hears its devices", SOON, || {
        info(con)["hearing"] == "yes"
    });
    devices(con, began);
    shadows(con);
    alerts(con);
    throttles(con);
    time_goes_on(con, began);
    commands_go_on(con);
    alerts_go_on(con);
    queues_go_on(con);
    assert_consistent(con);
    clean(&check(con, "COUNT 1000").0);
}

#[track_caller]
fn get(con: &mut Connection, id: &str) -> BTreeMap<String, String> {
    cmd!(con, "DEVICE.GET", id).text_fields()
}

#[track_caller]
fn devices(con: &mut Connection, began: i64) {
    let list = |con: &mut Connection, filter: &str| {
        cmd!(con, &format!("DEVICE.LIST {filter}")).at(1).sorted()
    };
    let all = ["late", "never", "off", "on", "own", "silent", "wired"];
    assert_eq!(list(con, "COUNT 100"), all);
    assert_eq!(list(con, "TYPE sensor"), ["never", "off", "on"]);
    assert_eq!(list(con, "OFFLINE TYPE sensor"), ["never", "off"]);
    assert_eq!(list(con, "OUTOFSYNC"), ["on"]);

    let on = get(con, "on");
    for (field, value) in [
        ("status", "online"),
        ("device_type", "sensor"),
        ("session", "7"),
        ("seq", "3"),
        ("version", "3"),
        ("metadata", r#"{"owners":["olga"],"site":"hall-3"}"#),
    ] {
        assert_eq!(on[field], value, "{field}");
    }
    assert!(on["registered_at"] <= on["status_since"] && on["status_since"] <= on["last_seen"]);
    // By its type, and it has all of it from now on to speak up.
    let why = cmd!(con, "DEVICE.WHY on").fields();
    assert_eq!(why["timeout"].int(), 3_600_000);
    assert!(why["deadline"].int() >= began + 3_600_000, "{why:?}");
    assert!(cmd!(con, "DEVICE.WHY wired").fields()["deadline"].is_nil());
    assert_eq!(get(con, "own")["timeout"], "2592000000");

    let off = get(con, "off");
    assert_eq!(
        (off["status"].as_str(), off["status_reason"].as_str()),
        ("offline", "will")
    );
    assert_eq!(off["session"], "4");
    assert_eq!(get(con, "late")["status_reason"], "timeout");
    assert_eq!(get(con, "never")["last_seen"], "0");
    let refused = ["DEVICE.HEARTBEAT", "removed"];
    expect_error(con, &refused, "NODEVICE", "");

    let sensor = cmd!(con, "DEVICE.TYPE.GET sensor").fields();
    assert_eq!(
        (sensor["timeout"].int(), sensor["history"].int()),
        (3_600_000, 20)
    );
    let gateway = cmd!(con, "DEVICE.TYPE.GET gateway").fields();
    assert!(gateway["timeout"].is_nil() && gateway["history"].int() == 0);
}

#[track_caller]
fn shadows(con: &mut Connection) {
    let on = cmd!(con, "DEVICE.SHADOW.GET on").json();
    assert_eq!(
        on["state"],
        json!({
            "desired": {"temp": 65, "led": {"on": true}},
            "reported": {"temp": 72},
            "delta": {"temp": 65, "led": {"on": true}},
        })
    );
    assert_eq!(on["version"], 3);
    let at = |pointer: &str| on.pointer(pointer).and_then(serde_json::Value::as_i64);
    let (temp, led) = (
        at("/metadata/reported/temp/timestamp"),
        at("/metadata/desired/led/on/timestamp"),
    );
    assert!(temp > led && led > Some(1_700_000_000_000), "{on}");

    assert_eq!(cmd!(con, "DEVICE.SHADOW.NAMES on").texts(), ["config"]);
    let config = cmd!(con, "DEVICE.SHADOW.GET on NAME config").json();
    assert_eq!(config["state"]["delta"], json!({"rate": 5}));
    assert_eq!(config["version"], 2);
    // What was deleted goes on from its version.
    let set = cmd!(con, "DEVICE.SHADOW.SET", "on", "{}", "NAME", "old");
    assert_eq!(set.at(0).int(), 3);
    cmd!(con, "DEVICE.SHADOW.DEL on NAME old").text();

    let history = cmd!(con, "DEVICE.HISTORY on").items();
    let history: Vec<_> = history
        .iter()
        .map(|entry| entry.at(1).text_fields())
        .collect();
    let count = |kind: &str| history.iter().filter(|entry| entry["type"] == kind).count();
    let kinds = ["reported", "desired", "alert"].map(count);
    assert_eq!(kinds, [3, 4, 4], "{history:?}");
    let last = history.iter().rfind(|entry| entry["type"] == "reported");
    let last = last.expect("a report in the history");
    assert_eq!(last["old"], r#"{"fw":"1.0","temp":60}"#);
    assert_eq!(last["new"], r#"{"fw":null,"temp":72}"#);
    assert!(stream(con, "devices:reports").len() >= 2);
}

#[track_caller]
fn alerts(con: &mut Connection) {
    let rules = cmd!(con, "ALERT.RULE.LIST sensor").fields();
    assert_eq!(rules.keys().collect::<Vec<_>>(), ["gone", "hot"]);
    assert_eq!(rules["gone"].json()["severity"], 2);
    assert_eq!(rules["hot"].json()["bands"][1]["high"], 85);

    let listed = cmd!(con, "ALERT.LIST on").items();
    let shown = listed.iter().map(|alert| {
        let alert = alert.fields();
        let [name, state] = ["alert", "state"].map(|name| alert[name].text());
        let [severity, acked] = ["severity", "acked"].map(|name| alert[name].int());
        let users = alert["users"].texts().join(",");
        format!("{name} {state} {severity} {acked} {users}")
    });
    let wanted = [
        "door firing 2 1 ann,bob,olga",
        "hot firing 1 0 ops,olga",
        "smoke held 1 0 ",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), wanted);
    assert_eq!(listed[0].fields()["data"].text(), r#"{"by":"eve"}"#);
}

#[track_caller]
fn throttles(con: &mut Connection) {
    let look = |con: &mut Connection, line: &str| {
        let reply = cmd!(con, line).items();
        reply.iter().map(Reply::int).collect::<Vec<_>>()
    };
    assert_eq!(cmd!(con, "GET window").text(), "3");
    assert_eq!(
        look(con, "THROTTLE.HIT window 5 3650d COST 0")[..3],
        [0, 5, 2]
    );
    assert_eq!(look(con, "THROTTLE.HIT window 5 3650d COST 3")[0], 1);
    // It fills up in ten years.
    let bucket = look(con, "THROTTLE.HIT bucket 100 3650d COST 100 GCRA");
    assert_eq!(bucket[..2], [1, 100]);
    assert!(bucket[2] < 100);
}

/// Whoever stays silent is told offline, once, after a full timeout; an alert that nobody raises again
/// is over.
#[track_caller]
fn time_goes_on(con: &mut Connection, began: i64) {
    wait_until_offline(con, "silent");
    wait_for("the alert is over", SOON, || {
        cmd!(con, "ALERT.LIST wired").items().is_empty()
    });
    let told = events_of(con, "silent");
    let offline = told.of_type("offline");
    assert_eq!(offline.field("reason"), ["timeout"]);
    let at = offline[0].int("timestamp");
    assert!(at >= began + SHORT, "told at {at}, loaded at {began}");
    let motion = events_of(con, "wired").of_type("alert");
    assert_eq!(motion.field("state"), ["firing", "resolved"]);
    wait_for("everything was checked", SOON, || {
        info(con)["checking"] == "no"
    });
    assert_eq!(events(con).of_type("offline").len(), 4);
    for id in ["on", "own", "wired"] {
        assert!(is_online(con, id), "{id}");
    }
    assert_told_once(con);
    assert_consistent(con);
    clean(&check(con, "COUNT 1000").0);
}

/// Those that wait can be taken; who took the others, and what became of them, is known.
#[track_caller]
fn commands_go_on(con: &mut Connection) {
    let rows = cmd!(con, "DEVICE.COMMAND.LIST on").items();
    let shown = rows.iter().map(|row| {
        let row = row.fields();
        let [command, state] = ["command", "state"].map(|name| row[name].text());
        match row.get("deliveries") {
            Some(deliveries) => format!("{command} {state} {}", deliveries.int()),
            None => format!("{command} {state} {}", row["outcome"].text()),
        }
    });
    let wanted = [
        r#"{"n":1} dead 5"#,
        r#"{"n":2} taken 1"#,
        r#"{"n":3} waiting 1"#,
        r#"{"n":4} delayed 0"#,
        r#"{"n":5} waiting 0"#,
        r#"{"n":6} done OK"#,
        r#"{"n":7} done FAILED"#,
        r#"{"n":8} done CANCELLED"#,
    ];
    assert_eq!(shown.collect::<Vec<_>>(), wanted);
    assert_eq!(rows[5].fields()["result"].text(), r#"{"took":3}"#);

    // Its session is known, and the number of its last report.
    let beat = |con: &mut Connection, words: &str| {
        let reply = cmd!(con, &format!("DEVICE.HEARTBEAT on {words}"));
        (reply.at(1).int(), reply.at(4).int())
    };
    assert_eq!(beat(con, "SESSION 6"), (0, 2));
    assert_eq!(beat(con, "SESSION 7 SEQ 3 REPORTED {\"temp\":1}"), (0, 2));
    assert_eq!(beat(con, "SESSION 7"), (1, 2));
    let taken = cmd!(con, "DEVICE.COMMAND.TAKE on COUNT 10").items();
    let taken = taken
        .iter()
        .map(|item| (item.at(1).text(), item.at(2).int()));
    let wanted = [(r#"{"n":3}"#.to_owned(), 2), (r#"{"n":5}"#.to_owned(), 1)];
    assert_eq!(taken.collect::<Vec<_>>(), wanted);
}

#[track_caller]
fn alerts_go_on(con: &mut Connection) {
    // Clocks run on.
    let again = cmd!(con, "ALERT.RAISE on flap EVERY 3650d");
    assert_eq!(again.at(0).text(), "suppressed");
    assert_eq!(cmd!(con, "ALERT.CLEAR on flap").int(), 1);
    // The rule knows what it raised.
    say(
        con,
        &[r#"DEVICE.HEARTBEAT on SESSION 8 REPORTED {"temp":50}"#],
    );
    let left = cmd!(con, "ALERT.LIST on").items();
    let left: Vec<String> = left.iter().map(|a| a.fields()["alert"].text()).collect();
    assert_eq!(left, ["door", "smoke"]);

    assert_eq!(cmd!(con, "ALERT.DUE").sorted(), ["carl", "dora"]);
    let batch = |con: &mut Connection, words: &str| {
        let reply = cmd!(con, &format!("ALERT.BATCH {words}"));
        if reply.is_nil() {
            return None;
        }
        let items = reply.at(1).items();
        let items = items.iter().map(|item| {
            let item = item.fields();
            format!("{} {}", item["alert"].text(), item["count"].int())
        });
        Some((reply.at(0).text(), items.collect::<Vec<_>>()))
    };
    let items = |batch: Option<(String, Vec<String>)>| batch.map(|(_, items)| items);
    // Not due yet, and out for long.
    assert_eq!(batch(con, "ann"), None);
    assert_eq!(batch(con, "bob NOW"), None);
    assert_eq!(
        items(batch(con, "ann NOW")),
        Some(vec!["door 1".to_owned()])
    );
    assert_eq!(items(batch(con, "dora")), Some(vec!["backup 1".to_owned()]));
    let (token, carl) = batch(con, "carl").expect("due");
    assert_eq!(carl, ["backup 2"]);
    assert_eq!(cmd!(con, "ALERT.DONE", "carl", token).int(), 1);
}

#[track_caller]
fn queues_go_on(con: &mut Connection) {
    let stat = |con: &mut Connection| {
        let fields = cmd!(con, "QUEUE.STAT jobs").fields();
        ["ready", "delayed", "leased", "dead"].map(|name| fields[name].int())
    };
    assert_eq!(stat(con), [2, 1, 1, 1]);
    let pending = cmd!(con, "QUEUE.PENDING jobs").items();
    let states = pending.iter().map(|row| row.fields()["state"].text());
    let states: Vec<String> = states.collect();
    assert!(states.starts_with(&["dead", "leased", "ready"].map(str::to_owned)));
    let got = cmd!(con, "QUEUE.GET jobs w2 COUNT 10").items();
    let got = got.iter().map(|row| (row.at(1).text(), row.at(3).int()));
    let wanted = [("lapsed".to_owned(), 2), ("ready".to_owned(), 1)];
    assert_eq!(got.collect::<Vec<_>>(), wanted);
    // The one that is leased has its attributes and can still be done.
    let leased = pending[1].fields()["id"].text();
    let entry = cmd!(con, "XRANGE", "jobs", &leased, &leased).at(0).at(1);
    let entry: Vec<String> = entry.texts();
    assert!(entry.contains(&"a/b".to_owned()), "{entry:?}");
    let dead = pending[0].fields()["id"].text();
    assert_eq!(cmd!(con, "QUEUE.ACK", "jobs", leased).int(), 1);
    assert_eq!(cmd!(con, "QUEUE.KICK", "jobs", dead).int(), 1);
    assert_eq!(stat(con), [1, 1, 2, 0]);
}
