//! The cache policies as SAP API Management's pages describe them: from their XML, and the flush by a
//! request's header.
#![cfg(all(feature = "axum", feature = "gateway"))]

mod layer_support;

use std::future::ready;

use axum::Router;
use axum::routing::any;
use http::StatusCode;
use http::request::Parts;
use layer_support::{Cache, Clock, Count, SECOND, cache, get, send, with};
use revalidate::gateway::{
    CacheResource, Environment, FlushByHeader, InvalidateCache, Proxy, ResponseCache,
};

/// The payload of the page on invalidation: a comment before the declaration, a namespace, no name.
const FLUSH: &str = r#"<!-- The policy will clear the value of userId from the cache -->

<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<InvalidateCache async="false" continueOnError="false" enabled="true" xmlns="http://www.sap.com/apimgmt">
    <CacheKey>
        <KeyFragment ref="request.header.userid"></KeyFragment>
    </CacheKey>
    <Scope>Exclusive</Scope>
    <PurgeChildEntries>true</PurgeChildEntries>
</InvalidateCache>
"#;

fn responses(settings: &str) -> ResponseCache {
    let xml = format!(
        r#"<ResponseCache name="Users" xmlns="http://www.sap.com/apimgmt">
            <CacheKey>
                <KeyFragment ref="request.header.userid"/>
                <KeyFragment ref="request.path"/>
            </CacheKey>
            {settings}
        </ResponseCache>"#
    );
    ResponseCache::from_xml(&xml).unwrap()
}

const MINUTES: &str = "<ExpirySettings><TimeoutInSeconds>600</TimeoutInSeconds></ExpirySettings>";

fn setup() -> (Proxy, Cache, Clock) {
    let (cache, clock) = cache();
    let environment = Environment::builder("acme", "test").cache(cache.clone());
    let environment = environment.resource(CacheResource::new("small").max_value_bytes(4));
    (environment.build().unwrap().proxy("users"), cache, clock)
}

fn cached(proxy: &Proxy, policy: ResponseCache) -> Router {
    let asked = Count::default();
    let target = any(move |uri: http::Uri| {
        ready((
            if uri.path() == "/gone" {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::OK
            },
            format!("answer {}", asked.up()),
        ))
    });
    let route = target.layer(proxy.layer(policy).unwrap());
    Router::new().fallback(route)
}

async fn of(app: &Router, user: &str, path: &str) -> String {
    send(app, with(path, &[("userid", user)]))
        .await
        .text()
        .to_owned()
}

#[tokio::test]
async fn a_request_with_the_header_flushes_that_users_entries() {
    let (proxy, ..) = setup();
    let flush = proxy
        .layer(InvalidateCache::from_xml(FLUSH).unwrap())
        .unwrap();
    let app = cached(&proxy, responses(MINUTES));
    let flush = Router::new().fallback(any(|| async {}).layer(flush));
    for (n, (user, path)) in [("ann", "/a"), ("ann", "/b"), ("bob", "/a")]
        .into_iter()
        .enumerate()
    {
        let answer = format!("answer {}", n + 1);
        assert_eq!(of(&app, user, path).await, answer);
        assert_eq!(of(&app, user, path).await, answer);
    }
    get(&flush, "/").await;
    assert_eq!(of(&app, "ann", "/a").await, "answer 1");
    send(&flush, with("/", &[("userid", "ann")])).await;
    assert_eq!(of(&app, "bob", "/a").await, "answer 3");
    assert_eq!(of(&app, "ann", "/a").await, "answer 4");
    assert_eq!(of(&app, "ann", "/b").await, "answer 5");
}

#[tokio::test]
async fn who_may_not_flush_does_not() {
    let (proxy, ..) = setup();
    let may = |request: &Parts| ready(request.headers.contains_key("operator"));
    let flush = InvalidateCache::from_xml(FLUSH).unwrap();
    let flush = proxy.flush_by_header("x-flush", flush, may).unwrap();
    let app = cached(&proxy, responses(MINUTES)).layer(flush);
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    let flushing = [("userid", "ann"), ("x-flush", "1"), ("operator", "1")];
    let reply = send(&app, with("/", &flushing[..2])).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(
        reply
            .text()
            .contains("policies.flushbyheader.NotAuthorised")
    );
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    assert_eq!(of(&app, "bob", "/").await, "answer 2");
    let without = [("userid", "ann"), ("operator", "1")];
    assert_eq!(send(&app, with("/", &without)).await.text(), "answer 1");
    assert_eq!(send(&app, with("/", &flushing)).await.text(), "answer 3");
    assert_eq!(of(&app, "bob", "/").await, "answer 2");
}

#[tokio::test]
async fn a_flush_that_is_not_enabled_is_not_there() {
    let (proxy, ..) = setup();
    let flush = InvalidateCache::from_xml(FLUSH).unwrap().enabled(false);
    let flush = |may: bool| {
        let flush = flush.clone();
        proxy.flush_by_header("x-flush", flush, move |_: &Parts| ready(may))
    };
    let app = cached(&proxy, responses(MINUTES));
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    for may in [true, false] {
        let app = app.clone().layer(flush(may).unwrap());
        let flushing = [("userid", "ann"), ("x-flush", "1")];
        assert_eq!(send(&app, with("/", &flushing)).await.text(), "answer 1");
    }
}

