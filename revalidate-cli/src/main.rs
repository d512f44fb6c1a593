//! `revalidate`: invalidates, shows and watches what the nodes of an application share over Redis or Valkey.
//!
//! What it invalidates reaches every node as if one of them had: it waits until the server has acknowledged
//! it, and ends with 1 where that was not so in time.

#![forbid(unsafe_code)]

#[cfg(feature = "tls")]
mod certificates;
mod invalidate;
mod output;
mod watch;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use cache_core::remote::is_namespace;
use cache_redis::Redis;
use clap::{Args, Parser, Subcommand};

use crate::invalidate::{What, invalidate};
use crate::output::show;
use crate::watch::{status, watch};

/// Invalidates, shows and watches what the nodes of an application share.
#[derive(Debug, Parser)]
#[command(name = "revalidate", version)]
struct Command {
    #[command(flatten)]
    server: Server,
    /// Shows JSON, for programs: one object, of `watch` one in each line
    ///
    /// What invalidates shows its `action` and arguments, `namespace`, `acknowledged` (false where there was nothing
    /// to drop, as no node has been there), the `identity` of the server, and the `record` in its log, with `id` and
    /// `time`, or null. Times are RFC 3339. Errors are text on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

/// Which servers, and whose keys.
#[derive(Debug, Args)]
struct Server {
    /// The server, of several the nodes of a Cluster or the sentinels
    #[arg(
        long = "url",
        env = "REDIS_URL",
        value_delimiter = ',',
        default_value = "redis://127.0.0.1:6379",
        global = true,
        hide_env_values = true
    )]
    urls: Vec<String>,
    /// The addresses are those of nodes of a Cluster
    #[arg(long, global = true, conflicts_with = "sentinel")]
    cluster: bool,
    /// The addresses are those of sentinels, and this is the name of the master that they watch
    #[arg(long, value_name = "MASTER", global = true)]
    sentinel: Option<String>,
    /// With --sentinel, how the master is spoken to: `redis://user:password@/2`
    #[arg(
        long,
        value_name = "URL",
        env = "REDIS_MASTER_URL",
        global = true,
        default_value = "redis://localhost",
        hide_env_values = true
    )]
    master: String,
    /// The namespace of the application's cache
    #[arg(long, default_value = "revalidate", global = true, value_parser = namespace)]
    namespace: String,
    /// How long to wait for the server, in seconds
    #[arg(long, default_value_t = 5, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    #[cfg(feature = "tls")]
    #[command(flatten)]
    certificates: certificates::Certificates,
}

#[derive(Debug, Subcommand)]
enum Action {
    #[command(flatten)]
    Invalidate(What),
    /// Shows the server, the log, and what is wrong with the server's settings
    ///
    /// With --json: `server`, `version`, `identity`, `namespace`, `last_record` with its `id` and `time` (null where
    /// no node has been here since the server began), and `advice`, a list of texts.
    Status,
    /// Shows each invalidation as it comes, until interrupted
    ///
    /// With --json an object in each line: the record's `id` and `time`, the `identity` of the server, and `event`.
    /// Of the event `invalidated` there are `origin` (the process, or zeros), `hard` and `soft` (lists of tags, each
    /// with `kind` and `name`) and `keys` (how many were removed). For `not_understood`, a record of another release
    /// or the first of a log that was emptied, every node drops everything. `lost` says that the log lacks records
    /// that were not shown: anything may have been dropped.
    Watch,
}

impl Server {
    fn redis(&self) -> Result<Redis, Box<dyn Error>> {
        let redis = match (&self.sentinel, &*self.urls) {
            (Some(name), sentinels) => Redis::sentinel(sentinels, name, &self.master)?,
            (None, nodes) if self.cluster => Redis::cluster(nodes)?,
            (None, [url]) => Redis::new(url)?,
            (None, _) => return Err("several addresses: say --cluster or --sentinel MASTER".into()),
        };
        #[cfg(feature = "tls")]
        let redis = self.certificates.given_to(redis)?;
        Ok(redis.connect_timeout(self.limit()))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn namespace(text: &str) -> Result<String, &'static str> {
    match is_namespace(text) {
        true => Ok(text.to_owned()),
        false => Err("it is of 1 to 64 letters, digits, `.`, `_` or `-`"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Command::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("revalidate: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let Command {
        server,
        json,
        action,
    } = command;
    let redis = server.redis()?;
    let limit = server.limit();
    let namespace = &*server.namespace;
    match &action {
        Action::Invalidate(what) => show(json, &invalidate(redis, namespace, limit, what).await?),
        Action::Status => show(json, &status(&redis, namespace).await?),
        Action::Watch => tokio::select! {
            watched = watch(&redis, namespace, limit, json) => watched,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        },
    }
}
