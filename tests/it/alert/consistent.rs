//! Users' hashes and the sorted set of those who are due say the same after any crash.

use std::thread;

use super::*;
use crate::consistency::assert_users_consistent;
use crate::workload::Workload;

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
                thread::spawn(move || {
                    let mut workload = Workload::of(4 * round + client, "", 12);
                    // Until the server is gone.
                    let is_lost = |error: redis::RedisError| error.code().is_none();
                    while !workload.say(&mut con).1.is_err_and(is_lost) {}
                })
            })
            .collect();
        let mut con = server.connection();
        wait_for("much has happened", SOON, || {
            info_number(&mut con, "alerts_suppressed") > 100
                && info_number(&mut con, "alert_batches_done") > 10
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
