//! Alerts: what is worth telling, once.
//!
//! A [`record`] is one alert of one device: raises come in as often as they like, and it decides which
//! of them is told. An [`item`] is what one user has still to be told of an alert. A [`rule`] raises and
//! clears alerts by what a device reports, found at a [`path`].
//!
//! The rules follow `reference/throttle-alert-queue.md` of the contract: Prometheus for holding an
//! alert back, Alertmanager for `resolved`, ThingsBoard for severities.

pub mod item;
// pub mod path;
pub mod record;
// pub mod rule;

pub use item::Item;
pub use record::{Outcome, Raise, Record};

/// The worst severity there is.
pub const MAX_SEVERITY: u32 = 1_000;
