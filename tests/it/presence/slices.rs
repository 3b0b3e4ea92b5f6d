//! The sweeper tells devices offline some at a time. None of that shows: each is told as if it were
//! alone, and what is wrong with one is no other's business.

use std::collections::BTreeSet;

use super::*;
use crate::deaf_time::beaters::{all, ids};

/// More than are told at a time, and no multiple of that.
const MANY: usize = 150;

/// `MANY` devices that are online, of two types in turn.
fn crowd(con: &mut redis::Connection) -> Vec<String> {
    let names = ids("d", MANY);
    let register =
        |(i, id): (usize, &String)| format!("DEVICE.REGISTER {id} {}", ["a", "b"][i % 2]);
    all(con, names.iter().enumerate().map(register));
    all(con, names.iter().map(|id| format!("DEVICE.HEARTBEAT {id}")));
    names
}

/// The time of all is up at once.
fn die(con: &mut redis::Connection) {
    let seen = now_ms();
    wait_for("100 ms of silence", SOON, || now_ms() > seen + 100);
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
}

fn wait_for_offline(con: &mut redis::Connection, count: usize) {
    wait_for(&format!("{count} are offline"), SOON, || {
        cmd!(con, "DEVICE.COUNT OFFLINE").int() >= count as i64
    });
}

fn offline(con: &mut redis::Connection) -> Vec<String> {
    let told = events(con).of_type("offline");
    told.field("device_id")
        .iter()
        .map(|&id| id.to_owned())
        .collect()
}

