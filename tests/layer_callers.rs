//! Responses made of what is keyed by who is calling: a layer, whose key does not show that, stores
//! none of them unless they say for whom they are.
#![cfg(feature = "axum")]

mod layer_support;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::routing::get as route;
use axum::{Extension, Router};
use futures_util::FutureExt as _;
use http::HeaderMap;
use layer_support::*;
use revalidate::{FutureExt, allow_inner_failures, web_method};

fn sid(headers: &HeaderMap) -> String {
    let cookie = headers.get("cookie").map(|value| value.to_str().unwrap());
    cookie.unwrap_or("nobody").to_owned()
}

fn page(text: String) -> (CachePolicy, String) {
    (CachePolicy::ttl("1h"), text)
}

/// An application behind a layer, and its cache's clock.
struct App {
    router: Router,
    cache: Cache,
    clock: Clock,
}

fn app(handlers: Router) -> App {
    let (cache, clock) = cache();
    App {
        router: handlers.layer(CacheLayer::new().cache(cache.clone())),
        cache,
        clock,
    }
}

/// Two callers ask in turn, twice: each is to get its own page, and none from the layer.
async fn assert_apart(app: &App, uri: &str) {
    for caller in ["sid=1", "sid=2", "sid=1", "sid=2"] {
        let reply = send(&app.router, with(uri, &[("cookie", caller)])).await;
        assert_eq!(reply.text(), caller, "{uri}");
        reply.assert_miss("caller-key");
        // The layer forgets that it need not try; what the functions keep stays.
        app.clock.advance(11 * SECOND);
    }
}

/// Two callers ask in turn, and the second gets what the layer kept of the first.
async fn assert_shared(app: &App, uri: &str) {
    send(&app.router, with(uri, &[("cookie", "sid=1")])).await;
    let reply = send(&app.router, with(uri, &[("cookie", "sid=2")])).await;
    // The layer's own word: the functions inside hit as well.
    assert!(
        reply.cache().starts_with("revalidate; hit"),
        "{uri}: {reply:?}"
    );
}

#[web_method(cache(ttl = "1h"))]
async fn me(#[cache(key = sid(&headers))] headers: HeaderMap) -> (CachePolicy, String) {
    page(sid(&headers))
}

#[tokio::test]
async fn a_handler_keyed_by_its_caller_is_not_stored_by_the_layer() {
    let app = app(Router::new().route("/", route(me)));
    assert_apart(&app, "/").await;
    // The functions' own entries are per caller, and right.
    app.cache
        .enter(async {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", "sid=1".parse().unwrap());
            assert_eq!(me(headers).await.1, "sid=1");
        })
        .await;
    assert_eq!(app.cache.stats().loads, 2 + 4);
}

#[web_method(cache(ttl = "1h", key = sid(&headers)))]
async fn by_whole_key(headers: HeaderMap) -> (CachePolicy, String) {
    page(sid(&headers))
}

#[derive(Clone)]
struct Session(String);

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(sid(&parts.headers)))
    }
}

#[web_method(cache(ttl = "1h"))]
async fn by_own_extractor(#[cache(key = who.0)] who: Session) -> (CachePolicy, String) {
    page(who.0)
}

/// One that is written into the key as it is.
#[derive(Clone, serde::Serialize)]
struct Account(String);

impl<S: Sync> FromRequestParts<S> for Account {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(sid(&parts.headers)))
    }
}

#[web_method(cache(ttl = "1h"))]
async fn by_serialized_extractor(account: Account) -> (CachePolicy, String) {
    page(account.0)
}

#[derive(Clone)]
struct Tenants;

/// One that is an extractor only where the handler's state is this one.
#[derive(Clone)]
struct Member(String);

impl FromRequestParts<Tenants> for Member {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Tenants) -> Result<Self, Self::Rejection> {
        Ok(Self(sid(&parts.headers)))
    }
}

#[web_method(cache(ttl = "1h"))]
async fn by_extractor_of_one_state(
    State(_tenants): State<Tenants>,
    #[cache(key = member.0)] member: Member,
) -> (CachePolicy, String) {
    page(member.0)
}

#[derive(Clone)]
struct Whole(String);

impl<S: Sync> FromRequest<S> for Whole {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(sid(request.headers())))
    }
}

#[web_method(cache(ttl = "1h"))]
async fn by_whole_request(#[cache(key = whole.0)] whole: Whole) -> (CachePolicy, String) {
    page(whole.0)
}

