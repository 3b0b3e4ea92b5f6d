//! Hostile input: commands of the whole table, most of them broken, on keys that hands reach into,
//! while the server flushes, swaps, reloads and is reconfigured. Whatever comes: the server lives,
//! nothing panics, every reply can be read, what remains can be checked and mended, and no memory is
//! lost.
//!
//! `DEVICESTATE_FUZZ_SEED` repeats a run, `DEVICESTATE_FUZZ_SECONDS` says for how long.

pub mod breaking;
mod hands;
mod healing;
pub mod replies;
mod say;
mod strangers;

use std::collections::BTreeSet;
use std::env;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::check::check;
use crate::consistency::assert_consistent;
use crate::devices::{server_info, SOON};
use crate::support::*;
use crate::workload;

use super::size::size;
use say::Fuzz;

/// How many turns pass between two looks at the whole state.
const TURNS: usize = 150;
/// How many looks there are between two moments at which nothing is stored.
const LOOKS: usize = 5;
/// By how much `used_memory` may differ between two such moments, in bytes: what the module keeps
/// for the next command, and what the server does.
const SLACK: i64 = 4 << 20;

fn number_of<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// How a run goes, and the number that repeats it.
fn seed() -> u64 {
    let fresh = || size(1, now_ms() as u64);
    number_of("DEVICESTATE_FUZZ_SEED").unwrap_or_else(fresh)
}

fn duration() -> Duration {
    let seconds = number_of("DEVICESTATE_FUZZ_SECONDS");
    Duration::from_secs(seconds.unwrap_or_else(|| size(8, 30 * 60)))
}

/// What must hold at any moment.
#[track_caller]
fn look(server: &mut Server, pid: u32) {
    assert!(server.is_alive() && server.pid() == pid, "the server ended");
    let log = server.log();
    let panic = log.lines().find(|line| line.contains("internal error"));
    assert_eq!(panic, None, "a caught panic");
}

/// What the server holds when it holds no key and has no client but this one.
#[track_caller]
fn memory_of_nothing(server: &Server) -> i64 {
    let mut con = server.connection();
    cmd!(con, "FLUSHALL SYNC").text();
    cmd!(con, "SCRIPT FLUSH SYNC").text();
    cmd!(con, "CONFIG RESETSTAT").text();
    cmd!(con, "SLOWLOG RESET").text();
    wait_for("the other clients are gone", SOON, || {
        cmd!(con, "CLIENT LIST").text().lines().count() == 1
    });
    server_info(&mut con, "memory", "used_memory")
}

#[test]
fn nothing_that_clients_say_harms() {
    let seed = seed();
    eprintln!("DEVICESTATE_FUZZ_SEED={seed}");
    let mut server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .start();
    server.settle();
    let pid = server.pid();
    let start = Instant::now();
    let mut used = Vec::new();
    let (mut said, mut refused) = (0, 0);
    let mut accepted = BTreeSet::new();
    while start.elapsed() < duration() || used.len() < 4 {
        let mut fuzz = Fuzz::new(&server, seed + used.len() as u64);
        for _ in 0..LOOKS {
            for _ in 0..TURNS {
                fuzz.turn(&server);
            }
            look(&mut server, pid);
            fuzz.heal(&server);
            let mut con = server.connection();
            check(&mut con, "COUNT 10000 REPAIR");
            assert_consistent(&mut con);
        }
        said += fuzz.said;
        refused += fuzz.refused;
        accepted.append(&mut fuzz.accepted);
        drop(fuzz);
        used.push(memory_of_nothing(&server));
    }
    let last = used.len() - 1;
    println!(
        "{said} commands in {} s, {refused} of them refused; {} rounds; used_memory after the third, \
         after each quarter of them, after the last: {} {} {} {} {}",
        start.elapsed().as_secs(),
        used.len(),
        used[2],
        used[last / 4],
        used[last / 2],
        used[last * 3 / 4],
        used[last],
    );
    assert_eq!(accepted, workload::names(), "what was never accepted");
    assert!(used[last] <= used[2] + SLACK, "used_memory grows: {used:?}");
    // An end in good order, at which a memory checker that the server runs under says what it found.
    server.terminate();
    let status = server.exit_status();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}
