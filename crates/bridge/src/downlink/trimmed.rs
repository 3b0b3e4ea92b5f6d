//! Whether events of a cluster were trimmed before they were read.
//!
//! Each slot has a stream of its own, which keeps its newest entries. If a slot has lost entries behind
//! the cursor, newer ones of it come with the next read. So it is enough to look at the streams of the
//! slots that have just given something: nothing was missed where the oldest entry that is kept is not
//! behind the cursor, or where none was ever trimmed. Where it can't be told, it is taken for a gap: what
//! follows from that does no harm.

use super::pause::Pause;
use super::position::{StreamId, StreamInfo};
use super::reader::unexpected;
use super::rounds::device;
use crate::redis_link::Link;
use devicestate_core::event_cursor::{Cursor, Position, Ranges};
use devicestate_core::slot::{Slot, Tags};
use redis::Value;
use std::collections::BTreeSet;

/// The streams of all slots.
pub struct Streams {
    /// What their names begin with.
    stream: String,
    tags: Tags,
}

impl Streams {
    pub fn new(stream: &str) -> Streams {
        Streams {
            stream: stream.to_owned(),
            tags: Tags::find(),
        }
    }

    /// Whether something between `cursor` and the entries that were found behind it is gone.
    pub async fn are_trimmed(
        &self,
        link: &mut Link,
        cursor: &str,
        found: &[Value],
    ) -> Result<bool, Pause> {
        let places = read_to(cursor, found).ok_or_else(unexpected)?;
        let asked = places.iter().map(|(slot, _)| {
            let mut info = redis::cmd("XINFO");
            let key = format!("{}:{{{}}}", self.stream, self.tags.of(*slot));
            info.arg("STREAM").arg(key);
            info
        });
        let asked: Vec<_> = asked.collect();
        let answers = link.ask(&asked).await;
        let answers = answers.map_err(|trouble| Pause::broken(&trouble))?;
        for ((_, read), answer) in places.iter().zip(answers) {
            let kept = match answer {
                Ok(answer) => StreamInfo::parse(&answer).ok_or_else(unexpected)?,
                // It was there a moment ago.
                Err(error) if error.code() == Some("ERR") => return Ok(true),
                Err(error) => return Err(Pause::of(&error)),
            };
            if kept.has_lost_behind(*read) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The slots of what was found, and how far each was read before. `None`: the cursor can't be read.
fn read_to(cursor: &str, found: &[Value]) -> Option<Vec<(Slot, StreamId)>> {
    let devices = found.iter().filter_map(device);
    let slots: BTreeSet<Slot> = devices.map(|device| Slot::of(device.as_bytes())).collect();
    let cursor = Cursor::parse(cursor.as_bytes())?;
    let (parts, _) = cursor.split(&Ranges::of(slots.into_iter()));
    let mut places = Vec::new();
    for part in parts {
        let Position::Behind(id) = part.position else {
            continue;
        };
        let read: StreamId = id.to_string().parse().ok()?;
        places.extend(part.slots().map(|slot| (slot, read)));
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(device: &str) -> Value {
        let bulk = |text: &str| Value::BulkString(text.into());
        let fields = ["type", "online", "device_id", device].map(bulk).to_vec();
        Value::Array(vec![bulk("9-0"), Value::Array(fields)])
    }

    #[test]
    fn slots_that_gave_something_and_how_far_they_were_read() {
        // Slots 12182 and 5061.
        let found = [entry("foo"), entry("bar"), entry("foo")];
        let at = |slot: u64, id: &str| (Slot::new(slot).unwrap(), id.parse().unwrap());
        assert_eq!(
            read_to("0-5460@7-1;5461-16383@8-0", &found),
            Some(vec![at(5061, "7-1"), at(12_182, "8-0")])
        );
        let expected = Some(vec![at(5061, "5-0"), at(12_182, "5-0")]);
        assert_eq!(read_to("5-0", &found), expected);
        assert_eq!(read_to("$", &found), Some(vec![]));
        assert_eq!(read_to("yesterday", &found), None);
    }
}
