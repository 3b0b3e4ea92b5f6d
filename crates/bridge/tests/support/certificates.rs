//! A certificate authority of the test's own, made by openssl.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Authority {
    folder: TempDir,
}

/// Paths of PEM files.
pub struct Certificate {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let authority = Authority {
            folder: tempfile::tempdir().unwrap(),
        };
        authority.write("index.txt", "");
        authority.write("serial", "01\n");
        authority.write(
            "ca.cnf",
            "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nserial = serial\n\
             new_certs_dir = .\ncertificate = ca.pem\nprivate_key = ca.key\ndefault_md = sha256\n\
             policy = any\nunique_subject = no\n[any]\ncommonName = supplied\n",
        );
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=Test CA",
            "-days",
            "2",
        ]);
        authority
    }

    pub fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// For localhost and 127.0.0.1.
    pub fn issue(&self, name: &str) -> Certificate {
        self.issue_until(name, "DNS:localhost,IP:127.0.0.1", "20491231000000Z")
    }

    pub fn issue_for(&self, name: &str, host: &str) -> Certificate {
        self.issue_until(name, &format!("DNS:{host}"), "20491231000000Z")
    }

    pub fn issue_expired(&self, name: &str) -> Certificate {
        self.issue_until(name, "DNS:localhost,IP:127.0.0.1", "20210101000000Z")
    }

    fn issue_until(&self, name: &str, alternative_names: &str, end: &str) -> Certificate {
        let file = |kind: &str| format!("{name}.{kind}");
        let (csr, cert, key, ext) = (file("csr"), file("pem"), file("key"), file("ext"));
        let text = format!("subjectAltName = {alternative_names}\nbasicConstraints = CA:FALSE\n");
        self.write(&ext, &text);
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &csr,
            "-subj",
            &format!("/CN={name}"),
        ]);
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-in",
            &csr,
            "-out",
            &cert,
            "-extfile",
            &ext,
            "-startdate",
            "20200101000000Z",
            "-enddate",
            end,
        ]);
        Certificate {
            cert: self.path(&cert),
            key: self.path(&key),
        }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn openssl(&self, words: &[&str]) {
        let output = Command::new("openssl")
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl must be installed");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
    }
}
