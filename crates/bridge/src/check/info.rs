//! What `INFO` says that an operator should know.

use super::Finding::{self, Fail, Ok, Warn};
use std::collections::BTreeMap;

/// What a server is for, as the address in the settings and the cluster say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A server, or the master that Sentinels name.
    Server,
    /// Of a cluster.
    Primary,
    /// Of a cluster: it may be a primary one day.
    Replica,
}

/// The members of an answer to INFO.
pub struct Info<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    pub fn parse(text: &'a str) -> Info<'a> {
        Info(
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .collect(),
        )
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name) == Some(&value)
    }

    /// Such as `Redis 7.0.15`.
    pub fn server(&self) -> String {
        let named = [("valkey_version", "Valkey"), ("redis_version", "Redis")];
        let mut found = named.iter();
        let found = found.find_map(|(member, name)| Some((name, self.0.get(member)?)));
        found.map_or_else(
            || "a server of an unknown version".to_owned(),
            |(name, version)| format!("{name} {version}"),
        )
    }

    /// One line for each thing that can be told from INFO.
    pub fn findings(&self, role: Role) -> Vec<(Finding, &'static str)> {
        let mut findings = Vec::new();
        if self.is("cluster_enabled", "1") && role == Role::Server {
            findings.push((
                Fail,
                "is a node of a cluster: its address is redis+cluster://host:port",
            ));
        }
        let writes = role != Role::Replica;
        if writes && self.is("role", "slave") {
            findings.push((Fail, "is a replica; the bridge writes"));
        } else if writes && self.is("role", "master") {
            findings.push((Ok, "takes writes"));
        }
        if self.is("loading", "1") {
            findings.push((Fail, "is still loading its data"));
        }
        if self.is("aof_enabled", "1") {
            findings.push((Ok, "keeps an append-only file"));
        } else if self.is("aof_enabled", "0") {
            findings.push((
                Warn,
                "keeps no append-only file: a crash loses what Redis has confirmed since its last \
                 snapshot (set appendonly yes)",
            ));
        }
        let bounded = self.0.get("maxmemory").is_some_and(|bytes| *bytes != "0");
        if bounded && !self.is("maxmemory_policy", "noeviction") {
            findings.push((
                Warn,
                "evicts keys when its memory is full, and every key of a device is state (set \
                 maxmemory-policy noeviction)",
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<Finding> {
        let info = Info::parse(text);
        info.findings(Role::Server)
            .into_iter()
            .map(|(found, _)| found)
            .collect()
    }

    #[test]
    fn a_server_as_it_should_be() {
        let text = "# Server\r\nredis_version:7.0.15\r\n\r\n# Persistence\r\nloading:0\r\n\
                    aof_enabled:1\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\nrole:master\r\n\
                    cluster_enabled:0\r\n";
        assert_eq!(findings(text), [Ok, Ok]);
        assert_eq!(Info::parse(text).server(), "Redis 7.0.15");
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n";
        assert_eq!(Info::parse(valkey).server(), "Valkey 8.0.1");
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(findings("role:slave"), [Fail]);
        assert_eq!(findings("cluster_enabled:1"), [Fail]);
        let node = Info::parse("cluster_enabled:1");
        assert_eq!(node.findings(Role::Primary), []);
        assert_eq!(Info::parse("role:slave").findings(Role::Replica), []);
        assert_eq!(findings("loading:1"), [Fail]);
        assert_eq!(findings("aof_enabled:0"), [Warn]);
        assert_eq!(
            findings("maxmemory:1\nmaxmemory_policy:volatile-ttl"),
            [Warn]
        );
        assert_eq!(findings("maxmemory:1\nmaxmemory_policy:noeviction"), []);
        assert_eq!(findings("nothing of the kind"), []);
    }
}
