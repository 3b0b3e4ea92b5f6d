//! The pure logic of devicestate: no Redis type, no clock, no I/O.
//!
//! Everything here is a function of its arguments, so it is tested without a server and reused by
//! the module and the bridge alike.

#![forbid(unsafe_code)]

pub mod alert;
pub mod cluster;
pub mod deadlines;
pub mod definitions;
pub mod digits;
pub mod duration;
pub mod escape;
pub mod event_cursor;
pub mod fnv;
pub mod json;
pub mod message;
pub mod name;
pub mod presence;
pub mod queue;
pub mod recipe;
pub mod resp;
pub mod session;
pub mod shadow;
pub mod slot;
pub mod throttle;
