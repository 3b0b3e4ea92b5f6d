//! How much of it is run.

use std::env;

/// `small` in the suite; `full` in `scripts/faults`, which sets `DEVICESTATE_SURVIVAL=full`.
pub fn size<T>(small: T, full: T) -> T {
    match env::var("DEVICESTATE_SURVIVAL").as_deref() {
        Ok("full") => full,
        _ => small,
    }
}
