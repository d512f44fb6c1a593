//! What the layer's tests share: requests, replies, bodies that do as they are told.
#![allow(dead_code, unused_imports, unreachable_pub)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
pub use cache_core::{
    Cache, Clock, Life, PathTarget, cache_life, cache_tag, invalidate_cache, revalidate_path,
    revalidate_tag,
};
pub use cache_tower::{Bypass, CacheLayer, CachePolicy, CacheService, Cookies};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower::{Service, ServiceExt};

pub const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// A cache on a clock that stands still.
pub fn cache() -> (Cache, Clock) {
    let clock = Clock::manual();
    (Cache::builder().clock(clock.clone()).build(), clock)
}

/// A response, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .expect("the body is read to its end")
            .to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What the caches said, as one list.
    pub fn cache(&self) -> String {
        let lines = self.headers.get_all("cache-status");
        lines
            .iter()
            .map(|line| line.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// What the outermost layer said: the last member. Functions and layers inside speak before it.
    pub fn own(&self) -> String {
        let cache = self.cache();
        cache.rsplit(", ").next().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn assert_hit(&self) -> &Self {
        assert!(self.own().contains("; hit"), "not a hit: {self:?}");
        self
    }

    #[track_caller]
    pub fn assert_miss(&self, detail: &str) -> &Self {
        let own = self.own();
        assert!(
            own.contains("fwd=") && own.ends_with(&format!("detail={detail}")),
            "not {detail}: {self:?}"
        );
        self
    }
}

pub fn request(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

pub fn with(uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

/// Sends a request, and reads the reply whole.
pub async fn send<S, B>(service: &S, request: Request<Body>) -> Reply
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    Reply::of(open(service, request).await).await
}

pub async fn get<S, B>(service: &S, uri: &str) -> Reply
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    send(service, request(uri)).await
}

/// Sends a request, and leaves the body to be read.
pub async fn open<S, B>(service: &S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    service.clone().oneshot(request).await.unwrap()
}

/// How often a handler ran.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// Counts a run, and returns its number, from 1.
    pub fn up(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Lets every task run that can.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A body whose frames are sent by a test.
pub struct Fed(mpsc::UnboundedReceiver<Result<Bytes, &'static str>>);

pub type Feed = mpsc::UnboundedSender<Result<Bytes, &'static str>>;

pub fn fed() -> (Feed, Body) {
    let (feed, frames) = mpsc::unbounded_channel();
    (feed, Body::new(Fed(frames)))
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        self.0
            .poll_recv(cx)
            .map(|frame| frame.map(|frame| frame.map(Frame::data).map_err(Into::into)))
    }
}

/// The next data frame; `None` at the end.
pub async fn next<B>(body: &mut B) -> Option<Result<Bytes, B::Error>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}
