//! One node: an application that caches what it reads from the database, and invalidates what changed.

use std::env;
use std::error::Error;
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use revalidate::{Cache, Delivery, Redis, invalidate_cache, web_method};
use serde::{Deserialize, Serialize};

use crate::BOUND;

static DATABASE: LazyLock<String> =
    LazyLock::new(|| env::var("CLUSTER_DATABASE").unwrap_or_default());

/// What a node did, for the table.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Did {
    pub(crate) hits: u64,
    pub(crate) second_level: u64,
    pub(crate) loads: u64,
    pub(crate) queued: u64,
    pub(crate) epochs: u64,
    pub(crate) connected: bool,
}

#[web_method(cache(remote, tags = ["rows", "row:{row}"], ttl = "1h", stale_if_error = "1m"))]
async fn version(row: usize) -> Result<u64, StatusCode> {
    // The client blocks, so it gets a thread where that is allowed.
    let url = format!("http://{}/{row}", *DATABASE);
    let read = move || {
        let text = ureq::get(&url)
            .call()
            .ok()?
            .body_mut()
            .read_to_string()
            .ok()?;
        text.parse().ok()
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.ok().flatten().ok_or(StatusCode::BAD_GATEWAY)
}

/// After the commit: whether every node is promised to see it.
async fn changed(Path(row): Path<usize>) -> Result<&'static str, StatusCode> {
    let done = invalidate_cache(format!("row:{row}")).await;
    let done = done.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(match done.delivery {
        Delivery::Everywhere => "everywhere",
        _ => "queued",
    })
}

async fn did() -> Result<Json<Did>, StatusCode> {
    let cache = Cache::current().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    let stats = cache.stats();
    let remote = stats.remote.unwrap_or_default();
    Ok(Json(Did {
        hits: stats.hits,
        second_level: remote.hits,
        loads: stats.loads,
        queued: remote.outbox,
        epochs: remote.epochs,
        connected: remote.connected,
    }))
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let limit = Duration::from_millis(250);
        Cache::builder()
            .remote(Redis::new(env::var("REDIS_URL")?)?.connect_timeout(limit))
            .proof_bound(BOUND)
            .remote_timeout(limit)
            .delivery_limit(limit)
            .build()
            .install()?;
        let read =
            async |Path(row): Path<usize>| version(row).await.map(|version| version.to_string());
        let app = Router::new()
            .route("/rows/{row}", get(read))
            .route("/changed/{row}", post(changed))
            .route("/did", get(did));
        let listener = tokio::net::TcpListener::bind(env::var("CLUSTER_NODE")?).await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, app).await?;
        Ok(())
    })
}
