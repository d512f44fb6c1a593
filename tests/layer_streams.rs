//! Bodies: streamed while they are recorded, past the limit with back-pressure, failing and endless.
#![cfg(feature = "axum")]

mod layer_support;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as route;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use layer_support::*;

/// A route that answers its runs with these bodies, one after the other.
fn app(layer: CacheLayer, bodies: impl IntoIterator<Item = Body>) -> (Router, Count) {
    let bodies: Vec<_> = bodies.into_iter().collect();
    let bodies = Arc::new(Mutex::new(bodies.into_iter()));
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        let body = bodies.lock().unwrap().next().expect("a body for each run");
        async move { body.into_response() }
    };
    (Router::new().route("/", route(handler).layer(layer)), count)
}

fn feeds<const N: usize>() -> ([Feed; N], Vec<Body>) {
    let mut bodies = Vec::new();
    let feeds = std::array::from_fn(|_| {
        let (feed, body) = fed();
        bodies.push(body);
        feed
    });
    (feeds, bodies)
}

async fn text(body: &mut Body) -> Option<String> {
    next(body)
        .await
        .map(|frame| String::from_utf8(frame.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn the_first_client_and_joiners_stream_while_the_body_comes() {
    let (cache, _) = cache();
    let ([feed], bodies) = feeds();
    let (app, count) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    let mut first = open(&app, request("/")).await.into_body();
    feed.send(Ok("one ".into())).unwrap();
    assert_eq!(text(&mut first).await.unwrap(), "one ");
    let joined = open(&app, request("/")).await;
    assert_eq!(
        joined.headers()["cache-status"],
        "revalidate; fwd=miss; collapsed; detail=never-stored"
    );
    let mut joined = joined.into_body();
    assert_eq!(text(&mut joined).await.unwrap(), "one ");
    feed.send(Ok("two".into())).unwrap();
    assert_eq!(text(&mut joined).await.unwrap(), "two");
    assert_eq!(text(&mut first).await.unwrap(), "two");
    drop(feed);
    assert_eq!(text(&mut first).await, None);
    assert_eq!(text(&mut joined).await, None);
    settle().await;
    let stored = get(&app, "/").await;
    assert_eq!(stored.assert_hit().text(), "one two");
    assert!(stored.header("etag").is_some());
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn a_slow_client_holds_nobody_and_one_that_leaves_stops_nothing() {
    let (cache, _) = cache();
    let ([feed], bodies) = feeds();
    let (app, count) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    let unread = open(&app, request("/")).await;
    let gone = open(&app, request("/")).await;
    for n in 0..100 {
        feed.send(Ok(format!("{n};").into())).unwrap();
    }
    drop(gone);
    drop(feed);
    settle().await;
    let stored = get(&app, "/").await;
    stored.assert_hit();
    assert_eq!(Reply::of(unread).await.body, stored.body);
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn a_first_client_that_leaves_does_not_stop_the_recording() {
    let (cache, _) = cache();
    let ([feed], bodies) = feeds();
    let (app, _) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    drop(open(&app, request("/")).await);
    feed.send(Ok("late".into())).unwrap();
    drop(feed);
    settle().await;
    assert_eq!(get(&app, "/").await.assert_hit().text(), "late");
}

#[tokio::test]
async fn a_body_that_nobody_hears_is_given_up_after_a_while() {
    let (cache, clock) = cache();
    let ([feed, second], bodies) = feeds();
    let (app, _) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    let client = open(&app, request("/")).await;
    settle().await;
    clock.advance(60 * SECOND);
    settle().await;
    assert!(!feed.is_closed(), "it is heard");
    drop(client);
    settle().await;
    clock.advance(29 * SECOND);
    settle().await;
    assert!(!feed.is_closed());
    clock.advance(2 * SECOND);
    settle().await;
    assert!(feed.is_closed());
    second.send(Ok("x".into())).unwrap();
    drop(second);
    assert_eq!(get(&app, "/").await.text(), "x");
}

/// Counts how many chunks of 1 KiB were asked of it; ends after `last`.
struct Counted {
    taken: Arc<AtomicUsize>,
    last: usize,
    /// Pauses once at the beginning, so that it is recorded while it is streamed.
    paused: bool,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !std::mem::replace(&mut self.paused, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n = self.taken.fetch_add(1, Ordering::SeqCst);
        Poll::Ready((n < self.last).then(|| Ok(Frame::data(Bytes::from(vec![n as u8; 1024])))))
    }
}

fn counted(last: usize, pausing: bool) -> (Arc<AtomicUsize>, Body) {
    let taken = Arc::new(AtomicUsize::new(0));
    let body = Counted {
        taken: Arc::clone(&taken),
        last,
        paused: !pausing,
    };
    (taken, Body::new(body))
}

#[tokio::test]
async fn past_the_limit_the_first_client_reads_on_with_back_pressure() {
    for pausing in [false, true] {
        let (cache, _) = cache();
        let (taken, body) = counted(10_000, pausing);
        let (app, _) = app(
            CacheLayer::new()
                .cache(cache.clone())
                .ttl("10m")
                .max_body_bytes(100 << 10),
            [body],
        );
        let mut client = open(&app, request("/")).await.into_body();
        settle().await;
        let ahead = taken.load(Ordering::SeqCst);
        assert!(
            ahead <= 102,
            "{ahead} chunks were read ahead of a client that reads nothing"
        );
        let mut read = 0;
        while let Some(chunk) = next(&mut client).await {
            let chunk = chunk.unwrap();
            assert!(chunk.iter().all(|&byte| byte == read as u8), "in order");
            read += 1;
        }
        assert_eq!(read, 10_000);
        assert_eq!(cache.stats().recording, 0);
        drop(client);
    }
}

#[tokio::test]
async fn an_endless_body_flows_in_bounded_memory() {
    let (cache, _) = cache();
    let (taken, body) = counted(usize::MAX, true);
    let (app, _) = app(
        CacheLayer::new()
            .cache(cache.clone())
            .ttl("10m")
            .max_body_bytes(1 << 20),
        [body],
    );
    let mut client = open(&app, request("/")).await.into_body();
    for _ in 0..20_000 {
        next(&mut client).await.unwrap().unwrap();
    }
    assert!(taken.load(Ordering::SeqCst) <= 20_001);
    assert_eq!(cache.stats().recording, 0);
    drop(client);
}

#[tokio::test]
async fn a_declared_size_past_the_limit_is_not_recorded_at_all() {
    let (cache, _) = cache();
    let bodies = [Body::from(vec![1; 2000]), Body::from(vec![2; 2000])];
    let (app, count) = app(
        CacheLayer::new()
            .cache(cache)
            .ttl("10m")
            .max_body_bytes(1000),
        bodies,
    );
    for _ in 0..2 {
        assert_eq!(
            get(&app, "/")
                .await
                .assert_miss("body-too-large")
                .body
                .len(),
            2000
        );
    }
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn joiners_of_a_body_that_grows_too_large_load_for_themselves() {
    let (cache, _) = cache();
    let ([feed, own, other], bodies) = feeds();
    let (app, count) = app(
        CacheLayer::new().cache(cache).ttl("10m").max_body_bytes(10),
        bodies,
    );
    let mut first = open(&app, request("/")).await.into_body();
    let mut joined = open(&app, request("/")).await.into_body();
    let mut unlucky = open(&app, request("/")).await.into_body();
    feed.send(Ok("12345".into())).unwrap();
    for body in [&mut first, &mut joined, &mut unlucky] {
        assert_eq!(text(body).await.unwrap(), "12345");
    }
    feed.send(Ok("6789ab".into())).unwrap();
    settle().await;
    feed.send(Ok("cdef".into())).unwrap();
    drop(feed);
    assert_eq!(text(&mut first).await.unwrap(), "6789ab");
    assert_eq!(text(&mut first).await.unwrap(), "cdef");
    assert_eq!(text(&mut first).await, None);
    // The joiner has what was recorded, and then goes on with a load of its own.
    own.send(Ok("123".into())).unwrap();
    own.send(Ok("456789abcd".into())).unwrap();
    own.send(Ok("ef".into())).unwrap();
    drop(own);
    let mut rest = String::new();
    while let Some(chunk) = text(&mut joined).await {
        rest.push_str(&chunk);
    }
    assert_eq!(rest, "6789abcdef");
    // Where that begins differently, the response breaks off: never a mixture.
    other.send(Ok("12345 something else".into())).unwrap();
    drop(other);
    assert_eq!(text(&mut unlucky).await.unwrap(), "6789ab");
    assert!(next(&mut unlucky).await.unwrap().is_err());
    assert!(next(&mut unlucky).await.is_none());
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn a_failing_body_fails_for_its_own_client_and_is_not_stored() {
    let (cache, _) = cache();
    let ([feed, own, later], bodies) = feeds();
    let (app, count) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    let mut first = open(&app, request("/")).await.into_body();
    let mut joined = open(&app, request("/")).await.into_body();
    feed.send(Ok("half ".into())).unwrap();
    settle().await;
    feed.send(Err("broken")).unwrap();
    assert_eq!(text(&mut first).await.unwrap(), "half ");
    let error = next(&mut first).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
    assert!(next(&mut first).await.is_none());
    own.send(Ok("half whole".into())).unwrap();
    drop(own);
    assert_eq!(text(&mut joined).await.unwrap(), "half ");
    assert_eq!(text(&mut joined).await.unwrap(), "whole");
    assert_eq!(text(&mut joined).await, None);
    later.send(Ok("later".into())).unwrap();
    drop(later);
    assert_eq!(get(&app, "/").await.text(), "later");
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn a_body_that_fails_at_once_is_passed_on_as_it_is() {
    let (cache, _) = cache();
    let ([feed], bodies) = feeds();
    let (app, _) = app(CacheLayer::new().cache(cache).ttl("10m"), bodies);
    feed.send(Ok("half".into())).unwrap();
    feed.send(Err("broken")).unwrap();
    let response = open(&app, request("/")).await;
    assert_eq!(
        response.headers()["cache-status"],
        "revalidate; fwd=miss; detail=body-failed"
    );
    let mut body = response.into_body();
    assert_eq!(text(&mut body).await.unwrap(), "half");
    assert!(next(&mut body).await.unwrap().is_err());
}

#[tokio::test]
async fn server_sent_events_flow_and_are_not_stored() {
    use axum::response::sse::{Event, Sse};
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        let run = runs.up();
        async move {
            let event = Event::default().data(format!("run {run}"));
            let once = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(event)]);
            Sse::new(futures_util::StreamExt::chain(
                once,
                futures_util::stream::pending(),
            ))
        }
    };
    let app = Router::new().route(
        "/",
        route(handler).layer(CacheLayer::new().cache(cache).ttl("10m")),
    );
    for run in 1..=3 {
        let response = open(&app, request("/")).await;
        assert_eq!(
            response.headers()["cache-status"],
            "revalidate; fwd=miss; detail=no-cache"
        );
        let mut body = response.into_body();
        assert_eq!(
            text(&mut body).await.unwrap(),
            format!("data: run {run}\n\n")
        );
    }
}

#[tokio::test]
async fn recordings_count_and_are_bounded_together() {
    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock).max_bytes(1 << 20).build();
    let count = Count::default();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    let runs = count.clone();
    let handler = move || {
        runs.up();
        let (feed, body) = fed();
        kept.lock().unwrap().push(feed);
        async { body }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    let app = Router::new().route("/{n}", route(handler).layer(layer));
    let mut clients = Vec::new();
    for n in 0..64 {
        clients.push(open(&app, request(&format!("/{n}"))).await);
        let feed = bodies.lock().unwrap().pop().unwrap();
        feed.send(Ok(vec![0; 100 << 10].into())).unwrap();
        settle().await;
        assert!(cache.stats().recording <= 1 << 20, "{:?}", cache.stats());
    }
    assert!(cache.stats().recording > 0);
    for client in clients {
        assert_eq!(Reply::of(client).await.body.len(), 100 << 10);
    }
    settle().await;
    assert_eq!(cache.stats().recording, 0);
}

#[tokio::test]
async fn many_tiny_chunks_are_whole_and_bounded() {
    let (cache, _) = cache();
    let ([feed], bodies) = feeds();
    let (app, _) = app(CacheLayer::new().cache(cache.clone()).ttl("10m"), bodies);
    let client = open(&app, request("/")).await;
    let large = Bytes::from(vec![7; 1 << 20]);
    for n in 0..1000 {
        feed.send(Ok(large.slice(n..=n))).unwrap();
        feed.send(Ok(Bytes::new())).unwrap();
    }
    drop(feed);
    assert_eq!(Reply::of(client).await.body, vec![7; 1000]);
    settle().await;
    assert_eq!(get(&app, "/").await.assert_hit().body, vec![7; 1000]);
    assert!(cache.stats().bytes < 10_000);
}

#[tokio::test]
async fn trailers_pass_and_are_not_stored() {
    let with_trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let frames = [
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("x"))),
            Ok(Frame::trailers(trailers)),
        ];
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(
            frames,
        )))
    };
    let (cache, _) = cache();
    let (app, _) = app(
        CacheLayer::new().cache(cache).ttl("10m"),
        [with_trailers(), with_trailers()],
    );
    for _ in 0..2 {
        let response = open(&app, request("/")).await;
        assert_eq!(
            response.headers()["cache-status"],
            "revalidate; fwd=miss; detail=trailers"
        );
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
        assert_eq!(collected.to_bytes(), "x");
    }
}

