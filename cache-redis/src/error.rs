//! What can be wrong with the settings, and how failures of the server are told to the engine.

use std::time::Duration;

use cache_core::remote::RemoteError;
use thiserror::Error;

/// Settings that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisError {
    /// It is no address. Its password, if it has one, is not shown.
    #[error(
        "{address:?} is no address of a Redis ({problem}): write `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS"
    )]
    Address {
        /// What stands after the password.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// No addresses were given.
    #[error("no address was given: at least one is needed to find the others")]
    NoAddress,
    /// Of a certificate or its key. Nothing of the key is shown.
    #[error(
        "`{of}` takes certificates and keys in PEM, as `-----BEGIN ..` to `-----END ..`: {problem}"
    )]
    Certificate {
        /// The setting.
        of: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Certificates were given for no address that has TLS.
    #[error("`{of}` is for TLS, and no address has it: write `rediss://` in place of `redis://`")]
    NoTls {
        /// The setting.
        of: &'static str,
    },
}

/// With what to do about it, where TLS is what failed.
fn unreachable(failure: String) -> String {
    #[cfg(feature = "tls")]
    if let Some(remedy) = crate::tls::remedy(&failure) {
        return format!("{failure}: {remedy}");
    }
    failure
}

/// How a failure is told. Nothing of what was sent is in it.
pub(crate) fn told(error: &redis::RedisError, limit: Duration) -> RemoteError {
    use redis::{ErrorKind, ServerErrorKind as Kind};

    let text = || match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    match error.kind() {
        _ if error.is_timeout() => RemoteError::TimedOut(limit),
        _ if error.is_io_error() || error.is_connection_dropped() => {
            RemoteError::Unreachable(unreachable(error.to_string()))
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            RemoteError::Unreachable(format!("an answer was not understood: {}", text()))
        }
        ErrorKind::Server(
            Kind::ReadOnly | Kind::BusyLoading | Kind::MasterDown | Kind::ClusterDown | Kind::Moved,
        ) => RemoteError::Moved(text()),
        _ if matches!(error.code(), Some("MOVEDON" | "UNBLOCKED")) => RemoteError::Moved(text()),
        // Of a slot that moves (`ASK`, `TRYAGAIN`), too: who is in charge of it is so still.
        _ => RemoteError::Refused(text()),
    }
}

/// Whether a slot is on its way to another master, to which what is not here any more may be asked. One key of
/// very many: the session goes on, and ends where the slot has arrived.
pub(crate) fn is_ask(error: &redis::RedisError) -> bool {
    matches!(
        error.kind(),
        redis::ErrorKind::Server(redis::ServerErrorKind::Ask)
    )
}
