//! How the workers tell the downlink that a device wants something. It is a hint, and kept in memory
//! only: the device's next heartbeat, or its next question, rings again.

use super::errand::{Errand, Errands};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many devices may wait. More than this only while Redis or the broker are away.
const MOST: usize = 100_000;

#[derive(Debug)]
pub struct Bell {
    most: usize,
    waiting: Mutex<Errands>,
    rung: Notify,
}

impl Bell {
    /// Where nobody listens, nothing is kept.
    pub fn new(heard: bool) -> Bell {
        Bell {
            most: if heard { MOST } else { 0 },
            waiting: Mutex::default(),
            rung: Notify::new(),
        }
    }

    /// A heartbeat was answered that commands wait for this device.
    pub fn commands_wait(&self, device: &str) {
        self.ring(device, Errand::commands());
    }

    /// The device asks for all that waits for it.
    pub fn asked(&self, device: &str) {
        self.ring(device, Errand::asked());
    }

    fn ring(&self, device: &str, errand: Errand) {
        let mut waiting = self.lock();
        if let Some(known) = waiting.get_mut(device) {
            known.merge(errand);
        } else if waiting.len() < self.most {
            waiting.insert(device.to_owned(), errand);
        }
        drop(waiting);
        self.rung.notify_one();
    }

    /// Up to `most` errands, once there is one. Nothing is lost when the wait is given up.
    pub async fn errands(&self, most: usize) -> Errands {
        loop {
            let errands = self.take(most);
            if !errands.is_empty() {
                return errands;
            }
            self.rung.notified().await;
        }
    }

    /// Up to `most` errands, if there are any.
    pub fn take(&self, most: usize) -> Errands {
        let mut waiting = self.lock();
        let mut taken = Errands::new();
        while taken.len() < most {
            let Some((device, errand)) = waiting.pop_first() else {
                break;
            };
            taken.insert(device, errand);
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Errands> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_device_that_rings_often_waits_once() {
        let bell = Bell::new(true);
        bell.commands_wait("a");
        bell.asked("a");
        bell.commands_wait("b");
        let errands = bell.errands(9).await;
        let expected = [
            ("a".to_owned(), Errand::asked()),
            ("b".to_owned(), Errand::commands()),
        ];
        assert_eq!(errands, expected.into());
        assert!(bell.take(9).is_empty());
    }

    #[test]
    fn the_number_of_devices_is_bounded() {
        let bell = Bell::new(true);
        for device in 0..=MOST {
            bell.commands_wait(&device.to_string());
        }
        assert_eq!(bell.take(usize::MAX).len(), MOST);
    }
}
