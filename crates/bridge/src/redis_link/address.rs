//! The server's address: `redis://[user[:password]@]host[:port]`; or several Sentinels and the name
//! of the master that they watch: `redis+sentinel://[user[:password]@]host[:port],.../name`; or nodes
//! of a cluster that lead to all of it: `redis+cluster://[user[:password]@]host[:port],...`.
//! `rediss` instead of `redis` means TLS.
//!
//! Errors never repeat the address, because it may hold a password.

use crate::address::{decode, split_port, without_brackets};
use crate::config::Login;
use redis::{ConnectionInfo, IntoConnectionInfo};

/// The port Sentinels have by default.
const SENTINEL_PORT: u16 = 26_379;
/// The port servers have by default.
const SERVER_PORT: u16 = 6_379;

#[derive(Debug)]
pub struct RedisAddress {
    pub secure: bool,
    /// For the server, not for the Sentinels.
    pub login: Login,
    pub place: Place,
}

#[derive(Debug)]
pub enum Place {
    /// As the client crate reads it.
    Server(Box<ConnectionInfo>),
    Sentinels {
        addresses: Vec<(String, u16)>,
        master: String,
    },
    /// Some nodes of a cluster, whichever they are.
    Cluster(Vec<(String, u16)>),
}

impl RedisAddress {
    pub fn parse(url: &str) -> Result<RedisAddress, &'static str> {
        for (scheme, secure) in [("redis+sentinel://", false), ("rediss+sentinel://", true)] {
            if let Some(rest) = url.strip_prefix(scheme) {
                return sentinels(rest, secure);
            }
        }
        for (scheme, secure) in [("redis+cluster://", false), ("rediss+cluster://", true)] {
            if let Some(rest) = url.strip_prefix(scheme) {
                return cluster(rest, secure);
            }
        }
        let secure = url.starts_with("rediss:");
        // A fragment would turn the verification of certificates off.
        let info = match url.into_connection_info() {
            Ok(info) if !url.contains('#') => info,
            _ => return Err("is not redis://[user[:password]@]host[:port]"),
        };
        // It would mean something to the client crate: `protocol=resp3` has answers of other shapes.
        if url.contains('?') {
            return Err("has a query ('?'), which it must not");
        }
        let settings = info.redis_settings();
        if settings.db() != 0 {
            return Err("names a database; devices live in database 0");
        }
        let login = Login {
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
        };
        Ok(RedisAddress {
            secure,
            login,
            place: Place::Server(Box::new(info)),
        })
    }
}

fn sentinels(rest: &str, secure: bool) -> Result<RedisAddress, &'static str> {
    let (login, rest) = split_login(rest)?;
    let (hosts, master) = rest.split_once('/').unwrap_or((rest, ""));
    let master = decode(master)?;
    if master.is_empty() || master.contains(['/', '?', '#']) {
        return Err("does not end with the name of the master: redis+sentinel://host:port/name");
    }
    Ok(RedisAddress {
        secure,
        login,
        place: Place::Sentinels {
            addresses: places(hosts, SENTINEL_PORT)?,
            master,
        },
    })
}

fn cluster(rest: &str, secure: bool) -> Result<RedisAddress, &'static str> {
    let (login, hosts) = split_login(rest)?;
    if hosts.contains(['/', '?', '#']) {
        return Err("is not redis+cluster://[user[:password]@]host[:port],...");
    }
    Ok(RedisAddress {
        secure,
        login,
        place: Place::Cluster(places(hosts, SERVER_PORT)?),
    })
}

fn split_login(rest: &str) -> Result<(Login, &str), &'static str> {
    match rest.rsplit_once('@') {
        Some((login, rest)) => Ok((read_login(login)?, rest)),
        None => Ok((Login::default(), rest)),
    }
}

fn read_login(login: &str) -> Result<Login, &'static str> {
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (login, None),
    };
    Ok(Login {
        user: Some(decode(user)?).filter(|user| !user.is_empty()),
        password,
    })
}

/// Hosts with their ports, separated by commas.
fn places(hosts: &str, default_port: u16) -> Result<Vec<(String, u16)>, &'static str> {
    let place = |place| {
        let (host, port) = split_port(place)?;
        let host = without_brackets(host).to_owned();
        Ok((host, port.unwrap_or(default_port)))
    };
    hosts.split(',').map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_and_their_master() {
        let url = "rediss+sentinel://ann:p%40%3a@a,b:1,[::1]:2/fleet-1";
        let address = RedisAddress::parse(url).unwrap();
        assert!(address.secure);
        assert_eq!(address.login.user.as_deref(), Some("ann"));
        assert_eq!(address.login.password.as_deref(), Some("p@:"));
        let Place::Sentinels { addresses, master } = address.place else {
            panic!("not Sentinels");
        };
        let hosts = [("a", 26_379), ("b", 1), ("::1", 2)];
        assert_eq!(addresses, hosts.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(master, "fleet-1");
    }

    #[test]
    fn nodes_of_a_cluster() {
        let url = "rediss+cluster://ann:p%40%3a@a,b:1,[::1]:2";
        let address = RedisAddress::parse(url).unwrap();
        assert!(address.secure);
        assert_eq!(address.login.user.as_deref(), Some("ann"));
        assert_eq!(address.login.password.as_deref(), Some("p@:"));
        let Place::Cluster(nodes) = address.place else {
            panic!("no cluster");
        };
        let hosts = [("a", 6379), ("b", 1), ("::1", 2)];
        assert_eq!(nodes, hosts.map(|(host, port)| (host.to_owned(), port)));
    }

    #[test]
    fn servers() {
        let secure = |url| RedisAddress::parse(url).map(|address| address.secure);
        assert_eq!(secure("redis://h"), Ok(false));
        assert_eq!(secure("rediss://u:p@h:1"), Ok(true));
        let address = RedisAddress::parse("redis://:p@h").unwrap();
        assert_eq!(address.login.user, None);
        assert_eq!(address.login.password.as_deref(), Some("p"));
    }

    #[test]
    fn wrong_ones_are_refused() {
        for url in [
            "",
            "h:6379",
            "http://h",
            "redis://h:x",
            "redis://h/1",
            "rediss://h#insecure",
            "redis://h:6379?protocol=resp3",
            "rediss://h/?db=1",
            "redis://h?",
            "redis+sentinel://",
            "redis+sentinel://h",
            "redis+sentinel://h/",
            "redis+sentinel:///m",
            "redis+sentinel://h,/m",
            "redis+sentinel://h:0/m",
            "redis+sentinel://h:x/m",
            "redis+sentinel://::1/m",
            "redis+sentinel://h/m/0",
            "redis+sentinel://h/m?protocol=resp3",
            "redis+sentinel://a b/m",
            "redis+cluster://",
            "redis+cluster://h,",
            "redis+cluster://h/0",
            "redis+cluster://h:0",
            "redis+cluster://h#insecure",
            "redis+cluster://h?protocol=resp3",
        ] {
            assert!(RedisAddress::parse(url).is_err(), "{url}");
        }
    }
}
