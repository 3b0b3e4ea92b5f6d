//! What stands in for events that nobody was given: a walk over the devices.
//!
//! Indexes keep it short: what is outstanding of classic shadows is found by `OUTOFSYNC`. Commands and
//! named shadows have no index, so each device that is online is asked for them; the others are told
//! when they come online. Where deltas go to devices that are not online too, all devices are asked.

use super::errand::{Errand, Errands};
use super::events::{items, text};
use super::Downlink;
use crate::redis_link::Primary;
use std::time::Instant;
use tracing::info;

impl Downlink {
    /// Tells all devices what waits for them. False when it was told to stop meanwhile.
    pub(super) async fn resync(&mut self) -> bool {
        let begun = Instant::now();
        self.parts.metrics.events.resyncs.inc();
        let delta = Errand {
            classic: true,
            ..Errand::default()
        };
        let rest = Errand {
            named: true,
            commands: true,
            ..Errand::default()
        };
        let tell_offline = self.parts.profiles.tell_offline();
        let (out_of_sync, others): (&[&str], &[&str]) = match tell_offline {
            true => (&["OUTOFSYNC"], &[]),
            false => (&["OUTOFSYNC", "ONLINE"], &["ONLINE"]),
        };
        let (mut outstanding, mut asked);
        let mut layout = self.layout().await;
        loop {
            outstanding = match self.walk(out_of_sync, &delta).await {
                Some(devices) => devices,
                None => return false,
            };
            asked = match self.walk(others, &rest).await {
                Some(devices) => devices,
                None => return false,
            };
            // A device that went from one node to another meanwhile may be in neither list.
            let now = self.layout().await;
            if std::mem::replace(&mut layout, now) == layout {
                break;
            }
            info!("slots have moved meanwhile: looking at all devices once more");
        }
        let of_all = match tell_offline {
            true => "in all",
            false => "that are online",
        };
        info!(
            "looked at {outstanding} devices that are out of sync, and at {asked} {of_all}, in {:.1?}",
            begun.elapsed()
        );
        true
    }

    /// Runs an errand for each device that fits, and says how many these were.
    async fn walk(&mut self, filters: &[&str], errand: &Errand) -> Option<u64> {
        let mut devices = 0;
        for primary in self.primaries().await {
            devices += self.walk_at(&primary, filters, errand).await?;
        }
        Some(devices)
    }

    /// Those of one primary, page by page.
    async fn walk_at(
        &mut self,
        primary: &Primary,
        filters: &[&str],
        errand: &Errand,
    ) -> Option<u64> {
        let mut cursor = "0".to_owned();
        let mut devices = 0;
        loop {
            if *self.stop.borrow() {
                return None;
            }
            let mut list = redis::cmd("DEVICE.LIST");
            list.arg(filters).arg("CURSOR").arg(&cursor);
            list.arg("COUNT").arg(self.batch);
            // Where it is gone, another one has its devices.
            let Some(answer) = self.insist_at(primary, &list).await else {
                return Some(devices);
            };
            let [next, page] = items(&answer) else {
                return Some(devices);
            };
            let ids = items(page).iter().filter_map(text);
            let errands: Errands = ids.map(|id| (id, errand.clone())).collect();
            devices += errands.len() as u64;
            let again: Vec<String> = match errand.commands {
                true => errands.keys().cloned().collect(),
                false => Vec::new(),
            };
            if !self.run_errands(errands).await {
                for device in again {
                    self.hold(device, None);
                }
            }
            // Devices that ask do not wait for the end of the walk.
            let asked = self.parts.bell.take(self.batch);
            self.run_errands(asked).await;
            match text(next) {
                Some(next) if next != "0" => cursor = next,
                _ => return Some(devices),
            }
        }
    }
}
