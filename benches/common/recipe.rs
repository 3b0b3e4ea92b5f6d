//! The plain recipe from a client: no module, no script.

use std::io::Write;

use super::documents::id;
use super::driver::{Wire, Work};
use super::load;
use crate::support::*;

/// A heartbeat: EXISTS tells whether the device was online; then SETEX, HSET and SADD in one
/// pipeline, with PUBLISH where it was not. Two round trips, each for a pipeline full of devices.
///
/// What it leaves out: it never sees that a device is late, tells nobody of two clients that both
/// found the key missing, and keeps no stream, no index by type and none of who is offline.
pub struct PlainHeartbeat {
    ids: Vec<String>,
    out: Vec<u8>,
}

impl PlainHeartbeat {
    pub fn new(devices: &[usize]) -> PlainHeartbeat {
        PlainHeartbeat {
            ids: devices.iter().map(|number| id(*number)).collect(),
            out: Vec::new(),
        }
    }
}

impl Work for PlainHeartbeat {
    fn perform(&mut self, wire: &mut Wire, batch: &[(usize, usize)]) {
        let heartbeat_key = |place: usize| format!("device:heartbeat:{}", self.ids[place]);
        self.out.clear();
        for (place, _) in batch {
            let key = heartbeat_key(*place);
            load::command(&mut self.out, &[b"EXISTS", key.as_bytes()]);
        }
        wire.send(&self.out);
        self.out.clear();
        let mut replies = 3 * batch.len();
        let now = format!("{:.6}", now_ms() as f64 / 1_000.0);
        for (place, _) in batch {
            let was_online = wire.read_int() == 1;
            let (id, heartbeat) = (&self.ids[*place], heartbeat_key(*place));
            let state = format!("device:state:{id}");
            let mut send = |words: &[&str]| {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                load::command(&mut self.out, &words);
            };
            send(&["SETEX", &heartbeat, "90000", "1"]);
            send(&["HSET", &state, "last_seen", &now, "status", "online"]);
            send(&["SADD", "devices:online", id]);
            if !was_online {
                let mut message = Vec::new();
                let _ = write!(
                    message,
                    r#"{{"type":"presence","device_id":"{id}","status":"online","timestamp":{now}}}"#
                );
                let words: [&[u8]; 3] = [b"PUBLISH", b"devices:presence", &message];
                load::command(&mut self.out, &words);
                replies += 1;
            }
        }
        wire.send(&self.out);
        for _ in 0..replies {
            wire.skip_reply();
        }
    }
}
