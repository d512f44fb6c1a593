//! Certificates of one's own: checked when they are given, as no connection would say more of them later.

use std::fmt::Display;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::RedisError;

/// None: the system's authorities, and nothing to show.
pub(crate) const NONE: TlsCertificates = TlsCertificates {
    client_tls: None,
    root_cert: None,
};

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

/// As the driver takes it.
pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<u8>, RedisError> {
    const OF: &str = "tls_ca";
    let mut store = RootCertStore::empty();
    for certificate in certificates(OF, pem)? {
        store.add(certificate).map_err(|error| wrong(OF, error))?;
    }
    Ok(pem.to_vec())
}

/// As the driver takes it.
pub(crate) fn client(certificate: &[u8], key: &[u8]) -> Result<ClientTlsConfig, RedisError> {
    const OF: &str = "tls_client";
    let chain = certificates(OF, certificate)?;
    let parsed = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        Error::NoItemsFound => wrong(OF, "no `-----BEGIN PRIVATE KEY-----` in the key"),
        // What it says may show what it read.
        _ => wrong(OF, "the key is damaged"),
    })?;
    CertifiedKey::from_der(chain, parsed, &default_provider()).map_err(|error| wrong(OF, error))?;
    Ok(ClientTlsConfig {
        client_cert: certificate.to_vec(),
        client_key: key.to_vec(),
    })
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
