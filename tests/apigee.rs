//! The cache policies as Apigee's pages describe them, in the order of their elements.
#![cfg(all(feature = "axum", feature = "gateway"))]

mod layer_support;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use axum::{Extension, Router};
use http::StatusCode;
use layer_support::{
    Cache, CacheLayer, Clock, Count, Reply, SECOND, cache, get, send, settle, with,
};
use revalidate::gateway::{
    CacheContext, CacheKey, CacheResource, Condition, Environment, ExpirySettings, Flow,
    InvalidateCache, LookupCache, PopulateCache, Proxy, ResponseCache, Scope,
};
use tokio::sync::{Notify, oneshot};

fn environment(cache: &Cache) -> Environment {
    let builder = Environment::builder("apifactory", "test").cache(cache.clone());
    let builder = builder.resource(CacheResource::new("tokens"));
    builder
        .resource(CacheResource::new("small").max_value_bytes(4))
        .build()
        .unwrap()
}

fn setup() -> (Environment, Proxy, Clock) {
    let (cache, clock) = cache();
    let environment = environment(&cache);
    let proxy = environment.proxy("weatherapi").revision("16");
    (environment, proxy, clock)
}

/// `UserToken__apiAccessToken__<client_id>`
fn token_key() -> CacheKey {
    CacheKey::new()
        .prefix("UserToken")
        .literal("apiAccessToken")
        .reference("request.queryparam.client_id")
}

fn minutes() -> ExpirySettings {
    ExpirySettings::timeout(600)
}

fn find(key: CacheKey) -> LookupCache {
    LookupCache::new("Find", "flow.token", key)
}

fn keep(key: CacheKey) -> PopulateCache {
    PopulateCache::new("Keep", "flow.token", key, minutes())
}

fn drop_entry(key: CacheKey) -> InvalidateCache {
    InvalidateCache::new("Drop", key)
}

/// Answers with the token of the flow, and makes one where there is none.
fn tokens(made: &Count) -> MethodRouter {
    let made = made.clone();
    any(move |Extension(flow): Extension<Flow>| async move {
        flow.get("flow.token").unwrap_or_else(|| {
            let token = format!("token {}", made.up());
            flow.set("flow.token", token.clone()).unwrap();
            token
        })
    })
}

/// An application that looks its token up, and stores the one that it makes.
fn app(proxy: &Proxy, find: LookupCache, keep: PopulateCache) -> (Router, Count) {
    let made = Count::default();
    let keep = proxy.layer(keep).unwrap();
    let app = Router::new()
        .route("/", tokens(&made))
        .layer(keep.when("lookupcache.Find.cachehit = \"false\""))
        .layer(proxy.layer(find).unwrap());
    (app, made)
}

fn dropping(proxy: &Proxy, policy: InvalidateCache) -> Router {
    let route = any(|| async {}).layer(proxy.layer(policy).unwrap());
    Router::new().route("/", route)
}

async fn text(app: &Router, uri: &str) -> String {
    get(app, uri).await.text().to_owned()
}

// ---- InvalidateCache ----------------------------------------------------

#[tokio::test]
async fn an_entry_is_cleared_by_its_key() {
    let (_, proxy, _) = setup();
    let (app, made) = app(&proxy, find(token_key()), keep(token_key()));
    let drop = dropping(&proxy, drop_entry(token_key()));
    assert_eq!(text(&app, "/?client_id=a").await, "token 1");
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(text(&app, "/?client_id=a").await, "token 1");
    get(&drop, "/?client_id=a").await;
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(text(&app, "/?client_id=a").await, "token 3");
    // What has no key is no entry's.
    get(&drop, "/").await;
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(made.get(), 3);
}

#[tokio::test]
async fn a_cache_that_is_not_there_is_found_when_it_is_deployed() {
    let (environment, proxy, _) = setup();
    let error = proxy
        .layer(drop_entry(token_key()).cache_resource("token"))
        .unwrap_err();
    assert_eq!(error.name(), "InvalidCacheResourceReference");
    assert_eq!(
        error.to_string(),
        "InvalidCacheResourceReference: Drop names the cache \"token\", which the environment \"test\" has not \
         (it has small, tokens): add it with `.resource(CacheResource::new(\"token\"))`, or leave <CacheResource> \
         out for the shared one"
    );
    for error in [
        proxy
            .layer(find(token_key()).cache_resource("token"))
            .unwrap_err(),
        proxy
            .layer(keep(token_key()).cache_resource("token"))
            .unwrap_err(),
        proxy
            .layer(responses().cache_resource("token"))
            .unwrap_err(),
    ] {
        assert_eq!(error.name(), "InvalidCacheResourceReference");
    }
    assert_eq!(
        environment.clear("token").unwrap_err().name(),
        "CacheNotFound"
    );
    let twice = Environment::builder("o", "e").cache(Cache::new());
    let twice = twice
        .resource(CacheResource::new("a"))
        .resource(CacheResource::new("a"));
    assert_eq!(twice.build().unwrap_err().name(), "CacheResourceTwice");
}

