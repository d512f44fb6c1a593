//! Certificates of an authority that the test makes, and servers that show them.
#![allow(dead_code, reason = "each test file uses some of it")]

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::support::{Server, free_port};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Certified {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Its own certificate, as a server's.
    pub(crate) fn itself(&self) -> Certified {
        Certified {
            pem: self.pem.clone(),
            key: self.issuer.key().serialize_pem(),
        }
    }

    pub(crate) fn certifies(&self, name: &str) -> Certified {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Certified { pem, key }
    }
}

/// A server that speaks TLS at one port, and to the test itself without it at another.
pub(crate) struct Speaking {
    pub(crate) server: Server,
    pub(crate) port: u16,
    _files: TempDir,
}

impl Speaking {
    /// One that shows this certificate, and wants to see one of the same authority where `mutual`.
    pub(crate) fn tls(
        authority: &Authority,
        shown: &Certified,
        mutual: bool,
        options: &[&str],
    ) -> Self {
        let (files, port) = (TempDir::new().unwrap(), free_port());
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let server = Server::with(
            &[
                &["--tls-port", &port.to_string()],
                &["--tls-ca-cert-file", &*file("ca.pem", &authority.pem)],
                &["--tls-cert-file", &*file("server.pem", &shown.pem)],
                &["--tls-key-file", &*file("server.key", &shown.key)],
                &["--tls-auth-clients", if mutual { "yes" } else { "no" }],
                options,
            ]
            .concat(),
        );
        Self {
            server,
            port,
            _files: files,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}
