//! The fleet as a user runs it: its command line, at a real mosquitto, at a server that speaks RESP.
//!
//! Every test waits for conditions. Needs `mosquitto`.

mod broker;
mod cli;
mod mqtt;
mod process;
mod resp;
mod stub;
