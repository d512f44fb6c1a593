//! What a router's pages answer, and what of it a layer stores: `ok` where it says so, and nothing else.
#![cfg(feature = "web")]

mod layer_support;

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse};
use axum::routing::get as route;
use http::StatusCode;
use layer_support::*;
use revalidate::InvalidationMethod;
use revalidate::outputs::{Output, forbidden, moved, not_found, ok, redirect};

/// Layers that differ in what they store by themselves: nothing, all they may, and all that the RFC lets.
fn layers() -> [CacheLayer; 3] {
    [
        CacheLayer::new(),
        CacheLayer::new().ttl("1d"),
        CacheLayer::shared_proxy().ttl("1d"),
    ]
}

/// A router with one page, and how often its handler ran.
fn app<R: IntoResponse>(
    layer: CacheLayer,
    page: impl Fn(usize) -> R + Clone + Send + Sync + 'static,
) -> (Router, Count) {
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let response = page(runs.up()).into_response();
        async move { response }
    };
    let app = Router::new().route("/{*path}", route(handler.clone()).post(handler));
    (app.layer(layer), count)
}

/// Asks twice, under every layer: none stores it. The first reply.
async fn never_stored<R: IntoResponse>(
    page: impl Fn(usize) -> R + Clone + Send + Sync + 'static,
) -> Reply {
    let mut first = None;
    for layer in layers() {
        let (app, count) = app(layer.cache(cache().0), page.clone());
        for _ in 0..2 {
            let reply = get(&app, "/a").await;
            reply.assert_miss("policy");
            first.get_or_insert(reply);
        }
        assert_eq!(count.get(), 2);
    }
    first.unwrap()
}

#[tokio::test]
async fn ok_is_not_stored_by_itself() {
    let reply = never_stored(|n| ok(format!("run {n}"))).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, "run 1"));
    never_stored(|_| Output::from(ok("a page"))).await;
    never_stored(|_| ok(([("cache-control", "max-age=60")], "a page"))).await;
    never_stored(|_| ok((CachePolicy::ttl("1h"), "a page"))).await;
}

