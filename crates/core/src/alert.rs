//! Alerts: what is wrong with a device, who is told of it, and how often.
//!
//! A [`rule`] says when a reported value, found by its [`path`], or the silence of a device raises an
//! alert and when it clears it again.

pub mod path;
pub mod rule;

/// The worst severity; 0 is the mildest.
pub const MAX_SEVERITY: u32 = 1_000;