#[tokio::test]
async fn named_caches_are_apart_and_cleared_alone() {
    let (environment, proxy, _) = setup();
    let named = |name| {
        let (find, keep) = (find(token_key()), keep(token_key()));
        app(&proxy, find.cache_resource(name), keep.cache_resource(name)).0
    };
    let (shared, made) = app(&proxy, find(token_key()), keep(token_key()));
    let tokens = named("tokens");
    let uri = "/?client_id=a";
    assert_eq!(text(&shared, uri).await, "token 1");
    assert_eq!(text(&tokens, uri).await, "token 1");
    environment.clear("tokens").unwrap().await.unwrap();
    assert_eq!(text(&tokens, uri).await, "token 2");
    assert_eq!(text(&shared, uri).await, "token 1");
    environment.clear_shared().await.unwrap();
    assert_eq!(text(&shared, uri).await, "token 2");
    assert_eq!(text(&tokens, uri).await, "token 2");
    assert_eq!(made.get(), 2);
}

#[tokio::test]
async fn child_entries_share_their_first_fragments_whatever_the_prefix() {
    let (_, proxy, _) = setup();
    let key = |prefix: &str, last: &str| {
        let key = CacheKey::new()
            .prefix(prefix)
            .reference("request.header.user");
        key.literal(last)
    };
    let apps = [("a", "x"), ("b", "x"), ("a", "y")].map(|(prefix, last)| {
        let key = key(prefix, last);
        app(&proxy, find(key.clone()), keep(key)).0
    });
    let user = |name| with("/", &[("user", name)]);
    let purge = drop_entry(CacheKey::new().reference("request.header.user")).purge_child_entries();
    let purge = dropping(&proxy, purge);
    for name in ["ann", "bob"] {
        for app in &apps {
            send(app, user(name)).await;
        }
    }
    send(&purge, user("ann")).await;
    for app in &apps {
        assert_eq!(send(app, user("bob")).await.text(), "token 2");
        assert_eq!(send(app, user("ann")).await.text(), "token 3");
    }
    // Without children it is the one entry of this key, which nothing has.
    let one = drop_entry(CacheKey::new().prefix("a").reference("request.header.user"));
    send(&dropping(&proxy, one), user("ann")).await;
    assert_eq!(send(&apps[0], user("ann")).await.text(), "token 3");
}

#[tokio::test]
async fn all_entries_go_only_where_that_is_said() {
    let (_, proxy, _) = setup();
    let empty = drop_entry(CacheKey::new().prefix("a")).purge_child_entries();
    let error = proxy.layer(empty).unwrap_err();
    assert_eq!(error.name(), "InvalidPolicy");
    assert!(error.to_string().contains("purge_all()"), "{error}");

    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let all = dropping(&proxy, drop_entry(CacheKey::new()).purge_all());
    text(&app, "/?client_id=a").await;
    get(&all, "/").await;
    assert_eq!(text(&app, "/?client_id=a").await, "token 2");
}

#[tokio::test]
async fn scopes_hold_what_they_are_named_by() {
    let (environment, _, _) = setup();
    let key = || CacheKey::new().literal("apiAccessToken");
    let proxies = [
        environment.proxy("weatherapi").revision("16"),
        environment.proxy("weatherapi").revision("17"),
        environment.proxy("other").revision("16"),
    ];
    for (scope, shown, made) in [
        (Scope::Global, "apifactory__test__apiAccessToken", [1, 0, 0]),
        (
            Scope::Application,
            "apifactory__test__weatherapi__apiAccessToken",
            [1, 0, 1],
        ),
        (
            Scope::Exclusive,
            "apifactory__test__weatherapi__16__default__apiAccessToken",
            [1, 1, 1],
        ),
    ] {
        for (n, proxy) in proxies.iter().enumerate() {
            let (app, count) = app(proxy, find(key()).scope(scope), keep(key()).scope(scope));
            let app = app.layer(axum::middleware::from_fn(shown_key));
            let reply = get(&app, "/").await;
            if n == 0 {
                assert_eq!(reply.header("x-key"), Some(shown));
            }
            assert_eq!(count.get(), made[n], "{scope} {n}");
        }
    }
}

/// Shows the flow's variables in headers.
async fn shown_key(mut request: Request, next: axum::middleware::Next) -> axum::response::Response {
    let flow = Flow::new();
    request.extensions_mut().insert(flow.clone());
    let mut response = next.run(request).await;
    for (header, name) in [
        ("x-key", "lookupcache.Find.cachekey"),
        ("x-name", "lookupcache.Find.cachename"),
        ("x-hit", "lookupcache.Find.cachehit"),
        ("x-assignto", "lookupcache.Find.assignto"),
        ("x-failed", "populatecache.Keep.failed"),
        ("x-fault", "fault.name"),
        ("x-response-key", "responsecache.Weather.cachekey"),
        ("x-response-name", "responsecache.Weather.cachename"),
        ("x-response-hit", "responsecache.Weather.cachehit"),
        ("x-response-invalid", "responsecache.Weather.invalidentry"),
    ] {
        if let Some(value) = flow.get(name) {
            response
                .headers_mut()
                .insert(header, value.parse().unwrap());
        }
    }
    response
}

