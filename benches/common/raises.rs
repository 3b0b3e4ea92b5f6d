//! Who raises alerts, and how: by the module, by a script, or by hand.

use super::benchmark::pinned_server;
use super::driver::{Wire, Work};
use super::load::command;
use crate::support::*;

/// How long nothing is told of an alert again, in milliseconds: a day.
const EVERY_MS: &str = "86400000";

/// Who does it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Ours,
    Lua,
    ByHand,
}

impl Peer {
    /// A server of its own.
    pub fn server(self, append_only: bool) -> Server {
        let builder = Server::builder();
        let builder = match self {
            Peer::Ours => builder,
            _ => builder.without_module(),
        };
        pinned_server(builder, append_only)
    }
}

/// Appends one command.
pub fn words(out: &mut Vec<u8>, words: &[&str]) {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    command(out, &words);
}

/// Each operation raises an alert of a device that it did not have before, for a user of its own.
pub struct Raise {
    peer: Peer,
    sha: String,
    devices: Vec<usize>,
    /// How many alerts each has.
    raised: Vec<usize>,
    out: Vec<u8>,
}

impl Raise {
    /// `sha`: the script, where it is one that raises.
    pub fn new(peer: Peer, sha: &str, devices: &[usize]) -> Raise {
        Raise {
            peer,
            sha: sha.to_owned(),
            devices: devices.to_vec(),
            raised: vec![0; devices.len()],
            out: Vec::new(),
        }
    }
}

impl Work for Raise {
    fn perform(&mut self, wire: &mut Wire, batch: &[(usize, usize)]) {
        self.out.clear();
        let mut fresh = Vec::with_capacity(batch.len());
        for (place, _) in batch {
            let number = self.devices[*place];
            self.raised[*place] += 1;
            let raise = [
                format!("d:{number:012}"),
                format!("alert-{}", self.raised[*place]),
                format!("u:{number:012}"),
            ];
            fresh.push(raise);
        }
        for [id, alert, user] in &fresh {
            match self.peer {
                Peer::Ours => words(
                    &mut self.out,
                    &[
                        "ALERT.RAISE",
                        id,
                        alert,
                        "SEVERITY",
                        "2",
                        "EVERY",
                        EVERY_MS,
                        "NOTIFY",
                        "1",
                        user,
                    ],
                ),
                Peer::Lua => words(
                    &mut self.out,
                    &["EVALSHA", &self.sha, "1", id, alert, "2", EVERY_MS, user],
                ),
                // Only the first to set the key tells.
                Peer::ByHand => {
                    let key = format!("alert:{id}:{alert}");
                    words(&mut self.out, &["SET", &key, "1", "NX", "PX", EVERY_MS]);
                }
            }
        }
        wire.send(&self.out);
        batch.iter().for_each(|_| wire.skip_reply());
        if self.peer != Peer::ByHand {
            return;
        }
        self.out.clear();
        let now = now_ms().to_string();
        for [id, alert, user] in &fresh {
            let item = format!(
                r#"{{"type":"alert","device_id":"{id}","alert":"{alert}","severity":2,"state":"firing","count":1,"timestamp":{now}}}"#
            );
            let event = [
                "XADD",
                "devices:events",
                "MAXLEN",
                "~",
                "1000000",
                "*",
                "type",
                "alert",
                "device_id",
                id,
                "alert",
                alert,
                "severity",
                "2",
                "state",
                "firing",
            ];
            words(&mut self.out, &event);
            let (key, field) = (format!("alerts:user:{user}"), format!("{id} {alert}"));
            words(&mut self.out, &["HSET", &key, &field, &item]);
            words(&mut self.out, &["ZADD", "alerts:due", "NX", &now, user]);
            words(&mut self.out, &["PUBLISH", "devices:alerts", &item]);
        }
        wire.send(&self.out);
        (0..4 * batch.len()).for_each(|_| wire.skip_reply());
    }
}
