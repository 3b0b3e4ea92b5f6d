//! `[redis]`: the server with the devicestate module.

use super::limits::{between, within, HOUR, SECOND};
use super::{Address, Span};
use redis::{ConnectionInfo, IntoConnectionInfo};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    pub url: Address,
    /// Connections. Messages of one device always take the same one.
    pub workers: usize,
    /// Commands in one pipeline, at most.
    pub batch: usize,
    pub connect_timeout: Span,
    pub response_timeout: Span,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            url: Address("redis://127.0.0.1:6379".into()),
            workers: 2,
            batch: 256,
            connect_timeout: Span(Duration::from_secs(5)),
            response_timeout: Span(Duration::from_secs(10)),
        }
    }
}

impl RedisConfig {
    pub fn check(&self) -> Result<(), String> {
        within("redis.workers", self.workers, 1..=64)?;
        within("redis.batch", self.batch, 1..=10_000)?;
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

    /// Where to connect, with the login. `env` looks up an environment variable.
    pub fn server(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<ConnectionInfo, String> {
        let url = self.url.0.as_str();
        if url.starts_with("rediss:") {
            return Err("redis.url asks for TLS, which this version does not have".into());
        }
        let info = url
            .into_connection_info()
            .map_err(|_| "redis.url is not redis://[user[:password]@]host[:port]".to_owned())?;
        let mut login = info.redis_settings().clone();
        if login.db() != 0 {
            return Err("redis.url names a database; devices live in database 0".into());
        }
        if let Some(password) = env("DEVICESTATE_REDIS_PASSWORD") {
            login = login.set_password(password);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(info.set_redis_settings(login).set_tcp_settings(tcp))
    }
}