#[tokio::test]
async fn ok_is_stored_where_it_says_so_and_dropped_by_its_tags() {
    for layer in layers() {
        let (cache, clock) = cache();
        let (app, count) = app(layer.cache(cache.clone()), |n| {
            ok(Html(format!("run {n}"))).cache(["blog", "home"], "1h")
        });
        get(&app, "/a").await.assert_miss("never-stored");
        let hit = get(&app, "/a").await;
        assert_eq!(hit.own(), "revalidate; hit; ttl=3600");
        assert_eq!((hit.status, hit.text()), (StatusCode::OK, "run 1"));
        assert_eq!(hit.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(cache.stats().entries, 1);

        cache.invalidate_cache("other").await.unwrap();
        get(&app, "/a").await.assert_hit();
        for (tag, text) in [("blog", "run 2"), ("home", "run 3")] {
            cache
                .invalidate_cache([InvalidationMethod { tag: tag.into() }])
                .await
                .unwrap();
            let anew = get(&app, "/a").await;
            anew.assert_miss("tag");
            assert_eq!(anew.text(), text);
            get(&app, "/a").await.assert_hit();
        }
        clock.advance(3600 * SECOND);
        get(&app, "/a").await.assert_miss("expired");
        assert_eq!(count.get(), 4);
    }
}

#[tokio::test]
async fn without_a_lifetime_it_is_the_caches_default() {
    let (week, _) = cache();
    let ten_minutes = Cache::builder()
        .clock(Clock::manual())
        .default_life("10m")
        .build();
    for (cache, seconds) in [(week, 604_800), (ten_minutes, 600)] {
        let (app, _) = app(CacheLayer::new().cache(cache), |_| {
            ok("a page").cache_tags(["blog"])
        });
        get(&app, "/a").await.assert_miss("never-stored");
        let hit = get(&app, "/a").await;
        assert_eq!(hit.own(), format!("revalidate; hit; ttl={seconds}"));
    }
}

#[tokio::test]
async fn without_tags_nothing_is_stored() {
    never_stored(|_| ok("a page").cache(Vec::<String>::new(), "1h")).await;
    never_stored(|_| ok("a page").cache_tags(None::<&str>)).await;
}

#[tokio::test]
async fn an_error_that_calls_itself_a_page_is_not_stored() {
    for status in [
        StatusCode::NOT_FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::INTERNAL_SERVER_ERROR,
    ] {
        let reply = never_stored(move |_| ok((status, "not well")).cache(["blog"], "1h")).await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn other_outcomes_are_never_stored() {
    let reply = never_stored(|_| not_found()).await;
    assert_eq!(
        (reply.status, reply.text()),
        (StatusCode::NOT_FOUND, "Not Found")
    );
    let reply = never_stored(|_| forbidden()).await;
    assert_eq!(
        (reply.status, reply.text()),
        (StatusCode::FORBIDDEN, "Forbidden")
    );
    let reply = never_stored(|_| redirect("/there")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::FOUND, Some("/there"))
    );
    let reply = never_stored(|_| moved("/there")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::MOVED_PERMANENTLY, Some("/there"))
    );
    // Nor by what they show says of itself.
    let reply = never_stored(|_| {
        not_found().page((
            CachePolicy::ttl("1h"),
            [("cache-control", "max-age=60")],
            Html("nothing"),
        ))
    })
    .await;
    assert_eq!(
        (reply.status, reply.text()),
        (StatusCode::NOT_FOUND, "nothing")
    );
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let reply = never_stored(|_| redirect("/there").page("go there")).await;
    assert_eq!(
        (reply.header("location"), reply.text()),
        (Some("/there"), "go there")
    );
}

#[tokio::test]
async fn redirects_lead_to_uris() {
    for (to, location) in [
        (
            "/blog/über uns?a=1&b=%20#c",
            "/blog/%C3%BCber%20uns?a=1&b=%20#c",
        ),
        ("https://example.com/[x]", "https://example.com/[x]"),
        ("/a\r\nset-cookie: a=b", "/a%0D%0Aset-cookie:%20a=b"),
        ("/\"<>\\^`{|}\u{7f}", "/%22%3C%3E%5C%5E%60%7B%7C%7D%7F"),
    ] {
        let reply = never_stored(move |_| redirect(to)).await;
        assert_eq!(reply.header("location"), Some(location));
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn what_is_one_clients_is_not_stored_though_said() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache);
    let (cookie, _) = app(layer.clone(), |_| {
        ok(([("set-cookie", "a=b")], "a page")).cache(["blog"], "1h")
    });
    get(&cookie, "/cookie").await;
    get(&cookie, "/cookie").await.assert_miss("set-cookie");
    let (private, _) = app(layer.clone(), |_| {
        ok(([("cache-control", "private")], "a page")).cache(["blog"], "1h")
    });
    get(&private, "/private").await;
    get(&private, "/private").await.assert_miss("private");
    let (page, count) = app(layer, |_| ok("a page").cache(["blog"], "1h"));
    for _ in 0..2 {
        send(&page, with("/authorized", &[("authorization", "Bearer x")])).await;
    }
    assert_eq!(count.get(), 2);
}

/// A value with a tag of its own, for a shorter time than the page's.
async fn post(cache: &Cache, slug: &str) -> String {
    let text = slug.to_uppercase();
    let found = cache.fetch(slug, "1m", [format!("post:{slug}")], async || {
        Ok::<_, ()>(text)
    });
    found.await.unwrap()
}

#[tokio::test]
async fn tags_of_what_a_page_is_made_of_drop_it() {
    let (cache, _) = cache();
    let inner = cache.clone();
    let handler = async move |Path(slug): Path<String>| -> Output {
        match slug.as_str() {
            "draft" => forbidden(),
            "old" => redirect("/blog/new"),
            "gone" => not_found(),
            "brief" => ok(post(&inner, "new").await).cache_tags(["blog"]),
            slug => ok(post(&inner, slug).await).cache(["blog"], "1h"),
        }
    };
    let app = Router::new()
        .route("/blog/{slug}", route(handler))
        .layer(CacheLayer::new().cache(cache.clone()).ttl("1d"));

    get(&app, "/blog/new").await;
    get(&app, "/blog/second").await;
    let hit = get(&app, "/blog/new").await;
    assert_eq!(
        (hit.own().as_str(), hit.text()),
        ("revalidate; hit; ttl=3600", "NEW")
    );
    // No lifetime named: no longer than what it is made of.
    get(&app, "/blog/brief").await;
    assert_eq!(
        get(&app, "/blog/brief").await.own(),
        "revalidate; hit; ttl=60"
    );
    for (path, status) in [("draft", 403), ("old", 302), ("gone", 404)] {
        for _ in 0..2 {
            let reply = get(&app, &format!("/blog/{path}")).await;
            reply.assert_miss("policy");
            assert_eq!(reply.status, status);
        }
    }

    cache.invalidate_cache("post:new").await.unwrap();
    get(&app, "/blog/new").await.assert_miss("tag");
    get(&app, "/blog/brief").await.assert_miss("tag");
    get(&app, "/blog/second").await.assert_hit();
    cache.revalidate_path("/blog/{slug}").await.unwrap();
    get(&app, "/blog/second").await.assert_miss("tag");
}

#[tokio::test]
async fn a_page_that_became_another_outcome_is_not_served_any_more() {
    let (cache, _) = cache();
    let (app, count) = app(CacheLayer::new().cache(cache.clone()), |n| match n {
        1 => ok("here").cache(["blog"], "1h"),
        _ => not_found(),
    });
    get(&app, "/a").await;
    get(&app, "/a").await.assert_hit();
    cache.invalidate_cache("blog").await.unwrap();
    for _ in 0..2 {
        assert_eq!(get(&app, "/a").await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn layers_further_out_store_it_no_more_than_the_first() {
    let (cache, _) = cache();
    let layer = || CacheLayer::new().cache(cache.clone()).ttl("1d");
    let (inner, count) = app(layer(), |_| not_found());
    let app = inner.layer(layer());
    for _ in 0..2 {
        let reply = get(&app, "/a").await;
        assert_eq!(reply.headers.get_all("cache-status").iter().count(), 2);
        reply.assert_miss("policy");
    }
    assert_eq!(count.get(), 2);
}
