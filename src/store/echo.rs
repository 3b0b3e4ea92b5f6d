//! Many keyspace notifications without an echo.
//!
//! The server hands a notification to every module that listens to its class, to this one too, though
//! it sent it: it makes a context and a client for that, and takes them down again, which costs more
//! than to tell everybody else. But a module that is being told something is not told what it sends
//! meanwhile (see `REDISMODULE_OPTIONS_ALLOW_NESTED_KEYSPACE_NOTIFICATIONS`, which this one does not
//! ask for). So all but one are sent from inside that one. Clients and other modules hear them all.

use std::cell::Cell;
use std::ptr::NonNull;

use redis_module::raw;

use super::{Appended, Ctx, RString};

type Inside = NonNull<dyn FnMut()>;

thread_local! {
    /// What is sent from inside the next notification.
    static INSIDE: Cell<Option<Inside>> = const { Cell::new(None) };
}

impl Ctx<'_> {
    /// Sends the notifications that entries were added to a stream and, maybe, that others were
    /// trimmed; then those that `others` sends. The last one to be heard is that of the last entry.
    pub fn notify_appended(&self, stream: &RString, appended: &Appended, mut others: impl FnMut()) {
        let notify = |event| self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, event, stream);
        let mut inside = || {
            for _ in 1..appended.count {
                notify(c"xadd");
            }
            if appended.is_trimmed {
                notify(c"xtrim");
            }
            others();
        };
        let inside: &mut dyn FnMut() = &mut inside;
        // SAFETY: only the lifetime is another; what is left of it is taken away before this returns.
        let inside = unsafe { std::mem::transmute::<&mut dyn FnMut(), Inside>(inside) };
        let outer = INSIDE.replace(Some(inside));
        notify(c"xadd");
        // If the server did not tell this module.
        send_inside();
        INSIDE.set(outer);
    }
}

/// This module is being told of its own notification.
pub(super) fn send_inside() {
    if let Some(mut send) = INSIDE.take() {
        // SAFETY: it lives until `notify_appended` returns, which is below us; nobody else uses it,
        // since it was taken.
        unsafe { send.as_mut()() }
    }
}
