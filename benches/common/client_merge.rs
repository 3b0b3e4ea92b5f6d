//! The peer without a module and without a script.

use std::io::Write;

use super::documents::{desired_patch, id, merge, Object, TURNS};
use super::driver::{Wire, Work};
use super::load;
use crate::support::*;

/// What people do without a module: read the document, merge it, write it back, tell the device.
/// Two round trips, each for a pipeline full of devices. Nobody else writes to them meanwhile, or
/// updates would be lost.
pub struct ClientMerge {
    /// For each device: its id, and the patch of each turn.
    devices: Vec<(String, Vec<Object>)>,
    out: Vec<u8>,
    text: Vec<u8>,
}

impl ClientMerge {
    pub fn new(devices: &[usize]) -> ClientMerge {
        let patches = |n: usize| (0..TURNS).map(move |turn| desired_patch(n, turn));
        let devices = devices.iter().map(|n| (id(*n), patches(*n).collect()));
        ClientMerge {
            devices: devices.collect(),
            out: Vec::new(),
            text: Vec::new(),
        }
    }
}

impl Work for ClientMerge {
    fn perform(&mut self, wire: &mut Wire, batch: &[(usize, usize)]) {
        self.out.clear();
        for (place, _) in batch {
            let key = format!("device:state:{}", self.devices[*place].0);
            load::command(&mut self.out, &[b"HGET", key.as_bytes(), b"desired_state"]);
        }
        wire.send(&self.out);
        self.out.clear();
        for (place, turn) in batch {
            let (id, patches) = &self.devices[*place];
            wire.read_bulk(&mut self.text);
            let mut document: Object = serde_json::from_slice(&self.text).expect("a document");
            merge(&mut document, &patches[*turn]);
            self.text.clear();
            serde_json::to_writer(&mut self.text, &document).expect("write to memory");
            let key = format!("device:state:{id}");
            let set: [&[u8]; 4] = [b"HSET", key.as_bytes(), b"desired_state", &self.text];
            load::command(&mut self.out, &set);

            let mut message = Vec::with_capacity(self.text.len() + 128);
            let _ = write!(
                message,
                r#"{{"type":"state_update","device_id":"{id}","desired_state":"#
            );
            message.extend_from_slice(&self.text);
            let _ = write!(message, r#","timestamp":{}}}"#, now_ms());
            let channel = format!("device:{id}:commands");
            load::command(&mut self.out, &[b"PUBLISH", channel.as_bytes(), &message]);
        }
        wire.send(&self.out);
        for _ in batch {
            wire.skip_reply();
            wire.skip_reply();
        }
    }
}
