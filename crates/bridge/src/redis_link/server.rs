//! Where commands go: to one server, to the one that the Sentinels call the master when a connection is
//! made, or to the nodes of a cluster.
//!
//! After a failover nothing has to tell the bridge: the connection to the old master breaks, or
//! answers READONLY, and the next one goes to the new master.

use super::address::{Place, RedisAddress};
use crate::config::Login;
use crate::tls::Tls;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    TlsMode,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::info;

/// Shows itself without logins.
#[derive(Clone)]
pub struct Server {
    kind: Kind,
    shown: Arc<str>,
}

#[derive(Clone)]
enum Kind {
    Fixed(Box<Client>),
    Watched(Arc<Sentinels>),
    Spread(Arc<Seeds>),
}

/// Nodes of a cluster that lead to the others, and what it takes to connect to any of them.
pub struct Seeds {
    pub addresses: Vec<(String, u16)>,
    login: Login,
    tls: Option<Tls>,
}

struct Sentinels {
    addresses: Vec<(String, u16)>,
    master: String,
    /// For the master.
    login: Login,
    /// For the Sentinels themselves.
    own_login: Login,
    tls: Option<Tls>,
    /// The master the log knows of.
    told: Mutex<String>,
}

impl Server {
    /// `tls` is there if the address asks for it. `own_login` is for Sentinels. An error says what is
    /// wrong with the address or the certificates.
    pub fn new(
        address: RedisAddress,
        login: Login,
        own_login: Login,
        tls: Option<Tls>,
    ) -> Result<Server, String> {
        match address.place {
            Place::Server(info) => {
                Server::fixed(*info, &login, tls.as_ref()).map_err(|e| e.to_string())
            }
            Place::Cluster(addresses) => {
                let shown = format!("cluster at {}", list(&addresses));
                let seeds = Seeds {
                    addresses,
                    login,
                    tls,
                };
                Ok(Server {
                    kind: Kind::Spread(Arc::new(seeds)),
                    shown: shown.into(),
                })
            }
            Place::Sentinels { addresses, master } => {
                let shown = format!("{master} of the Sentinels {}", list(&addresses));
                Ok(Server {
                    kind: Kind::Watched(Arc::new(Sentinels {
                        addresses,
                        master,
                        login,
                        own_login,
                        tls,
                        told: Mutex::default(),
                    })),
                    shown: shown.into(),
                })
            }
        }
    }

    fn fixed(info: ConnectionInfo, login: &Login, tls: Option<&Tls>) -> RedisResult<Server> {
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let tcp = nodelay(info.tcp_settings().clone());
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let shown = info.addr().to_string().into();
        let client = match tls {
            Some(tls) => Client::build_with_tls(info, tls.certificates())?,
            None => Client::open(info)?,
        };
        Ok(Server {
            kind: Kind::Fixed(Box::new(client)),
            shown,
        })
    }

    /// What to connect to, now.
    pub async fn client(&self) -> RedisResult<Client> {
        match &self.kind {
            Kind::Fixed(client) => Ok(client.as_ref().clone()),
            Kind::Watched(sentinels) => sentinels.master().await,
            Kind::Spread(_) => Err(RedisError::from((
                ErrorKind::InvalidClientConfig,
                "a cluster is no single server",
            ))),
        }
    }

    pub fn is_cluster(&self) -> bool {
        self.seeds().is_some()
    }

    /// The nodes that lead to a cluster, if it is one.
    pub fn seeds(&self) -> Option<&Arc<Seeds>> {
        match &self.kind {
            Kind::Spread(seeds) => Some(seeds),
            Kind::Fixed(_) | Kind::Watched(_) => None,
        }
    }
}

impl Seeds {
    /// A node of the cluster.
    pub fn node(&self, host: &str, port: u16) -> RedisResult<Server> {
        let address = address(host, port, self.tls.is_some());
        Server::fixed(
            address.into_connection_info()?,
            &self.login,
            self.tls.as_ref(),
        )
    }
}

fn address(host: &str, port: u16, secure: bool) -> ConnectionAddr {
    match secure {
        false => ConnectionAddr::Tcp(host.to_owned(), port),
        true => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: false,
            tls_params: None,
        },
    }
}

fn list(addresses: &[(String, u16)]) -> String {
    let places: Vec<String> = addresses
        .iter()
        .map(|(host, port)| format!("{host}:{port}"))
        .collect();
    places.join(", ")
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Sentinels {
    /// Asks them, and makes sure that the server takes itself for a master, too. Nothing is kept from
    /// one time to the next: a Sentinel that has been away for a while may know less than the others.
    async fn master(&self) -> RedisResult<Client> {
        let secure = self.tls.is_some();
        let places = self.addresses.iter();
        let addresses = places.map(|(host, port)| address(host, *port, secure));
        let mut builder =
            SentinelClientBuilder::new(addresses, &self.master, SentinelServerType::Master)?
                .set_client_to_redis_tcp_settings(nodelay(TcpSettings::default()));
        if let Some(user) = &self.login.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.login.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(user) = &self.own_login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &self.own_login.password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let Some(tls) = &self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(tls.certificates())
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_certificates(tls.certificates());
        }
        let client = builder.build()?.async_get_client().await?;
        self.tell(&client);
        Ok(client)
    }

    /// One line for each change.
    fn tell(&self, client: &Client) {
        let now = client.get_connection_info().addr().to_string();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != now {
            info!(
                "the master {} is {now}",
                crate::text::one_line(&self.master)
            );
            *told = now;
        }
    }
}

fn nodelay(tcp: TcpSettings) -> TcpSettings {
    tcp.set_nodelay(true)
}
