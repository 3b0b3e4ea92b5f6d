//! The end of what other threads of a test do.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells threads of a test that they may end.
///
/// A scope waits for its threads before it hands on a panic, so a test that fails while they run would
/// hang without [`Over::on_drop`].
#[derive(Default)]
pub struct Over(AtomicBool);

impl Over {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Sets it when the result is dropped, also by a panic.
    #[must_use]
    pub fn on_drop(&self) -> impl Drop + '_ {
        struct Set<'a>(&'a Over);
        impl Drop for Set<'_> {
            fn drop(&mut self) {
                self.0.set();
            }
        }
        Set(self)
    }
}