#[web_method(cache(ttl = "1h"))]
async fn by_extension(
    #[cache(key = who.0)] Extension(who): Extension<Session>,
) -> (CachePolicy, String) {
    page(who.0)
}

#[web_method(cache(ttl = "1h", foreground))]
async fn in_the_foreground(#[cache(key = sid(&all))] all: HeaderMap) -> (CachePolicy, String) {
    page(sid(&all))
}

#[tokio::test]
async fn what_says_who_calls_is_told_by_its_type() {
    let extend = axum::middleware::from_fn(
        async |mut request: Request<Body>, next: axum::middleware::Next| {
            let session = Session(sid(request.headers()));
            request.extensions_mut().insert(session);
            next.run(request).await
        },
    );
    let handlers = Router::new()
        .route("/whole-key", route(by_whole_key))
        .route("/own", route(by_own_extractor))
        .route("/serialized", route(by_serialized_extractor))
        .route("/state", route(by_extractor_of_one_state))
        .route("/request", route(by_whole_request))
        .route("/extension", route(by_extension).layer(extend))
        .route("/foreground", route(in_the_foreground))
        .with_state(Tenants);
    let app = app(handlers);
    for uri in [
        "/whole-key",
        "/own",
        "/serialized",
        "/state",
        "/request",
        "/extension",
        "/foreground",
    ] {
        assert_apart(&app, uri).await;
    }
}

#[web_method(cache(ttl = "1h"))]
async fn name_of(#[cache(key = sid(headers))] headers: &HeaderMap) -> String {
    sid(headers)
}

/// A function around it, whose own key says nothing of the caller.
#[web_method(cache(ttl = "1h", tags = ["greeting"]))]
async fn greeting(#[cache(skip)] headers: &HeaderMap, who: String) -> String {
    let name = name_of(headers).await;
    assert_eq!(name, who);
    name
}

#[tokio::test]
async fn it_flows_outward_from_loads_hits_and_joins() {
    let direct = async |headers: HeaderMap| page(name_of(&headers).await);
    let nested = async |headers: HeaderMap| page(greeting(&headers, sid(&headers)).await);
    let task = async |headers: HeaderMap| {
        let name = async move { name_of(&headers).await }.in_current_load();
        page(tokio::spawn(name).await.unwrap())
    };
    let joined = async |headers: HeaderMap| {
        let (one, other) = tokio::join!(name_of(&headers), name_of(&headers));
        page(one.max(other))
    };
    let handlers = Router::new()
        .route("/direct", route(direct))
        .route("/nested", route(nested))
        .route("/task", route(task))
        .route("/joined", route(joined));
    let app = app(handlers);
    for uri in ["/joined", "/direct", "/nested", "/task"] {
        assert_apart(&app, uri).await;
        // Some of the next are hits of functions, and some are not.
        app.cache.invalidate_cache("greeting").await.unwrap();
    }
}

#[web_method(cache(ttl = "1h"))]
async fn failing(#[cache(key = sid(headers))] headers: &HeaderMap) -> Result<String, String> {
    Err(sid(headers))
}

#[web_method(cache(ttl = "1h"))]
async fn never(#[cache(key = sid(_headers))] _headers: &HeaderMap) -> String {
    std::future::pending().await
}

#[tokio::test]
async fn an_allowed_failure_is_its_callers_too() {
    let failed = async |headers: HeaderMap| {
        allow_inner_failures();
        page(failing(&headers).await.unwrap_err())
    };
    let dropped = async |headers: HeaderMap| {
        allow_inner_failures();
        assert_eq!(never(&headers).now_or_never(), None);
        page(sid(&headers))
    };
    let app = app(Router::new()
        .route("/failed", route(failed))
        .route("/dropped", route(dropped)));
    assert_apart(&app, "/failed").await;
    assert_apart(&app, "/dropped").await;
}

#[tokio::test]
async fn one_callers_response_is_not_shared_while_it_is_made() {
    let (feed, body) = fed();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = async move |headers: HeaderMap| {
        let name = name_of(&headers).await;
        let streamed = body.lock().unwrap().take();
        (
            CachePolicy::ttl("1h"),
            streamed.unwrap_or_else(|| Body::from(name)),
        )
    };
    let app = app(Router::new().route("/", route(handler)));
    let first = open(&app.router, with("/", &[("cookie", "sid=1")])).await;
    let router = app.router.clone();
    let second =
        tokio::spawn(async move { send(&router, with("/", &[("cookie", "sid=2")])).await });
    settle().await;
    feed.send(Ok("sid=1".into())).unwrap();
    drop(feed);
    assert_eq!(Reply::of(first).await.text(), "sid=1");
    assert_eq!(second.await.unwrap().text(), "sid=2");
}

