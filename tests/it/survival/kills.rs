//! Killed at random moments (SIGKILL) under load of every command: when the server is back, all that it
//! holds says the same, nothing was told twice, nobody who is alive was buried, and what was
//! acknowledged is there as far as the way of persisting promises.
//!
//! A killed process loses what it had not handed to the operating system; a power failure also loses
//! what was not synced. These tests do the former.

mod ledger;
mod load;
mod survivor;

use std::time::Duration;

use survivor::Survivor;

/// How much of what was acknowledged last may be lost with `appendfsync everysec`.
const EVERYSEC: Duration = Duration::from_secs(2);

/// A way of persisting.
struct Mode {
    name: &'static str,
    config: &'static [(&'static str, &'static str)],
    /// What is kept of what was acknowledged.
    keeps: Keeps,
    /// What starts a child process that writes everything.
    child: &'static str,
}

enum Keeps {
    All,
    /// All but what was acknowledged last.
    But(Duration),
    /// What was there when the last snapshot that is whole began.
    Snapshots,
}

#[test]
fn with_an_append_only_file_that_is_synced_every_second() {
    Survivor::start(Mode {
        name: "AOF everysec",
        config: &[("appendonly", "yes"), ("appendfsync", "everysec")],
        keeps: Keeps::But(EVERYSEC),
        child: "BGREWRITEAOF",
    })
    .survive();
}

#[test]
fn with_an_append_only_file_that_is_always_synced() {
    Survivor::start(Mode {
        name: "AOF always",
        config: &[("appendonly", "yes"), ("appendfsync", "always")],
        keeps: Keeps::All,
        child: "BGREWRITEAOF",
    })
    .survive();
}

#[test]
fn with_an_append_only_file_that_is_rewritten_all_the_time() {
    Survivor::start(Mode {
        name: "AOF always, rewritten",
        config: &[
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("aof-use-rdb-preamble", "yes"),
            ("auto-aof-rewrite-percentage", "5"),
            ("auto-aof-rewrite-min-size", "16kb"),
        ],
        keeps: Keeps::All,
        child: "BGREWRITEAOF",
    })
    .survive();
}

#[test]
fn with_snapshots_alone() {
    Survivor::start(Mode {
        name: "RDB",
        config: &[],
        keeps: Keeps::Snapshots,
        child: "BGSAVE",
    })
    .survive();
}

#[test]
fn with_an_append_only_file_and_snapshots() {
    Survivor::start(Mode {
        name: "AOF everysec and RDB",
        config: &[
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            ("save", "1 100"),
        ],
        keeps: Keeps::But(EVERYSEC),
        child: "BGSAVE",
    })
    .survive();
}