#[tokio::test]
async fn another_proxys_entry_is_reached_by_its_context() {
    let (environment, proxy, _) = setup();
    let key = || CacheKey::new().literal("apiAccessToken");
    let (app, _) = app(&proxy, find(key()), keep(key()));
    assert_eq!(text(&app, "/").await, "token 1");
    let other = environment.proxy("admin").revision("16");
    get(&dropping(&other, drop_entry(key())), "/").await;
    assert_eq!(text(&app, "/").await, "token 1");
    let context = CacheContext::new()
        .application("weatherapi")
        .proxy("default");
    let incomplete = other.layer(drop_entry(key()).context(context.clone()));
    assert_eq!(incomplete.unwrap_err().name(), "InvalidPolicy");
    let context = context.target("default");
    get(&dropping(&other, drop_entry(key()).context(context)), "/").await;
    assert_eq!(text(&app, "/").await, "token 2");
}

#[tokio::test]
async fn a_policy_that_is_not_enabled_does_nothing() {
    let (_, proxy, _) = setup();
    let (all, _) = app(&proxy, find(token_key()), keep(token_key()));
    let (none, _) = app(
        &proxy,
        find(token_key()).enabled(false),
        keep(token_key()).enabled(false),
    );
    let none = none.layer(axum::middleware::from_fn(shown_key));
    let uri = "/?client_id=a";
    text(&all, uri).await;
    assert_eq!(text(&none, uri).await, "token 1");
    assert_eq!(text(&none, uri).await, "token 2");
    get(
        &dropping(&proxy, drop_entry(token_key()).enabled(false)),
        uri,
    )
    .await;
    assert_eq!(text(&all, uri).await, "token 1");
}

#[tokio::test]
async fn what_a_handler_may_have_changed_is_dropped_though_nobody_waits_for_its_answer() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    let never = any(std::future::pending::<()>);
    let never = never.layer(proxy.layer(drop_entry(token_key())).unwrap());
    let never = Router::new().route("/", never);
    let left = tokio::spawn(async move { get(&never, uri).await });
    settle().await;
    assert_eq!(text(&app, uri).await, "token 1");
    left.abort();
    settle().await;
    assert_eq!(text(&app, uri).await, "token 2");
}

// ---- LookupCache --------------------------------------------------------