#[test]
fn a_flush_knows_the_head_of_its_request_alone() {
    let (proxy, ..) = setup();
    for (variable, said) in [
        (
            "request.formparam.userid",
            "a flush by a header reads no form",
        ),
        ("response.header.userid", "before there is a response"),
    ] {
        let flush = FLUSH.replace("request.header.userid", variable);
        let flush = InvalidateCache::from_xml(&flush).unwrap();
        assert!(proxy.layer(flush.clone()).is_ok());
        let error = proxy.flush_by_header("x-flush", flush, |_: &Parts| ready(true));
        let error = error.unwrap_err();
        assert_eq!(error.name(), "InvalidPolicy");
        let error = error.to_string();
        assert!(error.contains(variable) && error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_header_names_tags() {
    let (_, cache, _) = setup();
    let put = |key: &str, tag: &str| assert!(cache.put(key, 1_u8, "10m", [tag]).is_stored());
    for (key, tag) in [("a", "contacts"), ("b", "contact:7"), ("c", "contact:8")] {
        put(key, tag);
    }
    let may = |_: &Parts| ready(true);
    let flush = FlushByHeader::tags(&cache, "x-flush", may);
    let app = Router::new().fallback(any(|| async { "gone on" }).layer(flush));
    let reply = send(&app, with("/", &[("x-flush", "contacts , ,contact:7")])).await;
    assert_eq!(reply.text(), "gone on");
    for (key, left) in [("a", None), ("b", None), ("c", Some(1))] {
        assert_eq!(cache.get::<u8>(key).await, left, "{key}");
    }
}

#[test]
fn no_cache_of_that_name() {
    let (proxy, ..) = setup();
    let named = FLUSH.replace("<Scope>", "<CacheResource>users</CacheResource><Scope>");
    let error = proxy
        .layer(InvalidateCache::from_xml(&named).unwrap())
        .unwrap_err();
    assert_eq!(error.name(), "InvalidCacheResourceReference");
    assert!(error.to_string().contains("(it has small)"), "{error}");
}

#[tokio::test]
async fn objects_are_stored_up_to_a_size() {
    let (proxy, ..) = setup();
    let small = format!("<CacheResource>small</CacheResource>{MINUTES}");
    let app = cached(&proxy, responses(&small));
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    let reply = send(&app, with("/", &[("userid", "ann")])).await;
    assert_eq!(reply.text(), "answer 2");
    assert!(reply.own().contains("body-too-large"), "{}", reply.own());
}

#[tokio::test]
async fn keys_are_up_to_two_kilobytes_long() {
    let (proxy, ..) = setup();
    let app = cached(&proxy, responses(MINUTES));
    for (length, second) in [(1900, "answer 1"), (2048, "answer 3")] {
        let user = "x".repeat(length);
        of(&app, &user, "/").await;
        assert_eq!(of(&app, &user, "/").await, second);
    }
}

#[tokio::test]
async fn a_bypass_header_skips_the_look_up() {
    let (proxy, ..) = setup();
    let skip = r#"<SkipCacheLookup>request.header.bypass-cache = "true"</SkipCacheLookup>"#;
    let app = cached(&proxy, responses(&format!("{skip}{MINUTES}")));
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    for (value, answer) in [
        ("false", "answer 1"),
        ("true", "answer 2"),
        ("false", "answer 2"),
    ] {
        let headers = [("userid", "ann"), ("bypass-cache", value)];
        assert_eq!(send(&app, with("/", &headers)).await.text(), answer);
    }
}

#[tokio::test]
async fn errors_are_stored_where_that_is_written() {
    let said = |excluded: &str| {
        format!("{MINUTES}<ExcludeErrorResponse>{excluded}</ExcludeErrorResponse>")
    };
    for (settings, second) in [
        (MINUTES.to_owned(), "answer 2"),
        (said("true"), "answer 2"),
        (said("false"), "answer 1"),
    ] {
        let (proxy, ..) = setup();
        let app = cached(&proxy, responses(&settings));
        of(&app, "ann", "/gone").await;
        assert_eq!(of(&app, "ann", "/gone").await, second, "{settings}");
    }
}

#[tokio::test]
async fn entries_end_at_a_time_of_day() {
    let (proxy, cache, clock) = setup();
    let now = cache.clock().system_time();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // A minute and a half from now, wherever the day is.
    let then = (since + 90) % 86_400;
    let (hours, minutes, seconds) = (then / 3600, then / 60 % 60, then % 60);
    let expiry = format!(
        "<ExpirySettings><TimeOfDay>{hours:02}:{minutes:02}:{seconds:02}</TimeOfDay></ExpirySettings>"
    );
    let app = cached(&proxy, responses(&expiry));
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    clock.advance(88 * SECOND);
    assert_eq!(of(&app, "ann", "/").await, "answer 1");
    clock.advance(2 * SECOND);
    assert_eq!(of(&app, "ann", "/").await, "answer 2");
}

#[tokio::test]
async fn a_lifetime_that_cannot_be_read_stores_nothing() {
    let (proxy, ..) = setup();
    let expiry = r#"<ExpirySettings><TimeoutInSeconds ref="request.header.ttl"/></ExpirySettings>"#;
    let app = cached(&proxy, responses(expiry));
    let asking = |ttl| with("/", &[("userid", "ann"), ("ttl", ttl)]);
    for (ttl, answer) in [
        ("soon", "answer 1"),
        ("0", "answer 2"),
        ("60", "answer 3"),
        ("soon", "answer 3"),
    ] {
        assert_eq!(send(&app, asking(ttl)).await.text(), answer, "{ttl}");
    }
}