#[tokio::test]
async fn sizes_are_told_where_they_are_known() {
    let (cache, _) = cache();
    let (app, _) = app(
        CacheLayer::new().cache(cache).ttl("10m"),
        [Body::from("12345")],
    );
    for _ in 0..2 {
        let response = open(&app, request("/")).await;
        assert_eq!(response.body().size_hint().exact(), Some(5));
        assert_eq!(response.headers()["content-length"], "5");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_announced_is_not_stored() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move || {
        runs.up();
        let (feed, body) = fed();
        feed.send(Ok("short".into())).unwrap();
        async { ([("content-length", "100")], body) }
    };
    let app = Router::new().route(
        "/",
        route(handler).layer(CacheLayer::new().cache(cache).ttl("10m")),
    );
    for _ in 0..2 {
        get(&app, "/").await;
        settle().await;
    }
    assert_eq!(count.get(), 2);
}

/// An app whose only body is still to come, and has these headers; it has been asked for once.
async fn begun(headers: [(&'static str, &'static str); 3]) -> (Router, Clock, Feed, Body) {
    let (cache, clock) = cache();
    let (feed, body) = fed();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = move || {
        let body = body.lock().unwrap().take();
        async move { (headers, body.unwrap_or_else(|| Body::from("another"))) }
    };
    let layer = CacheLayer::new().cache(cache);
    let app = Router::new().route("/", route(handler).layer(layer));
    let first = open(&app, with("/", &[("x-of", "a")])).await;
    assert_eq!(first.headers()[headers[2].0], headers[2].1);
    (app, clock, feed, first.into_body())
}

fn is_collapsed<B>(reply: &http::Response<B>) -> bool {
    let said = &reply.headers()["cache-status"];
    said.to_str().unwrap().contains("collapsed")
}

#[tokio::test]
async fn what_is_for_the_first_client_alone_is_not_for_its_joiners() {
    let control = "max-age=60, private=\"x-user\"";
    let headers = [
        ("cache-control", control),
        ("etag", "\"1\""),
        ("x-user", "me"),
    ];
    let (app, _, feed, _first) = begun(headers).await;
    let joined = open(&app, request("/")).await;
    assert!(is_collapsed(&joined));
    assert!(!joined.headers().contains_key("x-user"));
    drop(feed);
}

#[tokio::test]
async fn a_body_that_comes_for_longer_than_it_is_fresh_is_not_joined() {
    let headers = [("cache-control", "max-age=1"), ("x-a", "a"), ("x-b", "b")];
    let (app, clock, _feed, _first) = begun(headers).await;
    clock.advance(SECOND);
    let late = open(&app, request("/")).await;
    assert!(!is_collapsed(&late));
    assert_eq!(Reply::of(late).await.text(), "another");
}

#[tokio::test]
async fn a_body_that_varies_is_joined_by_those_who_select_it() {
    let headers = [
        ("cache-control", "max-age=60"),
        ("x-a", "a"),
        ("vary", "x-of"),
    ];
    let (app, _, feed, _first) = begun(headers).await;
    let other = open(&app, with("/", &[("x-of", "b")])).await;
    assert!(!is_collapsed(&other));
    assert_eq!(Reply::of(other).await.text(), "another");
    feed.send(Ok("one".into())).unwrap();
    drop(feed);
    let same = send(&app, with("/", &[("x-of", "a")])).await;
    assert_eq!(same.text(), "one");
}
