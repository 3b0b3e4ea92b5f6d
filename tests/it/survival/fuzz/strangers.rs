//! What is no device of the module takes no memory that stays. Found when the memory of the fuzzer
//! was looked into.

use redis::Connection;

use crate::devices::{info_number, SOON};
use crate::support::*;

use super::memory_of_nothing;

/// How many names there are in each round: each takes some 50 bytes where it is remembered.
const NAMES: usize = 20_000;

/// Calls `make`, which uses names with this prefix, in some rounds; asserts that what the first one
/// left behind does not grow.
#[track_caller]
fn assert_forgotten(make: impl Fn(&mut Connection, &str)) {
    let server = Server::start();
    let used: Vec<i64> = ["a", "b", "c", "d"]
        .iter()
        .map(|prefix| {
            let mut con = server.connection();
            make(&mut con, prefix);
            cmd!(con, "FLUSHALL").text();
            wait_for("all that was due is looked at", SOON, || {
                info_number(&mut con, "deadline_index_devices") == 0
            });
            drop(con);
            memory_of_nothing(&server)
        })
        .collect();
    assert!(used[3] < used[0] + 1_000_000, "it grows: {used:?}");
}

/// Programs of the plain recipe set such keys for devices that are not registered here.
#[test]
fn expired_heartbeat_keys_of_strangers_are_not_remembered() {
    const SET: &str = "for i = 1, ARGV[2] do \
        redis.call('SET', 'device:heartbeat:' .. ARGV[1] .. i, 1, 'PX', 1) end";
    const LOOK: &str = "local there = 0 for i = 1, ARGV[2] do \
        there = there + redis.call('EXISTS', 'device:heartbeat:' .. ARGV[1] .. i) end return there";
    assert_forgotten(|con, prefix| {
        assert!(cmd!(con, "EVAL", SET, 0, prefix, NAMES).is_nil());
        wait_for("they expire", SOON, || {
            cmd!(con, "EVAL", LOOK, 0, prefix, NAMES).int() == 0
        });
    });
}

/// Each is remembered as one that is no device until it is gone, also when all go at once.
#[test]
fn a_flush_forgets_hashes_that_were_no_devices() {
    const SET: &str = "for i = 1, ARGV[2] do \
        redis.call('HSET', 'device:state:' .. ARGV[1] .. i, 'device_id', 'x', 'version', 1) end";
    assert_forgotten(|con, prefix| {
        assert!(cmd!(con, "EVAL", SET, 0, prefix, NAMES).is_nil());
        wait_for("each is looked at", SOON, || {
            info_number(con, "deadline_index_devices") == 0
        });
    });
}
