//! What the layer stores, and what it does not: nothing that was not declared storable, and nothing
//! that must not be shared.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use http::{HeaderMap, Method, StatusCode};
use layer_support::*;

/// One route that answers with what `respond` makes of the number of the run.
fn app<R: IntoResponse + 'static>(
    layer: CacheLayer,
    respond: impl Fn(usize) -> R + Clone + Send + Sync + 'static,
) -> (Router, Count) {
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let response = respond(runs.up()).into_response();
        async move { response }
    };
    (
        Router::new().route(
            "/{*path}",
            route(handler.clone()).post(handler).layer(layer),
        ),
        count,
    )
}

#[tokio::test]
async fn a_layers_ttl_stores_and_expires() {
    let (cache, clock) = cache();
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let (app, _) = app(layer, |n| format!("run {n}"));
    let first = get(&app, "/a").await;
    assert_eq!(first.text(), "run 1");
    assert_eq!(
        first.cache(),
        "revalidate; fwd=miss; stored; detail=never-stored"
    );
    assert_eq!(first.header("age"), None);
    clock.advance(7 * SECOND);
    let second = get(&app, "/a").await;
    assert_eq!(second.text(), "run 1");
    assert_eq!(second.cache(), "revalidate; hit; ttl=593");
    assert_eq!(second.header("age"), Some("7"));
    clock.advance(593 * SECOND);
    let third = get(&app, "/a").await;
    assert_eq!(third.text(), "run 2");
    assert_eq!(
        third.cache(),
        "revalidate; fwd=stale; stored; detail=expired"
    );
}

#[tokio::test]
async fn nothing_is_stored_that_did_not_ask() {
    let (cache, _) = cache();
    let inner = cache.clone();
    let layer = CacheLayer::new().cache(cache).tags(["tagged"]);
    let app = Router::new().route(
        "/",
        route(move || {
            let inner = inner.clone();
            async move {
                let cached = inner
                    .fetch("key", "1h", ["inner"], async || Ok::<_, ()>(7))
                    .await;
                cache_tag("outer");
                format!("{cached:?}")
            }
        })
        .layer(layer),
    );
    for _ in 0..2 {
        get(&app, "/").await.assert_miss("not-declared");
    }
}

#[tokio::test]
async fn handlers_declare_by_policy() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache.clone());
    let (app, _) = app(layer, |n| {
        (CachePolicy::ttl("10m").tags(["blog"]), format!("run {n}"))
    });
    get(&app, "/a").await.assert_miss("never-stored");
    get(&app, "/a").await.assert_hit();
    cache.invalidate_cache("blog").await.unwrap();
    let after = get(&app, "/a").await;
    assert_eq!(after.text(), "run 2");
    assert_eq!(after.cache(), "revalidate; fwd=stale; stored; detail=tag");
}

#[tokio::test]
async fn handlers_declare_by_headers() {
    for (value, hit) in [
        ("max-age=60", true),
        ("public, s-maxage=5", true),
        ("public", false),
        ("max-age=0", false),
        ("max-age=60, private", false),
        ("max-age=60, no-store", false),
        ("max-age=60, no-cache", false),
    ] {
        let (cache, _) = cache();
        let layer = CacheLayer::new().cache(cache);
        let (app, _) = app(layer, move |n| {
            ([("cache-control", value)], format!("run {n}"))
        });
        let first = get(&app, "/a").await;
        assert_eq!(
            first.header("cache-control"),
            Some(value),
            "the handler's own is left alone"
        );
        let second = get(&app, "/a").await;
        assert_eq!(second.cache().contains("; hit"), hit, "{value}: {second:?}");
    }
}

#[tokio::test]
async fn what_must_not_be_shared_is_not_stored() {
    type Make = fn() -> Response;
    let cases: [(&str, Make); 7] = [
        ("set-cookie", || {
            ([("set-cookie", "a=b")], "x").into_response()
        }),
        ("vary-any", || {
            ([("vary", "accept, *")], "x").into_response()
        }),
        ("private", || {
            ([("cache-control", "private")], "x").into_response()
        }),
        ("status", || StatusCode::NOT_FOUND.into_response()),
        ("status", || {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }),
        ("policy", || (CachePolicy::no_store(), "x").into_response()),
        ("event-stream", || {
            ([("content-type", "text/event-stream")], "x").into_response()
        }),
    ];
    for (detail, respond) in cases {
        let (cache, _) = cache();
        let layer = CacheLayer::new().cache(cache).ttl("10m");
        let (app, count) = app(layer, move |_| respond());
        for _ in 0..3 {
            get(&app, "/a").await.assert_miss(detail);
        }
        assert_eq!(count.get(), 3, "{detail}");
    }
}

