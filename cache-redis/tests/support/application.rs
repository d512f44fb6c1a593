//! An application for tests, with nodes that share a server: it is answered within its limits, and sees what
//! it changed.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, Delivery};
use cache_redis::Redis;

/// B, for tests that wait for it.
pub(crate) const BOUND: Duration = Duration::from_secs(2);
/// For one answer of the server.
pub(crate) const LIMIT: Duration = Duration::from_millis(200);

pub(crate) fn node(redis: Redis) -> Cache {
    Cache::builder()
        .remote(redis.connect_timeout(LIMIT))
        .proof_bound(BOUND)
        .remote_timeout(LIMIT)
        .delivery_limit(LIMIT)
        .version("test")
        .build()
}

/// A row of a database.
#[derive(Clone, Default)]
pub(crate) struct Row(Arc<(AtomicU64, AtomicU64)>);

impl Row {
    pub(crate) fn set(&self, value: u64) {
        self.0.0.store(value, Ordering::SeqCst);
    }

    pub(crate) fn loads(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }

    /// Reads it through a cache, which answers within its limits.
    pub(crate) async fn read(&self, cache: &Cache) -> u64 {
        let row = self.clone();
        let load = move || async move {
            row.0.1.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(row.0.0.load(Ordering::SeqCst))
        };
        let began = Instant::now();
        let Ok(value) = cache.fetch("row", "1h", ["rows"], load).await;
        let took = began.elapsed();
        assert!(
            took < 4 * LIMIT + Duration::from_secs(1),
            "a read took {took:?}"
        );
        value
    }
}

/// Changes the row by one node and waits as its application would.
pub(crate) async fn change(row: &Row, value: u64, cache: &Cache) -> Delivery {
    row.set(value);
    let began = Instant::now();
    let done = cache.invalidate_cache("rows").await.unwrap();
    let took = began.elapsed();
    assert!(
        took < LIMIT + Duration::from_secs(1),
        "an invalidation took {took:?}"
    );
    assert_eq!(
        row.read(cache).await,
        value,
        "the caller sees its own at once"
    );
    done.delivery
}

/// Every node reads what is there now, once the bound has passed.
pub(crate) async fn all_read_after_the_bound(row: &Row, value: u64, nodes: &[Cache]) {
    tokio::time::sleep(BOUND + Duration::from_millis(100)).await;
    for node in nodes {
        assert_eq!(row.read(node).await, value);
    }
}
