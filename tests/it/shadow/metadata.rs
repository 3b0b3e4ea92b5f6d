//! When each leaf was last written: the metadata of `DEVICE.SHADOW.GET`.

use serde_json::{json, Value};

use super::*;

/// The time in the metadata of a leaf, which holds nothing else.
#[track_caller]
fn time_of(leaf: &Value) -> i64 {
    let time = leaf["timestamp"].as_i64();
    let only = leaf.as_object().is_some_and(|fields| fields.len() == 1);
    match time {
        Some(time) if only => time,
        _ => panic!("no time of a leaf: {leaf}"),
    }
}

#[test]
fn every_leaf_has_its_own_time() {
    let server = Server::start();
    let mut con = server.connection();
    let start = now_ms();
    set(&mut con, "d", json!({"a": {"b": 1, "c": "x"}, "d": true}));
    wait_for_the_clock();
    let second = now_ms();
    set(&mut con, "d", json!({"a": {"b": 2}, "e": 0}));
    report(&mut con, "d", json!({"r": {"s": 1.5}}));
    let metadata = get(&mut con, "d")["metadata"].clone();

    let desired = &metadata["desired"];
    for old in [&desired["a"]["c"], &desired["d"]] {
        assert!((start..second).contains(&time_of(old)), "{metadata}");
    }
    for new in [
        &desired["a"]["b"],
        &desired["e"],
        &metadata["reported"]["r"]["s"],
    ] {
        assert!((second..=now_ms()).contains(&time_of(new)), "{metadata}");
    }
    assert_eq!(desired.as_object().unwrap().len(), 3);
    assert_eq!(metadata.as_object().unwrap().len(), 2, "{metadata}");
}

#[test]
fn the_metadata_has_the_shape_of_the_document() {
    let server = Server::start();
    let mut con = server.connection();
    report(
        &mut con,
        "d",
        json!({"list": [1, "x", true], "none": [], "empty": {}, "leaf": 1}),
    );
    let metadata = get(&mut con, "d")["metadata"]["reported"].clone();
    let time = time_of(&metadata["leaf"]);
    let leaf = json!({"timestamp": time});
    assert_eq!(
        metadata,
        json!({"list": [leaf, leaf, leaf], "none": [], "empty": {}, "leaf": leaf})
    );
}

#[test]
fn a_removed_leaf_has_no_time() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1, "b": {"c": 2, "d": 3}}));
    set(&mut con, "d", json!({"a": null, "b": {"c": null}}));
    let metadata = get(&mut con, "d")["metadata"].clone();
    let time = time_of(&metadata["desired"]["b"]["d"]);
    assert_eq!(
        metadata,
        json!({"desired": {"b": {"d": {"timestamp": time}}}})
    );
    set(&mut con, "d", json!({"b": {"d": null}}));
    let whole = get(&mut con, "d");
    assert_eq!(whole["state"]["desired"], json!({"b": {}}));
    assert_eq!(whole["metadata"], json!({"desired": {"b": {}}}));
}

#[test]
fn replace_takes_the_place_of_the_times_too() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1, "b": {"c": 2}}));
    report_with(&mut con, "d", json!({"b": 3}), "REPLACE");
    let metadata = get(&mut con, "d")["metadata"].clone();
    let time = time_of(&metadata["reported"]["b"]);
    assert_eq!(metadata, json!({"reported": {"b": {"timestamp": time}}}));
}

#[test]
fn a_leaf_that_is_written_again_with_its_value_has_a_new_time() {
    let server = Server::start();
    let mut con = server.connection();
    report(&mut con, "d", json!({"a": 1, "b": 2}));
    let first = get(&mut con, "d")["metadata"]["reported"].clone();
    wait_for_the_clock();
    report(&mut con, "d", json!({"a": 1}));
    let second = get(&mut con, "d")["metadata"]["reported"].clone();
    assert!(time_of(&second["a"]) > time_of(&first["a"]));
    assert_eq!(second["b"], first["b"]);
}

#[test]
fn odd_names_of_members_keep_their_times_apart() {
    let server = Server::start();
    let mut con = server.connection();
    let document = json!({
        "": 1, ".": {"": 1}, "a.b": 1, "a": {"b": 2, "timestamp": {"timestamp": 3}},
        "\u{0}": 1, "\"": {"\\": 1}, "📟": 1, "0": {"0": 1}, "timestamp": 5,
    });
    report(&mut con, "d", document.clone());
    wait_for_the_clock();
    report(&mut con, "d", json!({"a.b": 1, "\u{0}": 1, "": 1}));
    let whole = get(&mut con, "d");
    assert_eq!(whole["state"]["reported"], document);
    let times = &whole["metadata"]["reported"];
    let nested = [&times["a"]["b"], &times["a"]["timestamp"]["timestamp"]];
    let old = nested.map(time_of);
    assert_eq!(old[0], old[1]);
    assert_eq!(time_of(&times["."][""]), old[0]);
    assert_eq!(time_of(&times["\""]["\\"]), old[0]);
    for again in ["a.b", "\u{0}", ""] {
        assert!(time_of(&times[again]) > old[0], "{again:?}: {times}");
    }
}

#[test]
fn without_metadata_none_is_kept() {
    let server = Server::builder()
        .config("devicestate.shadow-metadata", "no")
        .start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    report(&mut con, "d", json!({"b": {"c": 1}}));
    set_with(&mut con, "d", json!({"a": 1}), "NAME n");
    assert_eq!(get(&mut con, "d")["metadata"], json!({}));
    assert_eq!(get_with(&mut con, "d", " NAME n")["metadata"], json!({}));
    for part in ["desired_meta", "reported_meta"] {
        assert_eq!(field(&mut con, "d", part), None);
    }
    let named = cmd!(con, "HKEYS device:shadows:d").texts();
    assert!(named.iter().all(|name| !name.contains("meta")), "{named:?}");

    // Switched on, times begin with what is written from then on.
    cmd!(con, "CONFIG SET devicestate.shadow-metadata yes").text();
    report(&mut con, "d", json!({"new": 1}));
    let whole = get(&mut con, "d");
    assert_eq!(whole["state"]["reported"], json!({"b": {"c": 1}, "new": 1}));
    time_of(&whole["metadata"]["reported"]["new"]);
}
