//! The cache policies as Apigee's pages describe them, in the order of their elements.
#![cfg(all(feature = "axum", feature = "gateway"))]

#[path = "../layer_support/mod.rs"]
mod layer_support;

mod forms;
mod invalidate;
mod population;
mod refused;
mod response;
mod values;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use axum::{Extension, Router};
use http::StatusCode;
use layer_support::{
    Cache, CacheLayer, CachePolicy, Clock, Count, Reply, SECOND, cache, get, send, settle, with,
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
        ("x-undropped", "invalidatecache.Drop.failed"),
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
