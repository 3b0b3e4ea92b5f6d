//! Whether users' hashes and the sorted set of those who are due say the same: what must hold after any
//! workload and any crash.

use std::collections::BTreeMap;
use std::thread;

use redis::Connection;

use super::*;
use crate::workload::{run, Workload};

/// Asserts that a user is in `alerts:due` exactly while there is a batch to fetch, at the time at which
/// it can be fetched, and that a batch that is out has as many items as it says.
#[track_caller]
pub fn assert_users_consistent(con: &mut Connection) {
    let keys = snapshot(con);
    let pairs = |key: &str| -> BTreeMap<String, String> {
        let lines = keys.get(key).map_or(&[][..], |lines| &lines[1..]);
        // The field of a notification by hand has a space of its own: `pending: <alert>`.
        let at = |line: &str| line.find(": {").or_else(|| line.find(": "));
        let pairs = lines.iter().filter_map(|line| {
            let (name, value) = line.split_at(at(line)?);
            Some((name.to_owned(), value[2..].replace('\\', "")))
        });
        pairs.collect()
    };
    let listed = pairs("alerts:due");
    let mut expected = BTreeMap::new();
    let mut found = Vec::new();
    for key in keys.keys() {
        let Some(user) = key.strip_prefix("alerts:user:") else {
            continue;
        };
        let fields = pairs(key);
        let count = |part: &str| fields.keys().filter(|name| name.starts_with(part)).count();
        let (pending, leased) = (count("pending:"), count("leased:"));
        let lease = fields
            .get("lease")
            .map(|text| serde_json::from_str::<serde_json::Value>(text).expect("a lease"));
        let items = lease
            .as_ref()
            .map_or(0, |lease| lease["items"].as_u64().unwrap_or(0));
        if items != leased as u64 || lease.is_some() != (leased > 0) {
            found.push(format!("{user}: {leased} leased, {lease:?}"));
        }
        if fields.contains_key("due") != (pending > 0) {
            found.push(format!(
                "{user}: {pending} pending, due {:?}",
                fields.get("due")
            ));
        }
        let until = lease.map(|lease| lease["until"].to_string());
        let at = until.or_else(|| fields.get("due").cloned());
        expected.insert(user.to_owned(), at.unwrap_or_default());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(listed, expected);
}

/// Says what makes alerts, and some of everything else, until the server is gone.
fn talk(con: &mut Connection, seed: u64) {
    let mut workload = Workload::of(seed, "", 12);
    loop {
        let command = workload.command();
        if !command[0].starts_with(b"ALERT.") && !workload.random.one_in(8) {
            continue;
        }
        match run(con, &command) {
            Ok(reply) => workload.learn(&command, &reply),
            Err(error) if error.code().is_none() => return,
            Err(_) => {}
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_everything_leaves_every_step_whole() {
    let mut server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start();
    let mut users = 0;
    for round in 0..3 {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let mut con = server.connection();
                thread::spawn(move || talk(&mut con, 4 * round + client))
            })
            .collect();
        let mut con = server.connection();
        wait_for("much has happened", SOON, || {
            info_number(&mut con, "alerts_suppressed") > 50
                && info_number(&mut con, "alert_batches_done") > 5
        });
        server.kill_hard();
        for client in clients {
            client.join().expect("no panic");
        }
        server.restart();
        let mut con = server.connection();
        users += cmd!(con, "ZCARD alerts:due").int();
        assert_users_consistent(&mut con);
        wait_for("all that can be fetched is", SOON, || {
            for user in due(&mut con) {
                if let Some(batch) = batch(&mut con, &user) {
                    done(&mut con, &user, &batch.token);
                }
            }
            due(&mut con).is_empty()
        });
        assert_users_consistent(&mut con);
    }
    assert!(users > 0, "no crash came while somebody had to be told");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
