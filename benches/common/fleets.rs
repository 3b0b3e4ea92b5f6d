//! Servers whose devices are online and in order, in the forms that heartbeats are compared in.

use std::time::Duration;

use serde_json::Value;

use super::benchmark::pinned_server;
use super::documents::{id, reported};
use super::driver::each;
use super::load::{assert_alike, bring_online, write_plain, Form};
use super::scripts::{append, module_reported};
use crate::support::*;

/// No device falls due meanwhile.
pub const TIMEOUT_MS: u64 = 3_600_000;

/// With the module: every device was seen within the shortest of all timeouts.
pub fn ours(ids: usize, append_only: bool) -> Server {
    ours_on(Server::builder(), ids, append_only)
}

/// The same with settings of its own.
pub fn ours_on(builder: Builder, ids: usize, append_only: bool) -> Server {
    let builder = builder.config("devicestate.heartbeat-timeout", TIMEOUT_MS);
    let server = pinned_server(builder, append_only);
    bring_online(&server, 0..ids, id, |_| TIMEOUT_MS);
    server
}

/// The same on a node of a cluster that has all slots.
pub fn node(ids: usize, append_only: bool) -> Server {
    let builder = Server::builder().config("devicestate.heartbeat-timeout", TIMEOUT_MS);
    let server = node_on(builder, append_only);
    bring_online(&server, 0..ids, id, |_| TIMEOUT_MS);
    server
}

/// A node of a cluster that has all slots.
fn node_on(builder: Builder, append_only: bool) -> Server {
    let builder = builder
        .config("cluster-enabled", "yes")
        .config("cluster-config-file", "nodes.conf");
    let server = pinned_server(builder, append_only);
    let mut con = server.connection();
    cmd!(con, "CLUSTER ADDSLOTSRANGE", 0, 16_383).text();
    wait_for("the node has its slots", Duration::from_secs(30), || {
        cmd!(con, "CLUSTER INFO")
            .text()
            .contains("cluster_state:ok")
    });
    server
}

/// As [`ours`]; each device has reported 500 bytes, and as much is desired.
pub fn ours_with_documents(ids: usize, append_only: bool) -> Server {
    let server = ours(ids, append_only);
    each(&server, 0..ids, |number, out| {
        append(out, &module_reported(&id(number), &reported(number)))
    });
    each(&server, 0..ids, |number, out| {
        let words = ["DEVICE.SHADOW.SET", &id(number), &text(number)];
        append(out, &words.map(str::to_owned));
    });
    server
}

fn text(number: usize) -> String {
    Value::Object(reported(number)).to_string()
}

/// Without the module, the keys and fields of [`ours`].
pub fn plain(ours: &Server, ids: usize, append_only: bool) -> Server {
    let server = pinned_server(Server::builder().without_module(), append_only);
    write_plain(&server, 0..ids, id, Form::LikeOurs);
    assert_alike(ours, &server, &format!("device:state:{}", id(0)));
    server
}

/// The same on a node of a cluster that has all slots.
pub fn plain_node(ids: usize, append_only: bool) -> Server {
    let server = node_on(Server::builder().without_module(), append_only);
    write_plain(&server, 0..ids, id, Form::LikeOurs);
    server
}

/// Without the module: nothing but exactly the hashes of another server.
pub fn copied(from: &Server, ids: usize, append_only: bool) -> Server {
    let server = pinned_server(Server::builder().without_module(), append_only);
    let (mut source, mut target) = (from.connection(), server.connection());
    let numbers: Vec<usize> = (0..ids).collect();
    for some in numbers.chunks(1_000) {
        let keys = some
            .iter()
            .map(|number| format!("device:state:{}", id(*number)));
        let keys: Vec<String> = keys.collect();
        let mut dump = redis::pipe();
        keys.iter().for_each(|key| {
            dump.cmd("DUMP").arg(key);
        });
        let values: Vec<Vec<u8>> = dump.query(&mut source).expect("the hashes");
        let mut restore = redis::pipe();
        for (key, value) in keys.iter().zip(&values) {
            restore.cmd("RESTORE").arg(key).arg(0).arg(value).ignore();
        }
        restore.query::<()>(&mut target).expect("restore them");
    }
    server
}

/// Without the module, as the plain recipe writes it.
pub fn recipe(ids: usize, append_only: bool) -> Server {
    let server = pinned_server(Server::builder().without_module(), append_only);
    write_plain(&server, 0..ids, id, Form::PlainRecipe);
    server
}

/// The keys and fields of [`ours`] under the module of `benches/naive`.
pub fn naive(ids: usize, append_only: bool) -> Server {
    let module = target_binary("examples/libnaive_heartbeat.so");
    let builder = Server::builder()
        .without_module()
        .config("loadmodule", module.display());
    let server = pinned_server(builder, append_only);
    write_plain(&server, 0..ids, id, Form::LikeOurs);
    server
}

/// Panics unless the devices of a server were seen since `start`, by their hashes, and are in the set
/// of those that are online. Who is chosen at random may miss one in a hundred.
pub fn assert_seen_since(server: &Server, ids: usize, start_ms: i64) {
    let mut con = server.connection();
    assert_eq!(cmd!(con, "SCARD devices:online").int(), ids as i64);
    let mut out = redis::pipe();
    for number in 0..ids {
        let key = format!("device:state:{}", id(number));
        out.cmd("HGET").arg(key).arg("last_seen");
    }
    let times: Vec<f64> = out.query(&mut con).expect("the times of all");
    let seen = |time: f64| match time < 1e11 {
        // The plain recipe's seconds.
        true => time * 1_000.0 >= start_ms as f64,
        false => time >= start_ms as f64,
    };
    let missing = times.iter().filter(|time| !seen(**time)).count();
    assert!(
        missing * 100 <= ids,
        "{missing} of {ids} devices were not seen"
    );
}
