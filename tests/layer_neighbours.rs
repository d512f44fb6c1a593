//! The layer among those of tower-http: what each sees and changes from outside of it and from inside.
#![cfg(feature = "axum")]

mod layer_support;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use layer_support::*;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::trace::TraceLayer;
use tower_http::validate_request::{ValidateRequest, ValidateRequestHeaderLayer};

const PAGE: &str = "a page that is long enough to be worth compressing; ";

/// A page that its handler says this of.
fn page(headers: &[(&'static str, &'static str)]) -> (Router, Count) {
    let count = Count::default();
    let runs = count.clone();
    let headers = headers.to_vec();
    let handler = move || {
        runs.up();
        let headers = http::HeaderMap::from_iter(
            headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
        );
        async { (headers, PAGE.repeat(100)) }
    };
    (Router::new().route("/", route(handler)), count)
}

fn layer() -> CacheLayer {
    CacheLayer::new().cache(cache().0).ttl("10m")
}

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test]
async fn gzip_inside_is_stored_for_each_coding() {
    let (page, count) = page(&[]);
    let app = page.layer(CompressionLayer::new()).layer(layer());
    let first = send(&app, with("/", &[GZIP])).await;
    assert_eq!(first.header("content-encoding"), Some("gzip"));
    let plain = get(&app, "/").await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.text(), PAGE.repeat(100));
    let again = send(&app, with("/", &[GZIP])).await;
    again.assert_hit();
    assert_eq!(again.header("content-encoding"), Some("gzip"));
    assert_eq!(again.body, first.body);
    assert_ne!(
        again.header("etag"),
        get(&app, "/").await.assert_hit().header("etag")
    );
    send(&app, with("/", &[("accept-encoding", "GZIP;q=1.0")]))
        .await
        .assert_hit();
    assert_eq!(count.get(), 2);
    // A part is one of the bytes that are stored, whole as they are.
    let part = send(&app, with("/", &[GZIP, ("range", "bytes=0-9")])).await;
    assert_eq!(part.header("content-encoding"), Some("gzip"));
    assert_eq!(part.body, first.body[..10]);
}

