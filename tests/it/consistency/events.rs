//! What the stream of events says, against itself and against the hashes.

use std::collections::{BTreeMap, BTreeSet};

use super::data::Data;
use crate::support::*;

const STREAM: &str = "devices:events";

fn events(data: &Data) -> &[Event] {
    let events = data.streams.get(STREAM);
    events.map_or(&[], |events| &events[..])
}

/// See [`super::assert_told_once`]. What a trimmed stream told first may be anything.
pub fn told_twice(data: &Data) -> Vec<String> {
    let is_whole = !data.trimmed.contains(STREAM);
    let mut found = Vec::new();
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let mut before = (0, 0);
    for event in events(data) {
        let (ms, seq) = event.id.split_once('-').expect("a stream id");
        let id = (ms.parse::<u64>().unwrap(), seq.parse::<u64>().unwrap());
        if id <= before {
            found.push(format!("{event:?} comes after {before:?}"));
        }
        before = id;
        let status = match event.kind() {
            kind @ ("online" | "offline") => kind,
            "removed" => {
                if last.remove(event.device()) == Some("online") {
                    found.push(format!("removed while online: {event:?}"));
                }
                continue;
            }
            _ => continue,
        };
        if event.get("status") != status {
            found.push(format!("another status: {event:?}"));
        }
        let was = last.insert(event.device(), status);
        if was.or(is_whole.then_some("offline")) == Some(status) {
            found.push(format!("told twice: {event:?}"));
        }
    }
    for (id, told) in last {
        // Where hands took the hash away, nothing says otherwise.
        let hash = data.hash(&format!("device:state:{id}"));
        let stored = hash.and_then(|fields| fields.get("status"));
        if stored.is_some_and(|stored| stored != told) {
            found.push(format!("{id}: told {told} last, but it is {stored:?}"));
        }
    }
    found
}

/// All that the stream may not say, with what [`told_twice`] finds: nobody is registered twice,
/// no alert is resolved that was not told as firing, no command comes twice, versions go up, and
/// those who are registered are there. Where hands took a hash away that is not so. In a trimmed
/// stream it can't be told of what lies before it.
pub fn faults(data: &Data) -> Vec<String> {
    let is_whole = !data.trimmed.contains(STREAM);
    let mut found = told_twice(data);
    let mut registered: BTreeSet<&str> = BTreeSet::new();
    let mut firing: BTreeSet<(&str, &str)> = BTreeSet::new();
    // Each is told when it is queued, and when it is over.
    let mut commands: BTreeSet<(&str, &str, bool)> = BTreeSet::new();
    let mut versions: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for event in events(data) {
        let id = event.device();
        let is_new = match event.kind() {
            "registered" => registered.insert(id),
            "removed" => {
                let was_there = registered.remove(id) || !is_whole;
                firing.retain(|(of, _)| *of != id);
                commands.retain(|(of, ..)| *of != id);
                versions.retain(|(of, _), _| *of != id);
                was_there
            }
            "alert" if event.get("state") == "firing" => {
                firing.insert((id, event.get("alert")));
                true
            }
            "alert" => firing.remove(&(id, event.get("alert"))) || !is_whole,
            "command" => {
                let is_over = event.fields.contains_key("outcome");
                commands.insert((id, event.get("command_id"), is_over))
            }
            "delta" => {
                let version = event.int("version");
                let before = versions.insert((id, event.get("name")), version);
                before.is_none_or(|before| version > before)
            }
            _ => true,
        };
        if !is_new {
            found.push(format!("told twice: {event:?}"));
        }
    }
    for id in data.names("device:state:") {
        if is_whole && data.device(id).is_some() && !registered.contains(id) {
            found.push(format!("{id}: removed or never registered, as was told"));
        }
    }
    for id in registered {
        if data.device(id).is_none() {
            found.push(format!("{id}: told to be registered, but it is not there"));
        }
    }
    found
}
