//! `[redis]`: the server with the devicestate module.

use super::limits::{between, within, HOUR, SECOND};
use super::login::Env;
use super::tls::anchor;
use super::{Address, Login, Span, TlsConfig};
use crate::redis_link::address::{Place, RedisAddress};
use crate::redis_link::Server;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    pub url: Address,
    /// A file with the password; none if empty.
    pub password_file: PathBuf,
    /// Connections. Messages of one device always take the same one.
    pub workers: usize,
    /// Commands in one pipeline, at most.
    pub batch: usize,
    pub connect_timeout: Span,
    pub response_timeout: Span,
    /// How many replicas must have a command before its message is acknowledged.
    pub wait_replicas: u8,
    pub tls: TlsConfig,
    pub sentinel: SentinelConfig,
}

/// `[redis.sentinel]`: the bridge's login at the Sentinels themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SentinelConfig {
    /// None if empty.
    pub user: String,
    pub password_file: PathBuf,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            url: Address("redis://127.0.0.1:6379".into()),
            password_file: PathBuf::new(),
            workers: 2,
            batch: 256,
            connect_timeout: Span(Duration::from_secs(5)),
            response_timeout: Span(Duration::from_secs(10)),
            wait_replicas: 0,
            tls: TlsConfig::default(),
            sentinel: SentinelConfig::default(),
        }
    }
}

impl RedisConfig {
    pub fn check(&self) -> Result<(), String> {
        within("redis.workers", self.workers, 1..=64)?;
        within("redis.batch", self.batch, 1..=10_000)?;
        within("redis.wait_replicas", self.wait_replicas, 0..=32)?;
        // Shorter ones would take a server that is merely busy for one that is gone.
        between(
            "redis.response_timeout",
            self.response_timeout,
            SECOND * 5,
            HOUR,
        )?;
        between(
            "redis.connect_timeout",
            self.connect_timeout,
            SECOND / 10,
            HOUR,
        )
    }

    /// Counts relative paths from `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        anchor(&mut self.password_file, folder);
        anchor(&mut self.sentinel.password_file, folder);
        self.tls.anchor(folder);
    }

    /// Where to connect, with the logins and the certificates.
    pub fn server(&self, env: Env<'_>) -> Result<Server, String> {
        let address =
            RedisAddress::parse(&self.url.0).map_err(|reason| format!("redis.url {reason}"))?;
        let login = Login::find(env, "REDIS", "redis.password_file", &self.password_file)?
            .or(address.login.clone());
        let own_login = self.sentinel.login(env, &address.place)?;
        let tls = if address.secure {
            Some(self.tls.load("redis.tls")?)
        } else {
            self.tls
                .check_unused("redis.tls", "redis.url does not begin with rediss")?;
            None
        };
        Server::new(address, login, own_login, tls).map_err(|reason| format!("redis: {reason}"))
    }
}

impl SentinelConfig {
    fn login(&self, env: Env<'_>, place: &Place) -> Result<Login, String> {
        if !matches!(place, Place::Sentinels { .. }) {
            if *self != SentinelConfig::default() {
                return Err("redis.sentinel is set, but redis.url names no Sentinels".into());
            }
            return Ok(Login::default());
        }
        let setting = "redis.sentinel.password_file";
        let login = Login::find(env, "SENTINEL", setting, &self.password_file)?;
        Ok(login.or(Login {
            user: Some(self.user.clone()).filter(|user| !user.is_empty()),
            password: None,
        }))
    }
}