#[tokio::test]
async fn gzip_outside_is_made_anew_of_one_entry() {
    let (page, count) = page(&[]);
    let app = page.layer(layer()).layer(CompressionLayer::new());
    let zipped = send(&app, with("/", &[GZIP])).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let plain = get(&app, "/").await;
    assert_eq!(plain.text(), PAGE.repeat(100));
    plain.assert_hit();
    let again = send(&app, with("/", &[GZIP])).await;
    assert_eq!(again.body, zipped.body);
    // The layer's own tag is weak, since it stands for all codings.
    let etag = plain.header("etag").unwrap();
    assert!(etag.starts_with("W/"));
    assert_eq!(zipped.header("etag"), Some(etag));
    let has_it = send(&app, with("/", &[GZIP, ("if-none-match", etag)])).await;
    assert_eq!(has_it.status, StatusCode::NOT_MODIFIED);
    // A part is not compressed.
    let part = send(&app, with("/", &[GZIP, ("range", "bytes=0-9")])).await;
    assert_eq!(part.header("content-encoding"), None);
    assert_eq!(part.text(), &PAGE[..10]);
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn strong_tags_are_not_changed_with_the_coding() {
    for inside in [true, false] {
        let (page, _) = page(&[("etag", "\"strong\"")]);
        let app = match inside {
            true => page.layer(CompressionLayer::new()).layer(layer()),
            false => page.layer(layer()).layer(CompressionLayer::new()),
        };
        for headers in [&[][..], &[GZIP]] {
            let reply = send(&app, with("/", headers)).await;
            assert_eq!(reply.header("etag"), Some("\"strong\""));
        }
    }
}

fn cors() -> CorsLayer {
    CorsLayer::new().allow_origin(AllowOrigin::mirror_request())
}

/// The origin that a reply allows, to a request from another.
async fn allowed(app: &Router, origin: &str) -> String {
    let reply = send(app, with("/", &[("origin", origin)])).await;
    reply
        .header("access-control-allow-origin")
        .unwrap()
        .to_owned()
}

async fn preflight(app: &Router) -> Reply {
    let request = Request::options("/")
        .header("origin", "http://a")
        .header("access-control-request-method", "PUT");
    send(app, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn cors_outside_is_said_to_each_client() {
    let (page, count) = page(&[]);
    let app = page.layer(layer()).layer(cors());
    for origin in ["http://a", "http://b", "http://a"] {
        assert_eq!(allowed(&app, origin).await, origin);
    }
    assert_eq!(count.get(), 1);
    let preflight = preflight(&app).await;
    assert_eq!(
        (preflight.status, &*preflight.cache()),
        (StatusCode::OK, "")
    );
}

#[tokio::test]
async fn cors_inside_is_an_entry_for_each_origin() {
    let (page, count) = page(&[]);
    let app = page.layer(cors()).layer(layer());
    for origin in ["http://a", "http://b", "http://a"] {
        assert_eq!(allowed(&app, origin).await, origin);
    }
    assert_eq!(count.get(), 2);
    let preflight = preflight(&app).await;
    assert_eq!(
        preflight.cache(),
        "revalidate; fwd=method; detail=method",
        "it is no GET"
    );
}

#[tokio::test]
async fn what_is_inside_and_says_no_vary_is_said_to_all() {
    let (page, _) = page(&[]);
    let app = page.layer(cors().vary([])).layer(layer());
    assert_eq!(allowed(&app, "http://a").await, "http://a");
    assert_eq!(allowed(&app, "http://b").await, "http://a");
}

/// Lets nobody in without the right token.
#[derive(Clone, Copy)]
struct Guard {
    /// Whether nothing further in is to know who it was.
    strips: bool,
}

impl ValidateRequest<Body> for Guard {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request<Body>) -> Result<(), Response> {
        let headers = request.headers_mut();
        if headers
            .get(AUTHORIZATION)
            .is_none_or(|token| token != "Bearer right")
        {
            return Err(StatusCode::UNAUTHORIZED.into_response());
        }
        if self.strips {
            headers.remove(AUTHORIZATION);
        }
        Ok(())
    }
}

fn guard(strips: bool) -> ValidateRequestHeaderLayer<Guard> {
    ValidateRequestHeaderLayer::custom(Guard { strips })
}

async fn status(app: &Router, token: &str) -> StatusCode {
    send(app, with("/", &[("authorization", token)]))
        .await
        .status
}

const PUBLIC: &[(&str, &str)] = &[("cache-control", "public, max-age=60")];

#[tokio::test]
async fn a_guard_outside_is_asked_each_time() {
    let (page, count) = page(PUBLIC);
    let app = page.layer(layer()).layer(guard(false));
    assert_eq!(status(&app, "Bearer right").await, StatusCode::OK);
    assert_eq!(status(&app, "Bearer right").await, StatusCode::OK);
    assert_eq!(count.get(), 1);
    assert_eq!(status(&app, "Bearer wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&app, "/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_guard_inside_is_not_asked_for_what_is_public() {
    let (page, _) = page(PUBLIC);
    let app = page.layer(guard(false)).layer(layer());
    // What it refuses is not stored.
    assert_eq!(status(&app, "Bearer wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&app, "Bearer right").await, StatusCode::OK);
    assert_eq!(status(&app, "Bearer wrong").await, StatusCode::OK);
}

#[tokio::test]
async fn preflights_pass_a_guard_that_is_further_in() {
    let app = page(PUBLIC)
        .0
        .layer(layer())
        .layer(guard(false))
        .layer(cors());
    assert_eq!(preflight(&app).await.status, StatusCode::OK);
    assert_eq!(get(&app, "/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_behind_a_guard_is_stored_where_it_may_be_shared() {
    let (private, count) = page(&[]);
    let app = private.layer(layer()).layer(guard(false));
    for _ in 0..2 {
        let reply = send(&app, with("/", &[("authorization", "Bearer right")])).await;
        reply.assert_miss("authorization");
    }
    assert_eq!(count.get(), 2);
    let (shared, count) = page(&[]);
    let app = shared.layer(layer()).layer(guard(true));
    for _ in 0..2 {
        assert_eq!(status(&app, "Bearer right").await, StatusCode::OK);
    }
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn a_trace_outside_sees_every_request_and_inside_every_load() {
    let (page, _) = page(&[]);
    let (outside, inside) = (Count::default(), Count::default());
    let trace = |seen: &Count| {
        let seen = seen.clone();
        TraceLayer::new_for_http().on_response(move |_: &Response<_>, _: Duration, _: &_| {
            seen.up();
        })
    };
    let app = page
        .layer(trace(&inside))
        .layer(layer())
        .layer(trace(&outside));
    for _ in 0..3 {
        let body = app.clone().oneshot(request("/")).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), PAGE.repeat(100));
    }
    assert_eq!((outside.get(), inside.get()), (3, 1));
}
