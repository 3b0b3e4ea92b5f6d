//! Alerts: what is wrong with a device, who is told of it, and how often.
//!
//! A [`record`] is one alert of one device: raises come in as often as they like, and it decides which
//! of them is told. Most are only counted, which [`again`] does in the record's text. An [`item`] is
//! what one user has still to be told of an alert. A [`rule`] says when a reported value, found by its
//! [`path`], or the silence of a device raises an alert and when it clears it again.
//!
//! The rules follow what people know: Prometheus for holding an alert back, Alertmanager for
//! `resolved`, ThingsBoard for severities.

pub mod again;
pub mod item;
pub mod path;
pub mod record;
pub mod rule;

pub use item::Item;
pub use record::{Outcome, Raise, Record};

/// The worst severity; 0 is the mildest.
pub const MAX_SEVERITY: u32 = 1_000;
