//! The protobuf messages of devicestate.
//!
//! [`v1::DeviceMessage`] is what a device may send instead of JSON: one message is one beat, with its
//! session, vital parameters, measured values and command results, all of them optional. The schema
//! with units and meanings is `proto/devicestate/v1/device.proto`; any protobuf compiler turns it
//! into device code. The Rust code here is generated from it at build time.
//!
//! ```
//! use devicestate_proto::v1::{DeviceMessage, Vitals};
//! use prost::Message;
//!
//! let beat = DeviceMessage {
//!     session: Some(1_700_000_000_000),
//!     vitals: Some(Vitals { battery_percent: Some(0), ..Vitals::default() }),
//!     ..DeviceMessage::default()
//! };
//! let bytes = beat.encode_to_vec();
//! let read = DeviceMessage::decode(bytes.as_slice()).unwrap();
//!
//! // Zero was said, so it is there; the signal strength was not.
//! assert_eq!(read.vitals.as_ref().unwrap().battery_percent, Some(0));
//! assert_eq!(read.vitals.as_ref().unwrap().rssi_dbm, None);
//! ```
//!
//! Decoding refuses only what is no protobuf, or text that is no UTF-8. Fields a later version adds
//! are skipped. Whether numbers make sense (a battery of 300 %) is for the receiver to judge.

/// Version 1 of the messages, package `devicestate.v1`.
///
/// Incompatible changes would be a `v2` beside it.
#[allow(clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/devicestate.v1.rs"));
}
