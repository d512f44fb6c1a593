//! A layer above a cache that was built but is not current: nothing is cached, and it says so. In a binary of
//! its own, as it is decided once per process.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::routing::get as route;
use layer_support::*;
use revalidate::InvalidateError;

#[tokio::test]
async fn a_layer_without_a_cache_passes_everything_by_and_says_so() {
    let cache = Cache::new();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        async move { format!("run {run}") }
    };
    let app = Router::new()
        .route("/", route(handler))
        .layer(CacheLayer::new().ttl("1m"));
    for run in ["run 1", "run 2"] {
        let reply = get(&app, "/").await;
        assert_eq!(reply.text(), run);
        assert_eq!(
            reply.cache(),
            "revalidate; fwd=bypass; detail=no-current-cache"
        );
    }
    let error = invalidate_cache("t").await.unwrap_err();
    assert_eq!(error, InvalidateError::NoCurrentCache);
    assert!(error.to_string().contains("`.cache(..)`"), "{error}");
    // Where it is entered, the layer uses it.
    cache
        .enter(get(&app, "/"))
        .await
        .assert_miss("never-stored");
    cache.enter(get(&app, "/")).await.assert_hit();
}
