//! What a fleet has to survive: kills, failovers, memory and disks that run out, hostile input,
//! another version. Each test has a small size, for every run of the suite, and a full one, for
//! `scripts/faults`.

mod failover;
pub mod fuzz;
mod kills;
mod limits;
pub mod size;
mod unload;
mod upgrade;
