//! Connections by TLS. They are made here, as the driver would have rustls go by a default of the whole process, and
//! install one where there is none: what an application installs for itself after that fails.
//!
//! Certificates of one's own are checked when they are given, as no connection would say more of them later.

use std::fmt::Display;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::RedisError;

/// Whom this process trusts, and what it shows.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// None: those of the system, as they were when they were first needed.
    authorities: Option<Arc<RootCertStore>>,
    of_the_system: Arc<OnceLock<Arc<RootCertStore>>>,
    /// A certificate with those between it and its authority, and its key.
    shown: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
}

/// The application's, where it has installed one.
fn provider() -> Arc<CryptoProvider> {
    let installed = CryptoProvider::get_default();
    installed.map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}

fn wrong(of: &'static str, problem: impl Display) -> RedisError {
    RedisError::Certificate {
        of,
        problem: problem.to_string(),
    }
}

fn certificates(of: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RedisError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| wrong(of, error))?;
    if certificates.is_empty() {
        return Err(wrong(
            of,
            "no `-----BEGIN CERTIFICATE-----` in the certificate",
        ));
    }
    Ok(certificates)
}

/// Those that the system trusts. Some that cannot be read are left out, as long as there are others.
fn of_the_system() -> io::Result<Arc<RootCertStore>> {
    let mut found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    match found.errors.pop() {
        Some(error) if added == 0 => Err(io::Error::other(error)),
        _ => Ok(Arc::new(store)),
    }
}

impl Tls {
    pub(crate) fn trust(&mut self, pem: &[u8]) -> Result<(), RedisError> {
        const OF: &str = "tls_ca";
        let mut store = RootCertStore::empty();
        for certificate in certificates(OF, pem)? {
            store.add(certificate).map_err(|error| wrong(OF, error))?;
        }
        self.authorities = Some(Arc::new(store));
        Ok(())
    }

    pub(crate) fn show(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), RedisError> {
        const OF: &str = "tls_client";
        let chain = certificates(OF, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            Error::NoItemsFound => wrong(OF, "no `-----BEGIN PRIVATE KEY-----` in the key"),
            // What it says may show what it read.
            _ => wrong(OF, "the key is damaged"),
        })?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider())
            .map_err(|error| wrong(OF, error))?;
        self.shown = Some((chain, Arc::new(key)));
        Ok(())
    }

    /// The system's are files, of which a runtime's thread does not wait.
    async fn authorities(&self) -> io::Result<Arc<RootCertStore>> {
        let known = self.authorities.as_ref().or(self.of_the_system.get());
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let found = tokio::task::spawn_blocking(of_the_system);
        let found = found.await.map_err(io::Error::other)??;
        Ok(Arc::clone(self.of_the_system.get_or_init(|| found)))
    }

    /// Anew each time, as an application may have installed a provider since.
    fn config(&self, authorities: Arc<RootCertStore>) -> io::Result<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(authorities);
        match &self.shown {
            Some((chain, key)) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(io::Error::other),
            None => Ok(config.with_no_client_auth()),
        }
    }

    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config(self.authorities().await?)?;
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        connector.connect(name, stream).await
    }
}

/// What to do about a failure of TLS, by how rustls tells it.
pub(crate) fn remedy(failure: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 4] = [
        (
            "UnknownIssuer",
            "the server's authority is not trusted: give its certificate to `Redis::tls_ca`, or the command `--cacert`",
        ),
        (
            "CaUsedAsEndEntity",
            "the server shows an authority's certificate: have it show one that the authority signed",
        ),
        (
            "not valid for name",
            "the server's certificate is for other names: connect by one of those, or have it hold this one",
        ),
        (
            "CertificateRequired",
            "the server wants a certificate of its clients: give one to `Redis::tls_client`, or the command `--cert` and `--key`",
        ),
    ];
    let remedy = REMEDIES.iter().find(|(told, _)| failure.contains(told));
    remedy.map(|(_, remedy)| *remedy)
}
