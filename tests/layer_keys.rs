//! Which requests share a response: those whose client asked for the same, as the same nobody.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use layer_support::*;

fn counting(layer: CacheLayer) -> (Router, Count) {
    let count = Count::default();
    let runs = count.clone();
    let handler = move |uri: Uri, headers: HeaderMap| {
        let run = runs.up();
        async move {
            let who = headers.get("cookie").or(headers.get("authorization"));
            format!("{run}: {uri} {who:?}")
        }
    };
    (
        Router::new().fallback_service(route(handler).layer(layer)),
        count,
    )
}

#[tokio::test]
async fn nested_routers_with_the_same_inner_path() {
    let (cache, _) = cache();
    let inner = |text: &'static str| {
        let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
        Router::new()
            .route("/list", route(move || async move { text }))
            .layer(layer)
    };
    let app = Router::new().nest("/a", inner("a")).nest("/b", inner("b"));
    for _ in 0..2 {
        assert_eq!(get(&app, "/a/list").await.text(), "a");
        assert_eq!(get(&app, "/b/list").await.text(), "b");
    }
    get(&app, "/a/list").await.assert_hit();
    get(&app, "/b/list").await.assert_hit();
}

#[tokio::test]
async fn hosts_queries_and_names_select() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache.clone()).ttl("10m"));
    let (other, other_count) = counting(CacheLayer::new().cache(cache).name("other").ttl("10m"));
    for _ in 0..2 {
        get(&app, "/p").await;
        get(&app, "/p?").await;
        get(&app, "/p?a=1").await;
        send(&app, with("/p", &[("host", "one")])).await;
        send(&app, with("/p", &[("host", "two")])).await;
        get(&app, "http://one/p").await;
        get(&other, "/p").await;
    }
    assert_eq!(count.get(), 6);
    assert_eq!(other_count.get(), 1);
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get_and_stores_nothing() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache).ttl("10m"));
    let head = || {
        let mut request = request("/p");
        *request.method_mut() = Method::HEAD;
        request
    };
    send(&app, head()).await.assert_miss("head");
    send(&app, head()).await.assert_miss("head");
    assert_eq!(count.get(), 2);
    let whole = get(&app, "/p").await;
    assert!(!whole.text().is_empty());
    let reply = send(&app, head()).await;
    reply.assert_hit();
    assert!(reply.body.is_empty());
    assert_eq!(
        reply.header("content-length"),
        Some(whole.body.len().to_string().as_str())
    );
    assert_eq!(reply.header("etag"), whole.header("etag"));
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn requests_with_cookies_pass_by_until_it_is_said_what_cookies_mean() {
    let (cache, _) = cache();
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let (app, _) = counting(layer);
    get(&app, "/p").await;
    let mine = send(&app, with("/p", &[("cookie", "session=me")])).await;
    assert_eq!(mine.cache(), "revalidate; fwd=bypass; detail=cookie");
    assert!(mine.text().contains("session=me"));
    assert!(
        !get(&app, "/p")
            .await
            .assert_hit()
            .text()
            .contains("session")
    );
}

#[tokio::test]
async fn cookies_that_handlers_read_in_different_ways_pass_by() {
    let (cache, _) = cache();
    let (app, count) = counting(
        CacheLayer::new()
            .cache(cache)
            .ttl("10m")
            .cookies(Cookies::vary(["lang"])),
    );
    send(&app, with("/p", &[("cookie", "a=b")])).await;
    for line in [
        "lang =de",
        "a=b;lang=de",
        "lang=\"de\"",
        "$Version=1; lang=de",
        "l%61ng=de",
        "lang",
    ] {
        let reply = send(&app, with("/p", &[("cookie", line)])).await;
        assert_eq!(
            reply.cache(),
            "revalidate; fwd=bypass; detail=cookie-form",
            "{line}"
        );
    }
    send(&app, with("/p", &[("cookie", "b=c; x=y")]))
        .await
        .assert_hit();
    assert_eq!(count.get(), 7);
}

