//! What is said on standard error of policies that do something else than was likely meant: each case is
//! run in a process of its own, whose output is read.
#![cfg(not(feature = "tracing"))]

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::process::Command;
use std::task::{Context, Poll};

use bytes::Bytes;
use cache_core::{Cache, Clock};
use cache_gateway::{
    CacheKey, Environment, ExpirySettings, InvalidateCache, PopulateCache, Proxy, ResponseCache,
    Zone,
};
use http::{Request, Response};
use http_body_util::Empty;
use tower_layer::Layer;
use tower_service::Service;

const INSIDE: &str = "WARNINGS_OF_A_CASE";

/// Runs a test of this binary, by name, and returns what it said; `None` in that process.
fn said_by(test: &str) -> Option<String> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stderr).unwrap())
}

fn proxy(clock: Clock) -> Proxy {
    let cache = Cache::builder().clock(clock).build();
    let environment = Environment::builder("acme", "test").cache(cache).build();
    environment.unwrap().proxy("weather")
}

#[derive(Clone)]
struct Answer;

impl<B> Service<Request<B>> for Answer {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

#[tokio::test]
async fn an_invalidation_that_names_nothing_is_said_once() {
    if let Some(said) = said_by("an_invalidation_that_names_nothing_is_said_once") {
        let drops = "`Drop` drops nothing: its key refers to flow.nevr";
        assert_eq!(said.matches(drops).count(), 1, "{said}");
        return;
    }
    let drop = InvalidateCache::new("Drop", CacheKey::new().reference("flow.nevr"));
    let mut service = proxy(Clock::system()).layer(drop).unwrap().layer(Answer);
    for _ in 0..2 {
        poll_fn(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut service, cx))
            .await
            .unwrap();
        let request = Request::new(Empty::<Bytes>::new());
        service.call(request).await.unwrap();
    }
}

#[test]
fn a_key_that_tells_no_routes_apart_is_said() {
    if let Some(said) = said_by("a_key_that_tells_no_routes_apart_is_said") {
        assert!(
            said.contains("`ById` has a key without request.uri"),
            "{said}"
        );
        assert_eq!(said.matches("revalidate: ").count(), 1, "{said}");
        return;
    }
    let proxy = proxy(Clock::system());
    let by = |name: &'static str, variable: &str| {
        let key = CacheKey::new().reference(variable);
        ResponseCache::new(name, key, ExpirySettings::timeout(60))
    };
    for policy in [
        by("ById", "request.queryparam.id"),
        by("Meant", "request.queryparam.id").answer_every_uri_alike(),
        by("Off", "request.queryparam.id").enabled(false),
        by("Uri", "request.uri"),
        by("Path", "request.path"),
        by("Suffix", "proxy.pathsuffix"),
    ] {
        let _ = proxy.layer(policy).unwrap();
    }
}

#[test]
fn a_date_that_has_passed_is_said() {
    if let Some(said) = said_by("a_date_that_has_passed_is_said") {
        for name in ["Keep", "Weather"] {
            let stores = format!("`{name}` stores nothing: the expiry date 01-01-2020");
            assert!(said.contains(&stores), "{said}");
        }
        assert_eq!(said.matches("revalidate: ").count(), 2, "{said}");
        return;
    }
    let proxy = proxy(Clock::manual());
    for (year, name) in [
        ("01-01-2020", ["Keep", "Weather"]),
        ("01-01-9000", ["K", "W"]),
    ] {
        let until = || ExpirySettings::date(year, Zone::UTC);
        let key = CacheKey::new().reference("request.uri");
        let keep = PopulateCache::new(name[0], "flow.token", key.clone(), until());
        let _ = proxy.layer(keep).unwrap();
        let _ = proxy
            .layer(ResponseCache::new(name[1], key, until()))
            .unwrap();
    }
}
