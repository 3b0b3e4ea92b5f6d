//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What a look may answer: `bool` (true ends the wait) or `Option<T>` (`Some` ends it).
pub trait Look {
    /// What the wait hands back.
    type Found;

    /// What was found, if it was.
    fn found(self) -> Option<Self::Found>;
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Option<T> {
        self
    }
}

/// Looks again and again until the look succeeds, and hands back what it found. When `limit` has
/// passed without it, panics and names `what` was waited for. It looks at least once.
#[track_caller]
pub fn wait_for<L: Look>(what: &str, limit: Duration, mut look: impl FnMut() -> L) -> L::Found {
    let start = Instant::now();
    loop {
        if let Some(found) = look().found() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(PAUSE);
    }
}