#[tokio::test]
async fn errors_are_stored_where_they_state_their_freshness() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let (app, count) = app(layer, |_| (StatusCode::NOT_FOUND, CachePolicy::ttl(30)));
    get(&app, "/a").await;
    let second = get(&app, "/a").await;
    assert_eq!(second.status, StatusCode::NOT_FOUND);
    second.assert_hit();
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn other_methods_pass_by_and_drop_what_they_may_have_changed() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let (app, count) = app(layer, |n| format!("run {n}"));
    get(&app, "/a").await;
    get(&app, "/b").await;
    let mut post = request("/a");
    *post.method_mut() = Method::POST;
    let posted = send(&app, post).await;
    assert_eq!(posted.cache(), "revalidate; fwd=method; detail=method");
    assert_eq!(count.get(), 3);
    get(&app, "/a").await.assert_miss("tag");
    get(&app, "/b").await.assert_hit();
}

#[tokio::test]
async fn tags_take_path_parameters() {
    let (cache, _) = cache();
    let layer = CacheLayer::new()
        .cache(cache.clone())
        .tags(["blog", "post:{slug}"])
        .ttl("10m");
    let app = Router::new().route("/blog/{slug}", route(|| async { "x" }).layer(layer));
    for uri in ["/blog/one", "/blog/two%20words"] {
        get(&app, uri).await;
        get(&app, uri).await.assert_hit();
    }
    cache.invalidate_cache("post:one").await.unwrap();
    get(&app, "/blog/one").await.assert_miss("tag");
    get(&app, "/blog/two%20words").await.assert_hit();
    cache.invalidate_cache("post:two words").await.unwrap();
    get(&app, "/blog/two%20words").await.assert_miss("tag");
    cache.invalidate_cache("blog").await.unwrap();
    get(&app, "/blog/one").await.assert_miss("tag");
}

#[tokio::test]
async fn a_missing_path_parameter_is_served_and_not_stored() {
    let (cache, _) = cache();
    let layer = CacheLayer::new()
        .cache(cache)
        .tags(["post:{slug}"])
        .ttl("10m");
    let (app, count) = app(layer, |n| format!("run {n}"));
    for _ in 0..2 {
        let reply = get(&app, "/a").await;
        assert_eq!(reply.status, StatusCode::OK);
        reply.assert_miss("tag-placeholder");
    }
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn too_many_or_bad_tags_are_served_and_not_stored() {
    for (tags, detail) in [
        (
            (0..129).map(|n| n.to_string()).collect::<Vec<_>>(),
            "too-many-tags",
        ),
        (vec!["x".repeat(257)], "tag-length"),
        (vec![String::new()], "tag-length"),
    ] {
        let (cache, _) = cache();
        let layer = CacheLayer::new().cache(cache);
        let (app, _) = app(layer, move |_| CachePolicy::ttl(60).tags(tags.clone()));
        for _ in 0..2 {
            get(&app, "/a").await.assert_miss(detail);
        }
    }
}

#[tokio::test]
async fn clients_are_told_to_ask_unless_the_handler_or_the_life_says_otherwise() {
    let client = async |layer: CacheLayer, own: Option<&'static str>| {
        let (cache, _) = cache();
        let (app, _) = app(layer.cache(cache), move |_| {
            let mut response = "x".into_response();
            if let Some(own) = own {
                response
                    .headers_mut()
                    .insert("cache-control", own.parse().unwrap());
            }
            response
        });
        let first = get(&app, "/a").await;
        let second = get(&app, "/a").await;
        assert_eq!(
            first.header("cache-control"),
            second.header("cache-control")
        );
        first.header("cache-control").map(str::to_owned)
    };
    assert_eq!(
        client(CacheLayer::new().ttl("10m"), None).await.as_deref(),
        Some("no-cache")
    );
    assert_eq!(
        client(CacheLayer::new().ttl("hours"), None)
            .await
            .as_deref(),
        Some("max-age=300")
    );
    assert_eq!(
        client(CacheLayer::new().ttl("10m"), Some("max-age=5"))
            .await
            .as_deref(),
        Some("max-age=5")
    );
    assert_eq!(
        client(CacheLayer::new(), None).await,
        None,
        "what is not stored is left alone"
    );
}

#[tokio::test]
async fn a_key_that_is_not_storable_is_tried_again_later() {
    let (cache, clock) = cache();
    let layer = CacheLayer::new().cache(cache);
    let (app, _) = app(layer, |n| {
        if n < 3 {
            "x".into_response()
        } else {
            (CachePolicy::ttl(60), "x").into_response()
        }
    });
    get(&app, "/a").await.assert_miss("not-declared");
    get(&app, "/a").await.assert_miss("not-declared");
    // Declared now, but the mark still stands.
    get(&app, "/a").await.assert_miss("not-declared");
    clock.advance(11 * SECOND);
    get(&app, "/a").await;
    get(&app, "/a").await.assert_hit();
}

