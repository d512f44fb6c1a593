//! Validators and conditional requests: what a client has already is not sent again.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as route;
use http::{HeaderMap, Method, StatusCode};
use layer_support::*;

fn app<R: IntoResponse + 'static>(
    layer: CacheLayer,
    respond: impl Fn(&HeaderMap) -> R + Clone + Send + Sync + 'static,
) -> Router {
    let handler = move |headers: HeaderMap| {
        let response = respond(&headers).into_response();
        async move { response }
    };
    Router::new().route("/", route(handler).layer(layer))
}

#[tokio::test]
async fn the_layer_gives_a_validator_and_answers_it() {
    let (cache, clock) = cache();
    let app = app(CacheLayer::new().cache(cache).ttl("10m"), |_| {
        ([("x-kept", "1")], "a page")
    });
    let first = get(&app, "/").await;
    let etag = first.header("etag").unwrap().to_owned();
    assert!(
        etag.starts_with("W/\""),
        "compression outside changes bytes"
    );
    clock.advance(3 * SECOND);
    let current = send(&app, with("/", &[("if-none-match", &etag)])).await;
    assert_eq!(current.status, StatusCode::NOT_MODIFIED);
    current.assert_hit();
    assert!(current.body.is_empty());
    assert_eq!(current.header("etag"), Some(etag.as_str()));
    assert_eq!(current.header("age"), Some("3"));
    assert_eq!(current.header("cache-control"), Some("no-cache"));
    assert_eq!(current.header("x-kept"), Some("1"));
    assert_eq!(current.header("content-type"), None);
    assert_eq!(current.header("content-length"), None);
    let other = send(&app, with("/", &[("if-none-match", "\"other\"")])).await;
    assert_eq!((other.status, other.text()), (StatusCode::OK, "a page"));
    let mut head = with("/", &[("if-none-match", &format!("\"x\", {etag}"))]);
    *head.method_mut() = Method::HEAD;
    assert_eq!(send(&app, head).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn after_an_invalidation_the_same_content_is_still_a_304() {
    let (cache, _) = cache();
    let app = app(
        CacheLayer::new()
            .cache(cache.clone())
            .tags(["t"])
            .ttl("10m"),
        |_| "a page",
    );
    let etag = get(&app, "/").await.header("etag").unwrap().to_owned();
    cache.invalidate_cache("t").await.unwrap();
    let reply = send(&app, with("/", &[("if-none-match", &etag)])).await;
    assert_eq!(reply.status, StatusCode::NOT_MODIFIED);
    reply.assert_miss("tag");
    assert_eq!(
        get(&app, "/").await.assert_hit().text(),
        "a page",
        "and the whole is stored"
    );
}

#[tokio::test]
async fn handlers_validators_are_kept_and_their_conditions_are_the_layers() {
    let (cache, _) = cache();
    let app = app(CacheLayer::new().cache(cache).ttl("10m"), |headers| {
        assert!(
            !headers.contains_key("if-none-match"),
            "what is stored must be whole"
        );
        assert!(!headers.contains_key("if-modified-since"));
        (
            [
                ("etag", "W/\"v1\""),
                ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
            "a page",
        )
    });
    let cold = send(&app, with("/", &[("if-none-match", "\"v1\"")])).await;
    assert_eq!(cold.status, StatusCode::NOT_MODIFIED);
    let whole = get(&app, "/").await;
    assert_eq!(whole.assert_hit().header("etag"), Some("W/\"v1\""));
    for (since, status) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", StatusCode::NOT_MODIFIED),
        ("Sun, 06 Nov 1994 08:49:36 GMT", StatusCode::OK),
        ("not a date", StatusCode::OK),
    ] {
        assert_eq!(
            send(&app, with("/", &[("if-modified-since", since)]))
                .await
                .status,
            status,
            "{since}"
        );
    }
}

#[tokio::test]
async fn errors_and_what_is_not_stored_get_no_validator() {
    let (cache, _) = cache();
    let app = app(CacheLayer::new().cache(cache), |_| {
        (StatusCode::NOT_FOUND, CachePolicy::ttl(60), "gone")
    });
    for _ in 0..2 {
        let reply = send(&app, with("/", &[("if-none-match", "*")])).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.header("etag"), None);
    }
}

#[tokio::test]
async fn preconditions_pass_by_and_keep_nothing_from_the_cache() {
    let (cache, _) = cache();
    let app = app(CacheLayer::new().cache(cache).ttl("10m"), |headers| {
        let fails = headers.contains_key("if-match") || headers.contains_key("if-unmodified-since");
        match fails {
            true => (StatusCode::PRECONDITION_FAILED, ""),
            false => (StatusCode::OK, "a page"),
        }
    });
    for header in [
        ("if-match", "\"x\""),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let reply = send(&app, with("/", &[header])).await;
        assert_eq!(reply.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(reply.cache(), "revalidate; fwd=bypass; detail=precondition");
    }
    get(&app, "/").await.assert_miss("never-stored");
    get(&app, "/").await.assert_hit();
    let reply = send(&app, with("/", &[("if-match", "\"x\"")])).await;
    assert_eq!(reply.status, StatusCode::PRECONDITION_FAILED);
    get(&app, "/").await.assert_hit();
}

#[tokio::test]
async fn an_error_that_one_clients_headers_cause_keeps_nothing_from_the_cache() {
    for status in [400, 401, 403, 405, 406, 412, 415, 416, 417, 429, 431] {
        let (cache, _) = cache();
        let status = StatusCode::from_u16(status).unwrap();
        let app = app(
            CacheLayer::new().cache(cache).ttl("10m"),
            move |headers| match headers.contains_key("x-bad") {
                true => (status, "bad"),
                false => (StatusCode::OK, "a page"),
            },
        );
        let bad = send(&app, with("/", &[("x-bad", "1")])).await;
        assert_eq!(bad.status, status);
        bad.assert_miss("status");
        assert!(get(&app, "/").await.cache().contains("; stored"));
        get(&app, "/").await.assert_hit();
    }
}

#[tokio::test]
async fn ages_go_on_from_what_upstream_said() {
    let (cache, clock) = cache();
    let app = app(CacheLayer::new().cache(cache), |_| {
        ([("cache-control", "max-age=60"), ("age", "20")], "x")
    });
    assert_eq!(get(&app, "/").await.header("age"), Some("20"));
    clock.advance(5 * SECOND);
    let reply = get(&app, "/").await;
    assert_eq!(reply.header("age"), Some("25"));
    assert_eq!(reply.cache(), "revalidate; hit; ttl=35");
}

#[tokio::test]
async fn what_belongs_to_a_connection_is_not_stored() {
    let (cache, _) = cache();
    let app = app(CacheLayer::new().cache(cache).ttl("10m"), |_| {
        (
            [
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("x-end", "1"),
            ],
            "x",
        )
    });
    get(&app, "/").await;
    let reply = get(&app, "/").await;
    reply.assert_hit();
    for name in ["connection", "x-hop", "keep-alive"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("x-end"), Some("1"));
}

#[tokio::test]
async fn repeated_headers_keep_their_order() {
    let (cache, _) = cache();
    let app = app(CacheLayer::new().cache(cache).ttl("10m"), |_| {
        let mut response = "x".into_response();
        for link in ["<a>", "<b>", "<c>"] {
            response.headers_mut().append("link", link.parse().unwrap());
        }
        response
    });
    get(&app, "/").await;
    let reply = get(&app, "/").await;
    assert_eq!(
        reply
            .assert_hit()
            .headers
            .get_all("link")
            .iter()
            .collect::<Vec<_>>(),
        ["<a>", "<b>", "<c>"]
    );
}

#[tokio::test]
async fn a_304_keeps_what_the_handler_declared() {
    let (cache, _) = cache();
    let handler = |headers: HeaderMap| async move {
        if headers
            .get("if-none-match")
            .is_some_and(|tag| tag == "\"v1\"")
        {
            return (StatusCode::NOT_MODIFIED, [("etag", "\"v1\"")]).into_response();
        }
        let policy = CachePolicy::ttl("10m").tags(["page"]);
        (policy, [("etag", "\"v1\"")], "a page").into_response()
    };
    let layer = CacheLayer::new().cache(cache.clone());
    let app = Router::new().route("/", route(handler).layer(layer));
    get(&app, "/").await;
    for _ in 0..2 {
        cache.revalidate_tag("page").await.unwrap();
        let validated = get(&app, "/").await;
        assert_eq!(
            (validated.status, validated.text()),
            (StatusCode::OK, "a page")
        );
        let said = validated.cache();
        assert_eq!(
            said,
            "revalidate; fwd=stale; fwd-status=304; stored; detail=tag"
        );
        assert_eq!(validated.header("cache-control"), Some("no-cache"));
        get(&app, "/").await.assert_hit();
    }
}
