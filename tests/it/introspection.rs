//! What the module tells of itself and of its devices.

mod commands;
mod info;
mod why;