#[tokio::test]
async fn a_bypass_neither_reads_nor_writes() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let (app, count) = app(layer, |n| format!("run {n}"));
    let bypass = || {
        let mut request = request("/a");
        request.extensions_mut().insert(Bypass);
        request
    };
    assert_eq!(
        send(&app, bypass()).await.cache(),
        "revalidate; fwd=bypass; detail=bypass"
    );
    get(&app, "/a").await.assert_miss("never-stored");
    assert_eq!(send(&app, bypass()).await.text(), "run 3");
    assert_eq!(get(&app, "/a").await.text(), "run 2");
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn a_bypass_takes_the_cached_calls_inside_along_whatever_the_method() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let (cache, runs) = (Cache::current().unwrap(), runs.clone());
        async move {
            let load = async move || Ok::<_, std::convert::Infallible>(runs.up());
            let run = cache.fetch("run", "1h", [""; 0], load).await.unwrap();
            format!("run {run}")
        }
    };
    let app = Router::new()
        .route("/", route(handler.clone()).post(handler))
        .layer(layer);
    assert_eq!(get(&app, "/").await.text(), "run 1");
    let post = || {
        let mut request = request("/");
        *request.method_mut() = Method::POST;
        request
    };
    assert_eq!(send(&app, post()).await.text(), "run 1");
    get(&app, "/").await.assert_miss("tag");
    let mut past = post();
    past.extensions_mut().insert(Bypass);
    assert_eq!(send(&app, past).await.text(), "run 2");
    // It changes what it is for all the same.
    get(&app, "/").await.assert_miss("tag");
}

#[tokio::test]
async fn the_current_cache_is_used_where_the_layer_names_none() {
    let (cache, _) = cache();
    let (app, _) = app(CacheLayer::new().ttl("10m"), |n| format!("run {n}"));
    cache
        .enter(get(&app, "/a"))
        .await
        .assert_miss("never-stored");
    cache.enter(get(&app, "/a")).await.assert_hit();
    assert_eq!(cache.stats().hits, 1);
}

#[tokio::test]
async fn what_one_clients_cookie_forbids_keeps_nobody_else_from_the_cache() {
    // The layer's own ttl with cookies that mean nothing, and no ttl at all.
    for ttl in [true, false] {
        for said in ["private", "no-store", "set-cookie", "nothing"] {
            let (cache, _) = cache();
            let handler = move |headers: HeaderMap| async move {
                let vary = [("vary", "cookie")];
                match (headers.get("cookie"), said) {
                    (None, _) => (vary, CachePolicy::ttl("10m"), "for all").into_response(),
                    (_, "set-cookie") => {
                        (vary, [("set-cookie", "session=2")], "mine").into_response()
                    }
                    (_, "nothing") if !ttl => (vary, "mine").into_response(),
                    (_, "nothing") => (vary, CachePolicy::no_store(), "mine").into_response(),
                    (_, said) => (vary, [("cache-control", said)], "mine").into_response(),
                }
            };
            let layer = CacheLayer::new().cache(cache);
            let layer = if ttl {
                layer.ttl("10m").cookies(Cookies::Ignore)
            } else {
                layer
            };
            let app = Router::new().route("/", route(handler).layer(layer));
            let mine = send(&app, with("/", &[("cookie", "session=1")])).await;
            assert_eq!(mine.text(), "mine");
            assert_eq!(get(&app, "/").await.text(), "for all");
            get(&app, "/").await.assert_hit();
        }
    }
}

#[tokio::test]
async fn nothing_is_stale_where_nothing_was_stored() {
    let (cache, clock) = cache();
    let layer = CacheLayer::new().cache(cache.clone());
    let (router, _) = app(layer.clone(), |n| format!("run {n}"));
    let post = || {
        let mut request = request("/a");
        *request.method_mut() = Method::POST;
        request
    };
    let miss = "revalidate; fwd=miss; detail=not-declared";
    assert_eq!(get(&router, "/a").await.cache(), miss);
    send(&router, post()).await;
    assert_eq!(get(&router, "/a").await.cache(), miss, "after a POST");
    cache.revalidate_path("/a").await.unwrap();
    assert_eq!(get(&router, "/a").await.cache(), miss, "after its path");
    clock.advance(30 * SECOND);
    assert_eq!(get(&router, "/a").await.cache(), miss, "after a while");
    clock.advance(30 * SECOND);
    settle().await;
    assert_eq!(get(&router, "/a").await.cache(), miss, "after a sweep");
    // Nor where another layer stores.
    let (inner, _) = app(CacheLayer::new().cache(cache.clone()).ttl("10s"), |n| {
        format!("run {n}")
    });
    let router = inner.layer(layer.ttl("1h"));
    for _ in 0..2 {
        let reply = get(&router, "/b").await;
        let outer = reply.cache();
        assert!(
            outer.ends_with("revalidate; fwd=miss; detail=stored-inside"),
            "{outer}"
        );
        clock.advance(30 * SECOND);
    }
}

#[test]
#[should_panic(expected = "a lifetime of zero stores nothing")]
fn a_layers_ttl_is_not_zero() {
    let _ = CacheLayer::new().ttl(0);
}
