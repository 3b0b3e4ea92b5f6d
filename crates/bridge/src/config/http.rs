//! `[http]`: where metrics and probes are served.

use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port; empty: nowhere.
    pub listen: String,
}

impl HttpConfig {
    /// Where to listen, if anywhere.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let address = self.listen.parse();
        let address =
            address.map_err(|_| "http.listen is not address:port, such as 127.0.0.1:9464");
        Ok(Some(address?))
    }
}
