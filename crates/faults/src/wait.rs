//! Waiting for a condition, with a deadline; or for a number, as long as it grows.

use crate::failure::{Failure, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program may take to get ready or to end, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds. After [`PATIENCE`] that is a failure, which says `what` was
/// waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > end {
            return Err(Failure::new(format!(
                "not within {} s: {what}",
                PATIENCE.as_secs()
            )));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits until `count` is `wanted` or more. It is a failure when it has not grown for [`PATIENCE`].
pub fn until_count(
    what: &str,
    wanted: usize,
    mut count: impl FnMut() -> Result<usize>,
) -> Result<()> {
    let (mut best, mut grown) = (0, Instant::now());
    loop {
        let now = count()?;
        if now >= wanted {
            return Ok(());
        }
        if now > best {
            (best, grown) = (now, Instant::now());
        }
        if grown.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "{best} {what} and no more, not {wanted}"
            )));
        }
        sleep(Duration::from_millis(5));
    }
}
