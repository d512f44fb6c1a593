//! What `Cache-Status` says of the cached functions beneath a handler.

#![cfg(feature = "axum")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::get;
use revalidate::{Cache, CacheLayer, CachePolicy, Clock, web_method};
use tower::ServiceExt;

#[web_method(cache(tags = ["answers"], ttl = "1h"))]
async fn answer() -> u32 {
    inner().await
}

#[web_method(cache(ttl = "1h"))]
async fn inner() -> u32 {
    42
}

async fn page() -> String {
    answer().await.to_string()
}

async fn stored() -> (CachePolicy, String) {
    (CachePolicy::ttl("1h"), answer().await.to_string())
}

fn statuses(response: &Response<impl Sized>) -> Vec<String> {
    let lines = response.headers().get_all("cache-status").iter();
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .collect()
}

mod internals {
    #[super::web_method(cache(ttl = "1h"))]
    pub(super) async fn hidden() -> u32 {
        1
    }
}

#[tokio::test]
async fn clients_are_not_shown_the_modules_of_cached_functions() {
    let cache = Cache::builder().clock(Clock::manual()).build();
    let page = async || internals::hidden().await.to_string();
    let app = Router::new()
        .route("/", get(page))
        .layer(CacheLayer::new().cache(cache));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let shown = statuses(&app.oneshot(request).await.unwrap());
    assert_eq!(shown[0], "hidden; fwd=miss; detail=never-stored");
}

#[tokio::test]
async fn a_response_tells_of_the_cached_functions_that_its_handler_called() {
    let cache = Cache::builder().clock(Clock::manual()).build();
    let app = Router::new()
        .route("/", get(page))
        .route("/stored", get(stored))
        .layer(CacheLayer::new().cache(cache));
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        statuses(&app.clone().oneshot(request).await.unwrap())
    };
    let own = "revalidate; fwd=miss; detail=not-declared";
    let miss = "answer; fwd=miss; detail=never-stored";
    assert_eq!(ask("/").await, [miss, own]);
    let hit = "answer; hit";
    assert_eq!(ask("/").await, [hit, own]);

    let own = "revalidate; fwd=miss; stored; detail=never-stored";
    assert_eq!(ask("/stored").await, [hit, own]);
    // From the cache no function was called.
    assert_eq!(ask("/stored").await, ["revalidate; hit; ttl=3600"]);
}
