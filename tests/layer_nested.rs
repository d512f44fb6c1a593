//! Layers within layers of one cache store once, and what one learns reaches the other.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::routing::get as route;
use layer_support::*;
use tower::{Layer, ServiceExt};

#[tokio::test]
async fn the_innermost_that_stores_stores_alone() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        async move { format!("run {run}") }
    };
    let inner = CacheLayer::new()
        .cache(cache.clone())
        .tags(["t"])
        .ttl("10m");
    let outer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).layer(inner))
        .layer(outer);
    let first = get(&app, "/").await;
    assert_eq!(
        first.cache(),
        "revalidate; fwd=miss; stored; detail=never-stored, revalidate; fwd=miss; detail=stored-inside"
    );
    let second = get(&app, "/").await;
    assert_eq!(second.text(), "run 1");
    assert_eq!(
        second.cache(),
        "revalidate; hit; ttl=600, revalidate; fwd=miss; detail=stored-inside"
    );
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(get(&app, "/").await.text(), "run 2");
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn an_outer_layer_stores_what_the_inner_one_does_not_with_its_tags() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        cache_tag("learned");
        async move { format!("run {run}") }
    };
    let inner = CacheLayer::new().cache(cache.clone());
    let outer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).layer(inner))
        .layer(outer);
    // The second time round the inner one knows that it need not try.
    for _ in 0..2 {
        let first = get(&app, "/").await;
        assert_eq!(
            first.cache().split("detail=").last(),
            Some(if count.get() == 1 {
                "never-stored"
            } else {
                "tag"
            }),
            "{first:?}"
        );
        get(&app, "/").await.assert_hit();
        cache.invalidate_cache("learned").await.unwrap();
    }
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn layers_of_two_caches_both_store_and_tags_reach_both() {
    let (near, _) = cache();
    let (far, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        async move { ([("cache-control", "max-age=600")], format!("run {run}")) }
    };
    let inner = CacheLayer::new().cache(far.clone()).tags(["t"]).ttl("10m");
    let outer = CacheLayer::new().cache(near.clone()).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).layer(inner))
        .layer(outer);
    get(&app, "/").await;
    get(&app, "/").await.assert_hit();
    near.invalidate_cache("t").await.unwrap();
    let second = get(&app, "/").await;
    assert_eq!(second.text(), "run 1");
    assert!(
        second.cache().starts_with("revalidate; hit"),
        "{}",
        second.cache()
    );
    far.invalidate_cache("t").await.unwrap();
    near.invalidate_cache("t").await.unwrap();
    assert_eq!(get(&app, "/").await.text(), "run 2");
}

#[tokio::test]
async fn nested_layers_stay_one_load_for_many_callers() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        async {
            settle().await;
            "x"
        }
    };
    let layer = || CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = layer().layer(layer().layer(Router::new().route("/", route(handler).layer(layer()))));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { Reply::of(app.oneshot(request("/")).await.unwrap()).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().text(), "x");
    }
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn a_request_within_bypass_goes_past_the_layer() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        async move { format!("run {run}") }
    };
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let app = Router::new().route("/", route(handler).layer(layer));
    let past = cache_core::bypass(get(&app, "/")).await;
    assert_eq!(past.cache(), "revalidate; fwd=bypass; detail=bypass");
    get(&app, "/").await.assert_miss("never-stored");
    let past = cache_core::bypass(get(&app, "/")).await;
    assert_eq!(past.text(), "run 3");
    assert_eq!(get(&app, "/").await.assert_hit().text(), "run 2");
}
