//! Dropping stored responses: by tag, by path, and while they are being made.
#![cfg(feature = "axum")]

mod layer_support;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get as route;
use layer_support::*;
use tokio::sync::Notify;
use tower::Layer;

/// Every path answered, under the patterns of a small site.
fn site(cache: &Cache) -> Router {
    let handler = || async { "x" };
    let routes = Router::new()
        .route("/", route(handler))
        .route("/blog", route(handler))
        .route("/blog/{slug}", route(handler))
        .route("/blog/{slug}/comments", route(handler))
        .route("/about", route(handler));
    // `route_layer` runs after routing, so the matched route is known.
    routes.route_layer(CacheLayer::new().cache(cache.clone()).ttl("10m"))
}

const PATHS: [&str; 6] = [
    "/",
    "/blog",
    "/blog/a",
    "/blog/b",
    "/blog/a/comments",
    "/about",
];

/// Which of the paths are dropped by an invalidation.
async fn dropped<S, B>(app: &S, cache: &Cache, target: PathTarget) -> Vec<&'static str>
where
    S: tower::Service<
            http::Request<axum::body::Body>,
            Response = http::Response<B>,
            Error = std::convert::Infallible,
        > + Clone,
    B: http_body::Body<Data = bytes::Bytes, Error: std::fmt::Debug>,
{
    for path in PATHS {
        get(app, path).await;
        get(app, path).await.assert_hit();
    }
    cache.revalidate_path(target).await.unwrap();
    let mut dropped = Vec::new();
    for path in PATHS {
        if !get(app, path).await.cache().contains("; hit") {
            dropped.push(path);
        }
    }
    dropped
}

#[tokio::test]
async fn paths_drop_pages_layouts_and_routes() {
    let (cache, _) = cache();
    let app = site(&cache);
    for (target, expected) in [
        (PathTarget::page("/blog"), vec!["/blog"]),
        (PathTarget::page("/blog/a"), vec!["/blog/a"]),
        (PathTarget::page("/blog/{slug}"), vec!["/blog/a", "/blog/b"]),
        (
            PathTarget::layout("/blog/a"),
            vec!["/blog/a", "/blog/a/comments"],
        ),
        (
            PathTarget::layout("/blog/{slug}"),
            vec!["/blog/a", "/blog/b", "/blog/a/comments"],
        ),
        (
            PathTarget::layout("/blog"),
            vec!["/blog", "/blog/a", "/blog/b", "/blog/a/comments"],
        ),
        (PathTarget::layout("/"), PATHS.to_vec()),
        (PathTarget::page("/"), vec!["/"]),
        (PathTarget::page("/nowhere"), vec![]),
    ] {
        assert_eq!(
            dropped(&app, &cache, target.clone()).await,
            expected,
            "{target:?}"
        );
    }
}

#[tokio::test]
async fn around_a_whole_router_a_pattern_drops_its_literal_prefix() {
    let (cache, _) = cache();
    let handler = || async { "x" };
    let routes = Router::new().fallback(handler);
    let app = CacheLayer::new()
        .cache(cache.clone())
        .ttl("10m")
        .layer(routes);
    for (target, expected) in [
        (PathTarget::page("/blog/a"), vec!["/blog/a"]),
        (
            PathTarget::page("/blog/{slug}"),
            vec!["/blog", "/blog/a", "/blog/b", "/blog/a/comments"],
        ),
        (
            PathTarget::layout("/blog/{slug}"),
            vec!["/blog", "/blog/a", "/blog/b", "/blog/a/comments"],
        ),
        (PathTarget::page("/{page}"), PATHS.to_vec()),
    ] {
        assert_eq!(
            dropped(&app, &cache, target.clone()).await,
            expected,
            "{target:?}"
        );
    }
}

