//! What the fault scenarios and the bench of the bridge stand on: real servers, devices that remember
//! what was acknowledged, and an oracle. The bridge is a black box.

pub mod bridge;
pub mod broker;
pub mod built;
pub mod devices;
pub mod failure;
mod mqtt;
mod oracle;
mod ports;
pub mod process;
mod proxy;
pub mod redis_server;
pub mod scenarios;
pub mod stage;
mod stub_broker;
pub mod wait;