#[tokio::test]
async fn another_caches_function_tells_it_too() {
    let (functions, _) = cache();
    let handler = async move |headers: HeaderMap| page(functions.enter(name_of(&headers)).await);
    let app = app(Router::new().route("/", route(handler)));
    assert_apart(&app, "/").await;
}

#[tokio::test]
async fn a_body_that_asks_is_not_kept() {
    let handler = async |headers: HeaderMap| {
        let body = async move {
            // Not there at once: the head is told first.
            tokio::task::yield_now().await;
            Ok::<_, std::convert::Infallible>(name_of(&headers).await)
        };
        let body = Body::from_stream(futures_util::stream::once(body));
        (CachePolicy::ttl("1h"), body)
    };
    let app = app(Router::new().route("/", route(handler)));
    for caller in ["sid=1", "sid=2"] {
        let reply = send(&app.router, with("/", &[("cookie", caller)])).await;
        assert_eq!(reply.text(), caller);
    }
}

#[tokio::test]
async fn a_response_that_says_for_whom_it_is_is_stored() {
    let varying = async |headers: HeaderMap| ([("vary", "cookie")], page(name_of(&headers).await));
    let public = async |headers: HeaderMap| {
        name_of(&headers).await;
        (CachePolicy::ttl("1h").public(), "for all")
    };
    let app = app(Router::new()
        .route("/varying", route(varying))
        .route("/public", route(public)));
    for _ in 0..2 {
        for caller in ["sid=1", "sid=2"] {
            let reply = send(&app.router, with("/varying", &[("cookie", caller)])).await;
            assert_eq!(reply.text(), caller);
        }
    }
    let again = send(&app.router, with("/varying", &[("cookie", "sid=1")])).await;
    assert_eq!(again.assert_hit().text(), "sid=1");
    assert_shared(&app, "/public").await;
}

#[tokio::test]
async fn what_is_put_into_every_vary_says_it_of_none() {
    let handler = async |headers: HeaderMap| {
        let vary = [("vary", "accept-encoding, origin")];
        (vary, page(name_of(&headers).await))
    };
    let app = app(Router::new().route("/", route(handler)));
    assert_apart(&app, "/").await;
}

#[web_method(cache(ttl = "1h"))]
async fn skipping(#[cache(skip)] headers: HeaderMap) -> (CachePolicy, String) {
    page(sid(&headers))
}

struct Thing {
    id: u8,
}

#[web_method(cache(ttl = "1h"))]
async fn of_thing(#[cache(key = thing.id)] thing: Thing, name: String, (): ()) -> String {
    format!("{}{name}", thing.id)
}

#[web_method(cache(ttl = "1h"))]
async fn shown(
    State(_tenants): State<Tenants>,
    #[cache(key = id)] Path(id): Path<u8>,
    uri: axum::http::Uri,
) -> (CachePolicy, String) {
    page(format!("{id} {uri}"))
}

#[tokio::test]
async fn other_arguments_say_nothing_of_the_caller() {
    let things = async || page(of_thing(Thing { id: 1 }, "a".to_owned(), ()).await);
    let handlers = Router::new()
        .route("/skipping", route(skipping))
        .route("/things", route(things))
        .route("/shown/{id}", route(shown))
        .with_state(Tenants);
    let app = app(handlers);
    for uri in ["/skipping", "/things", "/shown/1"] {
        assert_shared(&app, uri).await;
    }
}

#[tokio::test]
async fn what_the_layer_itself_declares_storable_is_held_to_it() {
    let (cache, clock) = cache();
    let handler = async |headers: HeaderMap| name_of(&headers).await.into_response();
    let layer = CacheLayer::new()
        .cache(cache.clone())
        .ttl("1h")
        .cookies(Cookies::Ignore);
    let router = Router::new().route("/", route(handler)).layer(layer);
    let app = App {
        router,
        cache,
        clock,
    };
    assert_apart(&app, "/").await;
}
