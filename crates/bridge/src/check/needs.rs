//! The commands that the bridge runs, and how to find out whether it may.
//!
//! A permission is tried by running the command itself with an argument that can never be right. Of
//! the server's answers, "you may not" comes before "this is wrong", and neither changes anything. Unlike
//! `ACL DRYRUN`, that takes no permission beyond those that the bridge has anyway.

use super::Finding;
use crate::config::{Config, DownlinkConfig, ProfileName};
use crate::downlink::cursor_key;
use redis::Cmd;
use std::collections::HashSet;

/// A command that the bridge runs.
pub struct Need {
    words: Vec<String>,
    /// How many of the words name it.
    name: usize,
    /// Whether the key in `words` is one that the bridge uses.
    pub key: bool,
    /// What is lost without it.
    pub finding: Finding,
}

impl Need {
    /// The bridge does not work without it.
    fn must(words: &[&str]) -> Need {
        Need {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            name: 1,
            key: false,
            finding: Finding::Fail,
        }
    }

    /// A subcommand without which the bridge does not work.
    fn sub(words: &[&str]) -> Need {
        Need {
            name: 2,
            ..Need::must(words)
        }
    }

    /// A subcommand that the bridge can do without.
    fn may(words: &[&str]) -> Need {
        Need {
            name: 2,
            finding: Finding::Warn,
            ..Need::must(words)
        }
    }

    fn on_key(self) -> Need {
        Need { key: true, ..self }
    }

    pub fn command(&self) -> Cmd {
        let mut words = self.words.iter();
        let mut command = redis::cmd(words.next().map_or("", String::as_str));
        for word in words {
            command.arg(word);
        }
        command
    }

    pub fn shown(&self) -> String {
        self.words[..self.name].join(" ")
    }
}

/// All of them, each with arguments that come to nothing, whatever the server holds. The number of
/// arguments is a possible one: a wrong number is told before a missing permission.
pub fn needs(config: &Config, in_cluster: bool) -> Vec<Need> {
    let mut needs = Vec::new();
    let native = config.profiles.contains(&ProfileName::Native);
    let shadow = config.profiles.contains(&ProfileName::AwsShadow);
    let own_presence = shadow && config.aws_shadow.presence;
    let applied = native && !config.queue.enabled;
    if config.queue.enabled {
        let queue = config.queue.key(0);
        needs.push(Need::must(&["QUEUE.ADD", &queue, "", "TTL", "0"]).on_key());
    }
    if applied || own_presence {
        needs.push(Need::must(&["DEVICE.HEARTBEAT", ""]));
    }
    if applied {
        needs.push(Need::must(&["DEVICE.OFFLINE", ""]));
    }
    if applied && config.protobuf.asks_for_device_types() {
        needs.push(Need::must(&["DEVICE.GET", ""]));
    }
    if shadow {
        needs.push(Need::must(&["DEVICE.SHADOW.UPDATE", "", "{}"]));
        needs.push(Need::must(&["DEVICE.SHADOW.GET", ""]));
        needs.push(Need::must(&["DEVICE.SHADOW.DEL", ""]));
    }
    needs.extend([
        Need::may(&["CLIENT", "SETNAME", "devicestate-bridge-check"]),
        Need::may(&["CLIENT", "ID"]),
        Need::may(&["CLIENT", "LIST", "ID", "0"]),
        Need::may(&["CLIENT", "KILL", "ID", "0"]),
    ]);
    if in_cluster {
        needs.push(Need::sub(&["CLUSTER", "SLOTS"]));
        // It holds for the next command of the connection, and does no harm there.
        needs.push(Need::must(&["ASKING"]));
    }
    needs.extend(for_devices(config, applied, in_cluster));
    if config.redis.wait_replicas > 0 {
        needs.push(Need::must(&["WAIT", "x", "0"]));
    }
    let letters = &config.dead_letters;
    if letters.maxlen > 0 {
        // 0-0 is no id that an entry can have.
        needs.push(Need::must(&["XADD", &letters.key, "0-0", "x", "x"]).on_key());
    }
    if config.downlink.enabled || own_presence || (shadow && config.aws_shadow.documents) {
        // A transaction of nothing. The last ones, because it is left open if only EXEC is forbidden.
        needs.extend([Need::must(&["MULTI"]), Need::must(&["EXEC"])]);
    }
    // Several parts of the bridge may need the same.
    let mut named = HashSet::new();
    needs.retain(|need| named.insert(need.shown()));
    needs
}

/// For messages to devices, and for what they answer.
fn for_devices(config: &Config, applied: bool, in_cluster: bool) -> Vec<Need> {
    let mut needs = Vec::new();
    let settings = &config.downlink;
    if applied || settings.enabled {
        needs.push(Need::must(&["DEVICE.GET", "", "status"]));
    }
    if applied {
        needs.push(Need::must(&["DEVICE.COMMAND.DONE", "", "0-1", "OK"]));
    }
    if settings.enabled {
        needs.extend([
            Need::must(&["DEVICE.LIST", "CURSOR", "none"]).on_key(),
            Need::must(&["DEVICE.SHADOW.GET", ""]),
            Need::must(&["DEVICE.SHADOW.NAMES", ""]),
            Need::must(&["DEVICE.COMMAND.TAKE", ""]),
        ]);
        needs.extend(for_events(settings, in_cluster));
    }
    needs
}

fn for_events(settings: &DownlinkConfig, in_cluster: bool) -> Vec<Need> {
    let (stream, group) = (settings.stream.as_str(), settings.group.as_str());
    if in_cluster {
        // Any slot's stream stands for all, as a permission is one for a pattern of keys.
        let of_a_slot = format!("{stream}:{{0}}");
        return vec![
            Need::must(&["DEVICE.EVENTS", "AFTER", "none"]).on_key(),
            Need::sub(&["XINFO", "STREAM", &of_a_slot]).on_key(),
            Need::must(&["EVAL", "return 1", "1", &cursor_key(group)]).on_key(),
            Need::must(&["HMGET", &cursor_key(group), ""]).on_key(),
            Need::must(&["HSET", &cursor_key(group), "", "", ""]).on_key(),
            Need::must(&["TIME"]),
        ];
    }
    let needs = [
        // The id of none of these is one that an entry can have.
        Need::must(&["XREAD", "STREAMS", stream, "none"]).on_key(),
        Need::must(&["XREADGROUP", "GROUP", group, "", "STREAMS", stream, "none"]).on_key(),
        Need::must(&["XACK", stream, group, "none"]).on_key(),
        Need::must(&["XAUTOCLAIM", stream, group, "", "0", "none"]).on_key(),
        Need::sub(&["XGROUP", "CREATE", stream, group, "none"]).on_key(),
        Need::sub(&["XGROUP", "SETID", stream, group, "none"]).on_key(),
        Need::sub(&["XINFO", "STREAM", stream]).on_key(),
        Need::sub(&["XINFO", "GROUPS", stream]).on_key(),
    ];
    needs.into()
}
