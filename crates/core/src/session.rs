//! Fencing: which messages of a device are too old to count.
//!
//! A device that reconnects gets a higher session number. What an older session sends afterwards
//! (a late will, a heartbeat that sat in a queue) must not change what the newer one said: the rule
//! of Sparkplug's `bdSeq` (`tck-id-payloads-ndeath-bdseq`), with any growing number instead of
//! eight bits.

/// What is stored for a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// The newest session seen, if any was ever named.
    pub session: Option<u64>,
    /// The sequence number of the last report of that session.
    pub seq: Option<u64>,
}

/// Why a message, or the report in it, is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    Session { got: u64, stored: u64 },
    Seq { got: u64, stored: u64 },
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stale::Session { got, stored } => write!(f, "session {got} is older than {stored}"),
            Stale::Seq { got, stored } => {
                write!(f, "sequence number {got} is not above {stored}")
            }
        }
    }
}

impl Stored {
    /// Whether a message of `session` counts at all. Without a session it always does.
    pub fn admits(&self, session: Option<u64>) -> Result<(), Stale> {
        match (session, self.session) {
            (Some(got), Some(stored)) if got < stored => Err(Stale::Session { got, stored }),
            _ => Ok(()),
        }
    }

    /// What is stored after an admitted message: a higher session starts the sequence afresh.
    pub fn enter(&self, session: Option<u64>) -> Stored {
        match session {
            Some(got) if self.session != Some(got) => Stored {
                session: Some(got),
                seq: None,
            },
            _ => *self,
        }
    }

    /// Whether a report with `seq` counts, after [`Stored::enter`]; returns what is stored then.
    pub fn report(&self, seq: Option<u64>) -> Result<Stored, Stale> {
        match (seq, self.seq) {
            (Some(got), Some(stored)) if got <= stored => Err(Stale::Seq { got, stored }),
            (Some(got), _) => Ok(Stored {
                seq: Some(got),
                ..*self
            }),
            (None, _) => Ok(*self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(session: u64, seq: Option<u64>) -> Stored {
        Stored {
            session: Some(session),
            seq,
        }
    }

    /// shadow.md PR7: BIRTH(5), reconnect BIRTH(6), then DEATH(5) is ignored, DEATH(6) counts.
    #[test]
    fn a_late_will_is_ignored() {
        let s = Stored::default().enter(Some(5)).enter(Some(6));
        assert_eq!(s.admits(Some(5)), Err(Stale::Session { got: 5, stored: 6 }));
        assert_eq!(s.admits(Some(6)), Ok(()));
        assert_eq!(s.admits(None), Ok(()));
    }

    #[test]
    fn a_message_without_session_keeps_the_stored_one() {
        assert_eq!(stored(7, Some(3)).enter(None), stored(7, Some(3)));
    }

    #[test]
    fn a_sequence_number_counts_once_and_only_upwards() {
        let s = stored(7, Some(3));
        assert_eq!(s.report(Some(3)), Err(Stale::Seq { got: 3, stored: 3 }));
        assert_eq!(s.report(Some(2)), Err(Stale::Seq { got: 2, stored: 3 }));
        assert_eq!(s.report(Some(9)), Ok(stored(7, Some(9))));
        assert_eq!(s.report(None), Ok(s));
    }

    #[test]
    fn a_higher_session_starts_the_sequence_afresh() {
        let s = stored(7, Some(900)).enter(Some(8));
        assert_eq!(s, stored(8, None));
        assert_eq!(s.report(Some(0)), Ok(stored(8, Some(0))));
    }
}
