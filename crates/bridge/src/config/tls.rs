//! `[mqtt.tls]` and `[redis.tls]`: files in PEM. They are read at start.

use crate::tls::{PemError, Tls};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// An empty path is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Who may sign the other side's certificate; those whom the system trusts if there is none.
    pub ca: PathBuf,
    /// The bridge's own certificate.
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl TlsConfig {
    /// Counts relative paths from `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        for path in [&mut self.ca, &mut self.cert, &mut self.key] {
            anchor(path, folder);
        }
    }

    /// Reads the files. `section` is what errors call this section.
    pub fn load(&self, section: &str) -> Result<Tls, String> {
        let read = |name: &str, path: &Path| {
            read(path).map_err(|reason| format!("{section}.{name}: {reason}"))
        };
        let (cert, key) = (read("cert", &self.cert)?, read("key", &self.key)?);
        let client = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err(format!("{section} needs both cert and key, or neither")),
        };
        Tls::new(read("ca", &self.ca)?, client).map_err(|error| match error {
            PemError::Ca(reason) => format!("{section}.ca {reason}"),
            PemError::Cert(reason) => format!("{section}.cert {reason}"),
            PemError::Key(reason) => format!("{section}.key {reason}"),
            PemError::Pair(reason) => {
                format!("{section}.cert and key do not belong together: {reason}")
            }
        })
    }

    /// Files that nothing would use are a mistake.
    pub fn check_unused(&self, section: &str, because: &str) -> Result<(), String> {
        if *self == TlsConfig::default() {
            return Ok(());
        }
        Err(format!("{section} is set, but {because}"))
    }
}

pub fn anchor(path: &mut PathBuf, folder: &Path) {
    if !path.as_os_str().is_empty() {
        *path = folder.join(&*path);
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let shown = crate::text::one_line(&path.to_string_lossy());
    std::fs::read(path)
        .map(Some)
        .map_err(|e| format!("{shown}: {e}"))
}
