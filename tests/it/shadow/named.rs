//! Named shadows: any number beside the classic one, each with a document and a version of its own.

use redis::Connection;
use serde_json::{json, Value};

use super::*;
use crate::consistency::assert_consistent;

#[track_caller]
fn names(con: &mut Connection, id: &str) -> Vec<String> {
    cmd!(con, "DEVICE.SHADOW.NAMES", id).texts()
}

/// The fields of the hash with the named shadows of `d`.
#[track_caller]
fn stored(con: &mut Connection) -> Vec<String> {
    cmd!(con, "HKEYS device:shadows:d").sorted()
}

#[test]
fn each_name_has_a_shadow_of_its_own() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(
        set_with(&mut con, "d", json!({"a": 1}), "NAME one"),
        (1, json!({"a": 1}))
    );
    assert_eq!(
        set_with(&mut con, "d", json!({"b": 1}), "NAME two"),
        (1, json!({"b": 1}))
    );
    assert_eq!(set(&mut con, "d", json!({"c": 1})), (1, json!({"c": 1})));
    let met = report_with(&mut con, "d", json!({"a": 1}), "NAME one");
    assert_eq!(met, (2, Value::Null));
    assert_eq!(report(&mut con, "d", json!({"a": 1})), (2, json!({"c": 1})));

    let of = |con: &mut Connection, name: &str| get_with(con, "d", name)["state"].clone();
    let one = json!({"desired": {"a": 1}, "reported": {"a": 1}});
    assert_eq!(of(&mut con, " NAME one"), one);
    let two = json!({"desired": {"b": 1}, "delta": {"b": 1}});
    assert_eq!(of(&mut con, " NAME two"), two);
    let classic = json!({"desired": {"c": 1}, "reported": {"a": 1}, "delta": {"c": 1}});
    assert_eq!(of(&mut con, ""), classic);
    assert_eq!(of(&mut con, " NAME three"), Value::Null);
    assert_eq!(get_with(&mut con, "d", " NAME one")["version"], 2);
}

#[test]
fn names_are_sorted_and_the_classic_one_has_none() {
    let server = Server::start();
    let mut con = server.connection();
    expect_refusal(&mut con, &["DEVICE.SHADOW.NAMES", "d"], "NODEVICE", "'d'");
    set(&mut con, "d", json!({"a": 1}));
    assert_eq!(names(&mut con, "d"), [] as [&str; 0]);
    let long = "é".repeat(32);
    for name in ["b", "a:b", "B", "📟", "a", "10", "9", "version", &long] {
        set_with(&mut con, "d", json!({}), &format!("NAME {name}"));
    }
    let sorted = ["10", "9", "B", "a", "a:b", "b", "version", &long, "📟"];
    assert_eq!(names(&mut con, "d"), sorted);
    // A name with a colon is not part of another.
    set_with(&mut con, "d", json!({"x": 1}), "NAME a:b");
    assert_eq!(get_with(&mut con, "d", " NAME a")["state"], json!({}));
    assert_eq!(get_with(&mut con, "d", " NAME b")["version"], 1);
}

#[test]
fn a_named_shadow_is_stored_apart() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    let classic = snapshot(&mut con)["device:state:d"].clone();
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    let all = [
        "delta:n",
        "desired:n",
        "desired_meta:n",
        "reported:n",
        "version:n",
    ];
    let found = stored(&mut con);
    let beyond = found.iter().filter(|name| !all.contains(&name.as_str()));
    let beyond: Vec<_> = beyond.collect();
    assert!(
        beyond.is_empty() || beyond == ["reported_meta:n"],
        "{found:?}"
    );
    assert!(
        all.iter().all(|name| found.iter().any(|f| f == name)),
        "{found:?}"
    );
    let get = |con: &mut Connection, name: &str| cmd!(con, "HGET device:shadows:d", name).text();
    assert_eq!(get(&mut con, "desired:n"), "{\"a\":1}");
    assert_eq!(get(&mut con, "reported:n"), "{}");
    assert_eq!(get(&mut con, "delta:n"), "{\"a\":1}");
    assert_eq!(get(&mut con, "version:n"), "1");
    report_with(&mut con, "d", json!({"a": 1}), "NAME n");
    assert!(cmd!(con, "HGET device:shadows:d delta:n").is_nil());
    // The hash of the device has not heard of it.
    assert_eq!(snapshot(&mut con)["device:state:d"], classic);
}

