//! Durable queues on plain streams: what the server does not need to know to decide them.
//!
//! A message is an entry of a stream ([`message`]). Who has it, and until when, stands in the pending
//! list of a consumer group, as a time that is shifted into the past ([`times`]), because the server
//! takes no time that lies ahead. [`pending`] is the same list sorted by time, in memory, and
//! [`fate`] decides what becomes of a message that is looked at.

pub mod fate;
pub mod id;
pub mod message;
pub mod pending;
pub mod times;

pub use id::Id;