#[tokio::test]
async fn a_look_up_says_what_it_did_and_leaves_the_variable_on_a_miss() {
    let (_, proxy, _) = setup();
    let key = token_key();
    let find = find(key.clone()).cache_resource("tokens");
    let made = Count::default();
    let app = Router::new()
        .route("/", tokens(&made))
        .layer(proxy.layer(keep(key).cache_resource("tokens")).unwrap())
        .layer(proxy.layer(find).unwrap());
    let app = app.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(reply.text(), "token 1");
    assert_eq!(reply.header("x-hit"), Some("false"));
    assert_eq!(reply.header("x-name"), Some("tokens"));
    assert_eq!(reply.header("x-assignto"), Some("flow.token"));
    let key = "UserToken__apiAccessToken__a";
    assert_eq!(reply.header("x-key"), Some(key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(
        (reply.text(), reply.header("x-hit")),
        ("token 1", Some("true"))
    );

    let set = |mut request: Request, next: axum::middleware::Next| async move {
        let flow = Flow::new();
        flow.set("flow.token", "mine").unwrap();
        request.extensions_mut().insert(flow);
        next.run(request).await
    };
    let set = app.layer(axum::middleware::from_fn(set));
    assert_eq!(text(&set, "/?client_id=b").await, "token 2");
}

#[tokio::test]
async fn a_key_that_refers_to_nothing_is_nobodys() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let app = app.layer(axum::middleware::from_fn(shown_key));
    for n in 1..=2 {
        let reply = get(&app, "/").await;
        assert_eq!(reply.text(), format!("token {n}"));
        assert_eq!(reply.header("x-failed"), Some("true"));
        assert_eq!(reply.header("x-fault"), Some("KeyUnresolved"));
    }
}

/// What cannot be told apart once it is read as text is no key.
#[tokio::test]
async fn a_key_of_bytes_that_are_no_text_is_nobodys() {
    let (_, proxy, _) = setup();
    let (params, _) = app(&proxy, find(token_key()), keep(token_key()));
    let key = || CacheKey::new().reference("request.header.user");
    let (headers, _) = app(&proxy, find(key()), keep(key()));
    for (n, byte) in [0xfe, 0xff].into_iter().enumerate() {
        let token = format!("token {}", n + 1);
        let uri = format!("/?client_id=%{byte:X}");
        assert_eq!(text(&params, &uri).await, token);
        let mut request = with("/", &[]);
        let value = http::HeaderValue::from_bytes(&[byte]).unwrap();
        request.headers_mut().insert("user", value);
        assert_eq!(send(&headers, request).await.text(), token);
    }
}

#[test]
fn a_look_up_has_time() {
    let timeout = |seconds: u32| {
        std::panic::catch_unwind(|| find(token_key()).lookup_timeout(seconds).timeout())
    };
    assert_eq!(timeout(5).unwrap(), Duration::from_secs(5));
    assert!(timeout(0).is_err());
    assert_eq!(find(token_key()).timeout(), Duration::from_secs(12));
}

// ---- PopulateCache ------------------------------------------------------

#[tokio::test]
async fn an_entry_expires() {
    let (_, proxy, clock) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    clock.advance(599 * SECOND);
    assert_eq!(text(&app, uri).await, "token 1");
    clock.advance(SECOND);
    assert_eq!(text(&app, uri).await, "token 2");
}

#[tokio::test]
async fn what_cannot_be_cached_is_a_fault() {
    let (_, proxy, _) = setup();
    let (find, keep) = (find(token_key()), keep(token_key()));
    let keep = keep.cache_resource("small");
    let (failing, _) = app(&proxy, find.clone().cache_resource("small"), keep.clone());
    let failing = failing.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&failing, "/?client_id=a").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let fault: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let code = &fault["fault"]["detail"]["errorcode"];
    assert_eq!(code, "policies.populatecache.EntryCannotBeCached");
    let said = fault["fault"]["faultstring"].as_str().unwrap();
    assert!(
        said.contains("Keep: it has 7 bytes; the cache \"small\" takes values of up to 4 bytes")
    );
    assert_eq!(reply.header("x-failed"), Some("true"));
    assert_eq!(reply.header("x-fault"), Some("EntryCannotBeCached"));

    let (going_on, _) = app(
        &proxy,
        find.cache_resource("small"),
        keep.continue_on_error(true),
    );
    let going_on = going_on.layer(axum::middleware::from_fn(shown_key));
    for n in 1..=2 {
        let reply = get(&going_on, "/?client_id=a").await;
        assert_eq!(
            (reply.status, reply.text()),
            (StatusCode::OK, format!("token {n}").as_str())
        );
        assert_eq!(reply.header("x-failed"), Some("true"));
    }
}

#[tokio::test]
async fn a_value_that_is_not_there_is_not_stored_and_no_fault() {
    let (_, proxy, _) = setup();
    let route = any(|| async {}).layer(proxy.layer(keep(token_key())).unwrap());
    let app = Router::new().route("/", route);
    let app = app.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("x-fault"), Some("SourceUnset"));
}

/// A handler reads its data, the data changes and its entry is dropped, and only then the handler's old
/// value would be stored.
#[tokio::test]
async fn an_invalidation_wins_over_a_value_that_was_read_before_it() {
    let drops = [
        drop_entry(token_key()),
        drop_entry(CacheKey::new().literal("apiAccessToken")).purge_child_entries(),
        drop_entry(CacheKey::new()).purge_all(),
    ];
    for policy in drops {
        let (_, proxy, _) = setup();
        let (read, go_on) = (
            std::sync::Arc::new(Notify::new()),
            std::sync::Arc::new(Notify::new()),
        );
        let (has_read, may_go) = (read.clone(), go_on.clone());
        let slow = any(move |Extension(flow): Extension<Flow>| async move {
            flow.set("flow.token", "old").unwrap();
            has_read.notify_one();
            may_go.notified().await;
        });
        let slow = Router::new().route("/", slow.layer(proxy.layer(keep(token_key())).unwrap()));
        let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
        let uri = "/?client_id=a";
        let slow = tokio::spawn(async move { get(&slow, uri).await });
        read.notified().await;
        get(&dropping(&proxy, policy), uri).await;
        go_on.notify_one();
        slow.await.unwrap();
        assert_eq!(text(&app, uri).await, "token 1");
        assert_eq!(text(&app, uri).await, "token 1");
    }
}

/// What a look-up found before the invalidation is as old, whoever stores it again.
#[tokio::test]
async fn a_flow_began_before_all_that_it_found() {
    let (_, proxy, _) = setup();
    let copy = CacheKey::new().literal("copy");
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    let drop = dropping(&proxy, drop_entry(copy.clone()).scope(Scope::Global));
    let between = move |request: Request, next: axum::middleware::Next| {
        let drop = drop.clone();
        async move {
            get(&drop, uri).await;
            next.run(request).await
        }
    };
    let keep = keep(copy.clone()).scope(Scope::Global);
    let copying = Router::new()
        .route("/", any(|| async {}))
        .layer(proxy.layer(keep).unwrap())
        .layer(axum::middleware::from_fn(between))
        .layer(proxy.layer(find(token_key())).unwrap());
    get(&copying, uri).await;
    let read = find(copy).scope(Scope::Global);
    let made = Count::default();
    let read = tokens(&made).layer(proxy.layer(read).unwrap());
    assert_eq!(text(&Router::new().route("/", read), uri).await, "token 1");
    assert_eq!(made.get(), 1, "the copy was stored");
}

