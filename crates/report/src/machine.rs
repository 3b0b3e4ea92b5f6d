//! What every figure has to be read with.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine at the time of a bench.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name and version, such as `redis 7.0.15`.
    pub server: String,
    pub cores: usize,
    /// The processor's name for itself.
    pub cpu: String,
    /// Whether the server has a core of its own, and the clients another.
    pub pinned: bool,
    /// Over the minute before the bench, and over its last minute.
    pub load_average_before: f64,
    pub load_average_after: f64,
    /// Of the beginning, in UTC: `2026-01-31`.
    pub date: String,
    /// What was measured; `+` behind it stands for changes that were not committed.
    pub commit: String,
    /// How long the bench took.
    pub seconds: u64,
}

impl Machine {
    /// What can be known without asking a server.
    pub fn here() -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Machine {
            cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
            cpu: model.unwrap_or_else(|| "unknown".to_owned()),
            load_average_before: load_average(),
            date: output("date", &["-u", "+%F"]).unwrap_or_default(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            ..Machine::default()
        }
    }

    /// One line about it.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores ({}), {}, load average before: {}",
            self.server,
            self.cores,
            self.cpu,
            match self.pinned {
                true => "server and clients on a core each",
                false => "nothing pinned",
            },
            self.load_average_before
        )
    }
}

/// Name and version of a server, such as `redis 7.0.15`, from its `INFO server`.
pub fn server_version(info: &str) -> String {
    let field = |wanted: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| *name == wanted)
    };
    // Valkey says redis_version too, for clients that look for it.
    let version = field("valkey_version").or_else(|| field("redis_version"));
    version.map_or_else(
        || "unknown".to_owned(),
        |(name, version)| format!("{} {}", name.trim_end_matches("_version"), version.trim()),
    )
}

/// The load average over the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(0.0)
}

fn commit() -> Option<String> {
    let commit = output("git", &["rev-parse", "--short", "HEAD"])?;
    // The documents are made of the figures: that they differ is no change of what was measured.
    let changed = output(
        "git",
        &["status", "--porcelain", "--", ":/", ":(top,exclude)docs"],
    )?;
    Some(match changed.is_empty() {
        true => commit,
        false => commit + "+",
    })
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valkey_is_not_taken_for_the_redis_it_imitates() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(server_version(redis), "redis 7.0.15");
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n";
        assert_eq!(server_version(valkey), "valkey 8.1.1");
        assert_eq!(server_version(""), "unknown");
    }
}