#[test]
fn named_shadows_touch_neither_version_nor_index_of_the_classic_one() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"a": 1}));
    for turn in 1..=5 {
        set_with(&mut con, "d", json!({"n": turn}), "NAME n");
    }
    assert_eq!(number(&mut con, "d", "version"), 2);
    assert!(!is_out_of_sync(&mut con, "d"));
    assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 0);
    assert_eq!(both_sides(&mut con, "d")["in_sync"], true);
    let reply = cmd!(con, "DEVICE.HEARTBEAT d");
    assert!(reply.at(2).int() == 2 && reply.at(3).is_nil(), "{reply:?}");
    // And the other way round.
    set(&mut con, "d", json!({"a": 2}));
    let met = report_with(&mut con, "d", json!({"n": 5}), "NAME n");
    assert_eq!(met, (6, Value::Null));
    assert!(is_out_of_sync(&mut con, "d"));
    assert_consistent(&mut con);
}

#[test]
fn both_sides_of_a_named_shadow_carry_its_name() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    for name in ["n", "d"] {
        let words = ["DEVICE.DELTA", "d", "NAME", name];
        let text = format!("No shadow exists with name: '{name}'");
        expect_refusal(&mut con, &words, "NOSHADOW", &text);
    }
    set_with(&mut con, "d", json!({"a": {"b": 1}}), "NAME n");
    let text = cmd!(con, "DEVICE.DELTA d NAME n").text();
    assert_eq!(
        text,
        "{\"device_id\":\"d\",\"name\":\"n\",\"in_sync\":false,\"version\":1,\
         \"delta\":{\"a\":{\"desired\":{\"b\":1},\"reported\":null}}}"
    );
}

#[test]
fn a_deleted_one_leaves_its_version_and_nothing_else() {
    let server = Server::start();
    let mut con = server.connection();
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    set_with(&mut con, "d", json!({"a": 1}), "NAME other");
    report_with(&mut con, "d", json!({"b": 1}), "NAME n");
    assert_eq!(cmd!(con, "DEVICE.SHADOW.DEL d NAME n").json()["version"], 3);
    let of_n = |name: &String| name.ends_with(":n");
    let left: Vec<String> = stored(&mut con).into_iter().filter(of_n).collect();
    assert_eq!(left, ["deleted:n"]);
    assert_eq!(cmd!(con, "HGET device:shadows:d deleted:n").text(), "3");
    assert_eq!(names(&mut con, "d"), ["other"]);
    assert_eq!(get_with(&mut con, "d", " NAME n"), Value::Null);
    let text = "No shadow exists with name: 'n'";
    for command in ["DEVICE.SHADOW.DEL", "DEVICE.DELTA"] {
        expect_refusal(&mut con, &[command, "d", "NAME", "n"], "NOSHADOW", text);
    }

    let again = set_with(&mut con, "d", json!({"c": 1}), "NAME n");
    assert_eq!(again, (4, json!({"c": 1})));
    assert!(!stored(&mut con).contains(&"deleted:n".to_owned()));
    assert_eq!(names(&mut con, "d"), ["n", "other"]);
    cmd!(con, "DEVICE.SHADOW.DEL d NAME n").text();
    assert_eq!(report_with(&mut con, "d", json!({}), "NAME n").0, 6);
}

#[test]
fn deleting_one_that_never_was_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    let words = ["DEVICE.SHADOW.DEL", "d", "NAME", "n"];
    expect_refusal(
        &mut con,
        &words,
        "NOSHADOW",
        "No shadow exists with name: 'n'",
    );
    let words = ["DEVICE.SHADOW.DEL", "nobody", "NAME", "n"];
    expect_refusal(&mut con, &words, "NODEVICE", "'nobody'");
    // The classic one may go without the others, and the others without it.
    set_with(&mut con, "d", json!({"n": 1}), "NAME n");
    assert_eq!(cmd!(con, "DEVICE.SHADOW.DEL d").json()["version"], 2);
    assert_eq!(names(&mut con, "d"), ["n"]);
    assert_eq!(
        get_with(&mut con, "d", " NAME n")["state"]["desired"],
        json!({"n": 1})
    );
}

#[test]
fn versions_of_named_shadows_are_checked_against_their_own() {
    let server = Server::start();
    let mut con = server.connection();
    for _ in 0..3 {
        set(&mut con, "d", json!({"a": 1}));
    }
    let conflict = ["DEVICE.SHADOW.SET", "d", "{}", "NAME", "n", "VERSION", "3"];
    expect_refusal(&mut con, &conflict, "VERSIONCONFLICT", "which is 0");
    assert_eq!(set_with(&mut con, "d", json!({}), "NAME n VERSION 0").0, 1);
    assert_eq!(
        report_with(&mut con, "d", json!({}), "VERSION 1 NAME n").0,
        2
    );
    expect_refusal(&mut con, &conflict, "VERSIONCONFLICT", "which is 2");
}

