//! Users' hashes and the sorted set of those who are due say the same after any crash.

use std::thread;

use redis::Connection;

use super::*;
use crate::consistency::assert_users_consistent;
use crate::workload::{run, Workload};

/// Says what makes alerts of devices and users of this `prefix`, and some of everything else, until
/// the server is gone.
fn talk(con: &mut Connection, seed: u64, prefix: &str) {
    let mut workload = Workload::of(seed, prefix, 12);
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
        // Users of their own: batches that were out at the last crash stay out for a minute, and
        // nobody knows their tokens.
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let mut con = server.connection();
                let prefix = format!("{round}-");
                thread::spawn(move || talk(&mut con, 4 * round + client, &prefix))
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
