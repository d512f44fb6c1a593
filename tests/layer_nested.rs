//! Layers within layers of one cache store once, and what one learns reaches the other.
#![cfg(feature = "axum")]

mod layer_support;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as route;
use layer_support::*;
use tower::{Layer, ServiceExt};

#[tokio::test]
async fn the_innermost_that_stores_stores_alone() {
    let (cache, clock) = cache();
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
    // The outer one tries again, and finds that the inner one has it.
    clock.advance(11 * SECOND);
    assert_eq!(
        get(&app, "/").await.cache(),
        "revalidate; hit; ttl=589, revalidate; fwd=miss; detail=stored-inside"
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

/// Ready chunks of a body, with what is done before each.
fn chunks<const N: usize>(chunks: [(&'static str, fn()); N]) -> Body {
    let mut chunks = chunks.into_iter();
    Body::from_stream(futures_util::stream::poll_fn(move |_| {
        Poll::Ready(chunks.next().map(|(chunk, act)| {
            act();
            Ok::<_, Infallible>(chunk)
        }))
    }))
}

#[tokio::test]
async fn tags_from_a_tail_that_the_inner_layer_gave_up_reach_the_outer_one() {
    // By the handler's headers, by its policy, and by the layers' own lifetime: what the inner layer
    // gives up is as the handler said it.
    for case in ["headers", "policy", "layers"] {
        let (cache, _) = cache();
        let count = Count::default();
        let runs = count.clone();
        let handler = move || {
            runs.up();
            async move {
                let nothing: fn() = || {};
                let body = chunks([
                    ("past the limit", nothing),
                    (", the tail", || cache_tag("tail")),
                ]);
                match case {
                    "headers" => ([("cache-control", "max-age=600")], body).into_response(),
                    "policy" => (CachePolicy::ttl("10m"), body).into_response(),
                    _ => body.into_response(),
                }
            }
        };
        let layer = || {
            let layer = CacheLayer::new().cache(cache.clone());
            if case == "layers" {
                layer.ttl("10m")
            } else {
                layer
            }
        };
        let app = Router::new()
            .route("/", route(handler).layer(layer().max_body_bytes(4)))
            .layer(layer());
        for run in 1..=2 {
            let first = get(&app, "/").await;
            assert_eq!(first.text(), "past the limit, the tail");
            assert_eq!(count.get(), run, "{case}");
            get(&app, "/").await.assert_hit();
            cache.invalidate_cache("tail").await.unwrap();
        }
    }
}

#[tokio::test]
async fn tags_from_the_tail_of_a_body_reach_the_layer_of_another_cache() {
    for inner_stores in [true, false] {
        let (near, _) = cache();
        let (far, _) = cache();
        let count = Count::default();
        let runs = count.clone();
        let (feed, mut pause) = tokio::sync::mpsc::unbounded_channel::<()>();
        let pause = Arc::new(tokio::sync::Mutex::new(Some(async move {
            pause.recv().await;
        })));
        let handler = move || {
            runs.up();
            let pause = Arc::clone(&pause);
            async move {
                let paused = pause.lock().await.take();
                let tail = futures_util::stream::once(async move {
                    if let Some(paused) = paused {
                        paused.await;
                    }
                    cache_tag("tail");
                    Ok::<_, Infallible>("tail")
                });
                ([("cache-control", "max-age=600")], Body::from_stream(tail))
            }
        };
        let inner = CacheLayer::new().cache(far.clone());
        let inner = if inner_stores {
            inner
        } else {
            inner.max_body_bytes(1)
        };
        let outer = CacheLayer::new().cache(near.clone());
        let app = Router::new()
            .route("/", route(handler).layer(inner))
            .layer(outer);
        let first = open(&app, request("/")).await;
        settle().await;
        feed.send(()).unwrap();
        assert_eq!(Reply::of(first).await.text(), "tail");
        settle().await;
        get(&app, "/").await.assert_hit();
        far.invalidate_cache("tail").await.unwrap();
        near.invalidate_cache("tail").await.unwrap();
        get(&app, "/").await;
        assert_eq!(count.get(), 2, "inner stores: {inner_stores}");
    }
}

#[tokio::test]
async fn a_body_within_the_layer_of_another_cache_keeps_its_own() {
    let named = |name| Cache::builder().namespace(name).build();
    let handler = || async {
        let mut sent = false;
        let body = futures_util::stream::poll_fn(move |_| {
            let name = Cache::current().map(|cache| cache.namespace().to_owned());
            let first = !std::mem::replace(&mut sent, true);
            Poll::Ready(first.then(|| Ok::<_, Infallible>(name.unwrap_or_default())))
        });
        Body::from_stream(body)
    };
    let inner = CacheLayer::new().cache(named("inner"));
    let app = Router::new()
        .route("/", route(handler).layer(inner))
        .layer(CacheLayer::new().cache(named("outer")).ttl("10m"));
    assert_eq!(get(&app, "/").await.text(), "inner");
    get(&app, "/").await.assert_hit();
}

/// What passes by the inner layer is stored by the outer one: with the tags of both.
#[tokio::test]
async fn the_tags_of_a_layer_that_is_passed_by_reach_the_outer_one() {
    let (near, _) = cache();
    let (far, _) = cache();
    for (of_the_inner, bypass) in [(&near, false), (&far, false), (&near, true)] {
        let count = Count::default();
        let runs = count.clone();
        let handler = move || {
            let run = runs.up();
            async move { (CachePolicy::ttl("10m"), format!("run {run}")) }
        };
        let inner = CacheLayer::new()
            .cache(of_the_inner.clone())
            .tags(["blog", "post:{slug}"])
            .ttl("10m");
        let inner = tower::ServiceBuilder::new()
            .map_request(move |mut request: axum::extract::Request| {
                if bypass {
                    request.extensions_mut().insert(Bypass);
                }
                request
            })
            .layer(inner);
        let app = Router::new()
            .route("/blog/{slug}", route(handler).layer(inner))
            .layer(CacheLayer::new().cache(near.clone()));
        // The layer's own lifetime is not for requests with cookies; the handler's is.
        let read = || with("/blog/a", &[("cookie", "session=me")]);
        for (run, tag) in ["blog", "post:a"].into_iter().enumerate() {
            let first = send(&app, read()).await;
            assert_eq!(first.text(), format!("run {}", run + 1));
            send(&app, read()).await.assert_hit();
            near.invalidate_cache(tag).await.unwrap();
        }
        assert_eq!(send(&app, read()).await.text(), "run 3");
    }
}

/// So with those who waited at the inner layer for what is too large for it.
#[tokio::test]
async fn the_tags_of_a_layer_whose_joiners_go_alone_reach_the_outer_one() {
    let (cache, _) = cache();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let handler = move || {
        let gate = Arc::clone(&gate);
        async move {
            let _open = gate.acquire().await;
            (CachePolicy::ttl("10m"), "too large")
        }
    };
    let inner = CacheLayer::new().cache(cache.clone()).tags(["t"]);
    let outer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new()
        .route("/", route(handler).layer(inner.max_body_bytes(1)))
        .layer(outer.cookies(Cookies::vary(["of"])));
    let read = |cookie| {
        let app = app.clone();
        tokio::spawn(async move { send(&app, with("/", &[("cookie", cookie)])).await })
    };
    let (first, joiner) = (read("of=a"), read("of=b"));
    settle().await;
    opened.add_permits(1);
    first.await.unwrap().assert_miss("never-stored");
    let joiner = joiner.await.unwrap();
    assert!(
        joiner
            .cache()
            .starts_with("revalidate; fwd=miss; detail=alone")
    );
    for cookie in ["of=a", "of=b"] {
        read(cookie).await.unwrap().assert_hit();
    }
    cache.invalidate_cache("t").await.unwrap();
    for cookie in ["of=a", "of=b"] {
        read(cookie).await.unwrap().assert_miss("tag");
    }
}