#[tokio::test]
async fn tags_of_cached_calls_flow_into_the_response() {
    let (cache, _) = cache();
    let count = Count::default();
    let (inner, runs) = (cache.clone(), count.clone());
    let handler = move || {
        let inner = inner.clone();
        let run = runs.up();
        async move {
            let _ = inner
                .fetch("contact", "1h", ["contact:7"], async || Ok::<_, ()>(7))
                .await;
            cache_tag("page");
            format!("run {run}")
        }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new().route("/", route(handler).layer(layer));
    for tag in ["contact:7", "page"] {
        get(&app, "/").await;
        get(&app, "/").await.assert_hit();
        cache.invalidate_cache(tag).await.unwrap();
        get(&app, "/").await.assert_miss("tag");
    }
    assert_eq!(count.get(), 3);
}

/// A handler that reads a row, waits, and answers with what it read.
fn slow_reader(cache: &Cache) -> (Router, Arc<Mutex<u32>>, Arc<Notify>) {
    let (row, go) = (Arc::new(Mutex::new(1)), Arc::new(Notify::new()));
    let (source, gate) = (Arc::clone(&row), Arc::clone(&go));
    let handler = move || {
        let (value, gate) = (*source.lock().unwrap(), Arc::clone(&gate));
        async move {
            gate.notified().await;
            cache_tag("row");
            value.to_string()
        }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    (
        Router::new().route("/", route(handler).layer(layer)),
        row,
        go,
    )
}

#[tokio::test]
async fn an_invalidation_wins_over_a_running_load() {
    let (cache, _) = cache();
    let (app, row, go) = slow_reader(&cache);
    let early = tokio::spawn({
        let app = app.clone();
        async move { get(&app, "/").await }
    });
    settle().await;
    *row.lock().unwrap() = 2;
    cache.invalidate_cache("row").await.unwrap();
    // It came after the call returned: nothing older may reach it, whoever loads.
    let late = tokio::spawn({
        let app = app.clone();
        async move { get(&app, "/").await }
    });
    settle().await;
    go.notify_waiters();
    settle().await;
    go.notify_waiters();
    settle().await;
    go.notify_waiters();
    let early = early.await.unwrap();
    assert_eq!(early.text(), "1");
    early.assert_miss("load-raced");
    assert_eq!(late.await.unwrap().text(), "2");
    assert_eq!(get(&app, "/").await.assert_hit().text(), "2");
}

#[tokio::test]
async fn an_invalidation_wins_over_a_body_that_is_being_recorded() {
    let (cache, _) = cache();
    let (mut feeds, bodies): (Vec<_>, Vec<_>) = (0..3).map(|_| fed()).unzip();
    let bodies = Arc::new(Mutex::new(bodies.into_iter().rev().collect::<Vec<_>>()));
    let handler = move || {
        let body = bodies.lock().unwrap().pop().unwrap();
        async { (CachePolicy::ttl("10m").tags(["t"]), body) }
    };
    let app = Router::new().route(
        "/",
        route(handler).layer(CacheLayer::new().cache(cache.clone())),
    );
    let mut first = open(&app, request("/")).await.into_body();
    feeds[0].send(Ok("old ".into())).unwrap();
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "old ");
    cache.invalidate_cache("t").await.unwrap();
    // Whoever comes now shares nothing that began before: it cannot be known yet what tags that has.
    let mut second = open(&app, request("/")).await;
    assert_eq!(
        second.headers()["cache-status"],
        "revalidate; fwd=miss; detail=alone"
    );
    feeds[1].send(Ok("new".into())).unwrap();
    assert_eq!(next(second.body_mut()).await.unwrap().unwrap(), "new");
    let last = feeds.pop().unwrap();
    drop(feeds);
    assert!(next(&mut first).await.is_none());
    settle().await;
    // And the old one was not stored.
    last.send(Ok("newest".into())).unwrap();
    drop(last);
    assert_eq!(
        get(&app, "/").await.assert_miss("load-raced").text(),
        "newest"
    );
    assert_eq!(get(&app, "/").await.assert_hit().text(), "newest");
}

#[tokio::test]
async fn a_response_that_invalidates_is_not_stored() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        async {
            invalidate_cache("something").await.unwrap();
            "x"
        }
    };
    let app = Router::new().route(
        "/",
        route(handler).layer(CacheLayer::new().cache(cache).ttl("10m")),
    );
    for _ in 0..2 {
        get(&app, "/").await.assert_miss("invalidated");
    }
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn memory_is_given_back_by_clearing() {
    let (cache, _) = cache();
    let app = site(&cache);
    for path in PATHS {
        get(&app, path).await;
    }
    drop(cache.clear_memory());
    for path in PATHS {
        get(&app, path).await.assert_miss("removed");
    }
}

#[tokio::test]
async fn handlers_that_pass_by_invalidate_the_layers_cache() {
    let (cache, _) = cache();
    let write = || async {
        invalidate_cache("t").await.unwrap();
        "done"
    };
    let app = Router::new()
        .route(
            "/",
            route(|| async { CachePolicy::ttl("10m").tags(["t"]) }).post(write),
        )
        .layer(CacheLayer::new().cache(cache));
    get(&app, "/").await;
    get(&app, "/").await.assert_hit();
    let mut post = request("/");
    *post.method_mut() = http::Method::POST;
    assert_eq!(send(&app, post).await.text(), "done");
    get(&app, "/").await.assert_miss("tag");
}

