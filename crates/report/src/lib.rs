//! The figures of the benches. A bench says each figure once, in a [`Table`] of a [`Report`]; from
//! that come the table on the terminal, the JSON in `target/bench/`, the plots, the table in
//! `docs/benchmarks.md` and the judgement on the targets.
//!
//! A file `target/bench/<bench>.json`, shortened:
//!
//! ```json
//! {
//!   "schema": 1,
//!   "bench": "heartbeat",
//!   "quick": false,
//!   "machine": {"server": "redis 7.0.15", "cores": 2, "load_average_before": 0.1, "commit": "2499d79"},
//!   "settings": {"ids": 100000, "rounds": 3},
//!   "tables": [{
//!     "id": "no_aof",
//!     "title": "a steady heartbeat, no append-only file",
//!     "columns": [{"id": "rate", "title": "", "unit": "k/s", "with_spread": true}],
//!     "rows": [{"id": "hset", "name": "HSET", "cells": [
//!       {"median": 664.0, "min": 613.0, "max": 693.0, "rounds": 9}
//!     ]}],
//!     "plots": [{"kind": "bars", "column": "rate"}]
//!   }]
//! }
//! ```
//!
//! A figure is named by its way there, as in `heartbeat.no_aof.hset.rate`. Ratios are taken within a
//! round; median and spread are those of the rounds.

pub mod docs;
pub mod figures;
mod machine;
mod number;
pub mod plot;
mod progress;
mod report;
mod rounds;
mod spread;
mod table;
pub mod targets;
pub mod terminal;

pub use machine::{server_version, Machine};
pub use number::shown;
pub use progress::Progress;
pub use report::{folder, Report};
pub use rounds::{Ours, Rounds};
pub use spread::Spread;
pub use table::{Cell, Column, Plot, Row, Table};
