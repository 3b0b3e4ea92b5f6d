//! The broker's address: `mqtt://[user[:password]@]host[:port]`, and `mqtts` instead of `mqtt` for TLS.
//!
//! Errors never repeat the address, because it may hold a password.

use crate::address::{decode, split_port};
use crate::tls::Tls;
use std::fmt;

/// The ports without TLS and with it, as registered with IANA.
const PORT: u16 = 1883;
const SECURE_PORT: u16 = 8883;

#[derive(Clone)]
pub struct BrokerAddress {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Whether it asks for TLS.
    pub secure: bool,
    pub tls: Option<Tls>,
}

/// Host and port only.
impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BrokerAddress {
    pub fn parse(url: &str) -> Result<BrokerAddress, &'static str> {
        let (rest, secure) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err("does not begin with mqtt:// or mqtts://"),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err("has something after host and port");
        }
        let (host, port) = split_port(place)?;
        if secure && host.starts_with('[') {
            return Err("has an IPv6 address; TLS needs a host name there");
        }
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(decode(user)?), Some(decode(password)?)),
            Some(Err(user)) => (Some(decode(user)?), None),
        };
        Ok(BrokerAddress {
            host: host.to_owned(),
            port: port.unwrap_or(if secure { SECURE_PORT } else { PORT }),
            user,
            password,
            secure,
            tls: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, shown) in [
            ("mqtt://127.0.0.1:1884", "127.0.0.1:1884"),
            ("mqtt://broker.example", "broker.example:1883"),
            ("mqtt://broker/", "broker:1883"),
            ("mqtt://[::1]:1884", "[::1]:1884"),
            ("mqtt://[::1]", "[::1]:1883"),
            ("mqtt://u:secret@h:1", "h:1"),
            ("mqtts://h", "h:8883"),
            ("mqtts://h:1", "h:1"),
        ] {
            let address = BrokerAddress::parse(url);
            assert_eq!(
                address.map(|a| format!("{a} {a:?}")),
                Ok(format!("{shown} {shown}"))
            );
        }
    }

    #[test]
    fn logins_are_decoded() {
        let login = |url| BrokerAddress::parse(url).map(|a| (a.user, a.password));
        assert_eq!(login("mqtt://h"), Ok((None, None)));
        assert_eq!(login("mqtt://u@h"), Ok((Some("u".into()), None)));
        assert_eq!(
            login("mqtt://u%40x:p%3a@/@h"),
            Ok((Some("u@x".into()), Some("p:@/".into())))
        );
    }

    #[test]
    fn wrong_ones_are_refused() {
        for url in [
            "",
            "127.0.0.1:1883",
            "mqtts://[::1]",
            "ssl://h",
            "http://h",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://h:0",
            "mqtt://h:65536",
            "mqtt://h:x",
            "mqtt://h/path",
            "mqtt://::1",
            "mqtt://a b",
            "mqtt://%ff:p@h",
        ] {
            assert!(BrokerAddress::parse(url).is_err(), "{url}");
        }
    }
}
