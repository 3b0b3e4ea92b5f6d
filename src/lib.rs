//! devicestate: the live state of an IoT fleet, kept inside Redis or Valkey.
//!
//! Four layers, imports only downward: this file (with `load` and `info`) -> `commands` (grammar
//! and replies) -> `fleet`, `throttle` and `queue` (the atomic steps) -> `store` (keys and the server's
//! API). The pure logic is in the crate `devicestate-core`.

mod commands;
mod fleet;
mod info;
mod load;
mod queue;
mod store;
mod throttle;

/// Unit tests have no server.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: store::Alloc = store::Alloc;

store::module!(
    c"devicestate",
    load::VERSION_NUMBER,
    load::load,
    load::unload
);
