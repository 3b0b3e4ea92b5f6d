//! What is carried over: the shadows of the plain recipe by their adoption, ours by a restart.

use redis::Connection;
use serde_json::{json, Value};

use super::mending::small_fleet;
use super::*;
use crate::check::{check, clean};
use crate::consistency::*;

/// A hash as the plain recipe writes it: no version, seconds as a float.
fn recipe(id: &str, reported: &str, desired: &str) -> String {
    format!(
        "HSET device:state:{id} device_id {id} device_type pump registered_at 1700000000.5 \
         status offline last_seen 1700000001.5 reported_state {reported} desired_state {desired}"
    )
}

#[test]
fn devices_of_the_plain_recipe_are_adopted_with_their_delta() {
    let server = quick();
    let mut con = server.connection();
    for id in ["check", "beat", "report", "set"] {
        cmd!(
            con,
            &recipe(&format!("{id}-out"), "{\"a\":1,\"b\":1}", "{\"a\":2}")
        )
        .int();
        cmd!(
            con,
            &recipe(&format!("{id}-in"), "{\"a\":2,\"b\":1}", "{\"a\":2.0}")
        )
        .int();
    }
    for (sync, delta) in [("out", json!({"a": 2})), ("in", Value::Null)] {
        let reply = cmd!(con, "DEVICE.HEARTBEAT", format!("beat-{sync}"));
        assert_eq!(delta_in(&reply.at(3)), delta);
        let reported = report(&mut con, &format!("report-{sync}"), json!({"b": 2}));
        assert_eq!(reported, (2, delta.clone()));
        assert_eq!(set(&mut con, &format!("set-{sync}"), json!({})), (2, delta));
    }
    assert_eq!(check(&mut con, "REPAIR").0["adopted"], 2);
    let wanted = ["beat-out", "check-out", "report-out", "set-out"];
    assert_eq!(cmd!(con, "SMEMBERS devices:outofsync").sorted(), wanted);
    for id in wanted {
        assert_eq!(state(&mut con, id)["delta"], json!({"a": 2}), "{id}");
        assert_eq!(
            both_sides(&mut con, id)["delta"]["a"]["reported"],
            1,
            "{id}"
        );
    }
    assert_eq!(get(&mut con, "check-out")["version"], 1);
    clean(&check(&mut con, "").0);
    assert_consistent(&mut con);
}

/// The recipe stores nulls and merges the top level only.
#[test]
fn nulls_of_the_plain_recipe_are_nothing_to_do() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, &recipe("d", "{\"a\":1}", "{\"a\":null,\"b\":null}")).int();
    cmd!(con, &recipe("e", "{\"a\":1}", "{\"a\":null,\"b\":2}")).int();
    check(&mut con, "REPAIR");
    assert_eq!(both_sides(&mut con, "d")["in_sync"], true);
    assert_eq!(cmd!(con, "SMEMBERS devices:outofsync").texts(), ["e"]);
    assert_eq!(state(&mut con, "e")["delta"], json!({"b": 2}));
}

#[track_caller]
fn survives(builder: Builder, crash: bool) {
    let mut server = builder.config("devicestate.restart-grace", 0).start();
    server.settle();
    let mut con = server.connection();
    small_fleet(&mut con);
    set_with(&mut con, "out-0", json!({"n": 1}), "NAME n");
    set_with(&mut con, "out-0", json!({"n": 1}), "NAME gone");
    cmd!(con, "DEVICE.SHADOW.DEL out-0 NAME gone").text();
    let ids: Vec<String> = cmd!(con, "DEVICE.LIST").at(1).sorted();
    let look = |con: &mut Connection| {
        let mut all = Vec::new();
        for id in &ids {
            let mut whole = get(con, id);
            whole["timestamp"].take();
            all.push((whole, stream(con, &format!("device:history:{id}"))));
        }
        let named = get_with(con, "out-0", " NAME n")["state"].clone();
        (all, named, cmd!(con, "SMEMBERS devices:outofsync").sorted())
    };
    let before = look(&mut con);
    if crash {
        server.kill_hard();
    }
    server.restart();
    server.settle();
    let mut con = server.connection();
    assert_eq!(look(&mut con), before);
    assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), 4);
    assert_eq!(set_with(&mut con, "out-0", json!({}), "NAME gone").0, 3);
    assert_eq!(info_number(&mut con, "mended"), 0);
    clean(&check(&mut con, "").0);
    assert_consistent(&mut con);
}

#[test]
fn shadows_survive_a_restart_from_a_snapshot() {
    survives(Server::builder().config("save", "360000 1000000"), false);
}

#[test]
fn shadows_survive_a_crash_with_an_append_only_file() {
    let builder = Server::builder().config("appendonly", "yes");
    survives(builder.config("appendfsync", "always"), true);
}
