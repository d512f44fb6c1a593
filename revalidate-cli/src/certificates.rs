//! Certificates for `rediss://`, from files in PEM. The options are called as those of `redis-cli`.

use std::error::Error;
use std::path::{Path, PathBuf};

use cache_redis::{Redis, RedisError};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Certificates {
    /// With `rediss://`, the authorities to trust instead of the system's: certificates in PEM
    #[arg(long, value_name = "FILE", env = "REDIS_TLS_CA_FILE", global = true)]
    cacert: Option<PathBuf>,
    /// With `rediss://`, the certificate to show to servers that want to know their clients, in PEM; needs --key
    #[arg(long, value_name = "FILE", env = "REDIS_TLS_CERT_FILE", global = true)]
    cert: Option<PathBuf>,
    /// The key of --cert, in PEM
    // Its id is its own: the subcommand `key` has an argument of that name.
    #[arg(
        id = "key_file",
        long = "key",
        value_name = "FILE",
        env = "REDIS_TLS_KEY_FILE",
        global = true
    )]
    key: Option<PathBuf>,
}

impl Certificates {
    /// Has connections be made with these.
    pub(crate) fn given_to(&self, redis: Redis) -> Result<Redis, Box<dyn Error>> {
        let redis = match &self.cacert {
            None => redis,
            Some(file) => {
                let given = format!("--cacert {}", file.display());
                let with = redis.tls_ca(read("--cacert", file)?);
                with.map_err(|error| told(&given, error))?
            }
        };
        // Not clap's `requires`: it does not see an option on the other side of the subcommand.
        match (&self.cert, &self.key) {
            (None, None) => Ok(redis),
            (Some(cert), Some(key)) => {
                let given = format!("--cert {} --key {}", cert.display(), key.display());
                let with = redis.tls_client(read("--cert", cert)?, read("--key", key)?);
                Ok(with.map_err(|error| told(&given, error))?)
            }
            (Some(cert), None) => {
                let cert = cert.display();
                Err(format!("--cert {cert} has no key: name the key's file with --key").into())
            }
            (None, Some(key)) => {
                let key = key.display();
                Err(format!("--key {key} has no certificate: name its file with --cert").into())
            }
        }
    }
}

fn read(option: &str, file: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error| {
        let file = file.display();
        format!("{option} {file}: {error}: name a file in PEM that can be read from here")
    };
    std::fs::read(file).map_err(wrong)
}

/// What is wrong, by the options and files that it came from.
fn told(given: &str, error: RedisError) -> String {
    match error {
        RedisError::Certificate { problem, .. } => format!(
            "{given}: {problem}: certificates and keys are taken in PEM, as `-----BEGIN ..` to `-----END ..`"
        ),
        RedisError::NoTls { .. } => format!(
            "{given} is for TLS, and no address has it: write `rediss://` in place of `redis://`, or leave it out (REDIS_TLS_CA_FILE and its like are taken for options)"
        ),
        error => format!("{given}: {error}"),
    }
}
