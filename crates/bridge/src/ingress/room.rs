//! How much the bridge holds, and whether there is room for more.
//!
//! Receive Maximum should make this needless for QoS 1, but Mosquitto 2.0.11 keeps to it only until
//! the first acknowledgement: then it sends all it has queued. QoS 0 never had a limit.

/// More un-acknowledged messages than this are not taken, whatever the broker sends: packet
/// identifiers have 16 bits, and must not come round while one is still in use.
const MOST_HELD: usize = 32_768;

#[derive(Debug)]
pub struct Room {
    qos0: Share,
    qos1: Share,
    /// Jobs of both kinds.
    jobs: usize,
}

/// Bytes that are held, and how many may be.
#[derive(Debug)]
struct Share {
    held: usize,
    most: usize,
}

impl Room {
    pub fn new(qos0_buffer: usize, qos1_buffer: usize) -> Room {
        let share = |most| Share { held: 0, most };
        Room {
            qos0: share(qos0_buffer),
            qos1: share(qos1_buffer),
            jobs: 0,
        }
    }

    /// Takes in a job. False where a QoS 0 one finds no room; a QoS 1 one is always taken, and
    /// [`Room::is_full`] says afterwards whether that was enough.
    pub fn admit(&mut self, size: usize, acknowledged: bool) -> bool {
        let share = self.share(acknowledged);
        if !acknowledged && share.held.saturating_add(size) > share.most {
            return false;
        }
        share.held = share.held.saturating_add(size);
        self.jobs += 1;
        true
    }

    pub fn release(&mut self, size: usize, acknowledged: bool) {
        let share = self.share(acknowledged);
        share.held = share.held.saturating_sub(size);
        self.jobs = self.jobs.saturating_sub(1);
    }

    /// Bytes of QoS 0 and of QoS 1 that are held.
    pub fn held(&self) -> [usize; 2] {
        [self.qos0.held, self.qos1.held]
    }

    /// How many jobs are held.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// Whether QoS 1 has no room, with so many messages un-acknowledged.
    pub fn is_full(&self, unacknowledged: usize) -> bool {
        self.qos1.held > self.qos1.most || unacknowledged >= MOST_HELD
    }

    fn share(&mut self, acknowledged: bool) -> &mut Share {
        match acknowledged {
            true => &mut self.qos1,
            false => &mut self.qos0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_0_is_turned_away_and_qos_1_is_held_back() {
        let mut room = Room::new(100, 100);
        assert!(room.admit(60, false));
        assert!(!room.admit(60, false));
        assert!(room.admit(60, true));
        assert!(!room.is_full(1));
        assert!(room.admit(60, true));
        assert!(room.is_full(2));
        assert_eq!(room.jobs(), 3);
        room.release(60, true);
        assert!(!room.is_full(1));
        room.release(60, false);
        assert!(room.admit(60, false));
        assert_eq!(room.jobs(), 2);
    }

    #[test]
    fn packet_identifiers_never_come_round() {
        let room = Room::new(0, usize::MAX);
        assert!(!room.is_full(MOST_HELD - 1));
        assert!(room.is_full(MOST_HELD));
        assert!(MOST_HELD + 128 < usize::from(u16::MAX));
    }
}
