//! The list.

use super::Wanted::{AtLeast, AtMost};
use super::{target, Target};

/// On Redis 7.0 with two cores. Ratios say how many times as fast as the peer ours is.
pub const ALL: [Target; 21] = [
    target(
        "steady heartbeat beside HSET",
        &["heartbeat.no_aof.hset.heartbeat_ratio"],
        AtLeast(0.9),
    ),
    target(
        "steady heartbeat beside SETEX",
        &["heartbeat.no_aof.setex.heartbeat_ratio"],
        AtLeast(0.8),
    ),
    target(
        "steady heartbeat beside Lua",
        &["heartbeat.no_aof.lua.heartbeat_ratio"],
        AtLeast(4.0),
    ),
    target(
        "steady heartbeat beside SETEX, appendfsync everysec",
        &["heartbeat.aof.setex.heartbeat_ratio"],
        AtLeast(0.9),
    ),
    target(
        "steady heartbeat without documents beside one with them",
        &["heartbeat.no_aof.documents.heartbeat_ratio"],
        AtMost(1.1),
    ),
    target(
        "steady heartbeat on a node of a cluster beside one on a single server",
        &["heartbeat.node_no_aof.heartbeat.ratio"],
        AtLeast(0.8),
    ),
    target(
        "HEARTBEAT REPORTED beside Lua",
        &["shadow.heartbeat_no_aof.lua.heartbeat_ratio"],
        AtLeast(3.0),
    ),
    target(
        "THROTTLE.HIT beside INCRBY",
        &["throttle.no_aof.incrby.window_ratio"],
        AtLeast(0.8),
    ),
    target(
        "THROTTLE.HIT GCRA beside INCRBY",
        &["throttle.no_aof.incrby.gcra_ratio"],
        AtLeast(0.8),
    ),
    target(
        "suppressed ALERT.RAISE beside INCRBY",
        &["alert.raise_no_aof.incrby.raise_ratio"],
        AtLeast(0.6),
    ),
    target(
        "a message through a queue beside raw stream commands",
        &["queue.pipelines_no_aof.raw.ours_ratio"],
        AtLeast(0.8),
    ),
    target(
        "the same, a batch in one command",
        &["queue.batches_no_aof.raw.ours_ratio"],
        AtLeast(0.8),
    ),
    target(
        "lateness of a death under heartbeats, p99.9, ms",
        &["detection.lateness.beaten.p99_9"],
        AtMost(5.0),
    ),
    target(
        "heartbeats per second meanwhile, sent at a pace of 100 000",
        &["detection.load.beaten.beats"],
        AtLeast(99_000.0),
    ),
    target(
        "storm of deaths, transitions per second",
        &["detection.rates.storm.rate"],
        AtLeast(100_000.0),
    ),
    target(
        "PING during the storm, p99, ms",
        &["detection.ping.storm.p99"],
        AtMost(5.0),
    ),
    target(
        "first page of LIST, p99, us",
        &[
            "listing.page.all.p99",
            "listing.page.online.p99",
            "listing.page.offline.p99",
            "listing.page.of_type.p99",
            "listing.page.of_type_online.p99",
            "listing.page.of_type_offline.p99",
            "listing.page.outofsync.p99",
            "listing.page.stale.p99",
        ],
        AtMost(1_000.0),
    ),
    target(
        "COUNT, p99, us",
        &[
            "listing.count.all.p99",
            "listing.count.online.p99",
            "listing.count.offline.p99",
            "listing.count.of_type.p99",
            "listing.count.of_type_online.p99",
            "listing.count.of_type_offline.p99",
            "listing.count.outofsync.p99",
        ],
        AtMost(1_000.0),
    ),
    target(
        "COUNT STALE, p99, us",
        &["listing.count.stale.p99", "listing.count.stale_online.p99"],
        AtMost(1_000.0),
    ),
    target(
        "a device at rest, bytes",
        &["memory.bare.all.bytes"],
        AtMost(600.0),
    ),
    target(
        "a heartbeat in the stream of replication, bytes",
        &["volume.bytes.heartbeat.stream"],
        AtMost(120.0),
    ),
];
