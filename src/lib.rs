//! devicestate: the live state of an IoT fleet, kept inside Redis or Valkey.
//!
//! Four layers, imports only downward: this file (with `load` and `info`) -> `commands` (grammar
//! and replies) -> `fleet` and `throttle` (the atomic steps) -> `store` (keys and the server's
//! API). The pure logic is in the crate `devicestate-core`.

mod commands;
mod fleet;
mod info;
mod load;
mod store;
mod throttle;

/// The server's allocator, so that `used_memory` and `maxmemory` see what the module holds. Unit
/// tests have no server.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: redis_module::alloc::RedisAlloc = redis_module::alloc::RedisAlloc;

store::module!(
    c"devicestate",
    load::VERSION_NUMBER,
    load::load,
    load::UNLOAD_REFUSED
);
