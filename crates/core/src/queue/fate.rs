//! What becomes of a message that is looked at.

use super::message::Message;

/// The decision about one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// To be handed out, for the so-manieth time.
    Deliver(u64),
    /// Not yet: to be looked at again then.
    Park(u64),
    /// Its time to live is over.
    Expire,
    /// It was delivered as often as allowed; so often.
    Bury(u64),
}

/// Of one that nobody had yet.
pub fn of_new(message: &Message<'_>, now: u64) -> Fate {
    match message.not_before {
        _ if message.is_expired(now) => Fate::Expire,
        Some(at) if at > now => Fate::Park(at),
        _ => Fate::Deliver(1),
    }
}

/// Of one whose lease or delay is over, after so many deliveries. `max` 0: any number is allowed.
pub fn of_due(message: &Message<'_>, deliveries: u64, max: u64, now: u64) -> Fate {
    if message.is_expired(now) {
        Fate::Expire
    } else if max > 0 && deliveries >= max {
        Fate::Bury(deliveries)
    } else {
        Fate::Deliver(deliveries.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(expires_at: Option<u64>, not_before: Option<u64>) -> Message<'static> {
        Message {
            expires_at,
            not_before,
            ..Message::default()
        }
    }

    #[test]
    fn new_ones() {
        assert_eq!(of_new(&message(None, None), 10), Fate::Deliver(1));
        assert_eq!(of_new(&message(Some(11), Some(10)), 10), Fate::Deliver(1));
        assert_eq!(of_new(&message(None, Some(11)), 10), Fate::Park(11));
        assert_eq!(of_new(&message(Some(10), None), 10), Fate::Expire);
        assert_eq!(of_new(&message(Some(10), Some(11)), 10), Fate::Expire);
    }

    #[test]
    fn due_ones() {
        let plain = message(None, None);
        assert_eq!(of_due(&plain, 0, 1, 10), Fate::Deliver(1));
        assert_eq!(of_due(&plain, 1, 1, 10), Fate::Bury(1));
        assert_eq!(of_due(&plain, 4, 5, 10), Fate::Deliver(5));
        assert_eq!(of_due(&plain, 9, 5, 10), Fate::Bury(9));
        assert_eq!(of_due(&plain, 9, 0, 10), Fate::Deliver(10));
        // An expired one has nothing to tell any more.
        assert_eq!(of_due(&message(Some(10), None), 9, 5, 10), Fate::Expire);
        // The delay is in the pending list by now, and may have been changed there.
        assert_eq!(of_due(&message(None, Some(99)), 0, 5, 10), Fate::Deliver(1));
    }
}
