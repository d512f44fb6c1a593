//! `revalidate_path` as it reaches cached functions: they carry no path's tag, and are as stale as
//! the request that asks for them.

#![cfg(feature = "axum")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::Request;
use axum::routing::get;
use revalidate::{Cache, CacheLayer, CachePolicy, Clock, PathTarget, web_method};
use tower::ServiceExt;

static VERSION: AtomicU32 = AtomicU32::new(0);

fn version() -> u32 {
    VERSION.load(Ordering::SeqCst)
}

/// A cached handler.
#[web_method(cache(ttl = "1h"))]
async fn post(Path(slug): Path<String>) -> String {
    format!("{slug} v{}", version())
}

/// A cached handler whose response is stored too.
#[web_method(cache(ttl = "1h"))]
async fn page(Path(slug): Path<String>) -> (CachePolicy, String) {
    (CachePolicy::ttl("1h"), format!("{slug} v{}", version()))
}

#[web_method(cache(ttl = "1h"))]
async fn inner() -> u32 {
    version()
}

#[web_method(cache(ttl = "1h"))]
async fn outer() -> u32 {
    inner().await
}

async fn nested() -> String {
    format!("v{}", outer().await)
}

#[web_method(cache(ttl = "1h", stale_while_revalidate = "1h"))]
async fn windowed() -> String {
    format!("v{}", version())
}

struct App(Router, Cache, Clock);

impl App {
    fn new() -> Self {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(clock.clone()).build();
        let app = Router::new()
            .route("/post/{slug}", get(post))
            .route("/page/{slug}", get(page))
            .route("/nested", get(nested))
            .route("/other", get(nested))
            .route("/windowed", get(windowed))
            .layer(CacheLayer::new().cache(cache.clone()));
        Self(app, cache, clock)
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

// One test: they share the version.
#[tokio::test]
async fn an_invalidated_path_reaches_the_cached_functions_that_it_asks_for() {
    let app = App::new();
    for path in ["/post/a", "/post/b", "/page/a", "/nested", "/other"] {
        assert!(app.get(path).await.ends_with("v0"), "{path}");
    }
    VERSION.store(1, Ordering::SeqCst);
    assert_eq!(app.get("/post/a").await, "a v0");

    app.1.revalidate_path("/post/a").await.unwrap();
    assert_eq!(app.get("/post/a").await, "a v1");
    assert_eq!(app.get("/post/b").await, "b v0");
    app.1.revalidate_path("/post/{slug}").await.unwrap();
    assert_eq!(app.get("/post/b").await, "b v1");
    assert_eq!(app.get("/post/a").await, "a v1");

    // What is stored twice, as a value and as a response, is not stored again from the old value.
    app.1.revalidate_path("/page/a").await.unwrap();
    assert_eq!(app.get("/page/a").await, "a v1");
    assert_eq!(app.get("/page/a").await, "a v1");

    // Loads inside the request's loads too; other paths that ask for the same get what is stored.
    app.1
        .revalidate_path(PathTarget::layout("/nested"))
        .await
        .unwrap();
    assert_eq!(app.get("/nested").await, "v1");
    assert_eq!(app.get("/other").await, "v1");

    // With a window: stale once more, then fresh.
    assert_eq!(app.get("/windowed").await, "v1");
    VERSION.store(2, Ordering::SeqCst);
    app.1.revalidate_path("/windowed").await.unwrap();
    assert_eq!(app.get("/windowed").await, "v1");
    while app.1.stats().running > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.get("/windowed").await, "v2");

    // Past what is remembered, everything on a path that was loaded before counts as overtaken.
    assert_eq!(app.get("/post/a").await, "a v1");
    for path in 0..5000 {
        drop(app.1.revalidate_path(format!("/elsewhere/{path}")));
    }
    assert_eq!(app.get("/post/a").await, "a v2");
    app.2.advance(Duration::from_secs(1));
    assert_eq!(app.get("/post/a").await, "a v2");
}
