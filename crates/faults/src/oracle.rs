//! Who says what was lost: the stream of all reports that Redis has applied, beside what the
//! devices know to be acknowledged.
//!
//! A report is applied only if its number is above the last one of its device, so each must stand
//! in the stream once and in order. One that comes again is ignored by that fence, and counted by
//! the device. One that was overtaken would be ignored as well, and shows here as lost.

use crate::devices::{self, Acknowledged, Load};
use crate::failure::Result;
use redis::Connection;
use std::collections::HashMap;

const PAGE: usize = 5_000;

/// What the stream has, per device.
pub struct Oracle {
    /// The id of the last entry that was read.
    last: String,
    /// The numbers of each device, as they were applied.
    applied: Vec<Vec<usize>>,
    /// Entries of devices that are none of the load's.
    pub strangers: usize,
}

/// What is wrong, and how often a report came again.
#[derive(Debug, Default, Clone, Copy)]
pub struct Findings {
    pub acknowledged: usize,
    /// Acknowledged, and not applied.
    pub lost: usize,
    /// Of these, how many were excused.
    pub excused: usize,
    pub twice: usize,
    /// Applied after a later one of the same device.
    pub disordered: usize,
    /// Reports that the fence ignored.
    pub again: usize,
    /// Devices whose stored number is not the last that was applied.
    pub wrong_state: usize,
}

impl Oracle {
    pub fn new(load: &Load) -> Oracle {
        Oracle {
            last: "0-0".to_owned(),
            applied: vec![Vec::new(); load.devices],
            strangers: 0,
        }
    }

    /// Reads what is new in the stream, and says how much that was.
    pub fn read(&mut self, connection: &mut Connection) -> Result<usize> {
        let mut entries = 0;
        loop {
            let page: Vec<(String, HashMap<String, String>)> = redis::cmd("XRANGE")
                .arg("devices:reports")
                .arg(format!("({}", self.last))
                .arg("+")
                .arg("COUNT")
                .arg(PAGE)
                .query(connection)?;
            let Some((last, _)) = page.last() else {
                return Ok(entries);
            };
            self.last.clone_from(last);
            entries += page.len();
            for (_, fields) in &page {
                self.take(fields);
            }
        }
    }

    fn take(&mut self, fields: &HashMap<String, String>) {
        let text = |name: &str| fields.get(name).map_or("", String::as_str);
        let device = text("device_id").strip_prefix('d');
        let device = device.and_then(|number| number.parse::<usize>().ok());
        let numbers = device.and_then(|device| self.applied.get_mut(device));
        match (numbers, seq_of(text("reported"))) {
            (Some(numbers), Some(seq)) => numbers.push(seq),
            _ => self.strangers += 1,
        }
    }

    /// How many reports are in the stream.
    pub fn applied(&self) -> usize {
        self.applied.iter().map(Vec::len).sum()
    }

    /// Compares. `excused` says which losses are not held against anybody.
    pub fn judge(
        &self,
        acknowledged: &[Acknowledged],
        excused: impl Fn(&Acknowledged) -> bool,
        connection: &mut Connection,
    ) -> Result<Findings> {
        let mut findings = Findings {
            acknowledged: acknowledged.len(),
            ..Findings::default()
        };
        let mut counted: Vec<HashMap<usize, usize>> = Vec::with_capacity(self.applied.len());
        for (device, numbers) in self.applied.iter().enumerate() {
            let mut counts = HashMap::with_capacity(numbers.len());
            for seq in numbers {
                *counts.entry(*seq).or_insert(0) += 1;
            }
            findings.twice += numbers.len() - counts.len();
            findings.disordered += numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
            let stored = Stored::read(device, connection)?;
            findings.again += stored.ignored;
            findings.wrong_state += usize::from(stored.seq != numbers.last().copied());
            counted.push(counts);
        }
        for ack in acknowledged {
            let counts = counted.get(ack.device);
            match counts.is_some_and(|counts| counts.contains_key(&ack.seq)) {
                true => {}
                false if excused(ack) => findings.excused += 1,
                false => findings.lost += 1,
            }
        }
        Ok(findings)
    }
}

/// The number in a reported document.
fn seq_of(document: &str) -> Option<usize> {
    let document: serde_json::Value = serde_json::from_str(document).ok()?;
    usize::try_from(document.get("seq")?.as_u64()?).ok()
}

/// What Redis holds about a device.
struct Stored {
    seq: Option<usize>,
    ignored: usize,
}

impl Stored {
    fn read(device: usize, connection: &mut Connection) -> Result<Stored> {
        let (reported, ignored): (Option<String>, Option<usize>) = redis::cmd("HMGET")
            .arg(format!("device:state:{}", devices::name(device)))
            .arg("reported_state")
            .arg("ignored")
            .query(connection)?;
        Ok(Stored {
            seq: reported.as_deref().and_then(seq_of),
            ignored: ignored.unwrap_or(0),
        })
    }
}