#[tokio::test]
async fn users_with_different_cookies_share_only_what_is_said() {
    let (first, _) = cache();
    let (app, count) = counting(
        CacheLayer::new()
            .cache(first)
            .ttl("10m")
            .cookies(Cookies::Ignore),
    );
    send(&app, with("/p", &[("cookie", "session=a")])).await;
    send(&app, with("/p", &[("cookie", "session=b")]))
        .await
        .assert_hit();
    assert_eq!(count.get(), 1);

    let (second, _) = cache();
    let (app, count) = counting(
        CacheLayer::new()
            .cache(second)
            .ttl("10m")
            .cookies(Cookies::vary(["lang"])),
    );
    for _ in 0..2 {
        send(&app, with("/p", &[("cookie", "session=a; lang=de")])).await;
        send(&app, with("/p", &[("cookie", "lang=de; session=b")]))
            .await
            .assert_hit();
        send(&app, with("/p", &[("cookie", "session=a; lang=en")])).await;
        get(&app, "/p").await;
    }
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn users_with_authorization_are_never_given_anothers_response() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache).ttl("10m"));
    for user in ["a", "b", "a"] {
        let reply = send(&app, with("/p", &[("authorization", user)])).await;
        reply.assert_miss("authorization");
        assert!(reply.text().contains(&format!("{user:?}")));
    }
    // And none of theirs by one who has none; nor do they keep that one from the cache.
    get(&app, "/p").await.assert_miss("never-stored");
    get(&app, "/p").await.assert_hit();
    assert!(
        send(&app, with("/p", &[("authorization", "c")]))
            .await
            .text()
            .contains("\"c\"")
    );
    assert_eq!(count.get(), 5);
}

#[tokio::test]
async fn a_response_may_allow_authorized_requests_to_share() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        async { ([("cache-control", "public, max-age=60")], "x") }
    };
    let app = Router::new().route("/", route(handler).layer(CacheLayer::new().cache(cache)));
    send(&app, with("/", &[("authorization", "a")])).await;
    send(&app, with("/", &[("authorization", "b")]))
        .await
        .assert_hit();
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn bodies_and_several_hosts_pass_by() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache).ttl("10m"));
    get(&app, "/p").await;
    for (headers, detail) in [
        (vec![("content-length", "3")], "request-body"),
        (vec![("transfer-encoding", "chunked")], "request-body"),
        (vec![("host", "a"), ("host", "b")], "host"),
    ] {
        send(&app, with("/p", &headers)).await.assert_miss(detail);
    }
    assert_eq!(count.get(), 4);
}

#[tokio::test]
async fn a_body_that_no_header_announces_passes_by() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache).ttl("10m"));
    get(&app, "/p").await;
    let fat = Request::get("/p").body(Body::from("poison")).unwrap();
    send(&app, fat).await.assert_miss("request-body");
    let (_feed, open) = fed();
    let fat = Request::get("/q").body(open).unwrap();
    send(&app, fat).await.assert_miss("request-body");
    get(&app, "/q").await.assert_miss("never-stored");
    assert_eq!(count.get(), 4);
}

#[tokio::test]
async fn a_host_other_than_that_of_the_uri_passes_by() {
    let (cache, _) = cache();
    let (app, count) = counting(CacheLayer::new().cache(cache).ttl("10m"));
    let both = |host| with("http://victim/p", &[("host", host)]);
    send(&app, both("evil")).await.assert_miss("host");
    send(&app, both("VICTIM")).await.assert_miss("never-stored");
    send(&app, both("victim")).await.assert_hit();
    send(&app, both("evil")).await.assert_miss("host");
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn paths_and_headers_of_any_size_have_a_clear_outcome() {
    let (cache, _) = cache();
    let (app, _) = counting(CacheLayer::new().cache(cache.clone()).ttl("10m"));
    let deep = "/a".repeat(30_000);
    for _ in 0..2 {
        get(&app, &deep).await.assert_miss("path-levels");
    }
    get(&app, &"/a".repeat(31)).await;
    get(&app, &"/a".repeat(31)).await.assert_hit();
    let long = format!("/?{}", "q".repeat(65_000));
    for _ in 0..2 {
        assert_eq!(get(&app, &long).await.status, StatusCode::OK);
    }
    let huge = "x".repeat(10 << 20);
    let reply = send(&app, with("/h", &[("x-huge", &huge)])).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(cache.stats().bytes < 1 << 20, "{:?}", cache.stats());
}

#[tokio::test]
async fn a_uri_that_was_rewritten_on_the_way_is_part_of_the_key() {
    use tower::Layer;
    use tower::util::MapRequestLayer;

    let layer = CacheLayer::new().cache(Cache::new()).ttl("1h");
    let inside = Router::new()
        .fallback(|uri: Uri| async move { uri.to_string() })
        .layer(layer);
    let rewrite = MapRequestLayer::new(|mut request: Request<Body>| {
        *request.uri_mut() = request.headers()["x-to"].to_str().unwrap().parse().unwrap();
        request
    });
    let app = Router::new().fallback_service(rewrite.layer(inside));
    for _ in 0..2 {
        for to in [
            "/a/page",
            "/b/page",
            "/a/page?",
            "/a/page?x",
            "http://one/a/page",
            "http://two/a/page",
            "https://two/a/page",
        ] {
            let reply = send(&app, with("/page", &[("x-to", to)])).await;
            assert_eq!(reply.text(), to);
        }
    }
}