#[tokio::test]
async fn tags_that_come_with_the_body_count() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        let tagged = futures_util::stream::once(async {
            tokio::task::yield_now().await;
            cache_tag("late");
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes::Bytes::from("x")))
        });
        async { axum::body::Body::new(http_body_util::StreamBody::new(tagged)) }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new().route("/", route(handler).layer(layer));
    get(&app, "/").await;
    get(&app, "/").await.assert_hit();
    cache.invalidate_cache("late").await.unwrap();
    get(&app, "/").await.assert_miss("tag");
    assert_eq!(count.get(), 2);
}

/// Readers and a writer on several threads: a read that begins after an invalidation returned sees
/// nothing older, whoever loaded, joined or streamed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_older_is_served_after_an_invalidation_returned() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let cache = Cache::builder().build();
    let row = Arc::new(AtomicU64::new(0));
    let source = Arc::clone(&row);
    let handler = move || {
        let value = source.load(Ordering::SeqCst);
        let (feed, body) = fed();
        async move {
            tokio::task::yield_now().await;
            cache_tag("row");
            tokio::spawn(async move {
                for part in [value.to_string(), ";".repeat(10)] {
                    tokio::task::yield_now().await;
                    let _ = feed.send(Ok(part.into()));
                }
            });
            ([("vary", "x-variant")], body)
        }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new().route("/", route(handler).layer(layer));
    let invalidated = Arc::new(AtomicU64::new(0));
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reads = Count::default();
    let readers: Vec<_> = (0..8)
        .map(|n| {
            let (app, invalidated, over) =
                (app.clone(), Arc::clone(&invalidated), Arc::clone(&over));
            let reads = reads.clone();
            tokio::spawn(async move {
                let variant = if n % 2 == 0 { "even" } else { "odd" };
                let mut hits = 0;
                while !over.load(Ordering::SeqCst) {
                    let at_least = invalidated.load(Ordering::SeqCst);
                    let reply = send(&app, with("/", &[("x-variant", variant)])).await;
                    let seen: u64 = reply.text().trim_end_matches(';').parse().unwrap();
                    assert!(reply.text().ends_with(";;;;;;;;;;"), "whole: {reply:?}");
                    assert!(seen >= at_least, "{seen} after {at_least}: {reply:?}");
                    reads.up();
                    hits += u64::from(reply.cache().contains("; hit"));
                    tokio::task::yield_now().await;
                }
                hits
            })
        })
        .collect();
    for value in 1..=150 {
        row.store(value, Ordering::SeqCst);
        cache.invalidate_cache("row").await.unwrap();
        invalidated.store(value, Ordering::SeqCst);
        // From no reads between two writes to many.
        let until = reads.get() + usize::try_from(value % 20).unwrap();
        while reads.get() < until {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let mut hits = 0;
    for reader in readers {
        hits += reader.await.unwrap();
    }
    assert!(hits > 0);
}

#[tokio::test]
async fn a_path_drops_what_was_asked_for_in_another_encoding() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new().route("/blog/{slug}", route(|| async { "a post" }).layer(layer));
    for target in ["/blog/hello", "/blog/h%65llo"] {
        get(&app, "/blog/hell%6F").await;
        get(&app, "/blog/hell%6F").await.assert_hit();
        cache.revalidate_path(target).await.unwrap();
        get(&app, "/blog/hell%6F").await.assert_miss("tag");
    }
}

#[tokio::test]
async fn an_unsafe_request_for_an_empty_path_invalidates_the_root() {
    let (cache, _) = cache();
    let handler = || async { "x" };
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).post(handler))
        .layer(layer);
    for (uri, root) in [("http://h", "/"), ("http://h?x", "/?x")] {
        let read = || with(root, &[("host", "h")]);
        send(&app, read()).await;
        send(&app, read()).await.assert_hit();
        let mut change = request(uri);
        *change.method_mut() = http::Method::POST;
        send(&app, change).await;
        send(&app, read()).await.assert_miss("tag");
    }
}

#[tokio::test]
async fn an_unsafe_request_for_a_long_uri_invalidates_that_one() {
    let (cache, _) = cache();
    let handler = || async { "x" };
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).post(handler))
        .layer(layer);
    let [one, other] = ["a", "b"].map(|end| format!("/?{}{end}", "q".repeat(10_000)));
    for uri in [&one, &other] {
        get(&app, uri).await;
    }
    let mut change = request(&one);
    *change.method_mut() = http::Method::POST;
    send(&app, change).await;
    get(&app, &one).await.assert_miss("tag");
    get(&app, &other).await.assert_hit();
}