#[test]
fn sessions_are_those_of_the_device() {
    let server = Server::start();
    let mut con = server.connection();
    report_with(&mut con, "d", json!({"a": 1}), "NAME n SESSION 5");
    let late = try_report(&mut con, "d", json!({"a": 2}), "NAME n SESSION 4");
    assert_eq!((late.0, late.1), (0, 1));
    let late = try_report(&mut con, "d", json!({"a": 2}), "SESSION 4");
    assert_eq!(late.0, 0);
    assert_eq!(
        get_with(&mut con, "d", " NAME n")["state"]["reported"],
        json!({"a": 1})
    );
}

#[test]
fn removing_the_device_removes_all_its_shadows() {
    let server = Server::start();
    let mut con = server.connection();
    beat(&mut con, "d");
    cmd!(con, "DEVICE.REMOVE d").int();
    let before = snapshot_without_streams(&mut con);
    set(&mut con, "d", json!({"a": 1}));
    for name in ["NAME n", "NAME gone"] {
        set_with(&mut con, "d", json!({"a": 1}), name);
        report_with(&mut con, "d", json!({"a": 2}), name);
    }
    cmd!(con, "DEVICE.SHADOW.DEL d NAME gone").text();
    assert!(is_out_of_sync(&mut con, "d"));
    assert_eq!(cmd!(con, "EXISTS device:history:d").int(), 1);

    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
    let after = snapshot_without_streams(&mut con);
    assert_eq!(difference(&before, &after), Vec::<String>::new());
    let left = cmd!(con, "KEYS device:*").texts();
    assert!(left.is_empty(), "{left:?}");
    // A new device of that name begins anew, its tombstones too.
    assert_eq!(set(&mut con, "d", json!({})).0, 1);
    assert_eq!(set_with(&mut con, "d", json!({}), "NAME gone").0, 1);
    assert_eq!(names(&mut con, "d"), ["gone"]);
    assert_consistent(&mut con);
}

#[test]
fn many_shadows_of_one_device() {
    let server = Server::start();
    let mut con = server.connection();
    for turn in 0..500 {
        set_with(&mut con, "d", json!({"t": turn}), &format!("NAME n-{turn}"));
    }
    let mut wanted: Vec<String> = (0..500).map(|turn| format!("n-{turn}")).collect();
    wanted.sort();
    assert_eq!(names(&mut con, "d"), wanted);
    for turn in [0, 99, 499] {
        let shadow = get_with(&mut con, "d", &format!(" NAME n-{turn}"));
        assert_eq!(shadow["state"]["delta"], json!({"t": turn}));
    }
    for name in &wanted {
        cmd!(con, "DEVICE.SHADOW.DEL", "d", "NAME", name).text();
    }
    assert_eq!(names(&mut con, "d"), [] as [&str; 0]);
    assert_eq!(cmd!(con, "HLEN device:shadows:d").int(), 500);
}

/// What stands under the key of a device that nobody knows yet counts as it does for one that is known.
#[test]
fn what_is_stored_before_the_device_is_known_is_gone_on_with() {
    let server = Server::start();
    server.settle();
    let mut con = server.connection();
    cmd!(con, "HSET device:shadows:d deleted:gone 7").int();
    expect_refusal(
        &mut con,
        &[
            "DEVICE.SHADOW.SET",
            "d",
            "{}",
            "NAME",
            "gone",
            "VERSION",
            "1",
        ],
        "VERSIONCONFLICT",
        "7",
    );
    assert_eq!(set_with(&mut con, "d", json!({"a": 1}), "NAME gone").0, 8);
    assert!(!stored(&mut con).contains(&"deleted:gone".to_owned()));

    cmd!(con, "FLUSHALL").text();
    cmd!(
        con,
        "HSET device:shadows:d version:n 3 desired:n {\"a\":1} delta:n {\"a\":1}"
    )
    .int();
    let met = report_with(&mut con, "d", json!({"b": 2}), "NAME n");
    assert_eq!(met, (4, json!({"a": 1})));
    let met = report_with(&mut con, "d", json!({"a": 1}), "NAME n");
    assert_eq!(met, (5, Value::Null));
    let both = json!({"desired": {"a": 1}, "reported": {"a": 1, "b": 2}});
    assert_eq!(get_with(&mut con, "d", " NAME n")["state"], both);
    assert_consistent(&mut con);
}
