//! `revalidate`: invalidates, shows and watches what the nodes of an application share over Redis or Valkey.
//!
//! What it invalidates reaches every node as if one of them had: it waits until the server has acknowledged
//! it, and ends with 1 where that was not so in time.

#![forbid(unsafe_code)]

mod watch;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use cache_core::{Cache, Invalidating};
use cache_redis::Redis;
use clap::{Args, Parser, Subcommand};

/// Invalidates, shows and watches what the nodes of an application share.
#[derive(Debug, Parser)]
#[command(name = "revalidate", version)]
struct Command {
    #[command(flatten)]
    server: Server,
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
    /// The namespace of the application
    #[arg(long, default_value = "revalidate", global = true)]
    namespace: String,
    /// How long to wait for the server, in seconds
    #[arg(long, default_value_t = 5, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Drops every value with one of these tags
    Tag {
        /// As the application names them
        #[arg(required = true)]
        tags: Vec<String>,
        /// Serve what has a stale window once more while it is refreshed
        #[arg(long)]
        soft: bool,
    },
    /// Marks stale what was stored for a path or a route, and what is beneath a layout
    Path {
        /// Such as `/blog/{slug}` or `/blog/first`
        path: String,
    },
    /// Drops the value under a key of text, of the cache itself or of a scope
    Key {
        /// The key
        key: String,
        /// The scope, and those around it before it
        #[arg(long)]
        scope: Vec<String>,
        /// The version that the application gives its builder; without one its keys are those of its very executable
        #[arg(long)]
        version: String,
    },
    /// Drops everything
    Clear,
    /// Shows the server, the log, and what is wrong with the server's settings
    Status,
    /// Shows each invalidation as it comes, until interrupted
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
        Ok(redis
            .namespace(&self.namespace)?
            .connect_timeout(self.limit()))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
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
    let Command { server, action } = command;
    let redis = server.redis()?;
    let limit = server.limit();
    let builder = Cache::builder().delivery_limit(limit).remote_timeout(limit);
    // What the server's settings lack is what `status` is for.
    let node = |version: &str| {
        let redis = redis.clone().advise(false);
        builder.version(version).remote(redis).build()
    };
    match action {
        Action::Watch => tokio::select! {
            watched = watch::watch(&redis, limit) => watched,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        },
        Action::Status => watch::status(&redis, limit).await,
        Action::Tag { tags, soft: true } => everywhere(node("cli").revalidate_tag(tags)).await,
        Action::Tag { tags, soft: false } => everywhere(node("cli").invalidate_cache(tags)).await,
        Action::Path { path } => everywhere(node("cli").revalidate_path(path)).await,
        Action::Clear => everywhere(node("cli").clear()).await,
        Action::Key {
            key,
            scope,
            version,
        } => {
            let cache = scope
                .iter()
                .fold(node(&version), |cache, scope| cache.scope(scope));
            everywhere(cache.remove(key)).await
        }
    }
}

async fn everywhere(invalidating: Invalidating) -> Result<(), Box<dyn Error>> {
    invalidating.everywhere().await?;
    println!("acknowledged");
    Ok(())
}
