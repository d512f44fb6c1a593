//! Validating what is stored: what a 304 leaves in force, and what is not asked about at all.
#![cfg(feature = "axum")]

mod layer_support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Request, StatusCode};
use layer_support::*;
use tower::{Layer, Service, service_fn};

const PAGE: [(&str, &str); 2] = [("etag", "\"page\""), ("cache-control", "max-age=10")];

/// A 304 where the request names the page's validator.
fn current(request: &HeaderMap) -> Option<Response> {
    let known = request
        .get("if-none-match")
        .is_some_and(|tag| tag == "\"page\"");
    known.then(|| (StatusCode::NOT_MODIFIED, PAGE).into_response())
}

#[tokio::test]
async fn a_304_that_names_no_tags_drops_none() {
    let tags = ["said", "policy", "group", "layer", "inner"];
    for tag in tags {
        let (cache, clock) = cache();
        let page = service_fn(|request: Request<Body>| async move {
            if let Some(current) = current(request.headers()) {
                return Ok(current);
            }
            cache_tag("said");
            let cache = Cache::current().unwrap();
            let load = async || Ok::<_, Infallible>(1_u8);
            cache.fetch("call", "1h", ["inner"], load).await?;
            let policy = CachePolicy::ttl(10).tags(["policy"]);
            let groups = [("cache-groups", "\"group\"")];
            Ok::<_, Infallible>((policy, PAGE, groups, "page").into_response())
        });
        let layer = CacheLayer::new().cache(cache.clone()).tags(["layer"]);
        let app = layer.layer(page);
        get(&app, "/").await.assert_miss("never-stored");
        // A tag that the second 304 keeps was kept by the first.
        for _ in 0..2 {
            clock.advance(10 * SECOND);
            let confirmed = get(&app, "/").await;
            assert!(confirmed.cache().contains("fwd-status=304; stored"));
            get(&app, "/").await.assert_hit();
        }
        cache.invalidate_cache(tag).await.unwrap();
        get(&app, "/").await.assert_miss("tag");
    }
}

#[tokio::test]
async fn what_is_invalidated_between_the_look_and_the_load_is_not_asked_about() {
    let (cache, clock) = cache();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let page = service_fn(move |request: Request<Body>| {
        let current = current(request.headers());
        noted.lock().unwrap().push(current.is_some());
        async move { Ok::<_, Infallible>(current.unwrap_or_else(|| (PAGE, "page").into_response())) }
    });
    let mut app = CacheLayer::new()
        .cache(cache.clone())
        .tags(["t"])
        .layer(page);
    get(&app, "/").await;
    clock.advance(10 * SECOND);
    // It looks when it is called, and loads when it is polled.
    let answer = app.call(request("/"));
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(Reply::of(answer.await.unwrap()).await.text(), "page");
    assert_eq!(*asked.lock().unwrap(), [false, false]);
}

#[tokio::test]
async fn a_cookie_that_a_304_sets_without_a_lifetime_is_its_clients_alone() {
    let (cache, clock) = cache();
    let page = service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(match current(request.headers()) {
            Some(_) => (
                StatusCode::NOT_MODIFIED,
                [("etag", "\"page\""), ("set-cookie", "session=mine")],
            )
                .into_response(),
            None => (PAGE, "page").into_response(),
        })
    });
    let app = CacheLayer::shared_proxy().cache(cache).layer(page);
    get(&app, "/").await;
    clock.advance(10 * SECOND);
    let mine = get(&app, "/").await;
    assert_eq!(mine.header("set-cookie"), Some("session=mine"));
    let other = get(&app, "/").await;
    other.assert_hit();
    assert_eq!(other.header("set-cookie"), None);
}

/// What is to be validated for each request is nobody else's, and nobody waits for it.
#[tokio::test]
async fn what_is_never_fresh_is_asked_for_by_each() {
    let (cache, _) = cache();
    let (count, gate) = (Count::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (runs, opened) = (count.clone(), Arc::clone(&gate));
    let page = service_fn(move |_: Request<Body>| {
        let run = runs.up();
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            let headers = [
                ("etag", format!("\"{run}\"")),
                ("cache-control", "no-cache".into()),
            ];
            Ok::<_, Infallible>((headers, format!("run {run}")).into_response())
        }
    });
    let app = CacheLayer::shared_proxy().cache(cache).layer(page);
    let read = || {
        let app = app.clone();
        tokio::spawn(async move { get(&app, "/").await.text().to_owned() })
    };
    let cold = (read(), read());
    settle().await;
    assert_eq!(count.get(), 1, "it might have been fresh");
    gate.add_permits(2);
    assert_ne!(cold.0.await.unwrap(), cold.1.await.unwrap());
    let known = (read(), read());
    settle().await;
    assert_eq!(count.get(), 4, "neither waits");
    gate.add_permits(2);
    assert_ne!(known.0.await.unwrap(), known.1.await.unwrap());
}

#[tokio::test]
async fn an_answer_that_is_not_kept_takes_the_place_of_what_was() {
    let (cache, clock) = cache();
    let count = Count::default();
    let runs = count.clone();
    let page = service_fn(move |request: Request<Body>| {
        let run = runs.up();
        async move {
            let page = || (PAGE, "page").into_response();
            let passing = || ([("cache-control", "no-store")], "passing").into_response();
            Ok::<_, Infallible>(match run {
                2 => passing(),
                _ => current(request.headers()).unwrap_or_else(page),
            })
        }
    });
    let app = CacheLayer::new().cache(cache).layer(page);
    get(&app, "/").await;
    clock.advance(10 * SECOND);
    assert_eq!(get(&app, "/").await.text(), "passing");
    clock.advance(10 * SECOND);
    let anew = get(&app, "/").await;
    assert!(!anew.cache().contains("fwd-status"), "{anew:?}");
    assert_eq!(anew.text(), "page");
}

/// What a refresh found instead is what is true; an error says nothing of that.
#[tokio::test]
async fn a_stale_window_ends_with_an_answer_that_is_not_kept() {
    for (status, gone) in [(200, true), (404, true), (500, false)] {
        let (cache, clock) = cache();
        let count = Count::default();
        let runs = count.clone();
        let page = service_fn(move |_: Request<Body>| {
            let run = runs.up();
            async move {
                let fresh = "max-age=10, stale-while-revalidate=86400";
                let (status, control) = match run {
                    1 => (StatusCode::OK, fresh),
                    _ => (StatusCode::from_u16(status).unwrap(), "no-store"),
                };
                let head = [("cache-control", control)];
                Ok::<_, Infallible>((status, head, format!("run {run}")).into_response())
            }
        });
        let app = CacheLayer::new().cache(cache).layer(page);
        get(&app, "/").await;
        clock.advance(60 * SECOND);
        assert_eq!(
            get(&app, "/").await.text(),
            "run 1",
            "while it is refreshed"
        );
        settle().await;
        let next = get(&app, "/").await;
        assert_eq!(next.text() != "run 1", gone, "{status}: {next:?}");
    }
}
