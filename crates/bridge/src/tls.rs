//! TLS to the broker and to Redis. The certificate of the other side is always verified, and so is
//! the name in it: what is verified now and then protects from nothing.

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::sync::Arc;

const WANTS_CERTIFICATE: AlertDescription = AlertDescription::CertificateRequired;

/// Certificates in PEM, and what they come to.
#[derive(Clone)]
pub struct Tls {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
    config: Arc<ClientConfig>,
}

/// What is wrong with PEM texts, and with which.
#[derive(Debug, PartialEq, Eq)]
pub enum PemError {
    Ca(String),
    Cert(String),
    Key(String),
    /// The key is not the certificate's.
    Pair(String),
}

impl Tls {
    /// `ca`: who may sign the other side's certificate; those whom the system trusts if there is none.
    /// `client`: the bridge's own certificate (with what leads to its CA), and its key.
    pub fn new(ca: Option<Vec<u8>>, client: Option<(Vec<u8>, Vec<u8>)>) -> Result<Tls, PemError> {
        let config = configure(ca.as_deref(), client.as_ref())?;
        Ok(Tls {
            ca,
            client,
            config: Arc::new(config),
        })
    }

    /// As rustls takes it.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// As the Redis client takes it.
    pub fn certificates(&self) -> TlsCertificates {
        let client_tls = self.client.clone();
        TlsCertificates {
            client_tls: client_tls.map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.ca.clone(),
        }
    }
}

fn configure(
    ca: Option<&[u8]>,
    client: Option<&(Vec<u8>, Vec<u8>)>,
) -> Result<ClientConfig, PemError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in certificates(pem).map_err(PemError::Ca)? {
                let added = roots.add(certificate);
                added.map_err(|e| PemError::Ca(format!("has a wrong certificate: {e}")))?;
            }
        }
        None => {
            // One bad certificate among those of the system need not stop the bridge.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    match client {
        None => Ok(config.with_no_client_auth()),
        Some((cert, key)) => {
            let chain = certificates(cert).map_err(PemError::Cert)?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|_| PemError::Key("has no private key in PEM".to_owned()))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|e| PemError::Pair(e.to_string()))
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("has no certificate in PEM".to_owned()),
        Ok(all) => Ok(all),
        Err(_) => Err("is not PEM".to_owned()),
    }
}

/// Says in plain words what went wrong with TLS, if that is at the bottom of this error. The words
/// are the same at every attempt (those of rustls have the time in them).
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    let text = error.map(ToString::to_string).unwrap_or_default();
    while let Some(this) = error {
        if let Some(tls) = this.downcast_ref::<rustls::Error>() {
            return Some(in_words(tls));
        }
        // What wraps another error here does not always name it as its source.
        error = if let Some(io) = this.downcast_ref::<io::Error>() {
            io.get_ref().map(|inner| inner as &(dyn Error + 'static))
        } else if let Some(shared) = this.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            Some(shared.as_ref())
        } else {
            this.source()
        };
    }
    // The MQTT client keeps no more than the text of what ends a connection.
    text.contains("received fatal alert: CertificateRequired")
        .then(|| in_words(&rustls::Error::AlertReceived(WANTS_CERTIFICATE)))
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            // A CA of the same name with another key makes a bad signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by none of the CAs that are trusted here".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host name".to_owned()
            }
            other => format!("its certificate cannot be trusted: {other:?}"),
        },
        rustls::Error::AlertReceived(WANTS_CERTIFICATE) => {
            "it wants a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("it ended the TLS handshake with {alert:?}")
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_however_deep_it_is() {
        let expired = || rustls::Error::InvalidCertificate(CertificateError::Expired);
        let io = || io::Error::new(io::ErrorKind::InvalidData, expired());
        let words = Some("its certificate has expired".to_owned());
        assert_eq!(explain(&expired()), words);
        assert_eq!(explain(&io()), words);
        assert_eq!(explain(&io::Error::other(io())), words);
        assert_eq!(explain(&redis::RedisError::from(io())), words);
        assert_eq!(explain(&io::Error::other("no TLS")), None);
    }

    #[test]
    fn wrong_pem_texts_are_told_apart() {
        let wrong = |ca: Option<&str>, client: Option<(&str, &str)>| {
            let bytes = |text: &str| text.as_bytes().to_vec();
            let client = client.map(|(cert, key)| (bytes(cert), bytes(key)));
            Tls::new(ca.map(bytes), client).err()
        };
        let none = || "has no certificate in PEM".to_owned();
        assert_eq!(wrong(None, None), None);
        assert_eq!(wrong(Some("rubbish"), None), Some(PemError::Ca(none())));
        assert_eq!(
            wrong(None, Some(("rubbish", "rubbish"))),
            Some(PemError::Cert(none()))
        );
        let broken = "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n";
        assert!(matches!(wrong(Some(broken), None), Some(PemError::Ca(_))));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(wrong(Some(empty), None), Some(PemError::Ca(_))));
        assert!(matches!(
            wrong(None, Some((empty, "rubbish"))),
            Some(PemError::Key(_))
        ));
    }
}
