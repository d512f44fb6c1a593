//! What invalidates: a node that is there for one call.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cache_core::spi::TagName;
use cache_core::{Cache, Delivery, MAX_TAG_CHARS, PathTarget};
use cache_redis::Redis;
use clap::Subcommand;
use serde::Serialize;

use crate::output::RecordId;

/// What is to be invalidated.
#[derive(Debug, Serialize, Subcommand)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum What {
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
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Done<'a> {
    #[serde(flatten)]
    what: &'a What,
    namespace: &'a str,
    acknowledged: bool,
    /// The server's.
    identity: String,
    record: Option<RecordId>,
}

impl fmt::Display for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.acknowledged {
            true => "acknowledged",
            false => "nothing to drop",
        })
    }
}

fn tag(text: &str) -> Result<String, String> {
    let named = TagName::user(text);
    let named = named.map_err(|_| format!("a tag has 1 to {MAX_TAG_CHARS} characters"));
    named.map(|_| text.to_owned())
}

/// Invalidates on all nodes of the namespace, and waits for the acknowledgement.
pub(crate) async fn invalidate<'a>(
    redis: Redis,
    namespace: &'a str,
    limit: Duration,
    what: &'a What,
) -> Result<Done<'a>, Box<dyn Error>> {
    // First: why it cannot be reached is told as it is, and what nobody uses is not begun.
    let state = redis.state(namespace).await?;
    let mut done = Done {
        what,
        namespace,
        acknowledged: false,
        identity: state.identity.to_string(),
        record: None,
    };
    if state.last_record.is_none() {
        eprintln!(
            "no node of the namespace `{namespace}` has been at {} since that server began",
            state.address
        );
        return Ok(done);
    }
    let builder = Cache::builder().delivery_limit(limit).remote_timeout(limit);
    let version = match what {
        What::Key { version, .. } => version,
        _ => "cli",
    };
    // What the server's settings lack is what `status` is for.
    let builder = builder.namespace(namespace).version(version);
    let node = builder.remote(redis.advise(false)).build();
    let invalidating = match what {
        What::Tag { tags, soft: true } => node.revalidate_tag(tags),
        What::Tag { tags, soft: false } => node.invalidate_cache(tags),
        What::Path { path, layout: true } => node.revalidate_path(PathTarget::layout(path)),
        What::Path { path, .. } => node.revalidate_path(&**path),
        What::Key { key, scope, .. } => {
            let cache = scope.iter().fold(node, |cache, scope| cache.scope(scope));
            cache.remove(key)
        }
        What::Clear => node.clear(),
    };
    let invalidation = invalidating.everywhere().await?;
    done.acknowledged = invalidation.delivery == Delivery::Everywhere;
    // Another server may have come to be in charge.
    if let Some(bookmark) = invalidation.bookmark {
        done.identity = bookmark.epoch().to_string();
        done.record = Some(bookmark.position().id.into());
    }
    Ok(done)
}
