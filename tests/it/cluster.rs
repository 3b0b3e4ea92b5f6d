//! Nodes of a cluster: each answers for the devices whose slots it has, and slots move.

mod layout;
mod reshard;