#[tokio::test]
async fn forms_are_read_and_given_on() {
    let (_, proxy, _) = setup();
    let key = || CacheKey::new().reference("request.formparam.client_id");
    let made = Count::default();
    let counted = made.clone();
    let echo = any(
        move |Extension(flow): Extension<Flow>, body: String| async move {
            let token = flow.get("flow.token");
            let token = token.unwrap_or_else(|| format!("token {}", counted.up()));
            flow.set("flow.token", token.clone()).unwrap();
            format!("{token}: {body}")
        },
    );
    let app = Router::new()
        .route("/", echo)
        .layer(proxy.layer(keep(key())).unwrap())
        .layer(proxy.layer(find(key())).unwrap());
    let post = |kind: &str, body: String| {
        let request = http::Request::post("/").header("content-type", kind);
        request.body(Body::from(body)).unwrap()
    };
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let long = "x".repeat(100_000);
    for (kind, body, token) in [
        (form, "a=1&client_id=c+17", "token 1"),
        (form, "client_id=c%2017", "token 1"),
        (form, "client_id=c-18", "token 2"),
        ("text/plain", "client_id=c-18", "token 3"),
        (form, "a=1", "token 4"),
        (form, &format!("client_id=c-18&long={long}"), "token 5"),
        (form, &format!("client_id=c-18&long={long}"), "token 6"),
    ] {
        let reply = send(&app, post(kind, body.to_owned())).await;
        assert!(reply.text() == format!("{token}: {body}"), "{token}");
    }
}

/// A form that breaks off is not read as one, and its handler sees that it did.
#[tokio::test]
async fn a_form_that_breaks_off_still_does() {
    let (_, proxy, _) = setup();
    let key = CacheKey::new().reference("request.formparam.client_id");
    let route = any(
        |body: Result<String, axum::extract::rejection::StringRejection>| async move {
            body.unwrap_or_else(|_| "broken off".into())
        },
    );
    let app = Router::new().route("/", route.layer(proxy.layer(keep(key)).unwrap()));
    let (feed, body) = layer_support::fed();
    feed.send(Ok("client_id=a".into())).unwrap();
    feed.send(Err("gone")).unwrap();
    drop(feed);
    let form = "application/x-www-form-urlencoded";
    let request = http::Request::post("/").header("content-type", form);
    assert_eq!(
        send(&app, request.body(body).unwrap()).await.text(),
        "broken off"
    );
}

#[tokio::test]
async fn a_clients_address_is_no_header_of_its_own() {
    let (_, proxy, _) = setup();
    let key = || CacheKey::new().reference("client.ip");
    let from = |header: &str| with("/", &[("x-forwarded-for", header)]);
    let (plain, _) = app(&proxy, find(key()), keep(key()));
    for n in 1..=2 {
        assert_eq!(
            send(&plain, from("1.1.1.1")).await.text(),
            format!("token {n}")
        );
    }
    let peer = axum::extract::ConnectInfo(std::net::SocketAddr::from(([2, 2, 2, 2], 80)));
    let peers = plain.layer(Extension(peer));
    for header in ["1.1.1.1", "3.3.3.3"] {
        assert_eq!(send(&peers, from(header)).await.text(), "token 3");
    }
    let told = proxy.trusted_client_ip_header("x-forwarded-for");
    let (told, _) = app(&told, find(key()), keep(key()));
    for (header, token) in [
        ("1.1.1.1", "token 1"),
        ("9.9.9.9, 1.1.1.1", "token 1"),
        ("4.4.4.4", "token 2"),
        ("2.2.2.2", "token 3"),
    ] {
        assert_eq!(send(&told, from(header)).await.text(), token);
    }
}

// ---- ResponseCache ------------------------------------------------------

fn responses() -> ResponseCache {
    ResponseCache::new(
        "Weather",
        CacheKey::new().reference("request.uri"),
        minutes(),
    )
}

