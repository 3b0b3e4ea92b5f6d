//! A master that dies or freezes under load, and one of its replicas takes over.

mod load;
mod promotion;
mod sentinel;
