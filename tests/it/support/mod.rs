//! What every integration test stands on: real servers, real clients, real subscribers.
//!
//! `use crate::support::*;` brings all of it. Nothing here waits for a time; everything waits for a
//! condition and says which one when it does not come ([`wait_for`]).

// A tool box: a tool stays although no test happens to use it at the moment.
#![allow(dead_code, unused_imports)]

pub mod broker;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod events;
pub mod module;
pub mod over;
pub mod ports;
pub mod processes;
pub mod random;
pub mod resp;
pub mod sentinel;
pub mod server;
pub mod snapshot;
pub mod subscriber;
pub mod transcript;
pub mod wait;

pub use broker::Mosquitto;
pub(crate) use client::{cmd, command, expect_error, now_ms, Raw, Reply, Run};
pub use clock::WallClock;
pub use cluster::{Cluster, ClusterClient};
pub use events::{events, events_of, stream, Event, Events};
pub use over::Over;
pub use processes::{target_binary, Process};
pub use sentinel::Sentinels;
pub use server::{Builder, Server};
pub use snapshot::{snapshot, snapshot_with_expiry, Snapshot};
pub use subscriber::{Message, Subscriber};
pub use wait::wait_for;