#[test]
fn everybody_is_told_of_a_crowd_in_the_order_of_the_stream() {
    let server = quick();
    let mut con = server.connection();
    let presence = Subscriber::channels(&server, &["devices:presence"]);
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let notified = Subscriber::channels(&server, &["__keyevent@0__:device.offline"]);
    let names = crowd(&mut con);
    presence.wait_for_count(MANY, SOON);
    presence.take();
    cmd!(con, "CONFIG RESETSTAT").text();
    die(&mut con);
    wait_for_offline(&mut con, MANY);

    let order = offline(&mut con);
    assert_eq!(
        order.iter().collect::<BTreeSet<_>>(),
        names.iter().collect()
    );
    let told: Vec<String> = presence
        .wait_for_count(MANY, SOON)
        .iter()
        .map(|message| {
            message.json()["device_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(told, order);
    for (subscriber, prefix) in [
        (&expired, "device:heartbeat:"),
        (&notified, "device:state:"),
    ] {
        let keys: Vec<String> = order.iter().map(|id| format!("{prefix}{id}")).collect();
        let heard = subscriber.wait_for_count(MANY, SOON);
        let heard: Vec<&str> = heard
            .iter()
            .map(|message| message.payload.as_str())
            .collect();
        assert_eq!(heard, keys);
    }
    // An index is changed for many at a time.
    let calls = cmd!(con, "INFO commandstats").text();
    let srem = calls
        .lines()
        .find(|line| line.starts_with("cmdstat_srem:calls="));
    let srem = srem.and_then(|line| line.split(['=', ',']).nth(1)?.parse::<usize>().ok());
    assert!(srem.is_some_and(|calls| calls < MANY), "{srem:?}");
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

/// Whoever listens to the classes of the server's own events hears of each write, and once.
#[test]
fn each_notification_of_a_crowd_is_heard_once() {
    let server = quick();
    let mut con = server.connection();
    let names = crowd(&mut con);
    cmd!(con, "CONFIG SET notify-keyspace-events KEAd").text();
    let heard = Subscriber::patterns(&server, &["__keyevent@0__:*"]);
    die(&mut con);
    wait_for_offline(&mut con, MANY);
    let keys = |prefix: &str| names.iter().map(|id| format!("{prefix}{id}")).collect();
    let wanted: [(&str, Vec<String>); 5] = [
        ("hset", keys("device:state:")),
        ("del", keys("device:heartbeat:")),
        ("expired", keys("device:heartbeat:")),
        ("device.offline", keys("device:state:")),
        ("xadd", vec!["devices:events".to_owned(); MANY]),
    ];
    let payloads = |event: &str| {
        let mut keys = heard.payloads(&format!("__keyevent@0__:{event}"));
        // A set of nobody is deleted.
        keys.retain(|key| !key.starts_with("devices:online"));
        keys
    };
    wait_for("all of them", SOON, || {
        wanted
            .iter()
            .all(|(event, _)| payloads(event).len() >= MANY)
    });
    for (event, keys) in wanted {
        assert_eq!(payloads(event), keys, "{event}");
    }
}

/// Hashes are read in one go if they are small, and they hold more than what is read.
#[test]
fn devices_of_large_hashes_and_hashes_by_other_hands_go_with_the_others() {
    let server = quick();
    let mut con = server.connection();
    let names = crowd(&mut con);
    for id in &names[..40] {
        let more: Vec<String> = (0..600).map(|i| format!("more-{i} {i}")).collect();
        let line = format!("HSET device:state:{id} {}", more.join(" "));
        cmd!(con, &line).int();
    }
    // A time in other words: it is written as a number when the device goes.
    let seen = cmd!(
        con,
        "HGET",
        format!("device:state:{}", names[50]),
        "last_seen"
    )
    .text();
    for (id, text) in [
        (&names[50], format!("00{seen}")),
        (&names[51], format!("+{seen}")),
        (&names[52], format!("{}.{}", &seen[..10], &seen[10..])),
    ] {
        cmd!(con, "HSET", format!("device:state:{id}"), "last_seen", text).int();
    }
    let replica = crate::replication::replica_of(&server);
    die(&mut con);
    wait_for_offline(&mut con, MANY);
    for id in &names[50..53] {
        let stored = cmd!(con, "HGET", format!("device:state:{id}"), "last_seen").text();
        assert_eq!(stored, seen, "{id}");
    }
    assert_eq!(offline(&mut con).len(), MANY);
    crate::replication::assert_same(&server, &replica);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn who_can_not_be_written_stays_online_and_the_others_go() {
    // What is made wrong, whom that keeps, and what mends it.
    let all_of_b = |names: &[String]| names.iter().skip(1).step_by(2).cloned().collect();
    let nobody_goes = |names: &[String]| names.to_vec();
    type Kept = dyn Fn(&[String]) -> Vec<String>;
    let cases: [(&str, &Kept); 5] = [
        ("device:heartbeat:d-70", &|_| vec!["d-70".to_owned()]),
        ("devices:online:type:b", &all_of_b),
        ("devices:online", &nobody_goes),
        ("devices:offline", &nobody_goes),
        ("devices:events", &nobody_goes),
    ];
    for (key, kept) in cases {
        let server = quick();
        let mut con = server.connection();
        let names = crowd(&mut con);
        let kept: BTreeSet<String> = kept(&names).into_iter().collect();
        let is_there = cmd!(con, "EXISTS", key).int() == 1;
        if is_there {
            cmd!(con, "RENAME", key, "aside").text();
        }
        cmd!(con, "RPUSH", key, "x").int();
        die(&mut con);
        wait_for("the kept ones are put off", SOON, || {
            info_number(&mut con, "back_offs") >= kept.len() as i64
        });
        let states = |con: &mut redis::Connection| -> BTreeSet<String> {
            let online = names.iter().filter(|id| is_online(con, id));
            online.cloned().collect()
        };
        wait_for("the others are offline", SOON, || states(&mut con) == kept);
        assert_eq!(cmd!(con, "LRANGE", key, 0, -1).texts(), ["x"], "{key}");

        cmd!(con, "DEL", key).int();
        if is_there {
            cmd!(con, "RENAME aside", key).text();
        }
        wait_for_offline(&mut con, MANY);
        assert_eq!(offline(&mut con).len(), MANY, "{key}");
        assert_consistent(&mut con);
        assert_told_once(&mut con);
    }
}

/// Entries of a stream have ids, of which there is a last one.
#[test]
fn a_stream_without_another_id_keeps_all_online() {
    let server = quick();
    let mut con = server.connection();
    let names = crowd(&mut con);
    let last = "18446744073709551615-18446744073709551615";
    cmd!(con, "XSETID devices:events", last).text();
    die(&mut con);
    wait_for("all are put off", SOON, || {
        info_number(&mut con, "back_offs") >= MANY as i64
    });
    assert_eq!(cmd!(con, "DEVICE.COUNT ONLINE").int(), MANY as i64);
    assert!(names.iter().all(|id| is_online(&mut con, id)));
    cmd!(con, "DEL devices:events").int();
    wait_for_offline(&mut con, MANY);
    assert_eq!(offline(&mut con).len(), MANY);
    assert_consistent(&mut con);
}

#[test]
fn devices_with_rules_on_presence_go_in_their_turn() {
    let server = quick();
    let mut con = server.connection();
    let rule = r#"{"on":"offline","wait":0,"notify":["ops"]}"#;
    cmd!(con, "ALERT.RULE.SET", "b", "gone", rule).int();
    let names = crowd(&mut con);
    die(&mut con);
    wait_for_offline(&mut con, MANY);
    assert_eq!(
        offline(&mut con),
        names,
        "in the order of their first beats"
    );
    let alerts = events(&mut con).of_type("alert");
    assert_eq!(alerts.len(), MANY / 2);
    assert_eq!(info_number(&mut con, "alerts_new"), MANY as i64 / 2);
    assert_consistent(&mut con);
    assert_told_once(&mut con);
}

/// Also where presence goes into the history of each device.
#[test]
fn a_crowd_leaves_a_replica_and_an_append_only_file_the_same() {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.history-presence", "yes")
        .config("devicestate.events-maxlen", 50)
        .config("appendonly", "yes")
        .start();
    let replica = crate::replication::replica_of(&server);
    let mut con = server.connection();
    let names = crowd(&mut con);
    die(&mut con);
    wait_for_offline(&mut con, MANY);
    for id in &names {
        let history = stream(&mut con, &format!("device:history:{id}"));
        assert_eq!(history.field("new"), ["online", "offline"], "{id}");
    }
    crate::replication::assert_same(&server, &replica);
    let before = snapshot(&mut con);
    assert!(cmd!(con, "DEBUG LOADAOF").is_ok());
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
    assert_consistent(&mut con);
}
