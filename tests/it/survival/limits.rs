//! Memory and disks that run out, replicas that are missing: what is refused says so, what is stored
//! stays whole, and afterwards presence catches up.

mod eviction;
mod memory;
mod refused;

use std::collections::{BTreeMap, BTreeSet};

use redis::Connection;

use crate::devices::*;
use crate::support::*;

/// The module's commands and their flags.
#[track_caller]
fn flags(con: &mut Connection) -> BTreeMap<String, BTreeSet<String>> {
    let names = cmd!(con, "COMMAND LIST FILTERBY MODULE devicestate").texts();
    let mut ask = command("COMMAND INFO");
    for name in &names {
        ask.arg(name);
    }
    let infos = con.run(&ask).items();
    let flags = infos.iter().map(|info| {
        let flags = info.at(2).texts().into_iter().collect();
        (info.at(0).text(), flags)
    });
    flags.collect()
}

/// Those of the commands that have this flag.
#[track_caller]
fn with_flag(con: &mut Connection, flag: &str) -> BTreeSet<String> {
    let all = flags(con).into_iter();
    let having = all.filter(|(_, flags)| flags.contains(flag));
    having.map(|(name, _)| name).collect()
}

/// Lets everybody who has a timeout go offline, so that nothing changes between two looks.
#[track_caller]
fn wait_for_silence(con: &mut Connection) {
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 200").text();
    wait_for("whoever has a timeout is offline", SOON, || {
        let online = cmd!(con, "SMEMBERS devices:online").texts();
        online.iter().all(|id| {
            let why = cmd!(con, "DEVICE.WHY", id);
            why.is_err() || why.fields()["deadline"].is_nil()
        })
    });
}
