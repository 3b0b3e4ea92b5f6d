//! Deadlines in a pending list.
//!
//! The pending list of a group holds for each message when it was delivered. A lease needs the
//! opposite, when it ends, and the server takes no time that lies ahead: it is cut down to now. So
//! what is stored is the deadline less [`SHIFT`], some 35 years ago, and a message is due when it
//! has been "idle" for that long.

/// Between a deadline and the time that is stored for it, in milliseconds.
pub const SHIFT: u64 = 1 << 40;

/// The longest that anything lasts here (a lease, a delay, a time to live), in milliseconds: ten years.
pub const MAX_MS: u64 = 10 * 365 * 86_400_000;

/// How long a message is leased whose time is not shifted: one that was taken by a stream command, such
/// as XREADGROUP or XCLAIM. So this lease needs no more than XREADGROUP.
pub const LEASE_BY_HAND_MS: u64 = 30_000;

/// No message of ours was idle for less: its deadline is at most [`MAX_MS`] ahead. (A day is for
/// clocks that are set back.)
const LEAST_IDLE: u64 = SHIFT - MAX_MS - 86_400_000;

/// The time to store for a deadline.
pub fn stored(deadline: u64) -> u64 {
    deadline.saturating_sub(SHIFT)
}

/// The deadline of a message that the server says has been idle for so long at `now`.
pub fn deadline(idle: u64, now: u64) -> u64 {
    let stored = now.saturating_sub(idle);
    if idle < LEAST_IDLE {
        stored.saturating_add(LEASE_BY_HAND_MS)
    } else {
        stored.saturating_add(SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026 to 2100 or so.
    fn now() -> impl Strategy<Value = u64> {
        1_780_000_000_000..4_100_000_000_000_u64
    }

    proptest! {
        #[test]
        fn a_deadline_survives(now in now(), ahead in 0..=MAX_MS, later in 0..MAX_MS) {
            let stored = stored(now + ahead);
            // The server takes it: it is not in the future.
            prop_assert!(stored < now);
            for then in [now, now + later] {
                prop_assert_eq!(deadline(then - stored, then), now + ahead);
            }
        }

        #[test]
        fn what_was_taken_by_hand_is_leased_for_a_while(now in now(), idle in 0..MAX_MS) {
            prop_assert_eq!(deadline(idle, now), now - idle + LEASE_BY_HAND_MS);
        }

        #[test]
        fn nothing_overflows(idle: u64, now: u64) {
            deadline(idle, now);
            stored(now);
        }
    }
}
