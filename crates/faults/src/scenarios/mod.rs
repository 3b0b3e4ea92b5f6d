//! The scenarios. Each sets its stage, does one kind of harm while the load runs, and leaves the
//! rest to [`Stage::finish`].
//!
//! [`Stage::finish`]: crate::stage::Stage::finish

mod bridge;
mod broker;
mod burst;
mod instances;
mod network;
mod not_now;
mod poison;
mod redis;
mod stale_ack;

use crate::failure::Result;
use crate::stage::{Context, Tally};

pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Context) -> Result<Tally>,
}

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "bridge-kill",
        about: "kill -9 of the bridge, ten times, started again at once",
        run: bridge::kill,
    },
    Scenario {
        name: "bridge-term",
        about: "SIGTERM of the bridge, five times: nothing comes again either",
        run: bridge::terminate,
    },
    Scenario {
        name: "redis-stop",
        about: "SIGTERM of Redis, three times, away for 3 s",
        run: redis::stop,
    },
    Scenario {
        name: "redis-freeze",
        about: "Redis stopped by SIGSTOP for 1 s, and for 12 s",
        run: redis::freeze,
    },
    Scenario {
        name: "redis-kill",
        about: "kill -9 of Redis, five times; appendonly yes, appendfsync always",
        run: redis::kill,
    },
    Scenario {
        name: "redis-loading",
        about: "Redis is started again and answers LOADING for seconds",
        run: not_now::loading,
    },
    Scenario {
        name: "redis-readonly",
        about: "Redis becomes a replica and answers READONLY, three times",
        run: not_now::readonly,
    },
    Scenario {
        name: "redis-oom",
        about: "Redis is over maxmemory and answers OOM, three times",
        run: not_now::oom,
    },
    Scenario {
        name: "redis-busy",
        about: "a script runs for ever and Redis answers BUSY, three times",
        run: not_now::busy,
    },
    Scenario {
        name: "broker-restart",
        about: "SIGTERM of Mosquitto, five times, with persistence",
        run: broker::restart,
    },
    Scenario {
        name: "broker-forget",
        about: "Mosquitto is started again without its sessions, three times",
        run: broker::forget,
    },
    Scenario {
        name: "broker-kill",
        about: "kill -9 of Mosquitto, three times; the last 2 s before each are excused",
        run: broker::kill,
    },
    Scenario {
        name: "tcp-cut",
        about: "the connections to broker and Redis are cut, five times each",
        run: network::cut,
    },
    Scenario {
        name: "tcp-half-open",
        about: "the connections to Redis and to the broker hang; what hung arrives late",
        run: network::half_open,
    },
    Scenario {
        name: "tcp-late",
        about: "commands hang on the way to Redis and arrive after newer ones; reports without seq",
        run: network::late,
    },
    Scenario {
        name: "tcp-slow",
        about: "50 ms later in each direction, to broker and Redis, and cut in between",
        run: network::slow,
    },
    Scenario {
        name: "stale-ack",
        about: "a connection is lost while its batch is out, and its packet ids are used again",
        run: stale_ack::run,
    },
    Scenario {
        name: "poison",
        about: "one message in fifty can never be applied",
        run: poison::run,
    },
    Scenario {
        name: "burst",
        about: "devices send ten times what Redis takes, until all is sent",
        run: burst::run,
    },
    Scenario {
        name: "instances",
        about: "three bridges share; one is killed and comes back, one is frozen for 30 s",
        run: instances::run,
    },
];
