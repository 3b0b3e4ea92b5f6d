//! What the benches share. They stand on the support of the integration tests: each starts real
//! servers of its own and speaks to them as a client does.
//!
//! `cargo build --release` first: `cargo bench` does not build the module file that servers load.

// A tool box: not every bench uses every tool.
#![allow(dead_code, unused_imports)]

pub mod alike;
pub mod benchmark;
pub mod client_merge;
pub mod clients;
pub mod dialogues;
pub mod documents;
pub mod driver;
pub mod expiry;
pub mod figures;
pub mod fleets;
pub mod load;
pub mod machine;
pub mod meanwhile;
pub mod options;
pub mod questions;
pub mod raises;
pub mod recipe;
pub mod scenarios;
pub mod scripts;
pub mod turns;
pub mod ways;

pub use devicestate_report::{Cell, Column, Ours, Plot, Progress, Report, Rounds, Spread, Table};
pub use options::Options;
