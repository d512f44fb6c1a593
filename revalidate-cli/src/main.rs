//! `revalidate`: invalidates, shows and watches what the nodes of an application share over Redis or Valkey.
//!
//! What it invalidates reaches every node as if one of them had: it waits until the server has acknowledged
//! it, and ends with 1 where that was not so in time.

#![forbid(unsafe_code)]

mod watch;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use cache_core::remote::is_namespace;
use cache_core::spi::TagName;
use cache_core::{Cache, MAX_TAG_CHARS, PathTarget};
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
    /// The namespace of the application's cache
    #[arg(long, default_value = "revalidate", global = true, value_parser = namespace)]
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
        #[arg(required = true, value_parser = tag)]
        tags: Vec<String>,
        /// Serve what has a stale window once more while it is refreshed
        #[arg(long)]
        soft: bool,
    },
    /// Marks stale what was stored for a path or a route
    Path {
        /// Such as `/blog/{slug}` or `/blog/first`
        path: String,
        /// And for all that are beneath it
        #[arg(long)]
        layout: bool,
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
        Ok(redis.connect_timeout(self.limit()))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn tag(text: &str) -> Result<String, String> {
    let named = TagName::user(text);
    let named = named.map_err(|_| format!("a tag has 1 to {MAX_TAG_CHARS} characters"));
    named.map(|_| text.to_owned())
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
    let Command { server, action } = command;
    let redis = server.redis()?;
    let limit = server.limit();
    let namespace = &*server.namespace;
    match action {
        Action::Watch => {
            return tokio::select! {
                watched = watch::watch(&redis, namespace, limit) => watched,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            };
        }
        Action::Status => return watch::status(&redis, namespace).await,
        _ => {}
    }
    // First: why it cannot be reached is told as it is, and what nobody uses is not begun.
    let state = redis.state(namespace).await?;
    if state.last_record.is_none() {
        println!("nothing to drop");
        eprintln!(
            "no node of the namespace `{namespace}` has been at {} since that server began",
            state.address
        );
        return Ok(());
    }
    let builder = Cache::builder().delivery_limit(limit).remote_timeout(limit);
    let version = match &action {
        Action::Key { version, .. } => version,
        _ => "cli",
    };
    // What the server's settings lack is what `status` is for.
    let builder = builder.namespace(namespace).version(version);
    let node = builder.remote(redis.advise(false)).build();
    let invalidating = match action {
        Action::Tag { tags, soft: true } => node.revalidate_tag(tags),
        Action::Tag { tags, soft: false } => node.invalidate_cache(tags),
        Action::Path { path, layout: true } => node.revalidate_path(PathTarget::layout(path)),
        Action::Path { path, .. } => node.revalidate_path(path),
        Action::Clear => node.clear(),
        Action::Key { key, scope, .. } => {
            let cache = scope.iter().fold(node, |cache, scope| cache.scope(scope));
            cache.remove(key)
        }
        Action::Status | Action::Watch => return Ok(()),
    };
    invalidating.everywhere().await?;
    println!("acknowledged");
    Ok(())
}
