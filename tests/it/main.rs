//! The integration tests: one binary, one module per topic, each test on real servers of its own.
//! `cargo build` first: `cargo test` does not build the module file that the servers load.

mod devices;
mod support;

mod acl;
mod adoption;
mod alert;
mod bad_input;
mod check;
mod cluster;
mod command;
mod configuration;
mod consistency;
mod deaf_time;
mod end_to_end;
mod events;
mod examples;
mod heartbeat;
mod ingest;
mod introspection;
mod listing;
mod own_protobuf;
mod presence;
mod queue;
mod registry;
mod replication;
mod restart;
mod run_script;
mod scale;
mod shadow;
mod support_works;
mod survival;
mod throttle;
mod transcripts;
mod types;
mod workload;
