//! Where commands go: to one server, or to the one that the Sentinels call the master when a
//! connection is made.
//!
//! After a failover nothing has to tell the bridge: the connection to the old master breaks, or
//! answers READONLY, and the next one goes to the new master.

use super::address::{Place, RedisAddress};
use crate::config::Login;
use crate::tls::Tls;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, RedisResult, TlsMode};
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
                    Some(tls) => Client::build_with_tls(info, tls.certificates()),
                    None => Client::open(info),
                };
                Ok(Server {
                    kind: Kind::Fixed(Box::new(client.map_err(|e| e.to_string())?)),
                    shown,
                })
            }
            Place::Sentinels { addresses, master } => {
                let places: Vec<String> = addresses
                    .iter()
                    .map(|(host, port)| format!("{host}:{port}"))
                    .collect();
                let shown = format!("{master} of the Sentinels {}", places.join(", "));
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

    /// What to connect to, now.
    pub async fn client(&self) -> RedisResult<Client> {
        match &self.kind {
            Kind::Fixed(client) => Ok(client.as_ref().clone()),
            Kind::Watched(sentinels) => sentinels.master().await,
        }
    }
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
        let addresses = self.addresses.iter().map(|(host, port)| match self.tls {
            None => ConnectionAddr::Tcp(host.clone(), *port),
            Some(_) => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
        });
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