/// A target that counts, and does as the request's headers say.
fn target() -> (MethodRouter, Count) {
    let asked = Count::default();
    let counted = asked.clone();
    let target = any(move |request: Request| async move {
        let n = counted.up();
        let mut response = format!("answer {n}").into_response();
        let told = |name: String| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        if let Some(status) = told("want-status".into()) {
            *response.status_mut() = status.parse().unwrap();
        }
        for name in [
            "set-cookie",
            "cache-control",
            "x-partial",
            "expires",
            "age",
            "content-type",
        ] {
            if let Some(value) = told(format!("want-{name}")) {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        response
    });
    (target, asked)
}

fn cached(proxy: &Proxy, policy: ResponseCache) -> (Router, Count) {
    let (target, asked) = target();
    let route = target.layer(proxy.layer(policy).unwrap());
    let app = Router::new().fallback(route);
    (app.layer(axum::middleware::from_fn(shown_key)), asked)
}

#[tokio::test]
async fn a_hit_skips_the_target() {
    let (_, proxy, clock) = setup();
    let (app, asked) = cached(&proxy, responses());
    let reply = get(&app, "/a?b").await;
    assert_eq!(reply.text(), "answer 1");
    assert_eq!(reply.header("x-response-hit"), Some("false"));
    assert_eq!(reply.header("x-response-invalid"), Some("false"));
    let reply = get(&app, "/a?b").await;
    reply.assert_hit();
    assert_eq!(reply.text(), "answer 1");
    assert_eq!(reply.header("x-response-hit"), Some("true"));
    assert_eq!(reply.header("x-response-name"), Some("shared"));
    let key = "apifactory__test__weatherapi__16__default__/a?b";
    assert_eq!(reply.header("x-response-key"), Some(key));
    clock.advance(600 * SECOND);
    let reply = get(&app, "/a?b").await;
    assert_eq!(reply.text(), "answer 2");
    assert_eq!(reply.header("x-response-invalid"), Some("true"));
    assert_eq!(asked.get(), 2);
}

#[tokio::test]
async fn its_key_alone_tells_requests_apart() {
    let (_, proxy, _) = setup();
    let key = CacheKey::new().reference("request.queryparam.w");
    let policy = || ResponseCache::new("Weather", key.clone(), minutes());
    let (app, _) = cached(&proxy, policy());
    assert_eq!(text(&app, "/a?w=1").await, "answer 1");
    assert_eq!(text(&app, "/b?w=1&u=9").await, "answer 1");
    assert_eq!(text(&app, "/a?w=2").await, "answer 2");
    for n in 3..=4 {
        let reply = get(&app, "/a").await;
        reply.assert_miss("unkeyed");
        assert_eq!(reply.text(), format!("answer {n}"));
    }
    // Another policy of the same key has the same entries, another cache its own.
    assert_eq!(
        text(&cached(&proxy, policy()).0, "/c?w=1").await,
        "answer 1"
    );
    let (named, asked) = cached(&proxy, policy().cache_resource("tokens"));
    text(&named, "/c?w=1").await;
    assert_eq!(asked.get(), 1);
}

#[tokio::test]
async fn a_skipped_look_up_refreshes_the_entry() {
    let (_, proxy, _) = setup();
    let policy = responses().skip_lookup(r#"request.header.bypass-cache = "true""#);
    let (app, _) = cached(&proxy, policy);
    assert_eq!(text(&app, "/").await, "answer 1");
    assert_eq!(text(&app, "/").await, "answer 1");
    let reply = send(&app, with("/", &[("bypass-cache", "true")])).await;
    assert_eq!(reply.text(), "answer 2");
    assert_eq!(reply.header("x-response-hit"), Some("false"));
    assert_eq!(text(&app, "/").await, "answer 2");
}

#[tokio::test]
async fn a_skipped_population_leaves_what_was_and_keeps_nobody_else_out() {
    let (_, proxy, _) = setup();
    let policy = responses().skip_population("response.header.x-partial = 1");
    let (app, _) = cached(&proxy, policy);
    let partial = || with("/", &[("want-x-partial", "1")]);
    assert_eq!(send(&app, partial()).await.text(), "answer 1");
    assert_eq!(text(&app, "/").await, "answer 2");
    get(&app, "/").await.assert_hit();
    assert_eq!(send(&app, partial()).await.text(), "answer 2");
}

#[tokio::test]
async fn errors_are_stored_if_they_are_not_excluded() {
    for (exclude, stored) in [(None, false), (Some(true), false), (Some(false), true)] {
        let (_, proxy, _) = setup();
        let policy = match exclude {
            None => responses(),
            Some(exclude) => responses().exclude_error_response(exclude),
        };
        let (app, asked) = cached(&proxy, policy);
        for status in ["404", "500"] {
            let uri = format!("/{status}");
            for _ in 0..2 {
                let reply = send(&app, with(&uri, &[("want-status", status)])).await;
                assert_eq!(reply.status.as_str(), status);
            }
        }
        assert_eq!(asked.get(), if stored { 2 } else { 4 }, "{exclude:?}");
        for _ in 0..2 {
            send(&app, with("/203", &[("want-status", "203")])).await;
        }
        assert_eq!(asked.get(), if stored { 3 } else { 5 }, "{exclude:?}");
    }
}

#[tokio::test]
async fn what_is_accepted_divides_entries_where_it_is_said() {
    let headers = [
        "accept",
        "accept-encoding",
        "accept-language",
        "accept-charset",
    ];
    for (divides, expected) in [(false, 1), (true, 5)] {
        let (_, proxy, _) = setup();
        let (app, asked) = cached(&proxy, responses().use_accept_header(divides));
        for _ in 0..2 {
            get(&app, "/").await;
            for name in headers {
                send(&app, with("/", &[(name, "x")])).await;
            }
        }
        assert_eq!(asked.get(), expected);
    }
}

#[tokio::test]
async fn headers_of_the_response_shorten_a_life_where_they_are_heeded() {
    for (control, heeded, unheeded) in [
        ("max-age=5", 5, 600),
        ("max-age=5, s-maxage=7", 7, 600),
        ("max-age=1000", 600, 600),
        ("max-age=0", 0, 600),
        ("no-cache", 0, 600),
        ("no-store", 0, 0),
        ("private", 0, 0),
    ] {
        for (heeds, seconds) in [(true, heeded), (false, unheeded)] {
            let (_, proxy, clock) = setup();
            let (app, _) = cached(&proxy, responses().use_response_cache_headers(heeds));
            let ask = || with("/", &[("want-cache-control", control)]);
            send(&app, ask()).await;
            let context = format!("{control} {heeds}");
            if seconds > 0 {
                clock.advance(SECOND * (seconds - 1));
                assert_eq!(send(&app, ask()).await.text(), "answer 1", "{context}");
            }
            clock.advance(SECOND);
            assert_eq!(send(&app, ask()).await.text(), "answer 2", "{context}");
        }
    }
}

#[tokio::test]
async fn nothing_of_one_caller_reaches_another() {
    let (_, proxy, _) = setup();
    let ann = [("authorization", "Bearer ann")];
    let session = [("cookie", "session=1")];
    let (app, _) = cached(&proxy, responses());
    get(&app, "/").await;
    for (headers, detail, n) in [(ann, "authorization", 2), (session, "cookie", 3)] {
        let reply = send(&app, with("/", &headers)).await;
        reply.assert_miss(detail);
        assert_eq!(reply.text(), format!("answer {n}"));
    }
    assert_eq!(text(&app, "/").await, "answer 1");
    // Whatever the response says of others.
    for (name, n) in [("ann", 4), ("bob", 5)] {
        let headers = [("authorization", name), ("want-cache-control", "public")];
        assert_eq!(
            send(&app, with("/p", &headers)).await.text(),
            format!("answer {n}")
        );
    }
    // A cookie of a response is its first client's.
    let cookie = || with("/c", &[("want-set-cookie", "a=b")]);
    send(&app, cookie()).await.assert_miss("set-cookie");
    assert_eq!(send(&app, cookie()).await.text(), "answer 7");
    // Nor is what never ends stored.
    let events = || {
        with(
            "/e",
            &[("want-content-type", "Text/Event-Stream; charset=utf-8")],
        )
    };
    send(&app, events()).await.assert_miss("policy");
    assert_eq!(send(&app, events()).await.text(), "answer 9");
}

#[tokio::test]
async fn a_fragment_of_their_header_tells_callers_apart() {
    let (_, proxy, _) = setup();
    for (header, values) in [
        ("authorization", ["Bearer ann", "Bearer bob"]),
        ("cookie", ["session=1", "session=2"]),
    ] {
        let key = CacheKey::new().literal(header);
        let key = key.reference(format!("request.header.{header}").as_str());
        let (app, asked) = cached(&proxy, ResponseCache::new("Weather", key, minutes()));
        for _ in 0..2 {
            assert_eq!(
                send(&app, with("/", &[(header, values[0])])).await.text(),
                "answer 1"
            );
            assert_eq!(
                send(&app, with("/", &[(header, values[1])])).await.text(),
                "answer 2"
            );
        }
        assert_eq!(asked.get(), 2);
    }
    let layer = proxy.layer(responses()).unwrap();
    let (shared, asked) = target();
    let shared = shared.layer(layer.share_authorized().ignore_cookies());
    let app = Router::new().fallback(shared);
    for value in ["ann", "bob"] {
        let headers = [("authorization", value), ("cookie", value)];
        assert_eq!(send(&app, with("/", &headers)).await.text(), "answer 1");
    }
    assert_eq!(asked.get(), 1);
}

#[tokio::test]
async fn invalidations_reach_responses_and_win_over_those_being_made() {
    let user = || CacheKey::new().reference("request.header.user");
    let key = || user().reference("request.path");
    let ann = || with("/a", &[("user", "ann")]);
    for policy in [
        drop_entry(key()),
        drop_entry(user()).purge_child_entries(),
        drop_entry(CacheKey::new()).purge_all(),
    ] {
        let (_, proxy, _) = setup();
        let (app, _) = cached(&proxy, ResponseCache::new("Weather", key(), minutes()));
        let drop =
            Router::new().fallback(any(|| async {}).layer(proxy.layer(policy.clone()).unwrap()));
        assert_eq!(send(&app, ann()).await.text(), "answer 1");
        send(&drop, with("/a", &[("user", "bob")])).await;
        if policy != drop_entry(CacheKey::new()).purge_all() {
            assert_eq!(send(&app, ann()).await.text(), "answer 1");
        }
        send(&drop, ann()).await;
        assert_eq!(
            send(&app, ann()).await.header("x-response-invalid"),
            Some("true")
        );

        // One that is being made when its entry is dropped.
        let (started, began) = oneshot::channel();
        let started = std::sync::Arc::new(std::sync::Mutex::new(Some(started)));
        let go_on = std::sync::Arc::new(Notify::new());
        let may_go = go_on.clone();
        let slow = any(move |request: Request| {
            let started = started.lock().unwrap().take();
            let may_go = may_go.clone();
            async move {
                let _ = request;
                let Some(started) = started else { return "new" };
                started.send(()).unwrap();
                may_go.notified().await;
                "old"
            }
        });
        let layer =
            proxy.layer(ResponseCache::new("Weather", key(), minutes()).cache_resource("tokens"));
        let slow = Router::new().fallback(slow.layer(layer.unwrap()));
        let policy = policy.cache_resource("tokens");
        let drop = Router::new().fallback(any(|| async {}).layer(proxy.layer(policy).unwrap()));
        let first = slow.clone();
        let first = tokio::spawn(async move { send(&first, ann()).await });
        began.await.unwrap();
        send(&drop, ann()).await;
        go_on.notify_one();
        assert_eq!(first.await.unwrap().text(), "old");
        assert_eq!(send(&slow, ann()).await.text(), "new");
    }
}

#[tokio::test]
async fn layers_further_out_are_not_told_what_the_policy_says() {
    let (cache, _) = cache();
    let proxy = environment(&cache).proxy("weatherapi");
    let (target, asked) = target();
    let route = target.layer(proxy.layer(responses()).unwrap());
    let app = Router::new().fallback(route);
    let app = app.layer(CacheLayer::new().cache(Cache::new()));
    for _ in 0..2 {
        // It passes by, so the policy declares nothing.
        let reply: Reply = send(&app, with("/", &[("cookie", "a=b")])).await;
        assert!(!reply.own().contains("stored"), "{}", reply.own());
    }
    // Refused by the policy's cache for its size, and no more storable outside.
    let big = any(|| async { "x".repeat(600 << 10) });
    let big = big.layer(proxy.layer(responses()).unwrap());
    let big = Router::new().fallback(big);
    let big = big.layer(CacheLayer::new().cache(Cache::new()));
    let reply = get(&big, "/big").await;
    assert!(
        reply.cache().contains("body-too-large"),
        "{}",
        reply.cache()
    );
    reply.assert_miss("not-declared");
    assert_eq!(asked.get(), 2);
}

#[tokio::test]
async fn a_disabled_response_cache_is_not_there() {
    let (_, proxy, _) = setup();
    let (app, _) = cached(&proxy, responses().enabled(false));
    for n in 1..=2 {
        let reply = get(&app, "/").await;
        assert_eq!(
            (reply.text(), reply.cache().as_str()),
            (&*format!("answer {n}"), "")
        );
    }
}

#[tokio::test]
async fn conditions_may_be_code() {
    let (_, proxy, _) = setup();
    let fresh = |flow: &dyn revalidate::gateway::Variables| {
        flow.named("request.queryparam.fresh").is_some()
    };
    let key = CacheKey::new().reference("request.path");
    let policy = ResponseCache::new("Weather", key, minutes()).skip_lookup(Condition::when(fresh));
    let (app, _) = cached(&proxy, policy);
    assert_eq!(text(&app, "/a").await, "answer 1");
    assert_eq!(text(&app, "/a?fresh").await, "answer 2");
    assert_eq!(text(&app, "/a").await, "answer 2");
}

/// A response that was made with what a look-up within it found, or would have found, goes with that.
#[tokio::test]
async fn responses_go_with_what_was_looked_up_for_them() {
    for found in [false, true] {
        let (_, proxy, _) = setup();
        let (tokens, _) = app(&proxy, find(token_key()), keep(token_key()));
        let uri = "/?client_id=a";
        if found {
            text(&tokens, uri).await;
        }
        let (target, asked) = target();
        let app = Router::new()
            .fallback(target)
            .layer(proxy.layer(find(token_key())).unwrap())
            .layer(proxy.layer(responses()).unwrap());
        for _ in 0..2 {
            assert_eq!(text(&app, uri).await, "answer 1");
        }
        get(&dropping(&proxy, drop_entry(token_key())), uri).await;
        assert_eq!(text(&app, uri).await, "answer 2", "found: {found}");
        assert_eq!(asked.get(), 2);
    }
}
